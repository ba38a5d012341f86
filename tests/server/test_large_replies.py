"""Replies of many elements: made in parts, the same for everybody who asks, and ended with the client that may not have so much."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

import rotomdb
from rotomdb.engine.parts import LARGE
from tests.processes import RotomServer

ELEMENTS = [b"element:%d" % number for number in range(LARGE * 2 + 7)]
PAIRS = {element: element[::-1] for element in ELEMENTS}
WAIT_S = 20
Ask = Callable[..., object]


def fill(ask: Ask) -> None:
    """A list, a set, a hash and as many keys."""
    ask("RPUSH", "list", *ELEMENTS)
    ask("SADD", "set", *ELEMENTS)
    ask("HSET", "hash", *(word for pair in PAIRS.items() for word in pair))
    ask("MSET", *(word for element in ELEMENTS for word in (element, b"")))


def sorted_pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return sorted(zip(flat[::2], flat[1::2], strict=True))


# Request, what is compared of the reply, what it is.
LARGE_REPLIES: dict[tuple[str, ...], tuple[Callable[..., object], object]] = {
    ("LRANGE", "list", "0", "-1"): (list, ELEMENTS),
    ("LRANGE", "list", "-20000", "99999999"): (list, ELEMENTS[-20000:]),
    ("SMEMBERS", "set"): (sorted, sorted(ELEMENTS)),
    ("HGETALL", "hash"): (sorted_pairs, sorted(PAIRS.items())),
    ("HKEYS", "hash"): (sorted, sorted(PAIRS)),
    ("HVALS", "hash"): (sorted, sorted(PAIRS.values())),
    ("KEYS", "*"): (sorted, sorted([b"list", b"set", b"hash", *ELEMENTS])),
    ("KEYS", "element:*7"): (sorted, sorted(element for element in ELEMENTS if element.endswith(b"7"))),
    ("KEYS", "none*"): (list, []),
}


def flat(reply: object) -> list[bytes]:
    """A RESP3 map or set as RESP2 has it."""
    if isinstance(reply, dict):
        return [word for pair in reply.items() for word in pair]
    assert isinstance(reply, list | set)
    return list(reply)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotomServer]:
    process = RotomServer(tmp_path_factory.mktemp("large") / "data", "--appendonly", "no", "--save", "")
    process.start()
    with process.client() as client:
        fill(client.execute_command)
    yield process
    process.kill()
    assert "internal error" not in process.log()


def raw(client: redis.Redis, *words: str) -> object:
    """The reply without what redis-py makes of it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        client.connection_pool.release(connection)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("watched", [False, True], ids=["alone", "watched"])
def test_a_large_reply_has_all_elements_in_both_protocols(server: RotomServer, protocol: int, watched: bool) -> None:
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(server.client(protocol=protocol, single_connection_client=True))
        if watched:  # a monitor, and a client whose reads are remembered, take another way through the dispatcher
            monitor = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            monitor.sendall(b"MONITOR\r\n")
            assert monitor.recv(5) == b"+OK\r\n"
        for request, (part, expected) in LARGE_REPLIES.items():
            assert part(flat(raw(client, *request))) == expected, request


def test_a_transaction_and_a_script_get_the_same(server: RotomServer) -> None:
    with server.client(single_connection_client=True) as client:
        raw(client, "MULTI")
        for request in LARGE_REPLIES:
            raw(client, *request)
        replies = raw(client, "EXEC")
        assert isinstance(replies, list)
        for reply, (request, (part, expected)) in zip(replies, LARGE_REPLIES.items(), strict=True):
            assert part(flat(reply)) == expected, request
        for request, (_, expected) in LARGE_REPLIES.items():
            length = raw(client, "EVAL", "return #redis.call(unpack(ARGV))", "0", *request)
            assert length == len(expected) * (2 if request[0] == "HGETALL" else 1), request  # type: ignore[arg-type]


def test_an_embedded_database_gives_them_whole(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path) as client:
        fill(client.execute_command)
        assert client.lrange("list", 0, -1) == ELEMENTS
        assert client.hgetall("hash") == PAIRS
        assert len(client.keys("*")) == len(ELEMENTS) + 3


@pytest.mark.parametrize("mode", ["OFF", "SKIP"])
def test_nothing_is_made_for_who_wants_no_reply(server: RotomServer, mode: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as link:
        on = b"" if mode == "SKIP" else b"CLIENT REPLY ON\r\n"
        link.sendall(b"CLIENT REPLY " + mode.encode() + b"\r\nLRANGE list 0 -1\r\n" + on + b"PING\r\n")
        expected = (b"+OK\r\n" if on else b"") + b"+PONG\r\n"
        received = b""
        while len(received) < len(expected):
            received += link.recv(4096)
        assert received == expected


def test_a_client_is_closed_while_its_large_reply_is_made(server: RotomServer) -> None:
    assert server.process is not None
    memory = Path(f"/proc/{server.process.pid}")

    def kilobytes(field: str) -> int:
        return int(
            next(line.split()[1] for line in (memory / "status").read_text().splitlines() if line.startswith(field))
        )

    with server.client() as client:
        large = b"x" * 2000
        client.rpush("heavy", *[large] * (LARGE * 2))
        client.config_set("client-output-buffer-limit", "normal 100kb 0 0")
        (memory / "clear_refs").write_text("5")  # the peak counts from here
        before = kilobytes("VmRSS")
        for request in (b"LRANGE heavy 0 -1\r\n", b"MULTI\r\nLRANGE heavy 0 -1\r\nEXEC\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as link:
                link.sendall(request)
                end = time.monotonic() + WAIT_S
                with contextlib.suppress(ConnectionError):
                    while link.recv(1 << 16):
                        assert time.monotonic() < end
        assert kilobytes("VmHWM") - before < 8 * 1024, "the reply is 40 MB"
        assert client.info("stats")["client_output_buffer_limit_disconnections"] == 2
        client.config_set("client-output-buffer-limit", "normal 0 0 0")
        assert client.llen("heavy") == LARGE * 2
        client.delete("heavy")
