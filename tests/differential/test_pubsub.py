"""Pub/sub, byte for byte as redis-server does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.differential.transcript import play
from tests.processes import RedisServer, RotomServer

SCRIPTS = {
    "channels and patterns": """
        a: SUBSCRIBE one two one
        b: PSUBSCRIBE o* t?o x
        c: PUBLISH one hello
        c: PUBLISH three hello
        c: PUBSUB CHANNELS on*
        c: PUBSUB CHANNELS t*
        c: PUBSUB NUMSUB one two none
        c: PUBSUB NUMPAT
        a: PING
        a: PING text
        a: GET key
        a: UNSUBSCRIBE one none
        a: UNSUBSCRIBE
        a: UNSUBSCRIBE
        a: GET key
        b: PUNSUBSCRIBE o*
        c: PUBLISH two bye
        b: RESET
        c: PUBLISH two bye
        c: PUBSUB NOSUCH
        c: SUBSCRIBE
    """,
    "shards": """
        a: SSUBSCRIBE s
        b: SPUBLISH s message
        b: PUBLISH s other
        b: PUBSUB SHARDCHANNELS
        b: PUBSUB SHARDNUMSUB s t
        a: SUBSCRIBE c
        a: SUNSUBSCRIBE
        a: UNSUBSCRIBE
    """,
    "resp3 clients may do everything while they listen": """
        a: PING
        b: SET key value
        c: CLIENT REPLY OFF
        c: SUBSCRIBE x
        b: PUBLISH x message
        b: PUBLISH x again
    """,
    "transactions": """
        a: SUBSCRIBE c
        b: MULTI
        b: PUBLISH c one
        b: PUBLISH c two
        b: EXEC
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_pubsub_transcript_is_redis_s(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], name: str
) -> None:
    expected = play(SCRIPTS[name], redis_server().port)
    got = play(SCRIPTS[name], rotom().port)
    for (line, theirs), (_, ours) in zip(expected, got, strict=True):
        assert ours == theirs, line


def test_resp3_clients_get_pushes_and_may_run_other_commands(rotom: Callable[..., RotomServer]) -> None:
    got = play(
        """
        a: HELLO 3
        a: SUBSCRIBE c
        b: PUBLISH c text
        a: SET k v
        """,
        rotom().port,
    )
    assert got[1][1]["a"] == b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    assert got[2][1]["a"] == b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\ntext\r\n"
    assert got[3][1]["a"] == b"+OK\r\n"


def test_a_listener_that_does_not_read_is_closed_at_its_output_limit(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--client-output-buffer-limit", "pubsub", "1mb", "0", "0")
    with server.client() as publisher, server.client() as idle:
        pubsub = idle.pubsub()
        pubsub.subscribe("c")
        pubsub.get_message(timeout=1)
        for _ in range(200):
            publisher.publish("c", "x" * 100_000)
            if publisher.pubsub_numsub("c")[0][1] == 0:
                break
        server.wait_for("client_output_buffer_limit_disconnections", 1, "stats")
