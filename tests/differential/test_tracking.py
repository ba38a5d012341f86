"""Client-side caching, CLIENT PAUSE and MONITOR with several clients, byte for byte as redis-server does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.differential.transcript import Clients
from tests.processes import RedisServer, RotomServer

SCRIPTS = {
    "a key that was read is invalidated once": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: MGET k l
        b: SET k 1
        b: SET k 2
        a: GET k
        a: SET k 3
        a: GET k
        b: EXPIRE k 100
        a: EXISTS k
        b: DEL k
        a: LRANGE none 0 -1
        b: RPUSH none x
        a: CLIENT TRACKINGINFO
        a: CLIENT TRACKING OFF
        a: GET k
        b: SET k 4
        a: CLIENT TRACKINGINFO
        a: CLIENT GETREDIR
    """,
    "what a script reads, and writes": """
        a: HELLO 3
        a: CLIENT TRACKING ON NOLOOP
        a: EVAL return(redis.call('get','k')) 1 k
        b: SET k 1
        a: EVAL_RO return(1) 1 other
        b: SET other 1
        a: GET k
        a: EVAL return(redis.call('set','k','2')) 1 k
        a: GET k
        b: EVAL return(redis.call('set','k','3')) 0
    """,
    "transactions and flushes": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: MULTI
        a: GET k
        a: SET k 1
        a: GET l
        a: EXEC
        b: SET l 1
        b: SET k 2
        a: GET k
        b: FLUSHDB
        a: GET k
        b: RENAME none k
        b: SET x 1
        b: RENAME x k
    """,
    "not for oneself": """
        a: HELLO 3
        a: CLIENT TRACKING ON NOLOOP
        a: GET k
        a: SET k 1
        a: GET k
        b: SET k 2
        a: CLIENT TRACKINGINFO
    """,
    "broadcasting": """
        a: HELLO 3
        a: CLIENT TRACKING ON BCAST PREFIX user: PREFIX item:
        b: SET user:1 x
        b: SET other x
        b: MSET item:1 a item:2 b
        b: DEL item:1 user:1
        a: SET user:2 own
        a: CLIENT TRACKINGINFO
        a: CLIENT TRACKING ON BCAST PREFIX user:1
        a: CLIENT TRACKING ON
        c: HELLO 3
        c: CLIENT TRACKING ON BCAST NOLOOP
        c: SET user:3 x
        b: SET user:4 x
        a: CLIENT TRACKING OFF
        b: SET user:5 x
    """,
    "opting in and out": """
        a: HELLO 3
        a: CLIENT TRACKING ON OPTIN
        a: GET k
        b: SET k 1
        a: CLIENT CACHING YES
        a: GET k
        a: GET l
        b: MSET k 2 l 2
        a: CLIENT CACHING NO
        a: CLIENT CACHING YES
        a: CLIENT TRACKINGINFO
        a: MULTI
        a: GET k
        a: GET l
        a: EXEC
        b: MSET k 3 l 3
        a: CLIENT TRACKING OFF
        a: CLIENT TRACKING ON OPTOUT
        a: CLIENT CACHING NO
        a: GET k
        a: GET l
        b: MSET k 4 l 4
        a: CLIENT TRACKING ON OPTIN
        a: CLIENT CACHING MAYBE
    """,
    "redirected to a RESP2 client": """
        b: SUBSCRIBE __redis__:invalidate
        a: CLIENT TRACKING ON REDIRECT {b}
        a: GET k
        c: SET k 1
        a: CLIENT TRACKINGINFO
        a: GET k
        c: FLUSHALL
        a: CLIENT TRACKING ON REDIRECT {b} REDIRECT {b}
        a: CLIENT TRACKING ON REDIRECT 999999
        a: CLIENT TRACKING ON REDIRECT x
    """,
    "mistakes": """
        a: CLIENT CACHING YES
        a: CLIENT TRACKING
        a: CLIENT TRACKING MAYBE
        a: CLIENT TRACKING ON PREFIX a
        a: CLIENT TRACKING ON BCAST OPTIN
        a: CLIENT TRACKING ON OPTIN OPTOUT
        a: CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
        a: CLIENT TRACKING ON BAD
        a: CLIENT PAUSE x
        a: CLIENT PAUSE -1
        a: CLIENT PAUSE 10 SOME
    """,
    "writes are paused": """
        a: SET k 1
        b: CLIENT PAUSE 100000 WRITE
        a: GET k
        a: SET k 2
        a: GET k
        c: PUBLISH channel message
        d: MULTI
        d: GET k
        d: EXEC
        b: GET k
        b: CLIENT UNPAUSE
        b: GET k
    """,
    "everything is paused": """
        b: CLIENT PAUSE 150
        a: PING
        b: GET k
    """,
    "what a monitor sees": """
        m: MONITOR
        a: SET k "a
        a: SELECT 3
        a: GET \u00e9
        a: MULTI
        a: INCR n
        a: EXEC
        a: AUTH secret
        a: NOSUCH x
        a: CONFIG GET appendfsync
        a: PING
        m: PING
    """,
}


def play(script: str, port: int) -> list[tuple[str, dict[str, bytes]]]:
    """Run the lines; `{name}` stands for that client's id."""
    clients = Clients(port)
    transcript = []
    ids: dict[str, str] = {}
    for name in sorted(set(re.findall(r"\{(\w+)\}", script))):
        clients.send(name, "CLIENT", "ID")
        ids[name] = clients.received()[name][1:-2].decode()
    for line in filter(None, map(str.strip, script.splitlines())):
        name, _, command = line.partition(": ")
        clients.send(name, *command.format(**ids).split())
        received = clients.received(0.3 if "paused" in script or "PAUSE 150" in script else 0.05)
        transcript.append((line, {who: comparable(data, ids) for who, data in received.items()}))
    clients.close()
    return transcript


def comparable(data: bytes, ids: dict[str, str]) -> bytes:
    for number in ids.values():
        data = data.replace(b":" + number.encode() + b"\r\n", b":<id>\r\n")
    return re.sub(rb"\+\d+\.\d{6} \[(\d+) [^]]*\]", rb"+<time> [\1 <address>]", data)


@pytest.mark.parametrize("name", SCRIPTS)
def test_transcript_is_redis_s(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], name: str
) -> None:
    expected = play(SCRIPTS[name], redis_server().port)
    got = play(SCRIPTS[name], rotom().port)
    for (line, theirs), (_, ours) in zip(expected, got, strict=True):
        if "HELLO" in line:
            continue  # version and id
        assert ours == theirs, line
