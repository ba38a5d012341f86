"""How long readers of other keys wait while every fsync takes 10 ms: `appendfsync always`, writers at full speed.

The disk is slowed for both servers by a library that is loaded before the C library. Redis runs the fsync in its event
loop, so that every reader waits for it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.report import row, title
from benchmarks.servers import Peer

SLOW_MS = 10
WRITERS = 20
SECONDS = 5
SLOW_LIBRARY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    usleep(%d);
    return real(fd);
}
"""


def slow_library(directory: Path) -> Path:
    source, library = directory / "slow.c", directory / "slow.so"
    source.write_text(SLOW_LIBRARY % (SLOW_MS * 1000))
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def read_others(port: int, seconds: float, answer: Connection) -> None:
    """In a process of its own: GET one key over and over; sends (reads, median, 99th percentile, longest) in ms."""
    connection = socket.create_connection(("127.0.0.1", port))
    request = b"*2\r\n$3\r\nGET\r\n$5\r\nother\r\n"
    times = []
    end = time.perf_counter() + seconds
    start = 0.0
    while start < end:
        start = time.perf_counter()
        connection.sendall(request)
        connection.recv(64)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    answer.send((len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))


def run() -> None:
    title(f"always, fsync slowed by {SLOW_MS} ms, {WRITERS} writers: GET of another key by one reader, in ms")
    row("server", "reads", "median", "p99", "longest", "writes/s")
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LD_PRELOAD"] = str(slow_library(Path(directory)))
        try:
            peers = [
                Peer(name, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
                for name in ("redis", "rotomdb")
            ]
        finally:
            del os.environ["LD_PRELOAD"]
        for peer in peers:
            measure(peer)
            peer.stop()


def measure(peer: Peer) -> None:
    peer.client.set("other", "value")
    writers = subprocess.Popen(
        ["redis-benchmark", "-p", str(peer.port), "-c", str(WRITERS), "-n", "100000000", "-r", "100000", "-t", "set", "-q"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(1)
        ours, theirs = multiprocessing.Pipe()
        reader = multiprocessing.get_context("spawn").Process(target=read_others, args=(peer.port, SECONDS, theirs))
        before = peer.client.info("commandstats")["cmdstat_set"]["calls"]
        reader.start()
        reads, median, high, longest = ours.recv()
        reader.join()
        writes = peer.client.info("commandstats")["cmdstat_set"]["calls"] - before
    finally:
        writers.kill()
        writers.wait()
    row(peer.name, str(reads), f"{median:.2f}", f"{high:.2f}", f"{longest:.2f}", f"{writes / SECONDS:.0f}")
