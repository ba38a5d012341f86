"""Well-behaved clients of a storm: each knows the exact bytes of every reply that it must get.

A witness owns the keys that begin with its name and keeps a model of them. It sends pipelines of random commands and compares
what comes back byte by byte, so that a reply of another client, a missing one and a wrong one all show.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rotomdb.commands.reply import OK, PONG, Status
from rotomdb.server.encoder import encode
from rotomdb.storage.propagation import encode_command
from rotomdb.testing.storm_attacks import connect

PATIENCE_S = 60.0
MOST_ELEMENTS = 50
QUEUED = Status(b"QUEUED")
Step = tuple[list[bytes], object]  # a request and the reply that it must get


@dataclass
class Testimony:
    """What the witnesses saw; one for all of them."""

    replies: int = 0
    longest_s: float = 0.0  # between a pipeline and the last of its replies
    complaints: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, replies: int, seconds: float) -> None:
        with self.lock:
            self.replies += replies
            self.longest_s = max(self.longest_s, seconds)

    def complain(self, text: str) -> None:
        with self.lock:
            self.complaints.append(text)


class Witness(threading.Thread):
    """Sends pipelines until `over` is set; one wrong reply ends it."""

    def __init__(self, name: str, port: int, seed: int, over: threading.Event, testimony: Testimony) -> None:
        super().__init__(name=name, daemon=True)
        self.port = port
        self.random = random.Random(f"{name}{seed}")
        self.over = over
        self.testimony = testimony
        self.prefix = name.encode() + b":"
        self.strings: dict[bytes, bytes] = {}
        self.elements: list[bytes] = []
        self.scores: dict[bytes, int] = {}
        self.counter = 0
        self.link: socket.socket | None = None

    def run(self) -> None:
        try:
            self.link = connect(self.port, PATIENCE_S)
            self.exchange([([b"CLIENT", b"NO-EVICT", b"ON"], OK), ([b"CLIENT", b"SETNAME", self.name.encode()], OK)])
            while not self.over.is_set():
                self.exchange(self.batch())
        except OSError as error:
            self.testimony.complain(f"{self.name} lost its connection: {error}")
        finally:
            if self.link is not None:
                self.link.close()

    def exchange(self, steps: list[Step]) -> None:
        """Send the requests in one write, and see that the replies are these. Raises OSError."""
        assert self.link is not None
        expected = b"".join(encode(reply) for _, reply in steps)
        started = time.monotonic()
        self.link.sendall(b"".join(encode_command(*words) for words, _ in steps))
        received = bytearray()
        while len(received) < len(expected):
            piece = self.link.recv(1 << 16)
            if not piece:
                raise OSError("closed by the server")
            received += piece
        self.testimony.add(len(steps), time.monotonic() - started)
        if received != expected:
            at = next(
                (i for i, (is_, should) in enumerate(zip(received, expected, strict=False)) if is_ != should),
                len(expected),
            )
            self.testimony.complain(
                f"{self.name}: reply byte {at}: {bytes(received[at : at + 60])!r}, not {expected[at : at + 60]!r}"
            )
            self.over.wait()

    def batch(self) -> list[Step]:
        """A pipeline."""
        return [self.step() for _ in range(self.random.choice((1, 1, 5, 40)))]

    def step(self) -> Step:
        steps: list[Callable[[], Step]] = [
            self.echo, self.set, self.get, self.count, self.push, self.read_list, self.score, self.read_scores, self.ping,
        ]  # fmt: skip
        return self.random.choice(steps)()

    def value(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 3, 20, 200, 3000)))

    def ping(self) -> Step:
        return [b"PING"], PONG

    def echo(self) -> Step:
        text = self.prefix + self.value()
        return [b"ECHO", text], text

    def set(self) -> Step:
        key, value = self.prefix + b"s%d" % self.random.randrange(20), self.value()
        self.strings[key] = value
        return [b"SET", key, value], OK

    def get(self) -> Step:
        key = self.prefix + b"s%d" % self.random.randrange(20)
        return [b"GET", key], self.strings.get(key)

    def count(self) -> Step:
        self.counter += 1
        return [b"INCR", self.prefix + b"counter"], self.counter

    def push(self) -> Step:
        key, value = self.prefix + b"list", self.value()
        if len(self.elements) >= MOST_ELEMENTS:
            return [b"LPOP", key], self.elements.pop(0)
        self.elements.append(value)
        return [b"RPUSH", key, value], len(self.elements)

    def read_list(self) -> Step:
        return [b"LRANGE", self.prefix + b"list", b"0", b"-1"], list(self.elements)

    def score(self) -> Step:
        member, score = b"m%02d" % self.random.randrange(30), self.random.randrange(1000)
        added = member not in self.scores
        self.scores[member] = score
        return [b"ZADD", self.prefix + b"scores", b"%d" % score, member], int(added)

    def read_scores(self) -> Step:
        members = sorted(self.scores, key=lambda member: (self.scores[member], member))
        return [b"ZRANGE", self.prefix + b"scores", b"0", b"-1"], members


class Transactor(Witness):
    """Works in transactions: nobody else may come between."""

    def batch(self) -> list[Step]:
        inner = super().batch()
        replies = [reply for _, reply in inner]
        return [([b"MULTI"], OK), *((words, QUEUED) for words, _ in inner), ([b"EXEC"], replies)]


class Subscriber(Witness):
    """Publishes on its own channel and gets every message, once and in order; blocks for what it pushes, too."""

    def run(self) -> None:
        try:
            with connect(self.port, PATIENCE_S) as listening:
                channel = self.prefix + b"news"
                listening.sendall(encode_command(b"SUBSCRIBE", channel))
                expect(listening, encode([b"subscribe", channel, 1]))
                self.link = listening
                with connect(self.port, PATIENCE_S) as waiting, connect(self.port, PATIENCE_S) as speaking:
                    while not self.over.is_set():
                        self.counter += 1
                        text, queue = b"%d" % self.counter + self.value(), self.prefix + b"queue"
                        started = time.monotonic()
                        waiting.sendall(encode_command(b"BLPOP", queue, b"0"))
                        speaking.sendall(
                            encode_command(b"PUBLISH", channel, text) + encode_command(b"RPUSH", queue, text)
                        )
                        expect(speaking, b":")
                        while speaking.recv(1) != b"\n":
                            pass  # how many got the message: there may be others who listen to everything
                        expect(speaking, encode(1))
                        expect(listening, encode([b"message", channel, text]))
                        expect(waiting, encode([queue, text]))
                        self.testimony.add(4, time.monotonic() - started)
        except (OSError, ValueError) as error:
            self.testimony.complain(f"{self.name}: {error}")


def expect(link: socket.socket, expected: bytes) -> None:
    """Read so much, and see that it is this. Raises OSError, ValueError."""
    received = bytearray()
    while len(received) < len(expected):
        piece = link.recv(len(expected) - len(received))
        if not piece:
            raise OSError("closed by the server")
        received += piece
    if received != expected:
        raise ValueError(f"received {bytes(received[:200])!r}, not {expected[:200]!r}")
