"""What a storm does to a server: each attack opens connections of its own, misbehaves for a moment, and leaves.

An attack may be refused, cut off or closed at any time; what it is answered does not matter, only that the server stays and
that nobody else notices. Connections come from many addresses of the loopback network, or the ports would run out.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.storage.propagation import encode_command

FULL = b"-ERR max number of clients"
NO_LINGER = struct.pack("ii", 1, 0)  # close() resets the connection
PATIENCE_S = 2.0
STOPPED_S = 0.05  # a connection that is not there after this, while the server is stopped, is given up
SMALL_BUFFER = 4096
LARGE_BYTES = 300_000
ELEMENTS = 20_000


@dataclass(frozen=True)
class Target:
    """The server under attack, and the randomness of one attacker."""

    port: int
    process: int
    random: random.Random


def connect(port: int, timeout: float = PATIENCE_S, receive_buffer: int = 0) -> socket.socket:
    """A connection from some address of this machine. Raises OSError."""
    link = socket.socket()
    try:
        link.settimeout(timeout)
        if receive_buffer:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.bind((f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}", 0))
        link.connect(("127.0.0.1", port))
    except OSError:
        link.close()
        raise
    return link


def reset(link: socket.socket) -> None:
    """Close without a farewell: the server's next call on this connection fails."""
    with contextlib.suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    link.close()


def prepare(port: int) -> None:
    """Store what the greedy ask for."""
    with connect(port, 60) as link:
        link.sendall(encode_command(b"SET", b"large", bytes(LARGE_BYTES)))
        for first in range(0, ELEMENTS, 1000):
            numbers = range(first, first + 1000)
            texts = [b"element:%08d" % number for number in numbers]
            link.sendall(
                encode_command(b"RPUSH", b"list", *texts)
                + encode_command(b"SADD", b"set", *texts)
                + encode_command(b"HSET", b"hash", *(word for text in texts for word in (text, text)))
                + encode_command(b"ZADD", b"zset", *(word for n, text in zip(numbers, texts, strict=True) for word in (n, text)))
                + b"".join(encode_command(b"XADD", b"stream", b"%d-1" % (n + 1), b"f", text) for n, text in zip(numbers, texts, strict=True))
                + b"".join(encode_command(b"SET", b"key:" + text, text) for text in texts)
            )  # fmt: skip
            link.sendall(b"PING\r\n")
        received = b""
        while received.count(b"+PONG") < ELEMENTS // 1000:
            received += link.recv(1 << 16)


def many(target: Target, count: int, first: bytes = b"") -> list[socket.socket]:
    """So many connections, as far as they can be had, each of which says `first`."""
    links = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            link = connect(target.port)
            links.append(link)
            if first:
                link.sendall(first)
    return links


def resets_before_accept(target: Target) -> None:
    """Connections that are reset while they wait to be accepted."""
    first = target.random.choice((b"", b"PING\r\n", b"*1\r\n"))
    os.kill(target.process, signal.SIGSTOP)
    try:
        with contextlib.suppress(OSError):  # the backlog is full: do not keep the server stopped for that
            for _ in range(target.random.randrange(1, 60)):
                link = connect(target.port, STOPPED_S)
                link.send(first)
                reset(link)
    finally:
        os.kill(target.process, signal.SIGCONT)


def half_open(target: Target) -> None:
    """Connections that never finish a request, some of which close one direction."""
    beginnings = (
        b"",
        b"*",
        b"*3\r\n$3\r\nSET\r\n$3\r\nke",
        b"*1000000\r\n",
        b"PIN",
        b"*2\r\n$4\r\nECHO\r\n$500000000\r\nx",
    )
    links = many(target, 50, target.random.choice(beginnings))
    for link in links[::3]:
        with contextlib.suppress(OSError):
            link.shutdown(target.random.choice((socket.SHUT_WR, socket.SHUT_RD)))
    time.sleep(target.random.random())
    for number, link in enumerate(links):
        (reset if number % 2 else socket.socket.close)(link)


GREED = {
    "pipelined GETs": b"GET large\r\n" * 500,
    "a list": b"LRANGE list 0 -1\r\n" * 40,
    "a hash": b"HGETALL hash\r\n" * 20,
    "a set": b"SMEMBERS set\r\n" * 40,
    "a sorted set": b"ZRANGE zset 0 -1 WITHSCORES\r\n" * 20,
    "a stream": b"XRANGE stream - +\r\n" * 10,
    "keys": b"KEYS *\r\n" * 10,
    "a transaction": b"MULTI\r\n" + b"GET large\r\n" * 500 + b"EXEC\r\n",
    "one MGET": b"MGET" + b" large" * 500 + b"\r\n",
    "its own words": encode_command(b"ECHO", bytes(1_000_000)) * 30,
    "help": b"COMMAND DOCS\r\n" * 10,
}


def slow_reader(target: Target) -> None:
    """Asks for far more than it reads."""
    link = connect(target.port, receive_buffer=SMALL_BUFFER)
    with contextlib.suppress(OSError):
        link.sendall(target.random.choice((b"", b"HELLO 3\r\n")) + target.random.choice(list(GREED.values())))
        for _ in range(target.random.randrange(20)):
            link.recv(100)
            time.sleep(0.02)
    (reset if target.random.random() < 0.5 else socket.socket.close)(link)


def slow_writer(target: Target) -> None:
    """Sends byte by byte, and is answered rightly all the same."""
    with connect(target.port, 60) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        text = b"slow%d" % target.random.randrange(1 << 40)
        for byte in encode_command(b"ECHO", text) + b"PING\r\n" + encode_command(b"ECHO", text):
            link.send(bytes([byte]))
        expected = b"$%d\r\n%s\r\n" % (len(text), text)
        expected += b"+PONG\r\n" + expected
        received = b""
        while len(received) < len(expected):
            piece = link.recv(len(expected) - len(received))
            if not piece:
                raise AssertionError("a slow writer was closed")
            received += piece
            if received.startswith(FULL):
                return
        if received != expected:
            raise AssertionError(f"a slow writer was answered {received!r}, not {expected!r}")


RUDE = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nFLUSHALL\r\nSHUTDOWN\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\nFLUSHALL\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"*-5\r\nPING\r\n", b"*-1\r\n*0\r\nPING\r\n", b"*2147483648\r\n", b"*99999999999999999999\r\n", b"*x\r\n", b"*\r\n",
    b"*1\r\n$-5\r\n", b"*1\r\n$99999999999\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n:1\r\n", b"*1\r\nPING\r\n", b"*1\r\n$x\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$-1\r\n\r\n", b"*2147483647\r\n$4\r\n",
    b"x" * 70_000, b"SET k " + b"x" * 70_000 + b"\r\n", b"*" + b"1" * 70_000, b"*1\r\n$" + b"1" * 70_000,
    b"SET 'unbalanced\r\n", b'SET "\\xzz" "a"b\r\n', b"\x00\x01\x02\r\n\x00\r\n\r\n\r\n", b"\r\n" * 5000, b"\n" * 5000,
    b"PING\rPING\r\n", b"%2\r\n+a\r\n:1\r\n", b"~1\r\n+a\r\n", b">1\r\n+a\r\n", b"AUTH " + b"x" * 5000 + b"\r\n",
    b"HELLO 99 AUTH\r\n", b"HELLO 3 SETNAME\r\n", b"CLIENT REPLY OFF\r\n" + b"PING\r\n" * 5000, b"CLIENT REPLY SKIP\r\n" * 100,
    b"QUIT\r\nFLUSHALL\r\n", b"RESET\r\n" * 100, b"MULTI\r\n" + b"NOTHING\r\n" * 100 + b"EXEC\r\n", b"EXEC\r\nDISCARD\r\nUNWATCH\r\n",
    b"PSYNC ? -1 x\r\n", b"REPLCONF ACK 5\r\n", b"MONITOR\r\nMULTI\r\nMONITOR\r\nEXEC\r\n", b"SUBSCRIBE a\r\nGET a\r\nUNSUBSCRIBE\r\n",
)  # fmt: skip


def rude_protocol(target: Target) -> None:
    """Something that is no request, cut anywhere, mixed with what is one."""
    bytes_sent = target.random.choice((*RUDE, target.random.randbytes(target.random.randrange(1, 5000))))
    if target.random.random() < 0.5:
        bytes_sent = (
            encode_command(b"ECHO", b"x" * target.random.randrange(200)) * target.random.randrange(20) + bytes_sent
        )
    if target.random.random() < 0.3:
        bytes_sent = bytes_sent[: target.random.randrange(len(bytes_sent))]
    link = connect(target.port)
    with contextlib.suppress(OSError):
        link.sendall(bytes_sent)
        link.settimeout(0.1)
        while link.recv(1 << 16):
            pass
    (reset if target.random.random() < 0.5 else socket.socket.close)(link)


LISTENING = (
    b"MONITOR\r\n", b"SUBSCRIBE news\r\n", b"PSUBSCRIBE *\r\n", b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n",
    b"HELLO 3\r\nCLIENT TRACKING ON\r\nMGET key:element:00000001 list\r\n", b"SSUBSCRIBE news\r\n",
)  # fmt: skip


def deaf_listener(target: Target) -> None:
    """Listens to everything and reads nothing, while others speak."""
    links = [connect(target.port, receive_buffer=SMALL_BUFFER) for _ in range(3)]
    with contextlib.suppress(OSError):
        for link in links:
            link.sendall(target.random.choice(LISTENING))
        with connect(target.port) as speaker:
            speaker.sendall(encode_command(b"PUBLISH", b"news", bytes(LARGE_BYTES)) * 20)
            speaker.sendall(encode_command(b"SPUBLISH", b"news", bytes(LARGE_BYTES)) * 20)
            time.sleep(target.random.random())
    for link in links:
        (reset if target.random.random() < 0.5 else socket.socket.close)(link)


LEAVING = (
    b"MULTI\r\nSET nothing 1\r\n", b"WATCH large\r\nMULTI\r\nGET large\r\n", b"BLPOP nothing 0\r\n", b"BLMOVE nothing other LEFT LEFT 0\r\n",
    b"BZPOPMIN nothing 100\r\n", b"XREAD BLOCK 0 STREAMS nothing $\r\n", b"BLMPOP 0 2 nothing other LEFT\r\n", b"WAIT 1 0\r\n",
    b"WAITAOF 1 0 0\r\n", b"SUBSCRIBE news\r\nPING\r\n", b"MONITOR\r\n", b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n",
    b"*3\r\n$3\r\nSET\r\n$100000\r\nxxx", b"BLPOP nothing 0\r\nPING\r\nPING\r\n", b"CLIENT REPLY OFF\r\nBLPOP nothing 0\r\n",
    b"DEBUG SLEEP 0.01\r\n", b"BLPOP nothing 0.01\r\n", b"SYNC\r\n", b"SCAN 0 COUNT 1000\r\n",
)  # fmt: skip


def vanishing(target: Target) -> None:
    """Clients that are gone in the middle of something."""
    links = many(target, 20)
    for link in links:
        with contextlib.suppress(OSError):
            link.sendall(target.random.choice(LEAVING))
    time.sleep(target.random.random() / 5)
    with contextlib.suppress(OSError), connect(target.port) as waker:
        waker.sendall(b"RPUSH nothing a b c\r\nDEL nothing other\r\nPUBLISH news x\r\n")
        for link in links:
            reset(link)
        waker.sendall(b"RPUSH nothing a b c\r\nDEL nothing other\r\nPUBLISH news x\r\nPING\r\n")
        while b"PONG" not in waker.recv(1 << 16):
            pass


def identity(link: socket.socket) -> bytes:
    """The number of the client. Raises OSError."""
    link.sendall(b"CLIENT ID\r\n")
    received = link.recv(100)
    if not received.startswith(b":"):
        raise OSError("no client")
    return received[1:-2]


def killing(target: Target) -> None:
    """Clients that end each other, and one that ends itself in the middle of a pipeline."""
    victims = many(target, 10)
    try:
        with connect(target.port) as killer:
            itself = b"CLIENT KILL ID %s SKIPME no\r\n" % identity(killer)
            for victim in victims:
                number, (host, port) = identity(victim), victim.getsockname()
                victim.sendall(target.random.choice((*LEAVING, b"GET large\r\n" * 100)))
                address = b"%s:%d" % (host.encode(), port)
                killer.sendall(target.random.choice((
                    b"CLIENT KILL ID %s\r\n" % number, b"CLIENT KILL %s\r\n" % address,
                    b"CLIENT KILL TYPE normal ADDR %s SKIPME no\r\n" % address, b"CLIENT UNBLOCK %s ERROR\r\n" % number,
                    b"MULTI\r\nCLIENT KILL ID %s\r\nPING\r\nEXEC\r\n" % number, b"CLIENT UNBLOCK %s\r\n" % number,
                )))  # fmt: skip
            killer.sendall(
                target.random.choice((b"PING\r\n" + itself, b"MULTI\r\nPING\r\n" + itself + b"PING\r\nEXEC\r\n"))
                + b"FLUSHALL\r\n"  # never runs, or the witnesses miss what they have stored
            )
            while killer.recv(1 << 16):
                pass
    finally:
        for link in victims:
            reset(link)


ATTACKS: tuple[Callable[[Target], None], ...] = (
    resets_before_accept, half_open, slow_reader, slow_writer, rude_protocol, deaf_listener, vanishing, killing,
)  # fmt: skip
