"""Transactions and what refuses them, byte for byte as redis-server does it."""

from __future__ import annotations

from collections.abc import Callable

from tests.differential.transcript import play
from tests.processes import RedisServer, RotomServer

SCRIPTS = {
    "EXEC that is refused ends its transaction": """
        a: MULTI
        a: EXEC extra
        a: EXEC
        a: EXEC extra
        a: MULTI
        a: DISCARD extra
        a: EXEC
    """,
    "what cannot stand in a transaction": """
        a: MULTI
        a: MULTI
        a: WATCH x
        a: EXEC
        a: MULTI
        a: SAVE
        a: EXEC
        a: MULTI
        a: CLIENT FOO
        a: DISCARD
        a: DISCARD
    """,
    "what would wait does not, and subscriptions answer in their place": """
        a: MULTI
        a: BLPOP l 0
        a: XREAD BLOCK 0 STREAMS s $
        a: MONITOR
        a: SUBSCRIBE a
        a: GET x
        a: UNSUBSCRIBE
        a: UNSUBSCRIBE a b
        a: EXEC
        a: PING
    """,
    "memory that runs short": """
        a: MULTI
        a: SET x 1
        b: CONFIG SET maxmemory 1
        a: EXEC
        a: EXEC
        b: CONFIG SET maxmemory 0
        a: MULTI
        a: PING
        b: CONFIG SET maxmemory 1
        a: GET x
        a: EXEC
        a: MULTI
        a: DISCARD
        b: CONFIG SET maxmemory 0
        a: MULTI
        a: GET x
        b: CONFIG SET maxmemory 1
        a: EXEC
        b: CONFIG SET maxmemory 0
        a: MULTI
        a: CONFIG SET maxmemory 1
        a: SET x 1
        a: CONFIG SET maxmemory 0
        a: EXEC
    """,
    "a password that comes in between": """
        b: MULTI
        a: CONFIG SET requirepass secret
        c: MULTI
        c: EXEC
        c: PING
        a: CONFIG SET requirepass
    """,
    "SWAPDB brings a watched key that is past its time": """
        a: DEBUG SET-ACTIVE-EXPIRE 0
        a: SELECT 1
        a: SET x foo PX 1
        a: SELECT 0
        a: WATCH x
        b: SWAPDB 0 1
        a: MULTI
        a: PING
        a: EXEC
    """,
    "SWAPDB takes a watched key that is past its time, and brings another": """
        a: DEBUG SET-ACTIVE-EXPIRE 0
        a: SELECT 1
        a: SET x foo PX 1
        a: SELECT 0
        a: SET x foo PX 1
        a: PING
        a: WATCH x
        b: SWAPDB 0 1
        a: MULTI
        a: PING
        a: EXEC
    """,
    "SWAPDB takes a watched key whose time came since": """
        a: DEBUG SET-ACTIVE-EXPIRE 0
        a: SET x foo PX 25
        a: WATCH x
        b: PING
        b: SWAPDB 0 1
        a: MULTI
        a: PING
        a: EXEC
    """,
    "SWAPDB serves who waits, with what is not past its time": """
        a: DEBUG SET-ACTIVE-EXPIRE 0
        a: BLPOP stale live 0
        b: SELECT 1
        b: RPUSH stale x
        b: PEXPIRE stale 1
        b: SWAPDB 0 1
        b: RPUSH live y
        b: SWAPDB 0 1
    """,
    "DEBUG RELOAD is a change of the keys that are there": """
        a: SET x foo
        a: WATCH x
        b: WATCH y
        c: DEBUG RELOAD
        a: MULTI
        a: EXEC
        b: MULTI
        b: EXEC
    """,
}


def heard(script: str, port: int) -> dict[str, bytes]:
    """Everything that each client received."""
    everything: dict[str, bytes] = {}
    for _, received in play(script, port):
        for name, text in received.items():
            everything[name] = everything.get(name, b"") + text
    return everything


def test_transactions_answer_as_in_redis(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    ports = (rotom("--enable-debug-command", "yes", "--save", "").port, redis_server("--save", "").port)
    for name, script in SCRIPTS.items():
        ours, theirs = (heard(f"a: FLUSHALL\n{script}", port) for port in ports)
        assert ours == theirs, name
