"""Random stream commands, with IDs that both servers choose alike and without replies that depend on the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.differential.generator import Command, Generator

STREAMS = [b"s%d" % i for i in range(3)]
GROUPS = [b"g1", b"g2", b"g\xff"]
CONSUMERS = [b"alice", b"bob", b"carol"]
ODD_IDS = [b"0", b"0-0", b"5", b"5-1", b"18446744073709551615", b"x", b"-", b"+", b"$", b"1-2-3", b"5-", b"", b"0-1"]
FIELDS = [b"f", b"g", b"temperature", b"1", b"-7", b""]


def stream_commands(generator: Generator) -> list[Callable[[], Command]]:
    k, v, o, pick = generator.key, generator.value, generator.option, generator.pick
    last = dict.fromkeys(STREAMS, 0)

    def s() -> bytes:
        return pick(STREAMS) if generator.random.random() < 0.95 else k()

    def recent() -> bytes:
        """An ID that may well be there."""
        if generator.random.random() < 0.1:
            return pick(ODD_IDS)
        top = max(last.values()) or 1
        return b"%d-%d" % (generator.random.randint(max(1, top - 40), top), generator.random.randrange(3))

    def above() -> bytes:
        """An ID above all others, or none: 7.2 refuses IDs below deleted entries, which 7.0 takes."""
        return b"%d-7" % (max(last.values()) + 3) if generator.random.random() < 0.8 else pick([b"x", b"+"])

    def read_from() -> bytes:
        """An ID for XREAD; `+` is new in 7.4."""
        return recent().replace(b"+", b"0")

    def add(*options: bytes | str) -> Command:
        key = s()
        last[key] = max(last.values()) + generator.random.randrange(2)
        entry = b"%d-*" % last[key] if generator.random.random() < 0.9 else recent()
        return ["XADD", key, *options, entry, *generator.pairs(lambda: pick(FIELDS), v)]

    def interval() -> list[str | bytes]:
        return (
            [*o("-", "-", "(0-1", "+", "x"), *o("+", "+", "(9-9", "-")]
            if generator.random.random() < 0.5
            else [recent(), recent()]
        )

    def g() -> bytes:
        return pick(GROUPS)

    def c() -> bytes:
        return pick(CONSUMERS)

    def many() -> list[bytes | str]:
        return [recent() for _ in range(generator.random.randint(1, 5))]

    return [
        add, add, add, add, lambda: add("NOMKSTREAM"), lambda: add(*o("maxlen 20", "maxlen = 5", "maxlen ~ 10", "maxlen -1")),
        lambda: add("minid", *o("", "=", "~"), recent()), lambda: add(*o("maxlen ~ 3 limit 10", "maxlen 3 limit 1", "limit 5")),
        lambda: add(*o("maxlen x", "minid x", "maxlen 5 minid 5", "maxlen ~ 5 limit -1")),
        lambda: ["XADD", s(), recent(), "f"], lambda: ["XLEN", s()], lambda: ["XLEN", k()],
        lambda: ["XRANGE", s(), *interval(), *o("", "", "count 2", "count 0", "count -1", "count x", "bad")],
        lambda: ["XREVRANGE", s(), *interval(), *o("", "count 3")],
        lambda: ["XDEL", s(), *many()], lambda: ["XDEL", s(), *many()],
        lambda: ["XTRIM", s(), *o("maxlen 30", "maxlen ~ 5", "maxlen 0", "maxlen ~ 0 limit 0", "bad", "maxlen 1 limit 2")],
        lambda: ["XTRIM", s(), "minid", *o("", "=", "~"), recent()],
        lambda: ["XSETID", s(), above(), *o("", "", "entriesadded 1000", "maxdeletedid 1-1", "entriesadded -1", "bad")],
        lambda: ["XREAD", *o("", "count 2", "count x", "count -1"), "streams", s(), s(), read_from(), read_from()],
        lambda: ["XREAD", "streams", s(), *o("$", ">", "0")], lambda: ["XREAD", "group", "a", "b", "streams", s(), "0"],
        lambda: ["XREAD", "noack", "streams", s(), "0"], lambda: ["XREAD", "count", "1"],
        lambda: ["XGROUP", "CREATE", s(), g(), *o("0", "$", "5-1", "x", "-"), *o("", "", "mkstream", "entriesread 3", "bad",
                                                                             "entriesread -2")],
        lambda: ["XGROUP", "CREATE", s(), g(), "0", "mkstream"],
        lambda: ["XGROUP", "SETID", s(), g(), *o("0", "$", "x"), *o("", "entriesread 5", "mkstream")],
        lambda: ["XGROUP", "SETID", s(), g(), recent()],
        lambda: ["XGROUP", "DESTROY", s(), g()] if generator.random.random() < 0.2 else ["XGROUP", "NOSUCH", s()],
        lambda: ["XGROUP", "CREATECONSUMER", s(), g(), c()], lambda: ["XGROUP", "DELCONSUMER", s(), g(), c()],
        lambda: ["XREADGROUP", "group", g(), c(), *o("", "count 3", "noack", "count 2 noack"), "streams", s(), ">"],
        lambda: ["XREADGROUP", "group", g(), c(), "count", "4", "streams", s(), ">"],
        lambda: ["XREADGROUP", "group", g(), c(), *o("", "count 2"), "streams", s(), read_from()],
        lambda: ["XREADGROUP", "group", g(), c(), "streams", s(), s(), ">", "0"],
        lambda: ["XACK", s(), g(), *many()], lambda: ["XACK", s(), g(), *many()],
        lambda: ["XPENDING", s(), g()], lambda: ["XPENDING", s(), g(), *interval(), *o("10", "0", "-1", "x", "2 alice")],
        lambda: ["XPENDING", s(), g(), "idle", *o("0", "100000", "x"), "-", "+", "10"],
        lambda: ["XPENDING", s(), g(), "-", "+"],
        lambda: ["XCLAIM", s(), g(), c(), *o("0", "0", "1000000", "x", "-1"), *many(), *o("", "justid", "force", "force justid",
                 "time 1000", "idle 5000 retrycount 7", "lastid 7-0", "bad", "retrycount x")],
        lambda: ["XAUTOCLAIM", s(), g(), c(), *o("0", "0", "1000000", "x"), *o("-", "0", "(0-1", "x"),
                 *o("", "count 2", "justid", "count 0", "bad")],
        lambda: ["XINFO", "STREAM", s()], lambda: ["XINFO", "STREAM", s(), *o("full", "full count 2", "full count 0", "bad")],
        lambda: ["XINFO", "GROUPS", s()], lambda: ["XINFO", "CONSUMERS", s(), g()],
        lambda: ["XINFO", "STREAM", "absent"], lambda: ["DEL", s()] if generator.random.random() < 0.1 else ["TYPE", s()],
lambda: ["COPY", s(), s(), "replace"] if generator.random.random() < 0.2 else ["PING"],
    ]  # fmt: skip
