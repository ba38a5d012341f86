"""Memory, snapshot and load times, and a snapshot child's copied pages, over three data sets."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.report import row, title
from benchmarks.servers import Peer, pair
from rotomdb.storage.propagation import encode_command

BATCH = 20_000


def strings(count: int) -> Iterator[bytes]:
    value = b"0123456789abcdef0123456789abcdef"
    for i in range(count):
        yield encode_command(b"SET", b"key:%d" % i, value)


def hashes(count: int) -> Iterator[bytes]:
    for i in range(count):
        words = [word for field in range(10) for word in (b"field:%d" % field, b"val:%d" % (i % 1000))]
        yield encode_command(b"HSET", b"hash:%d" % i, *words)


def sorted_set(count: int) -> Iterator[bytes]:
    for i in range(count):
        yield encode_command(b"ZADD", b"zset", (i * 7919) % 1_000_003, b"member:%d" % i)


DATASETS: dict[str, tuple[Callable[[int], Iterator[bytes]], int]] = {
    "2M strings key:N of 32 bytes": (strings, 2_000_000),
    "200k hashes of 10 short fields": (hashes, 200_000),
    "1 sorted set of 1M members": (sorted_set, 1_000_000),
}


def fill(peer: Peer, make: Callable[[int], Iterator[bytes]], count: int) -> None:
    batch: list[bytes] = []
    for command in make(count):
        batch.append(command)
        if len(batch) == BATCH:
            peer.send(b"".join(batch), len(batch))
            batch = []
    if batch:
        peer.send(b"".join(batch), len(batch))


def child_dirty(peer: Peer) -> tuple[int, int]:
    """INFO's copy-on-write size of a BGSAVE without writes, and the resident size."""
    peer.client.bgsave()
    while peer.client.info("persistence")["rdb_bgsave_in_progress"]:
        time.sleep(0.05)
    return int(peer.client.info("persistence")["rdb_last_cow_size"]), peer.resident_bytes()


def run(rounds: int) -> None:
    title(f"memory, SAVE and load, median of {rounds} rounds")
    row("data set / measure", "redis", "rotomdb", "ratio")
    for name, (make, count) in DATASETS.items():
        peers = pair()
        try:
            one_dataset(peers, name, make, count, rounds)
        finally:
            for peer in peers:
                peer.stop()


def one_dataset(
    peers: tuple[Peer, Peer], name: str, make: Callable[[int], Iterator[bytes]], count: int, rounds: int
) -> None:
    growth, saves, loads = {}, {}, {}
    for peer in peers:
        before = peer.resident_bytes()
        fill(peer, make, count)
        growth[peer.name] = peer.resident_bytes() - before
    compare(f"{name}: resident MB", growth["redis"] / 2**20, growth["rotomdb"] / 2**20)
    for peer in peers:
        dirty, resident = child_dirty(peer)
        row(f"  {peer.name}: BGSAVE child", f"{dirty / 2**20:.1f} MB", f"{dirty / resident * 100:.2f} % of rss")
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            begin = time.perf_counter()
            peer.client.save()
            times[peer.name].append(time.perf_counter() - begin)
    saves = {key: statistics.median(value) for key, value in times.items()}
    compare(f"{name}: SAVE s", saves["redis"], saves["rotomdb"])
    times = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            peer.process.kill()
            peer.process.wait()
            peer.start()
            times[peer.name].append(peer.loading_seconds())
    loads = {key: statistics.median(value) for key, value in times.items()}
    compare(f"{name}: load RDB s", loads["redis"], loads["rotomdb"])


def compare(name: str, theirs: float, ours: float) -> None:
    row(name, f"{theirs:.3f}", f"{ours:.3f}", f"{ours / theirs:.2f}")


def load_log(rounds: int) -> None:
    """AOF load of 2 million SETs; both servers load the same files."""
    title(f"AOF load of 2M SETs, median of {rounds} rounds")
    source = Peer("redis", "--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage", "0")
    fill(source, strings, 2_000_000)
    source.client.shutdown(nosave=True)
    source.process.wait()
    times: dict[str, list[float]] = {"redis": [], "rotomdb": []}
    for _ in range(rounds):
        for name in times:
            directory = Path(f"{source.directory}-{name}")
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(source.directory, directory)
            (directory / "log").unlink()
            peer = Peer(
                name, "--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage", "0", directory=directory
            )
            times[name].append(peer.loading_seconds())
            peer.stop()
            shutil.rmtree(directory)
    shutil.rmtree(source.directory)
    compare("AOF load s", statistics.median(times["redis"]), statistics.median(times["rotomdb"]))


def growth() -> None:
    """Growing to 10 million keys: the slowest single command, by the server's own clock."""
    title("growing to 10M keys, slowest commands (slow log, microseconds)")
    for name in ("redis", "rotomdb"):
        peer = Peer(
            name, "--appendonly", "no", "--save", "", "--slowlog-log-slower-than", "500", "--slowlog-max-len", "100000"
        )
        try:
            fill(peer, strings, 10_000_000)
            slow = sorted((entry["duration"] for entry in peer.client.slowlog_get(-1)), reverse=True)
            row(name, f"over 0.5 ms: {len(slow)}", f"slowest: {slow[:5]}", f"rss {peer.resident_bytes() >> 20} MB")
        finally:
            peer.stop()
