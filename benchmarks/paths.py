"""The hot paths beyond redis-benchmark's own list: streams, sketches, geo, fan-out to subscribers, blocking hand-over."""

from __future__ import annotations

import math
import select
import socket
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from benchmarks.report import row, title
from benchmarks.servers import Peer, pair
from rotomdb.storage.propagation import encode_command

CLIENTS = 50
SUBSCRIBERS = 100
MESSAGES = 3_000
HAND_OVERS = 10_000


def fill(peer: Peer) -> None:
    """The data that the reading tests work on."""
    client = peer.client
    client.flushall()
    pipe = client.pipeline(transaction=False)
    for number in range(10_000):
        pipe.xadd("filled", {"sensor": number % 50, "value": f"{number * 0.37:.2f}"}, id=f"{number + 1}-0")
        pipe.geoadd("places", (number * 0.0359 % 360 - 180, number * 0.0169 % 170 - 85, f"place:{number}"))
    pipe.xgroup_create("filled", "group", "0")
    pipe.setbit("bits", 8 * 100_000 - 1, 1)
    pipe.set("text", "x" * 100)
    pipe.execute()


def command(requests: int, *words: str, pipeline: int = 1) -> Callable[[Peer], float]:
    """Requests per second of one command from 50 clients, measured by redis-benchmark."""

    def measure(peer: Peer) -> float:
        done = subprocess.run(
            ["redis-benchmark", "-p", str(peer.port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(pipeline),
             "-r", "100000", "--csv", *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout.strip().splitlines()[-1].split('","')[1])

    return measure


def fan_out(peer: Peer) -> float:
    """Deliveries per second from one publisher to a hundred subscribers."""
    connections = [socket.create_connection(("127.0.0.1", peer.port)) for _ in range(SUBSCRIBERS)]
    for connection in connections:
        connection.sendall(encode_command("SUBSCRIBE", "channel"))
        connection.recv(1 << 12)
    message = "m" * 64
    frame = len(b"*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$64\r\n\r\n") + 64
    expected = frame * MESSAGES * SUBSCRIBERS
    publisher = socket.create_connection(("127.0.0.1", peer.port))
    batch = encode_command("PUBLISH", "channel", message) * 10

    def publish() -> None:
        for _ in range(MESSAGES // 10):
            publisher.sendall(batch)
            answered = 0
            while answered < 10:
                answered += publisher.recv(1 << 12).count(b"\n")

    start = time.perf_counter()
    thread = threading.Thread(target=publish)
    thread.start()
    poller = select.epoll()
    by_descriptor = {connection.fileno(): connection for connection in connections}
    for descriptor in by_descriptor:
        poller.register(descriptor, select.EPOLLIN)
    received = 0
    while received < expected:
        for descriptor, _ in poller.poll(10):
            received += len(by_descriptor[descriptor].recv(1 << 18))
    elapsed = time.perf_counter() - start
    thread.join()
    for connection in (*connections, publisher):
        connection.close()
    return MESSAGES * SUBSCRIBERS / elapsed


def hand_over(peer: Peer) -> float:
    """Elements per second that a push hands to a client that waits in BLPOP."""
    waiter, pusher = (socket.create_connection(("127.0.0.1", peer.port)) for _ in range(2))
    for connection in (waiter, pusher):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wait, push = encode_command("BLPOP", "queue", "0"), encode_command("RPUSH", "queue", "element")
    start = time.perf_counter()
    for _ in range(HAND_OVERS):
        waiter.sendall(wait)
        pusher.sendall(push)
        pusher.recv(1 << 12)
        waiter.recv(1 << 12)
    elapsed = time.perf_counter() - start
    waiter.close()
    pusher.close()
    return HAND_OVERS / elapsed


TESTS: dict[str, Callable[[Peer], float]] = {
    "XADD": command(60_000, "XADD", "stream", "*", "field", "__rand_int__"),
    "XADD, pipeline 16": command(300_000, "XADD", "stream2", "*", "field", "__rand_int__", pipeline=16),
    "XADD MAXLEN ~ 1000": command(60_000, "XADD", "capped", "MAXLEN", "~", "1000", "*", "field", "__rand_int__"),
    "XRANGE of 10": command(60_000, "XRANGE", "filled", "5000", "+", "COUNT", "10"),
    "XREAD of 10": command(60_000, "XREAD", "COUNT", "10", "STREAMS", "filled", "5000"),
    "XREAD of 100": command(20_000, "XREAD", "COUNT", "100", "STREAMS", "filled", "5000"),
    "XREADGROUP of nothing": command(60_000, "XREADGROUP", "GROUP", "group", "c", "STREAMS", "filled", "9999999"),
    "BITCOUNT of 100 KB": command(40_000, "BITCOUNT", "bits"),
    "SETBIT": command(60_000, "SETBIT", "bits2", "77777", "1"),
    "PFADD": command(60_000, "PFADD", "sketch", "element:__rand_int__"),
    "PFCOUNT": command(60_000, "PFCOUNT", "sketch"),
    "GEOADD": command(60_000, "GEOADD", "places2", "13.361389", "38.115556", "place:__rand_int__"),
    "GEOSEARCH, 300 km": command(
        30_000, "GEOSEARCH", "places", "FROMLONLAT", "15", "37", "BYRADIUS", "300", "km", "ASC"
    ),
    "GETEX": command(60_000, "GETEX", "text", "EX", "100"),
    f"fan-out to {SUBSCRIBERS}": fan_out,
    "BLPOP hand-over": hand_over,
}


def run(rounds: int) -> None:
    title(f"further hot paths, no persistence, median of {rounds} rounds")
    peers = pair()
    speed: dict[tuple[str, str], list[float]] = defaultdict(list)
    try:
        for _ in range(rounds):
            for peer in peers:
                fill(peer)
            for name, measure in TESTS.items():
                for peer in peers:
                    speed[name, peer.name].append(measure(peer))
    finally:
        for peer in peers:
            peer.stop()
    row("test", "redis/s", "rotomdb/s", "ratio", "", "")
    ratios = []
    for name in TESTS:
        theirs, ours = (statistics.median(speed[name, server]) for server in ("redis", "rotomdb"))
        ratios.append(ours / theirs)
        row(name, f"{theirs:.0f}", f"{ours:.0f}", f"{ratios[-1]:.2f}", "", "")
    geometric = math.exp(sum(map(math.log, ratios)) / len(ratios))
    row("geometric mean", "", "", f"{geometric:.3f}", f"lowest {min(ratios):.2f}", "")
