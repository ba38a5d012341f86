"""SIGKILL at random moments under load: what was acknowledged is there after the restart.

After a process kill the page cache survives, so this holds for `always` and `everysec` alike. ROTOMDB_KILL_ROUNDS sets
the number of rounds per policy (a few by default; 100 and more for a recorded run).
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable

import pytest
import redis

from tests.processes import RotomServer

ROUNDS = int(os.environ.get("ROTOMDB_KILL_ROUNDS", "4"))
WRITERS = 3
KEYS = 50


class Writer(threading.Thread):
    """Sets counters to rising numbers and remembers what was acknowledged."""

    def __init__(self, port: int, name: str, start_at: int, seed: int) -> None:
        super().__init__()
        self.client = redis.Redis(port=port, socket_timeout=10)
        self.prefix = name
        self.number = start_at
        self.random = random.Random(seed)
        self.acknowledged: dict[str, int] = {}
        self.attempted: dict[str, int] = {}

    def run(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError):
            while True:
                batch = {}
                for _ in range(self.random.choice([1, 1, 5, 30])):
                    self.number += 1
                    batch[f"{self.prefix}:{self.random.randrange(KEYS)}"] = self.number
                self.attempted.update(batch)
                pipe = self.client.pipeline(transaction=self.random.random() < 0.3)
                for key, value in batch.items():
                    pipe.hset(key, "n", value)
                pipe.execute()
                self.acknowledged.update(batch)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("layout", ["multi", "single"])
@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_no_acknowledged_write_is_lost_by_sigkill(rotom: Callable[..., RotomServer], policy: str, layout: str) -> None:
    seed = int(time.time())
    print(f"seed {seed}")
    source = random.Random(seed)
    server = rotom(
        "--appendfsync", policy, "--aof-layout", layout, "--auto-aof-rewrite-min-size", "200kb", "--hz", "50"
    )
    expected: dict[str, int] = {}
    number = 0
    checked = 0
    for round_number in range(ROUNDS):
        writers = [Writer(server.port, f"w{i}", number, source.randrange(1 << 30)) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        end = time.monotonic() + source.uniform(0.05, 1.0)
        with contextlib.closing(server.client()) as client:
            while time.monotonic() < end:
                time.sleep(source.uniform(0.0, 0.2))
                with contextlib.suppress(redis.ResponseError):
                    source.choice([client.bgrewriteaof, client.bgsave, client.ping])()
        server.kill()
        for writer in writers:
            writer.join()
        number = max(writer.number for writer in writers)
        server.start()
        with contextlib.closing(server.client()) as client:
            for writer in writers:
                for key in {**expected, **writer.attempted}:
                    if not key.startswith(writer.prefix + ":"):
                        continue
                    held = int(client.hget(key, "n") or 0)
                    wanted = max(writer.acknowledged.get(key, 0), expected.get(key, 0))
                    checked += 1
                    assert held >= wanted, f"round {round_number}: {key} is {held}, acknowledged was {wanted}"
                    assert held <= max(writer.attempted.get(key, 0), wanted), "a value that nobody wrote"
                    expected[key] = held
    print(f"{ROUNDS} rounds, {checked} values checked")
