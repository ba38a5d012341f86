"""The server's log: Redis's form, one line for each message whatever it carries, and what scripts look for at the start."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.formats.quoting import one_line, quoted
from rotomdb.server.announcing import LOGO
from rotomdb.server.logger import Logger
from tests.processes import RotomServer

Start = Callable[..., RotomServer]
LINE = re.compile(r"\d+:[MC] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] \S.*")


def test_words_are_quoted_as_redis_quotes_them() -> None:
    assert quoted(b'a"\\\n\r\t\a\b\x00\xff') == '"a\\"\\\\\\n\\r\\t\\a\\b\\x00\\xff"'
    assert one_line("got '\r'\x1b[2J\u2028\udcff é") == "got '\\r'\\x1b[2J\\u2028\\xff é"


def test_a_message_is_one_line_and_a_traceback_one_for_each_of_its_own(tmp_path: Path) -> None:
    log = Logger("notice", str(tmp_path / "log"))
    log("warning", "bad\nname\x00\udc80")
    log("verbose", "not shown")
    log.trace("notice", "failed:", "first\nsecond\n")
    lines = (tmp_path / "log").read_text().split("\n")
    assert [line.split(" ", 6)[6:] for line in lines if line] == [
        ["bad\\nname\\x00\\x80"], ["failed:"], ["    first"], ["    second"],
    ]  # fmt: skip
    assert all(LINE.fullmatch(line) for line in lines[:2])


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log = Logger("notice", str(tmp_path / "log"))
    log("notice", "one")
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log("notice", "two")
    assert (tmp_path / "log").read_text().endswith("* two\n")


def test_another_process_than_the_server_is_a_child(tmp_path: Path) -> None:
    log = Logger("notice", str(tmp_path / "log"))
    assert log.line("notice", "x").startswith(f"{os.getpid()}:M ")
    log.pid = 0
    assert log.line("notice", "x").startswith(f"{os.getpid()}:C ")


def test_the_system_log_gets_every_message_that_the_file_gets(tmp_path: Path) -> None:
    log = Logger("notice", str(tmp_path / "log"))
    told: list[tuple[str, str]] = []
    log.also = lambda level, message: told.append((level, message))
    log("notice", "a\nb")
    log("debug", "no")
    assert told == [("notice", "a\\nb")]


def test_the_start_says_what_scripts_look_for(rotom: Start, tmp_path: Path) -> None:
    server = rotom("--unixsocket", str(tmp_path / "socket"), "--tcp-backlog", "1000000")
    lines = server.log().splitlines()
    for line in lines:
        assert LINE.fullmatch(line), line
    said = [line.split(" ", 6)[6] for line in lines]
    assert said[0] == "oO0OoO0OoO0Oo rotomdb is starting oO0OoO0OoO0Oo"
    assert re.fullmatch(
        r"rotomdb version=\S+, redis=\S+, bits=64, commit=0+, modified=0, pid=\d+, just started", said[1]
    )
    assert said[2] == "Configuration loaded"
    assert {line.split(":")[1][0] for line in lines[:3]} == {"C"}
    assert f"Running mode=standalone, port={server.port}." in said
    assert any("The TCP backlog setting of 1000000 cannot be enforced" in line for line in said)
    for text in ("Server initialized", "Ready to accept connections tcp"):
        assert text in said
    assert said[-1] == f"The server is now ready to accept connections at {tmp_path / 'socket'}"


def test_a_port_that_is_taken_is_told_in_the_words_that_scripts_wait_for(rotom: Start, tmp_path: Path) -> None:
    taken = rotom()
    server = RotomServer(tmp_path / "second", "--port", str(taken.port), "--always-show-logo", "yes")
    server.launch()
    assert server.wait() == 1
    log = server.log()
    assert re.search(
        rf"# Warning: Could not create server TCP listening socket \S+:{taken.port}: bind: Address already in use", log
    )
    assert f"# Failed listening on port {taken.port} (TCP), aborting.\n" in log
    assert "Server initialized" not in log  # scripts take this line for a server that can be connected to


def test_the_logo_has_the_lines_that_scripts_look_for(rotom: Start) -> None:
    assert re.search(r"Port: {port}\n", LOGO)
    server = rotom("--always-show-logo", "yes")
    assert server.process is not None
    assert f"Port: {server.port}\n" in server.log()
    assert f"PID: {server.process.pid}\n" in server.log()
    assert "Running mode=" not in server.log()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"*1\r\n$6\r\nNOSUCH\r\n", 'Unknown command "NOSUCH" reading the append only file'),
        (b"*2\r\n\r3\r\nDEL\r\n$1\r\nm\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got \"\\r\""),
        (b"*1\r\n$3\r\nA\nB\r\n", 'Unknown command "A\\nB" reading the append only file'),
    ],
)
def test_a_refused_log_is_described_without_control_characters_and_python_forms(
    tmp_path: Path, content: bytes, said: str
) -> None:
    server = RotomServer(tmp_path / "refused")
    directory = server.directory / "appendonlydir"
    directory.mkdir(parents=True)
    (directory / "appendonly.aof.1.incr.aof").write_bytes(content)
    (directory / "appendonly.aof.manifest").write_bytes(b"file appendonly.aof.1.incr.aof seq 1 type i\n")
    server.launch()
    assert server.wait() == 1
    log = (server.directory / "server.log").read_bytes()
    assert said.encode() in log
    assert b"b'" not in log
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", log)


def test_what_a_client_names_itself_cannot_break_a_line(rotom: Start) -> None:
    server = rotom("--loglevel", "debug")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"*1\r\n$-9\r\n*x\x1b\r\n")
        while connection.recv(100):
            pass
    assert all(LINE.fullmatch(line) for line in server.log().splitlines())
