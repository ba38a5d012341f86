"""SET's conditions, DIGEST, DELEX and MSETEX, as Redis 8.4 documents them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.differential.test_commands import Link
from tests.processes import RotomServer

DIGEST_OF_HELLO_WORLD = b"b6acb9d84a38ff74"  # the documentation's example


@pytest.fixture
def run(rotom: Callable[..., RotomServer]) -> Callable[[str], Any]:
    link = Link(rotom().port, 2)
    return lambda line: link.run(list(line.split()))


def test_set_with_conditions_on_the_value(run: Callable[[str], Any]) -> None:
    assert run("SET k new IFEQ old") is None
    assert run("SET k old IFNE other") == b"OK"
    assert run("SET k new IFEQ other") is None
    assert run("SET k new IFEQ old") == b"OK"
    assert run("SET k newer IFNE new") is None
    assert run("SET k newest IFEQ new GET") == b"new"
    assert run("SET k unused IFEQ wrong GET") == b"newest"
    assert run("GET k") == b"newest"
    run("LPUSH l 1")
    assert "WRONGTYPE" in run("SET l x IFEQ y")
    assert "syntax error" in run("SET k x NX IFEQ y")


def test_digests(rotom: Callable[..., RotomServer]) -> None:
    client = rotom().client()
    run = client.execute_command
    client.set("k", "Hello world")
    assert run("DIGEST", "k") == DIGEST_OF_HELLO_WORLD
    assert run("DIGEST", "none") is None
    assert run("SET", "k", "x", "IFDEQ", "0" * 16) is None
    assert run("SET", "k", "x", "IFDNE", DIGEST_OF_HELLO_WORLD) is None
    assert run("SET", "k", "Hello", "IFDEQ", DIGEST_OF_HELLO_WORLD.upper())
    assert run("SET", "none", "x", "IFDEQ", "0" * 16) is None
    assert run("SET", "none", "x", "IFDNE", "0" * 16)
    with pytest.raises(redis.ResponseError, match="must be exactly 16 hexadecimal characters"):
        run("SET", "k", "x", "IFDEQ", "123")


def test_delex(run: Callable[[str], Any]) -> None:
    run("SET k v")
    assert run("DELEX k IFEQ w") == 0
    assert run("DELEX k IFNE v") == 0
    assert run("DELEX k IFEQ v") == 1
    assert run("DELEX k") == 0
    run("LPUSH l 1")
    assert "Key should be of string type if conditions are specified" in run("DELEX l IFEQ v")
    assert run("DELEX l") == 1
    assert "wrong number of arguments" in run("DELEX k IFEQ")


def test_msetex(run: Callable[[str], Any]) -> None:
    assert run("MSETEX 2 a 1 b 2 EX 100") == 1
    assert run("TTL a") == run("TTL b") == 100
    assert run("MSETEX 2 b 9 c 9 NX") == 0
    assert run("MSETEX 2 b 9 c 9 XX") == 0
    assert run("MSETEX 2 a 8 b 8 XX KEEPTTL") == 1
    assert run("MGET a b c") == [b"8", b"8", None]
    assert run("TTL a") == 100
    assert run("MSETEX 1 a 7") == 1
    assert run("TTL a") == -1
    assert run("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 100") == [b"a", b"b"]
    for line in ("MSETEX 0 a 1", "MSETEX 2 a 1 b", "MSETEX 1 a 1 EX 1 PX 1", "MSETEX 1 a 1 BAD"):
        assert run(line).startswith("error")


def test_conditional_writes_are_logged_as_what_they_did(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    with server.client() as client:
        for line in ("SET k v", "SET k w IFEQ v EX 1000", "MSETEX 2 a 1 b 2 PX 99999", "DELEX a IFEQ 1"):
            client.execute_command(*line.split())
    digest = server.digest()
    log = b"".join(path.read_bytes() for path in server.directory.glob("appendonlydir/*.incr.aof"))
    assert not any(word in log for word in (b"IFEQ", b"MSETEX", b"DELEX"))
    server.kill()
    server.start()
    assert server.digest() == digest
