"""While a server loads its data it listens, tells how far it is, and can be ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import START_TIMEOUT_S, RotomServer, free_port

Start = Callable[..., RotomServer]
KEYS = 200
SLOWLY = ("--key-load-delay", "50000")  # microseconds: ten seconds for all of them
BOTH_KINDS = pytest.mark.parametrize("kept_in", ["snapshot", "log"])


class Talk:
    """A connection that speaks inline requests and reads whole replies, errors included."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.stream = self.socket.makefile("rb")

    def ask(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.read()

    def read(self) -> str:
        line = self.stream.readline().decode().rstrip("\r\n")
        if line.startswith("$"):
            return self.stream.read(int(line[1:]) + 2).decode()[:-2]
        if line.startswith("*"):
            return " ".join(self.read() for _ in range(int(line[1:])))
        return line

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


@contextlib.contextmanager
def talking(server: RotomServer) -> Iterator[Talk]:
    with contextlib.closing(Talk(server.port)) as talk:
        yield talk


def filled(rotom: Start, kept_in: str, *arguments: str) -> RotomServer:
    """A server that was killed, with some keys in its snapshot or its log."""
    server = rotom("--save", "", "--appendonly", "yes" if kept_in == "log" else "no", *arguments)
    with server.client() as client:
        for number in range(KEYS):
            client.set(f"key:{number}", "value")
        if kept_in == "snapshot":
            client.save()
    server.kill()
    return server


def start_loading(server: RotomServer, *arguments: str) -> None:
    """Start it, slowly, and wait until it takes connections."""
    server.arguments = (*server.arguments, *SLOWLY, *arguments)
    server.launch()
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        assert server.process is not None
        assert server.process.poll() is None, server.log()
        with contextlib.suppress(ConnectionRefusedError), talking(server) as talk:
            assert talk.ask("PING") == "-LOADING Redis is loading the dataset in memory"
            return
        assert time.monotonic() < end, server.log()
        time.sleep(0.01)


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != "server.log"
    }


def persistence(talk: Talk) -> dict[str, str]:
    return dict(line.split(":", 1) for line in talk.ask("INFO persistence").splitlines() if ":" in line)


@BOTH_KINDS
def test_what_needs_the_data_is_refused_and_the_rest_is_answered_with_the_progress(rotom: Start, kept_in: str) -> None:
    server = filled(rotom, kept_in)
    start_loading(server)
    with talking(server) as talk, talking(server) as another:
        for request in ("GET key:1", "SET key:1 x", "DBSIZE", "DEBUG RELOAD", "DEBUG POPULATE 3", "BGSAVE", "FLUSHALL"):
            assert talk.ask(request).startswith("-LOADING"), request
        first = persistence(talk)
        assert (first["loading"], first["async_loading"]) == ("1", "0")
        assert int(first["loading_start_time"]) > time.time() - 100
        assert 0 < float(first["loading_loaded_perc"]) < 100
        assert int(first["loading_eta_seconds"]) >= 1
        while int(persistence(talk)["loading_loaded_bytes"]) <= int(first["loading_loaded_bytes"]):
            assert another.ask("ECHO hi") == "hi"
        assert "cmd=client|list" in talk.ask("CLIENT LIST")
        assert talk.ask("CONFIG GET port") == f"port {server.port}"
        assert talk.ask("WATCH key:1") == "+OK"
        assert talk.ask("MULTI") == "+OK"
        assert talk.ask("GET key:1").startswith("-LOADING")
        assert talk.ask("EXEC").startswith("-EXECABORT")
        assert talk.ask(f"CONFIG SET appendonly {'no' if kept_in == 'log' else 'yes'}").startswith(
            "-ERR CONFIG SET failed"
        )
        assert talk.ask("CONFIG SET key-load-delay 0") == "+OK"
        while persistence(talk)["loading"] == "1":
            pass
        assert talk.ask("DBSIZE") == f":{KEYS}"
        assert "loading_start_time" not in persistence(talk)


@BOTH_KINDS
@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "SHUTDOWN", "SHUTDOWN SAVE"])
def test_it_can_be_ended_while_it_loads_and_changes_nothing(rotom: Start, kept_in: str, way: str) -> None:
    server = filled(rotom, kept_in)
    before = files_of(server.directory)
    start_loading(server)
    assert server.process is not None
    if way.startswith("SIG"):
        server.process.send_signal(getattr(signal, way))
    else:
        with talking(server) as talk:
            assert talk.ask(way) == "", "the connection ends without a reply"
    assert server.wait() == 0, server.log()
    assert "bye bye" in server.log().splitlines()[-1]
    after = files_of(server.directory)
    for name in before:
        if not name.endswith("rotomdb.lock"):
            assert after[name] == before[name], name
    assert after.keys() == before.keys()


def test_the_first_log_over_a_snapshot_can_be_given_up_too(rotom: Start) -> None:
    """The base of a log that begins is written while clients are told to wait."""
    server = filled(rotom, "snapshot")
    server.arguments = ("--save", "")
    start_loading(server)
    assert server.stop() == 0
    assert not any(
        b"REDIS" in content for name, content in files_of(server.directory).items() if "appendonlydir" in name
    )
    server.arguments = ("--save", "")
    server.start()
    with server.client() as client:
        assert client.dbsize() == KEYS


def test_a_data_set_that_cannot_be_loaded_ends_the_server_with_status_1_and_closes_clients(rotom: Start) -> None:
    server = filled(rotom, "snapshot")
    snapshot = server.directory / "dump.rdb"
    content = bytearray(snapshot.read_bytes())
    content[-1] ^= 1
    snapshot.write_bytes(content)
    start_loading(server)
    with talking(server) as talk:
        assert talk.ask("CONFIG SET key-load-delay 0") == "+OK"
        assert talk.read() == ""
    assert server.wait() == 1
    assert "checksum is" in server.log()


def test_a_port_that_is_taken_is_found_before_any_file_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = RotomServer(tmp_path / "data")
        server.port = taken.getsockname()[1]
        server.launch()
        assert server.wait() == 1
    assert os.listdir(server.directory) == ["server.log"]  # noqa: PTH208
    assert "Address already in use" in server.log()


def test_two_servers_of_one_directory_leave_the_first_ones_unix_socket_alone(rotom: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = rotom("--unixsocket", str(path))
    second = RotomServer(first.directory, *first.arguments)
    second.port = free_port()
    second.launch()
    assert second.wait() == 1
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
