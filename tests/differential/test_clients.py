"""Connections as redis-server sees them: the fields of CLIENT LIST in every state, the forms of CLIENT, AUTH and HELLO, and what a
transaction answers when its commands change the connection itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.differential.transcript import Clients
from tests.processes import RedisServer, RotomServer, ServerProcess

Peers = tuple[ServerProcess, ServerProcess]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory, redis_tools: None) -> Iterator[Peers]:
    place = tmp_path_factory.mktemp("clients")
    theirs, ours = RedisServer(place / "redis", "--save", ""), RotomServer(place / "rotom", "--save", "")
    for server in theirs, ours:
        server.start()
    yield theirs, ours
    for server in theirs, ours:
        server.kill()
    assert "internal error" not in ours.log()


# What a connection says, before and after another one has written k and left.
STATES: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], []),
    "in-multi": (["MULTI", "SET k 12345", "GET k"], []),
    "empty-multi": (["MULTI"], []),
    "failed-multi": (["MULTI", "NOSUCH"], []),
    "left-multi": (["MULTI", "DISCARD"], []),
    "watching": (["WATCH q r", "WATCH q"], []),
    "watched-changed": (["WATCH k"], ["MULTI"]),
    "subscribed": (["SUBSCRIBE a b", "PSUBSCRIBE x*", "SSUBSCRIBE s"], []),
    "subscribed-in-3": (["HELLO 3", "SUBSCRIBE a"], ["GET k"]),
    "unsubscribed": (["SUBSCRIBE a", "UNSUBSCRIBE a"], []),
    "waits-for-a-list": (["BLPOP nolist 0"], ["PING"]),
    "waits-for-a-stream": (["XREAD BLOCK 0 STREAMS nostream $"], []),
    "waits-for-a-replica": (["WAIT 1 0"], []),
    "tracking": (["HELLO 3", "CLIENT TRACKING ON"], []),
    "tracking-prefixes": (["HELLO 3", "CLIENT TRACKING ON BCAST"], []),
    "tracking-when-told": (["HELLO 3", "CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"], []),
    "tracking-for-itself": (["CLIENT TRACKING ON REDIRECT {own}"], []),
    "tracking-for-one-that-left": (["HELLO 3", "CLIENT TRACKING ON REDIRECT {leaving}", "GET k"], []),
    "stays": (["CLIENT NO-EVICT ON"], []),
    "monitors": (["MONITOR"], []),
    "elsewhere": (["SELECT 3"], []),
    "silent": (["CLIENT REPLY OFF", "PING"], []),
    "unknown": (["NOSUCH x"], []),
    "unknown-subcommand": (["CLIENT NOSUCH"], []),
    "too-few-words": (["GET"], []),
    "asked-for-its-name": (["CLIENT GETNAME"], []),
    "ran-a-transaction": (["MULTI", "PING", "EXEC"], []),
    "ran-a-script": (["EVAL return(1) 0"], []),
    "reset": (["MULTI", "SELECT 5", "RESET", "CLIENT SETNAME reset"], []),
}
# Sizes that are Redis's own, and what depends on when one looks.
NOT_COMPARED = {
    "id", "addr", "laddr", "fd", "age", "idle", "qbuf-free", "rbs", "rbp", "tot-mem",
    "watch", "lib-name", "lib-ver", "redir",  # of later versions, or compared apart
}  # fmt: skip


def fields_in_each_state(server: ServerProcess) -> dict[str, dict[str, str]]:
    clients = Clients(server.port)
    try:
        numbers = {}
        for name in ("observer", "leaving", *STATES):
            clients.send(name, "CLIENT", "ID")
        for name, answer in clients.received().items():
            numbers[name] = answer[1:-2].decode()
        clients.send("observer", "SET", "k", "1")
        for name, (before, _) in STATES.items():
            clients.send(name, "CLIENT", "SETNAME", name)
            for line in before:
                clients.send(name, *line.format(own=numbers[name], leaving=numbers["leaving"]).split())
        clients.received()
        clients.connections.pop("leaving").close()
        time.sleep(0.05)
        clients.send("observer", "SET", "k", "2")
        clients.received()
        for name, (_, after) in STATES.items():
            for line in after:
                clients.send(name, *line.split())
        clients.received()
        clients.send("observer", "CLIENT", "LIST")
        lines = clients.received()["observer"].decode().split("\r\n")[1].strip().split("\n")
    finally:
        clients.close()
    found = {}
    for line in lines:
        fields = dict(word.split("=", 1) for word in line.split(" "))
        name = next((name for name, number in numbers.items() if number == fields["id"]), "")
        if name in STATES:
            redirected = {"-1": "nowhere", "0": "to itself"}.get(fields["redir"], "to another")
            compared = {field: value for field, value in fields.items() if field not in NOT_COMPARED}
            found[name] = {**compared, "redirected": redirected}
    return found


def test_client_list_shows_every_state_as_redis_does(peers: Peers) -> None:
    theirs, ours = map(fields_in_each_state, peers)
    assert set(ours) == set(theirs) == set(STATES)
    for name, expected in theirs.items():
        assert (name, ours[name]) == (name, {field: expected.get(field) for field in ours[name]})


SCRIPTS = {
    "subscribing inside a transaction": """
        a: MULTI
        a: SUBSCRIBE c d
        a: EXEC
        b: PUBLISH c x
        a: GET k
        a: PING
    """,
    "subscribing inside a transaction in RESP3": """
        a: HELLO 3
        a: MULTI
        a: SUBSCRIBE c
        a: PING
        a: PUBLISH c own
        a: PSUBSCRIBE x*
        a: UNSUBSCRIBE
        a: EXEC
        a: PING
    """,
    "leaving what it does not listen to inside a transaction": """
        a: MULTI
        a: UNSUBSCRIBE
        a: GET k
        a: EXEC
    """,
    "the protocol changes inside a transaction": """
        a: MULTI
        a: HELLO 3
        a: GET nokey
        a: HELLO 2
        a: GET nokey
        a: EXEC
    """,
    "replies are turned off and on inside transactions": """
        a: MULTI
        a: CLIENT REPLY OFF
        a: SET k 1
        a: EXEC
        a: MULTI
        a: CLIENT REPLY ON
        a: GET k
        a: EXEC
        a: MULTI
        a: CLIENT REPLY SKIP
        a: GET k
        a: EXEC
        a: PING
        a: PING
        a: ECHO end
    """,
    "CLIENT REPLY": """
        a: CLIENT REPLY SKIP
        a: CLIENT REPLY SKIP
        a: PING
        a: PING
        a: CLIENT REPLY SKIP
        a: NOSUCH
        a: CLIENT REPLY SKIP
        a: BLPOP l 0
        b: RPUSH l x
        a: PING
        a: CLIENT REPLY NOSUCH
        a: CLIENT REPLY OFF
        a: CLIENT REPLY SKIP
        a: PING
        a: MULTI
        a: PING
        a: EXEC
        a: CLIENT REPLY ON
    """,
    "a transaction that may not wait or listen": """
        a: MULTI
        a: BLPOP nolist 0
        a: MONITOR
        a: EXEC
        b: GET k
    """,
    "AUTH and HELLO": """
        a: AUTH
        a: AUTH x
        a: AUTH x y
        a: AUTH default y
        a: AUTH x y z
        a: HELLO x
        a: HELLO 1
        a: HELLO 4
        a: HELLO 99999999999999999999
        a: HELLO 2 AUTH
        a: HELLO 2 AUTH x
        a: HELLO 2 AUTH x y
        a: HELLO 2 SETNAME
        a: HELLO 2 SETNAME \x01
        a: HELLO 2 FOO
        a: HELLO 2 SETNAME one SETNAME two
        a: CLIENT GETNAME
        a: HELLO
        a: HELLO 3 AUTH default any SETNAME three
        a: CLIENT GETNAME
        a: RESET
        a: CLIENT GETNAME
    """,
    "forms of CLIENT": """
        a: CLIENT
        a: CLIENT NOSUCH
        a: CLIENT ID x
        a: CLIENT GETNAME x
        a: CLIENT SETNAME
        a: CLIENT SETNAME \x01
        a: CLIENT LIST NOSUCH
        a: CLIENT LIST TYPE
        a: CLIENT LIST TYPE nosuch
        a: CLIENT LIST TYPE normal x
        a: CLIENT LIST ID
        a: CLIENT LIST ID x
        a: CLIENT LIST ID 0
        a: CLIENT LIST ID -1
        a: CLIENT LIST ID 99999
        a: CLIENT LIST TYPE replica
        a: CLIENT LIST TYPE slave
        a: CLIENT LIST TYPE master
        a: CLIENT LIST TYPE pubsub
        a: CLIENT NO-EVICT
        a: CLIENT NO-EVICT nosuch
        a: CLIENT NO-EVICT off
        a: CLIENT GETREDIR
        a: CLIENT GETREDIR x
        a: CLIENT TRACKINGINFO
        a: CLIENT TRACKING on
        a: CLIENT TRACKINGINFO
        a: CLIENT GETREDIR
        a: CLIENT TRACKING on REDIRECT 99999
        a: CLIENT TRACKING on BCAST
        a: CLIENT TRACKING off
        a: CLIENT TRACKING nosuch
        a: CLIENT CACHING yes
        a: CLIENT CACHING nosuch
        a: CLIENT UNBLOCK
        a: CLIENT UNBLOCK x
        a: CLIENT UNBLOCK 1 nosuch
        a: CLIENT UNBLOCK 99999
        a: CLIENT UNBLOCK 99999 error
        a: CLIENT UNBLOCK -1
        a: CLIENT UNBLOCK 99999999999999999999
        a: CLIENT KILL
        a: CLIENT KILL nosuch
        a: CLIENT KILL 1.2.3.4:5
        a: CLIENT KILL ID
        a: CLIENT KILL ID x
        a: CLIENT KILL ID 0
        a: CLIENT KILL ID 99999
        a: CLIENT KILL TYPE nosuch
        a: CLIENT KILL TYPE master
        a: CLIENT KILL USER nosuch
        a: CLIENT KILL SKIPME nosuch
        a: CLIENT KILL SKIPME yes USER nosuch
        a: CLIENT KILL ADDR nosuch LADDR nosuch
        a: CLIENT KILL ADDR nosuch LADDR
        a: CLIENT KILL NOSUCH x
        a: CLIENT KILL NOSUCH
    """,
    "killing": """
        a: SUBSCRIBE x
        b: BLPOP nolist 0
        c: CLIENT KILL TYPE pubsub
        c: CLIENT KILL TYPE normal
        c: RPUSH nolist x
        c: LRANGE nolist 0 -1
        c: CLIENT KILL TYPE normal SKIPME no
        d: PING
    """,
}


def heard(server: ServerProcess, script: str) -> dict[str, bytes]:
    """All that each client of a script receives, without what tells one server, or one connection, from the other."""
    with server.client() as client:
        client.flushall()
    heard: dict[str, bytes] = {}
    clients = Clients(server.port)
    try:
        for line in [*filter(None, map(str.strip, script.splitlines())), ""]:
            name, _, command = line.partition(": ")
            if name:
                clients.send(name, *command.split())
            for name, reply in clients.received(0.02 if line else 0.2).items():
                heard[name] = heard.get(name, b"") + reply
    finally:
        clients.close()
    return {
        name: re.sub(rb"(\$2\r\nid\r\n:)\d+", rb"\g<1>N", reply.replace(b"$6\r\n7.0.15\r\n", b"$5\r\n7.2.4\r\n"))
        for name, reply in heard.items()
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_connections_answer_as_redis_s_do(peers: Peers, name: str) -> None:
    theirs, ours = (heard(server, SCRIPTS[name]) for server in peers)
    for client, expected in theirs.items():
        assert ours[client].split(b"\r\n") == expected.split(b"\r\n"), client
