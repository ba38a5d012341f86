"""Deleting a value of five million elements: how long do other clients wait meanwhile?"""

from __future__ import annotations

import multiprocessing
import socket
import time
from multiprocessing.connection import Connection

from benchmarks.report import row, title
from benchmarks.servers import Peer, pair

ELEMENTS = 5_000_000
BATCH = 10_000


def fill(peer: Peer, kind: str) -> None:
    """A set or sorted set of five million elements."""
    client = peer.client
    pipe = client.pipeline(transaction=False)
    for start in range(0, ELEMENTS, BATCH):
        numbers = range(start, start + BATCH)
        if kind == "set":
            pipe.sadd("big", *[f"member:{n}" for n in numbers])
        else:
            pipe.zadd("big", {f"member:{n}": n for n in numbers})
        pipe.execute()


def probe(port: int, seconds: float, answer: Connection) -> None:
    """A client in a process of its own that does nothing but PING; sends its longest wait in ms."""
    connection = socket.create_connection(("127.0.0.1", port))
    end = time.perf_counter() + seconds
    longest = start = 0.0
    while start < end:
        start = time.perf_counter()
        connection.sendall(b"PING\r\n")
        connection.recv(16)
        longest = max(longest, time.perf_counter() - start)
    answer.send(longest * 1000)


def longest_wait_ms(peer: Peer, command: str) -> tuple[float, float]:
    """(longest wait of another client, duration of the deleting command) in ms."""
    ours, theirs = multiprocessing.Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=probe, args=(peer.port, 2.5, theirs))
    prober.start()
    time.sleep(1)
    start = time.perf_counter()
    peer.client.execute_command(*command.split())
    took = time.perf_counter() - start
    longest = ours.recv()
    prober.join()
    return longest, took * 1000


def run() -> None:
    title(f"deleting {ELEMENTS} elements: longest PING of another client, and the command itself, in ms")
    row("value and command", "redis wait", "rotomdb wait", "redis took", "rotomdb took", "")
    for kind in ("set", "zset"):
        for command in ("DEL big", "UNLINK big"):
            results = []
            for peer in pair():
                fill(peer, kind)
                results.append(longest_wait_ms(peer, command))
                peer.stop()
            (theirs, their_time), (ours, our_time) = results
            row(f"{kind}, {command}", f"{theirs:.1f}", f"{ours:.1f}", f"{their_time:.2f}", f"{our_time:.2f}", "")
