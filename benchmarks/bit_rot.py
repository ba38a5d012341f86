"""Bit rot in a log: how many single-bit flips are noticed by the loader, here and in Redis.

Redis gets the log that it wrote of the same kind of writes; a flip that it loads with other content than before is one
that it swallowed.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import redis

from benchmarks.report import row, title
from benchmarks.servers import Peer
from rotomdb.testing.bit_flips import flip, flip_bits

FLIPS = 10_000
REDIS_FLIPS = 500
WRITES = 300


def fill(client: redis.Redis, source: random.Random) -> None:
    """Writes of which none hides another, so that what a flip does can be seen in the content."""
    for number in range(WRITES):
        draw = source.random()
        if draw < 0.6:
            client.set(f"key:{number}", f"{number}:" + source.choice(["", "x" * 60, "y" * 700]))
        elif draw < 0.8:
            client.rpush("list", number)
        else:
            client.hset("hash", f"field:{number}", number)


def redis_swallows(flips: int) -> tuple[int, int, int]:
    """(refused, loaded with the same content, loaded with other content) of so many flips."""
    source = random.Random(1)
    options = ("--appendonly", "yes", "--save", "", "--enable-debug-command", "yes", "--aof-use-rdb-preamble", "yes")
    peer = Peer("redis", *options)
    fill(peer.client, source)
    expected = peer.client.execute_command("DEBUG", "DIGEST")
    log = next((peer.directory / "appendonlydir").glob("*.incr.aof"))
    peer.client.shutdown(nosave=True)
    peer.process.wait()
    content = log.read_bytes()
    counts = {"refused": 0, "same": 0, "other": 0}
    for _ in range(flips):
        log.write_bytes(flip(content, source.randrange(len(content) * 8)))
        counts[load(peer, expected)] += 1
    return counts["refused"], counts["same"], counts["other"]


def load(peer: Peer, expected: bytes) -> str:
    """Start on the files as they are; what became of it."""
    (peer.directory / "log").write_bytes(b"")
    try:
        peer.start()
    except RuntimeError:
        return "refused"
    same = peer.client.execute_command("DEBUG", "DIGEST") == expected
    peer.process.kill()
    peer.process.wait()
    remove_kept(peer.directory / "appendonlydir")
    return "same" if same else "other"


def remove_kept(directory: Path) -> None:
    for path in directory.glob("temp-*"):
        path.unlink()


def run() -> None:
    title(f"single flipped bits in a log: {FLIPS} here, {REDIS_FLIPS} in Redis")
    begin = time.perf_counter()
    ours = flip_bits(FLIPS, 1)
    row("rotomdb: bytes under a checksum", f"{ours.covered} flips", f"{ours.located} located", f"{ours.missed} missed",
        f"largest range {ours.widest}")  # fmt: skip
    row("rotomdb: other bytes", f"{ours.uncovered} flips", f"{ours.uncovered_found} found")
    refused, same, other = redis_swallows(REDIS_FLIPS)
    row("redis", f"{REDIS_FLIPS} flips", f"{refused} refused", f"{other} swallowed", f"{same} harmless")
    row("seconds", f"{time.perf_counter() - begin:.0f}")
