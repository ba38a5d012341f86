"""The end of a server: by signals and by SHUTDOWN, refused and forced, with children at work."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

import pytest
import redis

from rotomdb.server.shutdown import Manner, manner_of
from tests.processes import ControlledServer, RotomServer

Start = Callable[..., RotomServer]
SLOW_CHILD = ("--rdb-key-save-delay", "100000")


def send(server: RotomServer, number: signal.Signals) -> None:
    assert server.process is not None
    server.process.send_signal(number)


def wait_for_line(server: RotomServer, text: str) -> None:
    end = time.monotonic() + 20
    while text not in server.log():
        assert time.monotonic() < end, server.log()
        time.sleep(0.01)


def test_the_words_of_shutdown_combine_as_in_redis() -> None:
    assert manner_of(["nosave", "now", "force", "now"]) == Manner(save=False, force=True, now=True)
    assert manner_of([]) == Manner(save=None)
    for words in (["save", "nosave"], ["default"], ["abort", "now"], ["x"]):
        with pytest.raises(ValueError, match="no such way"):
            manner_of(words)


def test_shutdown_refuses_contradicting_words_and_has_nothing_to_abort(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client:
        for words in (["SAVE", "NOSAVE"], ["ABORT", "NOW"], ["LATER"]):
            with pytest.raises(redis.ResponseError, match="syntax error"):
                client.execute_command("SHUTDOWN", *words)
        with pytest.raises(redis.ResponseError, match=r"^No shutdown in progress"):
            client.execute_command("SHUTDOWN", "ABORT")
        assert client.ping()


def test_sighup_and_sigpipe_change_nothing(rotom: Start) -> None:
    server = rotom("--save", "")
    for number in (signal.SIGHUP, signal.SIGPIPE):
        send(server, number)
    with server.client() as client:
        assert client.set("a", "1")
    assert server.stop() == 0


@pytest.mark.parametrize("child", ["BGSAVE", "BGREWRITEAOF"])
def test_sigterm_ends_a_child_that_writes_and_leaves_nothing_of_it(rotom: Start, child: str) -> None:
    server = (
        rotom("--save", "", *SLOW_CHILD) if child == "BGSAVE" else rotom("--save", "", "--aof-use-rdb-preamble", "no")
    )
    with server.client() as client:
        client.mset({f"key:{number}": "v" * 100 for number in range(100)})
        client.execute_command(child)
    send(server, signal.SIGTERM)
    send(server, signal.SIGTERM)
    assert server.wait() == 0
    assert not [name for name in os.listdir(server.directory) if name.startswith("temp-")]  # noqa: PTH208
    server.arguments = ("--save", "")
    server.start()
    with server.client() as client:
        assert client.dbsize() == 100


def test_a_second_sigint_ends_the_server_at_once_and_what_was_acknowledged_stays(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client, socket.create_connection(("127.0.0.1", server.port)) as busy:
        client.set("a", "1")
        busy.sendall(b"DEBUG SLEEP 60\r\n")
        send(server, signal.SIGINT)
        wait_for_line(server, "Received SIGINT scheduling shutdown...")
        send(server, signal.SIGINT)
        assert server.wait() == 1
    assert "You insist... exiting now." in server.log()
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"


@pytest.mark.parametrize(("words", "saved"), [("nosave", False), ("save", True), ("default", False)])
def test_the_directive_says_what_sigterm_does(rotom: Start, words: str, saved: bool) -> None:
    server = rotom("--save", "", "--appendonly", "no", "--shutdown-on-sigterm", words)
    with server.client() as client:
        client.set("a", "1")
    assert server.stop() == 0
    assert (server.directory / "dump.rdb").exists() == saved


def test_an_end_that_loses_data_is_refused_unless_it_is_forced(controlled: Callable[..., ControlledServer]) -> None:
    server = controlled("--appendonly", "no")
    with server.client() as client:
        client.set("a", "1")
        server.control("full")
        with pytest.raises(redis.ResponseError, match="Errors trying to SHUTDOWN"):
            client.execute_command("SHUTDOWN")
        assert "Error trying to save the DB, can't exit." in server.log()
        client.shutdown(force=True)
    assert server.wait() == 0
    assert "Error trying to save the DB. Exit anyway." in server.log()
