"""CLIENT PAUSE: which requests wait, and what those that waited answer, as redis-server does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.differential.transcript import Clients, play
from tests.processes import RedisServer, RotomServer, ServerProcess

NO_WRITES = "#!lua flags=no-writes\nreturn redis.call('get', 'k')"
MAY_WRITE = "#!lua flags=allow-oom\nreturn 1"
UNKNOWN_DIGEST = "0" * 40

# What one connection sends; each has its own.
REQUESTS: list[list[Sequence[str]]] = [
    [("GET", "k")],
    [("SET", "own:0", "2")],
    [("NOSUCH",)],
    [("GET",)],
    [("SET",)],
    [("CLIENT", "NOSUCH")],
    [("FLUSHALL", "NOSUCH")],
    [("PFCOUNT", "h")],
    [("PUBLISH", "c", "m")],
    [("SPUBLISH", "c", "m")],
    [("EVAL", "return 1", "0")],
    [("EVAL", NO_WRITES, "0")],
    [("EVAL", MAY_WRITE, "0")],
    [("EVAL", "#!lua flags=bogus\nreturn 1", "0")],
    [("EVAL_RO", "return 1", "0")],
    [("EVALSHA", UNKNOWN_DIGEST, "0")],
    [("EVALSHA_RO", UNKNOWN_DIGEST, "0")],
    [("SCRIPT", "LOAD", NO_WRITES)],
    [("SORT", "none")],
    [("GETEX", "k")],
    [("EXPIRE", "k", "1000")],
    [("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")],
    [("SUBSCRIBE", "other")],
    [("MULTI",), ("GET", "k"), ("EXEC",)],
    [("MULTI",), ("SET", "own:1", "3"), ("EXEC",)],
    [("MULTI",), ("NOSUCH",), ("EXEC",)],
    [("SET", "own:2", "4"), ("GET", "own:2"), ("PING",)],
    [("WATCH", "k")],
    [("WAIT", "0", "0")],
    [("SELECT", "3")],
    [("PING",)],
    [("CLIENT", "SETNAME", "x"), ("CLIENT", "GETNAME")],
    [("RESET",)],
    [("CLIENT", "REPLY", "SKIP"), ("SET", "own:3", "5"), ("PING",)],
]


def answers(server: ServerProcess, mode: str, end: Sequence[str]) -> list[dict[str, bytes]]:
    """What each connection got during the pause, and after it."""
    clients = Clients(server.port)
    try:
        for words in ("SET", "k", "1"), ("PFADD", "h", "1"), ("CLIENT", "PAUSE", "400", mode):
            clients.send("pauses", *words)
            clients.received(0.01)
        for number, requests in enumerate(REQUESTS):
            for words in requests:
                clients.send(f"{number} {requests}", *words)
        during = clients.received(0.1)
        clients.send("pauses", *end)
        return [during, clients.received(0.1 if mode == "WRITE" else 0.5)]
    finally:
        clients.close()


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory, redis_tools: None) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A redis-server and a rotomdb-server; each test leaves both without a pause."""
    place = tmp_path_factory.mktemp("pausing")
    theirs, ours = RedisServer(place / "redis", "--save", ""), RotomServer(place / "rotom", "--save", "")
    for server in theirs, ours:
        server.start()
    yield theirs, ours
    for server in theirs, ours:
        server.kill()
    assert "internal error" not in ours.log()


@pytest.fixture(autouse=True)
def empty(peers: tuple[ServerProcess, ServerProcess]) -> None:
    for server in peers:
        with server.client() as client:
            client.flushall()


@pytest.mark.parametrize(("mode", "end"), [("WRITE", ("CLIENT", "UNPAUSE")), ("ALL", ("PING",))])
def test_the_requests_that_wait_are_redis_s_and_so_is_what_they_answer(
    peers: tuple[ServerProcess, ServerProcess], mode: str, end: Sequence[str]
) -> None:
    theirs, ours = (answers(server, mode, end) for server in peers)
    for when, (expected, got) in enumerate(zip(theirs, ours, strict=True)):
        for request in expected:
            assert (when, request, got[request]) == (when, request, expected[request])


SCRIPTS = {
    "a pause gets only longer and stricter": """
        a: CLIENT PAUSE 100000 WRITE
        a: CLIENT PAUSE 1 WRITE
        b: SET k 1
        a: CLIENT UNPAUSE
        b: GET k
        a: CLIENT PAUSE 150 ALL
        a: CLIENT PAUSE 100000 WRITE
        b: GET k
    """,
    "no time is no pause": """
        a: CLIENT PAUSE 0
        a: CLIENT PAUSE 0 WRITE
        b: SET k 1
    """,
    "a pause inside a transaction begins behind it": """
        b: BLPOP l 0
        a: MULTI
        a: CLIENT PAUSE 100000 WRITE
        a: SET k 1
        a: EXEC
        a: GET k
        c: SET k 2
        a: CLIENT UNPAUSE
    """,
    "who waited waits again when there is another pause": """
        a: CLIENT PAUSE 100000 WRITE
        b: SET k 1
        a: MULTI
        a: CLIENT UNPAUSE
        a: CLIENT PAUSE 100000 WRITE
        a: EXEC
        a: GET k
        a: CLIENT UNPAUSE
    """,
    "nobody is unblocked who waits for the end of a pause": """
        a: CLIENT PAUSE 100000 WRITE
        b: BLPOP l 0
        c: BLPOP l 0
        a: INFO nosuch
        a: CLIENT UNPAUSE
        a: RPUSH l x y
    """,
    "arguments": """
        a: CLIENT PAUSE
        a: CLIENT PAUSE abc
        a: CLIENT PAUSE -1
        a: CLIENT PAUSE 1 NOSUCH
        a: CLIENT PAUSE x NOSUCH
        a: CLIENT PAUSE 92233720368547758070
        a: CLIENT UNPAUSE now
        a: CLIENT UNPAUSE
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_pauses_begin_and_end_as_redis_s_do(peers: tuple[ServerProcess, ServerProcess], name: str) -> None:
    expected, got = (play(SCRIPTS[name], server.port) for server in peers)
    for (line, theirs), (_, ours) in zip(expected, got, strict=True):
        assert (line, ours) == (line, theirs)
