"""A soak, outside CI: mixed load, rewrites, snapshots, SIGKILL every few seconds, a disk that fills up now and then.

    python -m tests.crash.soak --minutes 30 --policy always

Every acknowledged write goes into a log of the client's own, and is looked for after each restart. The last fifth of the
time runs without a kill, to see that memory and descriptors stay flat. Exit status 1 when anything is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis

from tests.processes import ControlledServer, RedisServer

WRITERS = 4
KEYS = 60
REWRITE_EVERY_S = 60


class Writer(threading.Thread):
    """Writes rising numbers to keys of its own, and logs what was acknowledged."""

    def __init__(self, number: int, port: int, log: Path, start_at: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.prefix = f"w{number}"
        self.client = redis.Redis(port=port, socket_timeout=30)
        self.log = log.open("a")
        self.number = start_at
        self.random = random.Random(seed)
        self.acknowledged: dict[str, int] = {}
        self.attempted: dict[str, int] = {}
        self.refused = 0
        self.stop = False

    def run(self) -> None:
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError, OSError):
            while not self.stop:
                self.write_batch()
        self.log.close()
        self.client.close()

    def write_batch(self) -> None:
        batch: dict[str, int] = {}
        for _ in range(self.random.choice([1, 1, 4, 20])):
            self.number += 1
            batch[f"{self.prefix}:{self.random.randrange(KEYS)}"] = self.number
        self.attempted.update(batch)
        pipe = self.client.pipeline(transaction=self.random.random() < 0.4)
        for key, value in batch.items():
            pipe.hset(key, "n", value)
            pipe.hset(key, "padding", "x" * self.random.choice([0, 50, 2000]))
            pipe.rpush(f"{key}:list", value)
            pipe.ltrim(f"{key}:list", -20, -1)
        try:
            pipe.execute()
        except redis.ResponseError as error:
            if "MISCONF" not in str(error):
                raise
            self.refused += 1
            time.sleep(0.05)
            return  # some of the batch may have been accepted: it is not claimed
        self.acknowledged.update(batch)
        self.log.write("".join(f"{key} {value}\n" for key, value in batch.items()))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - not a directory of files


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class Soak:
    def __init__(self, policy: str, layout: str, seed: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="soak-"))
        self.source = random.Random(seed)
        self.server = ControlledServer(
            self.root / "data", "--appendfsync", policy, "--aof-layout", layout, "--save", "60 1",
            "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning", "--disk-reserve", "1mb",
        )  # fmt: skip
        self.expected: dict[str, int] = {}
        self.number = 0
        self.checked = self.lost = self.kills = self.full_windows = self.refused = self.rewrites = 0
        self.last_rewrite = time.monotonic()

    def writers(self) -> list[Writer]:
        made = [
            Writer(i, self.server.port, self.root / "acknowledged.log", self.number, self.source.randrange(1 << 30))
            for i in range(WRITERS)
        ]
        for writer in made:
            writer.start()
        return made

    def disturb(self, seconds: float) -> None:
        """Time under load: a rewrite each minute, windows in which the disk is full."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if time.monotonic() - self.last_rewrite > REWRITE_EVERY_S:
                self.last_rewrite = time.monotonic()
                with contextlib.suppress(redis.RedisError), self.server.client(socket_timeout=10) as client:
                    client.bgrewriteaof()
                    self.rewrites += 1
            if self.source.random() < 0.1:
                self.full_windows += 1
                self.server.control(self.source.choice(["full", "tight"]))
                time.sleep(self.source.uniform(0.1, 1.5))
                self.server.control("")
            time.sleep(min(0.5, max(end - time.monotonic(), 0)))

    def finish(self, writers: list[Writer]) -> None:
        for writer in writers:
            writer.stop = True
        for writer in writers:
            writer.join()
        self.number = max(writer.number for writer in writers)
        self.refused += sum(writer.refused for writer in writers)

    def verify(self, writers: list[Writer]) -> None:
        with self.server.client() as client:
            for writer in writers:
                for key in {**self.expected, **writer.attempted}:
                    if not key.startswith(writer.prefix + ":"):
                        continue
                    wanted = max(writer.acknowledged.get(key, 0), self.expected.get(key, 0))
                    held = int(client.hget(key, "n") or 0)
                    last = client.lindex(f"{key}:list", -1)
                    self.checked += 1
                    if (
                        held < wanted
                        or (wanted and int(last or 0) < wanted)
                        or held > max(writer.attempted.get(key, 0), wanted)
                    ):
                        self.lost += 1
                        print(f"LOST {key}: {held} and {last!r}, acknowledged was {wanted}", flush=True)
                    self.expected[key] = held

    def run(self, minutes: float) -> int:
        self.server.start()
        begun = time.monotonic()
        kill_until = begun + minutes * 60 * 0.8
        while time.monotonic() < kill_until:
            writers = self.writers()
            self.disturb(self.source.uniform(2, 6))
            self.server.kill()
            self.server.control("")
            self.kills += 1
            self.finish(writers)
            self.server.start()
            self.verify(writers)
            if self.kills % 10 == 0:
                self.report(begun)
        self.steady(begun + minutes * 60)
        self.report(begun)
        loads = self.redis_loads()
        return 1 if self.lost or not loads else 0

    def steady(self, end: float) -> None:
        assert self.server.process is not None
        pid = self.server.process.pid
        writers = self.writers()
        samples = []
        while time.monotonic() < end:
            self.disturb(10)
            samples.append((descriptors(pid), resident_kb(pid)))
        self.finish(writers)
        self.server.restart()
        self.verify(writers)
        print("descriptors and resident KB over the last part:", samples[:: max(len(samples) // 12, 1)], flush=True)

    def redis_loads(self) -> bool:
        """The files that are left load in a real server, with equal content."""
        digest = self.server.digest()
        self.server.stop()
        arguments = ["--appendonly", "yes", "--save", ""]
        peer = RedisServer(self.root / "data", *arguments)
        peer.start()
        same = peer.digest() == digest
        peer.kill()
        print(f"redis-server loads the files: DEBUG DIGEST {'equal' if same else 'DIFFERENT'}", flush=True)
        return same

    def report(self, begun: float) -> None:
        print(
            f"{(time.monotonic() - begun) / 60:.1f} min: {self.kills} kills, {self.rewrites} rewrites, {self.full_windows} full-disk "
            f"windows, {self.number} writes a writer at most, {self.refused} batches refused, {self.checked} values checked, {self.lost} lost",
            flush=True,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--policy", default="always", choices=["always", "everysec", "no"])
    parser.add_argument("--layout", default="multi", choices=["multi", "single"])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.policy}, {given.layout}", flush=True)
    soak = Soak(given.policy, given.layout, given.seed)
    try:
        status = soak.run(given.minutes)
    finally:
        soak.server.kill()
    if status == 0:
        shutil.rmtree(soak.root)
    sys.exit(status)


if __name__ == "__main__":
    main()
