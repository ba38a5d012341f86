"""Blocking commands with several clients, byte for byte as redis-server does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.differential.transcript import QUIET_S, Clients, play
from tests.processes import RedisServer, RotomServer

SCRIPTS = {
    "served in the order of arrival": """
        a: BLPOP l 0
        b: BLPOP l 0
        c: BRPOP other l 0
        d: RPUSH l 1
        d: RPUSH l 2 3 4
        d: LRANGE l 0 -1
    """,
    "an element that is there is taken at once": """
        a: RPUSH l 1 2 3
        a: BLPOP none l 0
        a: BRPOP l 0
        a: BLMPOP 0 2 none l LEFT COUNT 5
        a: ZADD z 1 a 2 b 3 c
        a: BZPOPMIN z 0
        a: BZPOPMAX z 0
        a: BZMPOP 0 1 z MIN
        a: EXISTS l z
    """,
    "timeouts": """
        a: BLPOP l 0.05
        a: BLMOVE l m LEFT RIGHT 0.01
        a: BRPOPLPUSH l m 0.01
        a: BLMPOP 0.01 1 l LEFT
        a: BZPOPMIN z 0.01
        a: XREAD BLOCK 10 STREAMS s $
        a: BLPOP l -1
        a: BLPOP l x
        a: PING
    """,
    "a waiting client's next requests wait too": """
        a: BLPOP l 0
        a: PING
        a: ECHO after
        b: LPUSH l x
    """,
    "every kind of write serves": """
        a: BLPOP l 0
        b: RPUSH x 1
        b: RENAME x l
        a: BLPOP l 0
        b: RPUSH x 2
        b: COPY x l
        a: BLPOP l 0
        b: SADD s 3
        b: SORT s STORE l
        a: BLPOP l 0
        b: LMOVE x l LEFT LEFT
        a: BLPOP l 0
        b: SELECT 1
        b: RPUSH l 5
        b: SWAPDB 0 1
        a: BLPOP l 0
        b: RPUSH l 6
        b: MOVE l 0
        a: BLPOP l 0
        b: EXISTS l
    """,
    "transactions serve at their end": """
        a: BLPOP l 0
        b: MULTI
        b: RPUSH l 1 2
        b: LPOP l
        b: LLEN l
        b: EXEC
        a: MULTI
        a: BLPOP none 0
        a: EXEC
    """,
    "another type does not wake, and a key that is gone again does not": """
        a: BLPOP l 0
        b: SET l text
        b: DEL l
        b: ZADD l 1 m
        b: DEL l
        b: MULTI
        b: RPUSH l 1
        b: DEL l
        b: EXEC
        b: RPUSH l now
    """,
    "moves chain": """
        a: BLMOVE one two LEFT RIGHT 0
        b: BRPOPLPUSH two three 0
        c: BLPOP three 0
        d: RPUSH one x
        d: EXISTS one two three
    """,
    "a move to a key of another type": """
        a: SET t text
        b: BLMOVE l t LEFT RIGHT 0
        a: RPUSH l 1
        a: LRANGE l 0 -1
    """,
    "sorted sets": """
        a: BZPOPMIN z y 0
        b: BZPOPMAX z 0
        c: BZMPOP 0 2 y z MAX COUNT 2
        d: ZADD z 1 a 2 b 3 c 4 d
        d: ZADD z 5 e
        d: ZRANGE z 0 -1
    """,
    "streams": """
        a: XREAD BLOCK 0 STREAMS s t $ 0
        b: XREAD COUNT 1 BLOCK 0 STREAMS s 1-1
        d: XADD s 1-1 f v
        d: XADD s 2-1 f v
        a: XREAD BLOCK 0 STREAMS s 5
        d: XADD s 3-1 f v
        d: XADD s 6-1 f v
        a: XREAD BLOCK -1 STREAMS s $
        a: XREAD BLOCK x STREAMS s $
        d: DEL s
        a: XREAD BLOCK 0 STREAMS s $
        d: LPUSH s x
        d: DEL s
        d: XADD s 1-1 again there
    """,
    "consumer groups": """
        d: XGROUP CREATE s g $ MKSTREAM
        d: XGROUP CREATECONSUMER s g one
        d: XGROUP CREATECONSUMER s g two
        a: XREADGROUP GROUP g one BLOCK 0 STREAMS s >
        b: XREADGROUP GROUP g two BLOCK 0 COUNT 1 STREAMS s >
        d: XADD s 1-1 f v
        d: XADD s 2-1 f v
        a: XREADGROUP GROUP g one BLOCK 0 STREAMS s 0
        d: XPENDING s g
        d: MULTI
        d: XADD s 3-1 f v
        d: XREADGROUP GROUP g one BLOCK 0 STREAMS s >
        d: EXEC
        d: MULTI
        d: XREADGROUP GROUP g one BLOCK 0 STREAMS s >
        d: EXEC
        b: XREADGROUP GROUP none two BLOCK 0 STREAMS s >
    """,
    "CLIENT UNBLOCK": """
        a: CLIENT ID
        a: BLPOP l 0
        b: CLIENT UNBLOCK 99999
        b: CLIENT UNBLOCK x
        b: CLIENT UNBLOCK 1 BAD
    """,
    "wrong arguments": """
        a: BLPOP l
        a: BLMOVE a b LEFT UP 0
        a: BLMPOP 0 0 l LEFT
        a: BLMPOP 0 2 l LEFT
        a: BZMPOP 0 1 z MID
        a: SET s v
        a: BLPOP s 0
        a: BZPOPMIN s 0
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_blocking_transcript_is_redis_s(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], name: str
) -> None:
    # redis-server looks for timeouts every 100 ms.
    quiet_s = 0.25 if name == "timeouts" else QUIET_S
    expected = play(SCRIPTS[name], redis_server().port, quiet_s)
    server = rotom()
    got = play(SCRIPTS[name], server.port, quiet_s)
    for (line, theirs), (_, ours) in zip(expected, got, strict=True):
        if line.endswith("CLIENT ID"):
            continue
        assert ours == theirs, line
    digest = server.digest()
    server.restart()
    assert server.digest() == digest


@pytest.mark.parametrize(
    ("how", "reply"), [("TIMEOUT", b"*-1\r\n"), ("ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")]
)
def test_unblock_ends_the_wait_with_a_timeout_or_an_error(
    rotom: Callable[..., RotomServer], how: str, reply: bytes
) -> None:
    clients = Clients(rotom().port)
    clients.send("waiter", "CLIENT", "ID")
    identifier = clients.received()["waiter"][1:-2].decode()
    clients.send("waiter", "BLPOP", "l", "0")
    assert clients.received()["waiter"] == b""
    clients.send("other", "CLIENT", "UNBLOCK", identifier, how)
    assert clients.received() == {"waiter": reply, "other": b":1\r\n"}
    clients.send("other", "CLIENT", "UNBLOCK", identifier)
    assert clients.received() == {"waiter": b"", "other": b":0\r\n"}
    clients.close()


@pytest.mark.parametrize(
    ("ending", "reply"),
    [
        ("DEL s", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("XGROUP DESTROY s g", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("SET s text", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ],
)
def test_a_group_reader_does_not_wait_for_what_has_gone(
    rotom: Callable[..., RotomServer], ending: str, reply: bytes
) -> None:
    clients = Clients(rotom().port)
    clients.send("other", "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    clients.received()
    clients.send("waiter", "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">")
    assert clients.received()["waiter"] == b""
    clients.send("other", *ending.split())
    assert clients.received()["waiter"] == reply
    clients.close()


def test_a_client_that_leaves_while_it_waits_takes_nothing(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    clients = Clients(server.port)
    clients.send("waiter", "BLPOP", "l", "0")
    clients.received()
    clients.close()
    server.wait_for("blocked_clients", 0, "clients")
    with server.client() as client:
        assert client.rpush("l", "stays") == 1
        assert client.lrange("l", 0, -1) == [b"stays"]
