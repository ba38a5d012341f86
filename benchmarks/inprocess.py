"""`rotomdb.connect` against redis-py over a socket to redis-server: the same client calls."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

import redis

import rotomdb
from benchmarks.report import row, title
from benchmarks.servers import Peer

CALLS = 30_000


def per_second(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return CALLS / (time.perf_counter() - start)


def run(rounds: int) -> None:
    title(f"in-process client against redis-py and redis-server, calls per second, median of {rounds} rounds")
    peer = Peer("redis", "--save", "", "--appendonly", "no")
    row("call", "redis-py", "in process", "ratio", "", "")
    with tempfile.TemporaryDirectory() as directory, rotomdb.connect(directory) as local:
        remote = redis.Redis(port=peer.port)
        calls: dict[str, Callable[[redis.Redis], object]] = {
            "SET": lambda client: client.set("key", "value"),
            "GET": lambda client: client.get("key"),
            "HSET": lambda client: client.hset("hash", "field", "value"),
            "HGETALL": lambda client: client.hgetall("hash"),
        }
        for name, call in calls.items():
            theirs, ours = [], []
            for _ in range(rounds):
                theirs.append(per_second(lambda call=call: call(remote)))  # type: ignore[misc]
                ours.append(per_second(lambda call=call: call(local)))  # type: ignore[misc]
            one, other = statistics.median(theirs), statistics.median(ours)
            row(name, f"{one:.0f}", f"{other:.0f}", f"{other / one:.1f}", "", "")
    peer.stop()
