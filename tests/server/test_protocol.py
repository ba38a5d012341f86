"""The wire protocol: pipelines, inline requests, limits, and every kind of malformed request."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

import pytest

from tests.processes import RotomServer

Start = Callable[..., RotomServer]


def talk(server: RotomServer, data: bytes, *, pieces: int = 1) -> bytes:
    """Send bytes, shut down the sending side, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        step = max(len(data) // pieces, 1)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
            if pieces > 1:
                time.sleep(0.001)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
        return received


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> RotomServer:  # type: ignore[misc]
    process = RotomServer(tmp_path_factory.mktemp("protocol") / "data", "--save", "")
    process.start()
    yield process
    process.kill()


def test_pipelined_requests_are_answered_in_order(server: RotomServer) -> None:
    assert (
        talk(server, b"PING\r\n" * 3 + b"*1\r\n$4\r\nPING\r\n" + b"ECHO hi\r\n") == b"+PONG\r\n" * 4 + b"$2\r\nhi\r\n"
    )


@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_requests_may_arrive_in_any_pieces(server: RotomServer, pieces: int) -> None:
    value = b"v" * 70_000
    request = b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%b\r\n*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" % (len(value), value)
    assert talk(server, request, pieces=pieces) == b"+OK\r\n$%d\r\n%b\r\n" % (len(value), value)


def test_inline_requests_know_quotes(server: RotomServer) -> None:
    assert talk(server, b"""ECHO "a\\x41\\n" \r\n  \r\nECHO 'it\\'s'\n""") == b"$3\r\naA\n\r\n$4\r\nit's\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n:5\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$99999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$abc\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b'ECHO "open\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"x" * 70_000, b"-ERR Protocol error: too big inline request\r\n"),
        (b"*" + b"1" * 70_000, b"-ERR Protocol error: too big mbulk count string\r\n"),
        (b"*1\r\n$" + b"1" * 70_000, b"-ERR Protocol error: too big bulk count string\r\n"),
    ],
)  # fmt: skip
def test_malformed_requests_get_redis_s_error_and_the_connection_ends(
    server: RotomServer, request_bytes: bytes, reply: bytes
) -> None:
    assert talk(server, request_bytes + b"PING\r\n" * 0) == reply
    with server.client() as client:
        assert client.ping()


@pytest.mark.parametrize("empty", [b"*0\r\n", b"*-1\r\n", b"\r\n"])
def test_empty_requests_are_skipped(server: RotomServer, empty: bytes) -> None:
    assert talk(server, empty + b"PING\r\n") == b"+PONG\r\n"


def test_random_bytes_never_stop_the_server(server: RotomServer) -> None:
    import random

    source = random.Random(4)
    for _ in range(200):
        talk(server, bytes(source.choices(b"*$:-+\r\n0123456789 \"'abc\x00\xff", k=source.randrange(1, 80))))
    with server.client() as client:
        assert client.ping()


def test_client_over_the_limit_is_turned_away_with_redis_s_words(rotom: Start) -> None:
    server = rotom("--maxclients", "2")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.client()).ping()
        assert talk(server, b"") == b"-ERR max number of clients reached\r\n"


def test_password_is_wanted_before_anything_else(rotom: Start) -> None:
    server = rotom("--requirepass", "secret")
    assert talk(server, b"GET a\r\n") == b"-NOAUTH Authentication required.\r\n"
    wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    assert talk(server, b"AUTH nope\r\nAUTH secret\r\nPING\r\n") == wrong + b"+OK\r\n+PONG\r\n"
    assert talk(server, b"*11\r\n") == b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    assert talk(server, b"*1\r\n$20000\r\n") == b"-ERR Protocol error: unauthenticated bulk length\r\n"


def test_unix_socket_serves(rotom: Start) -> None:
    server = rotom("--unixsocket", "s.sock", "--unixsocketperm", "700")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.directory / "s.sock"))
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_idle_clients_are_closed_after_the_timeout(rotom: Start) -> None:
    server = rotom("--timeout", "1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        assert connection.recv(10) == b""


@pytest.mark.parametrize("end", ["SHUTDOWN NOSAVE", "CLIENT KILL TYPE normal SKIPME no", "QUIT"])
def test_a_command_that_ends_its_own_connection_leaves_the_rest_of_the_pipeline_alone(rotom: Start, end: str) -> None:
    server = rotom("--save", "")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"PING\r\n{end}\r\nSET never 1\r\n".encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(4096):
                answer += piece
    assert answer in (b"", b"+PONG\r\n", b"+PONG\r\n+OK\r\n", b"+PONG\r\n:1\r\n")
    if end.startswith("SHUTDOWN"):
        assert server.wait() == 0
    else:
        with server.client() as other:
            assert not other.exists("never")
