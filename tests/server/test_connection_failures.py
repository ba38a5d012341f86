"""What fails for one connection ends that connection, and nothing else: every socket call is made to fail."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import missing
from tests.processes import RotomServer

SHIM = Path(__file__).resolve().parents[1] / "shims" / "failing_sockets.c"
CALLS = ("accept", "getsockname", "getpeername", "setsockopt", "recv", "send", "epoll_ctl", "epoll_wait")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() resets the connection
WAIT_S = 20


class FailingServer(RotomServer):
    """A server whose socket calls fail when told to."""

    library: Path

    def environment(self) -> dict[str, str]:
        rules = self.directory / "rules"
        if not rules.exists():
            rules.write_bytes(bytes(8 * len(CALLS)))
        return {**super().environment(), "LD_PRELOAD": str(self.library), "FAILING_SOCKETS": str(rules)}

    def fail(self, call: str, code: int, times: int) -> None:
        with (self.directory / "rules").open("r+b") as file:
            file.seek(8 * CALLS.index(call))
            file.write(struct.pack("ii", code, times))

    def failures_left(self, call: str) -> int:
        with (self.directory / "rules").open("rb") as file:
            file.seek(8 * CALLS.index(call) + 4)
            return int(struct.unpack("i", file.read(4))[0])


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingServer]:
    """One server for all tests here: it has to live through every one of them."""
    if shutil.which("cc") is None:
        missing("a C compiler")
    place = tmp_path_factory.mktemp("failing")
    library = place / "failing_sockets.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True)
    server = FailingServer(place / "data", "--loglevel", "verbose")
    server.library = library
    server.start()
    yield server
    crashed, log = server.crashed(), server.log()
    server.kill()
    assert not crashed, log


@contextlib.contextmanager
def honest(server: RotomServer) -> Iterator[redis.Redis]:
    """A client that is connected before, and must be served rightly after, whatever happens to the others."""
    with server.client(single_connection_client=True, socket_timeout=WAIT_S) as client:
        client.set("honest", "before")
        identifier = client.client_id()
        yield client
        assert client.get("honest") == b"before"
        assert client.client_id() == identifier
    assert server.process is not None
    assert server.process.poll() is None, server.log()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WAIT_S)


def ended(link: socket.socket) -> bool:
    """Whether the server closes this connection."""
    link.settimeout(WAIT_S)
    try:
        return link.recv(100) == b""
    except ConnectionResetError:
        return True


def test_clients_that_reset_before_they_are_accepted_end_nobody_else(failing: FailingServer) -> None:
    assert failing.process is not None
    with honest(failing) as client:
        seen = client.info("stats")["total_connections_received"]
        failing.process.send_signal(signal.SIGSTOP)
        for _ in range(50):
            link = connect(failing.port)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            link.close()
        failing.process.send_signal(signal.SIGCONT)
        until(lambda: client.info("stats")["total_connections_received"] == seen + 50)
        until(lambda: client.info("clients")["connected_clients"] == 1)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EIO], ids=os.strerror)
def test_when_nothing_can_be_accepted_connections_wait_and_are_served_later(failing: FailingServer, code: int) -> None:
    with honest(failing):
        failing.fail("accept", code, 2)
        with failing.client(socket_timeout=WAIT_S) as late:
            assert late.ping()
        assert failing.failures_left("accept") == 0
        until(lambda: f"# Accepting client connection: {os.strerror(code)}" in failing.log())


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.ENOTCONN], ids=os.strerror)
def test_a_connection_that_failed_before_it_was_accepted_holds_up_no_other(failing: FailingServer, code: int) -> None:
    with honest(failing):
        failing.fail("accept", code, 3)
        with failing.client(socket_timeout=WAIT_S) as late:
            assert late.ping()


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.EINVAL, errno.ENOBUFS, errno.ECONNRESET], ids=os.strerror)
@pytest.mark.parametrize("call", ["getsockname", "getpeername", "setsockopt"])
def test_an_address_or_option_that_cannot_be_had_keeps_no_client_out(
    failing: FailingServer, call: str, code: int
) -> None:
    with honest(failing):
        failing.fail(call, code, 100)
        with failing.client(socket_timeout=WAIT_S) as late:
            assert late.ping()
            assert late.client_info()["addr"]
        failing.fail(call, 0, 0)


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.ENOSPC], ids=os.strerror)
def test_a_connection_that_cannot_be_watched_is_closed(failing: FailingServer, code: int) -> None:
    with honest(failing) as client:
        failing.fail("epoll_ctl", code, 1)
        with connect(failing.port) as victim:
            assert ended(victim)
        until(lambda: f"new client connection: {os.strerror(code)} (addr=127.0.0.1:" in failing.log())
        assert client.info("clients")["connected_clients"] == 1


@pytest.mark.parametrize(
    "code", [errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOMEM, errno.ENOBUFS, errno.EIO], ids=os.strerror
)
def test_a_connection_that_cannot_be_read_is_closed(failing: FailingServer, code: int) -> None:
    with honest(failing):
        with connect(failing.port) as victim:
            failing.fail("recv", code, 1)
            victim.send(b"PING\r\n")
            assert ended(victim)
        until(lambda: f"- Reading from client: {os.strerror(code)}" in failing.log())


@pytest.mark.parametrize(
    "code", [errno.EPIPE, errno.ECONNRESET, errno.ENOBUFS, errno.ENOMEM, errno.EIO], ids=os.strerror
)
def test_a_connection_that_cannot_be_written_is_closed(failing: FailingServer, code: int) -> None:
    with honest(failing):
        with connect(failing.port) as victim:
            failing.fail("send", code, 1)
            victim.send(b"PING\r\n")
            assert ended(victim)
        until(lambda: f"- Error writing to client: {os.strerror(code)}" in failing.log())


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize("code", [errno.EINTR, errno.EAGAIN], ids=os.strerror)
def test_a_call_that_was_interrupted_is_done_again(failing: FailingServer, call: str, code: int) -> None:
    with honest(failing) as client:
        failing.fail(call, code, 3)
        assert client.echo("again") == b"again"
        failing.fail(call, 0, 0)


def test_a_reader_whose_descriptor_cannot_be_watched_for_writing_is_closed(failing: FailingServer) -> None:
    with honest(failing) as client:
        client.set("large", b"x" * 20_000_000)
        victim = connect(failing.port)
        failing.fail("epoll_ctl", errno.ENOMEM, 1)  # when the socket is full, the reactor is asked for write events
        victim.send(b"GET large\r\n")
        until(lambda: failing.failures_left("epoll_ctl") == 0)
        until(lambda: client.info("clients")["connected_clients"] == 1)
        victim.close()
        client.delete("large")


def test_a_poller_that_fails_is_asked_again(failing: FailingServer) -> None:
    with honest(failing) as client:
        failing.fail("epoll_wait", errno.EINVAL, 5)
        assert client.ping()
        until(lambda: failing.failures_left("epoll_wait") == 0)
        assert client.ping()


def test_a_client_that_leaves_while_it_is_blocked_or_watched_ends_alone(failing: FailingServer) -> None:
    requests = [
        b"BLPOP nothing 100\r\n", b"SUBSCRIBE news\r\n", b"MONITOR\r\n", b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n",
        b"WATCH honest\r\nMULTI\r\nGET honest\r\n", b"WAITAOF 1 0 0\r\n", b"*3\r\n$3\r\nSET\r\n$100\r\n",
    ]  # fmt: skip
    with honest(failing) as client:
        links = [connect(failing.port) for _ in requests]
        for link, request in zip(links, requests, strict=True):
            link.send(request)
        until(lambda: client.info("clients")["connected_clients"] == 1 + len(links))
        until(lambda: client.info("clients")["blocked_clients"] >= 1)
        for link in links:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            link.close()
        client.publish("news", "x")
        client.set("other", "x")
        client.rpush("nothing", "x")
        client.delete("nothing")
        until(lambda: client.info("clients")["connected_clients"] == 1)
        assert client.info("clients")["blocked_clients"] == 0


def test_out_of_descriptors_the_connected_are_served_and_the_others_wait(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    assert server.process is not None
    pid = server.process.pid
    with honest(server) as client:
        used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1  # noqa: PTH208 - not a directory of files
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
        links = [connect(server.port) for _ in range(12)]
        until(lambda: "# Accepting client connection: Too many open files" in server.log())
        assert client.ping()
        for link in links[:8]:
            link.close()
        links[-1].send(b"PING\r\n")
        assert links[-1].recv(100) == b"+PONG\r\n"
        for link in links:
            link.close()


@pytest.mark.parametrize("first", [b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"host: x\r\n"])
def test_a_browser_that_was_made_to_send_commands_is_cut_off_before_they_run(
    failing: FailingServer, first: bytes
) -> None:
    with honest(failing) as client:
        with connect(failing.port) as browser:
            browser.sendall(first + b"\r\nSET honest changed\r\n")
            until(lambda: ended(browser))
        assert client.get("honest") == b"before"
    assert "# Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host:" in failing.log()
