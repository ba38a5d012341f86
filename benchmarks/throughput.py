"""redis-benchmark over the hot commands, interleaved rounds, requests per second and server CPU per request."""

from __future__ import annotations

import math
import statistics
import subprocess
from collections import defaultdict

from benchmarks.report import row, title
from benchmarks.servers import Peer, pair

TESTS = [
    "SET",
    "GET",
    "INCR",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "SADD",
    "HSET",
    "SPOP",
    "ZADD",
    "ZPOPMIN",
    "LRANGE_100",
    "MSET",
]
CLIENTS = 50


def one_run(peer: Peer, test: str, requests: int, pipeline: int) -> tuple[float, float]:
    """(requests per second, CPU microseconds per request) of one test."""
    before = peer.cpu_seconds()
    done = subprocess.run(
        ["redis-benchmark", "-p", str(peer.port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(pipeline),
         "-t", test.lower(), "--csv"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = peer.cpu_seconds() - before
    last = done.stdout.strip().splitlines()[-1].split(",")
    total = requests * (2 if test == "LRANGE_100" else 1)
    return float(last[1].strip('"')), used / total * 1e6


def run(rounds: int, pipeline: int, requests: int, *options: str) -> None:
    title(f"throughput, pipeline {pipeline}, {' '.join(options) or 'no persistence'}, median of {rounds} rounds")
    peers = pair(*options)
    speed: dict[tuple[str, str], list[float]] = defaultdict(list)
    cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
    try:
        for _ in range(rounds):
            for test in TESTS:
                count = requests // 4 if test in ("LRANGE_100", "MSET") else requests
                for peer in peers:
                    if test == "SET":
                        peer.client.flushall()
                    per_second, microseconds = one_run(peer, test, count, pipeline)
                    speed[test, peer.name].append(per_second)
                    cpu[test, peer.name].append(microseconds)
    finally:
        for peer in peers:
            peer.stop()
    row("test", "redis/s", "rotomdb/s", "ratio", "redis CPU us", "rotomdb CPU us")
    ratios = []
    for test in TESTS:
        redis_speed, our_speed = (statistics.median(speed[test, name]) for name in ("redis", "rotomdb"))
        redis_cpu, our_cpu = (statistics.median(cpu[test, name]) for name in ("redis", "rotomdb"))
        ratios.append(our_speed / redis_speed)
        row(test, f"{redis_speed:.0f}", f"{our_speed:.0f}", f"{ratios[-1]:.2f}", f"{redis_cpu:.2f}", f"{our_cpu:.2f}")
    geometric = math.exp(sum(map(math.log, ratios)) / len(ratios))
    row("geometric mean", "", "", f"{geometric:.3f}", f"lowest {min(ratios):.2f}", "")
