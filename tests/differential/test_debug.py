"""DEBUG subcommands, side by side with redis-server where it has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.differential.transcript import play
from tests.processes import RedisServer, RotomServer

TYPES = "string integer double bignum null array set map attrib push verbatim true false none"
SCRIPT = "\n".join(
    [f"two: DEBUG PROTOCOL {name}" for name in TYPES.split()]
    + [f"three: {line}" for line in ("HELLO 3", *(f"DEBUG PROTOCOL {name}" for name in TYPES.split()))]
    + ["two: SET s hello", "two: RPUSH l a b", "two: HSET h f v", "two: SET n 1"]
    + [f"two: DEBUG {words}" for words in (
        "ERROR whatever", "LISTPACK none", "LISTPACK l", "LISTPACK h", "QUICKLIST l", "QUICKLIST h", "SDSLEN h", "SDSLEN n",
        "SDSLEN none", "HTSTATS x", "HTSTATS 99", "HTSTATS-KEY none", "SET-SKIP-CHECKSUM-VALIDATION 0", "POPULATE -1", "POPULATE x", "POPULATE 2 p 3", "SLEEP 0", "LOG hello",
        "CHANGE-REPL-ID", "REPLYBUFFER RESIZING 0", "QUICKLIST-PACKED-THRESHOLD 100b", "SET-DISABLE-DENY-SCRIPTS 1", "LEAK x",
        "DROP-CLUSTER-PACKET-FILTER 1", "NOSUCH",
    )]
)  # fmt: skip
# Lists that fit one node are listpacks since 7.2; unknown subcommands are named in other words since.
NEWER = {"two: DEBUG LISTPACK l", "two: DEBUG NOSUCH", "three: HELLO 3"}


def test_debug_replies_as_redis_does(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    expected = play(SCRIPT, redis_server().port)
    got = play(SCRIPT, rotom("--enable-debug-command", "yes").port)
    for (line, theirs), (_, ours) in zip(expected, got, strict=True):
        assert line in NEWER or ours == theirs, line


@pytest.mark.parametrize(("pattern", "text", "matches"), [("a*", "abc", 1), ("b*", "abc", 0), ("[^a-b]?", "cd", 1)])
def test_debug_stringmatch_len_tries_a_pattern(
    rotom: Callable[..., RotomServer], pattern: str, text: str, matches: int
) -> None:
    with rotom("--enable-debug-command", "yes").client() as client:
        assert client.execute_command("DEBUG", "STRINGMATCH-LEN", pattern, text) == matches
