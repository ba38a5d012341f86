"""SYNC: a full copy of the data set for redis-cli --rdb and for tools, and an honest end behind it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotomdb.storage.rdb_source import receive
from rotomdb.storage.tls_client import TlsOptions
from tests.processes import RedisServer, RotomServer
from tests.workload import fill

Start = Callable[..., RotomServer]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotomServer]:
    process = RotomServer(tmp_path_factory.mktemp("copies") / "data", "--save", "", "--enable-debug-command", "yes")
    process.start()
    with process.client() as client:
        fill(client, 2000)
    yield process
    process.kill()


def talk(server: RotomServer, *lines: str) -> bytes:
    """Send inline requests, each after the reply to the one before, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        received = b""
        for line in lines[:-1]:
            connection.sendall(line.encode() + b"\r\n")
            received = connection.recv(1000)
            assert received == b"+OK\r\n", received
        connection.sendall(lines[-1].encode() + b"\r\n")
        received = b""
        while part := connection.recv(1 << 20):
            received += part
        return received.lstrip(b"\n")


def test_redis_cli_makes_a_file_that_redis_loads_with_the_same_content(
    server: RotomServer, redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir()
    for option, name in (("--rdb", "dump.rdb"), ("--functions-rdb", "functions.rdb")):
        done = subprocess.run(
            ["redis-cli", "-p", str(server.port), option, str(directory / name)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Transfer finished with success" in done.stderr + done.stdout
    theirs = redis_server("--save", "", "--dbfilename", "dump.rdb", directory=directory)
    assert theirs.digest() == server.digest()
    assert len((directory / "functions.rdb").read_bytes()) < 300


def test_a_reader_is_told_the_length_or_the_mark_as_it_understands(server: RotomServer) -> None:
    header, _, rest = talk(server, "REPLCONF rdb-only 1", "SYNC").partition(b"\r\n")
    assert int(header[1:]) == len(rest)
    assert rest.startswith(b"REDIS0")
    marked = talk(server, "REPLCONF capa eof", "REPLCONF rdb-only 1", "SYNC")
    assert marked.startswith(b"$EOF:")
    assert marked.endswith(marked[5:45])
    notes: list[str] = []
    assert b"".join(receive(f"redis://127.0.0.1:{server.port}", notes.append, TlsOptions())).startswith(b"REDIS0")
    assert not notes, "read key by key, though SYNC is served"


def test_the_options_of_replconf_are_checked_as_redis_checks_them(server: RotomServer) -> None:
    for request, reply in (
        ("REPLCONF a", b"-ERR syntax error\r\n"),
        ("REPLCONF x 1", b"-ERR Unrecognized REPLCONF option: x\r\n"),
        ("REPLCONF rdb-only x", b"-ERR value is not an integer or out of range\r\n"),
        ("REPLCONF rdb-filter-only x", b"-ERR Unsupported rdb-filter-only option: x\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(request.encode() + b"\r\n")
            assert connection.recv(1000) == reply
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"REPLCONF rdb-filter-only functions\r\n")
        assert connection.recv(1000) == b"+OK\r\n"
        connection.sendall(b"SYNC\r\n")
        assert connection.recv(1000) == b"-ERR Filtered replica requires EOF capability\r\n"


def test_a_reader_that_does_not_read_keeps_nobody_waiting_and_one_that_goes_ends_the_copy(rotom: Start) -> None:
    server = rotom("--save", "", "--appendonly", "no")
    with server.client() as client:
        client.set("large", b"x" * (64 << 20))
        client.execute_command("CONFIG", "SET", "rdbcompression", "no")
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
            slow.sendall(b"REPLCONF capa eof\r\n")
            assert slow.recv(100) == b"+OK\r\n"
            slow.sendall(b"SYNC\r\n")
            assert slow.recv(5) == b"$EOF:"
            assert client.set("other", "1")
            assert client.info("clients")["connected_clients"] == 1, "a replica is counted elsewhere"
        while "Background transfer terminated" not in server.log():
            client.ping()
        assert client.bgsave(), "the next child can be started"
        server.wait_for("rdb_saves", 1)


def test_sigterm_ends_a_copy_that_is_being_sent(rotom: Start) -> None:
    server = rotom("--save", "", "--rdb-key-save-delay", "100000")
    with server.client() as client:
        client.mset({f"key:{number}": "v" for number in range(100)})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as reader:
        reader.sendall(b"REPLCONF capa eof\r\n")
        assert reader.recv(100) == b"+OK\r\n"
        reader.sendall(b"SYNC\r\n")
        assert reader.recv(5) == b"$EOF:"
        assert server.stop() == 0
