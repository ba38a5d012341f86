"""Random commands over all families, for sending to two servers."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.differential.stream_commands import stream_commands

Word = str | bytes
Command = list[Word]

KEYS = [b"k%d" % i for i in range(6)]
VALUES = [
    b"", b"a", b"1", b"-5", b"10", b"3.5", b"abc", b"x" * 70, b"\xff\x00", b"9223372036854775807", b"hello world", b"0",
    b"007", b"1e3", b"-0", b"z" * 9000,
]  # fmt: skip
INTEGERS = [b"0", b"1", b"-1", b"2", b"-2", b"5", b"100", b"-100", b"x", b"9223372036854775807", b""]
FLOATS = [b"1", b"2.5", b"-3", b"inf", b"-inf", b"0", b"1e2", b"nan", b"abc", b"0.25", b"-0"]
SCORES = [b"-inf", b"+inf", b"(1", b"1", b"2.5", b"(2.5", b"0", b"5", b"x"]
LEX_KEY = b"lex"  # all scores equal: elsewhere lexicographic ranges are undefined
LEX_BOUNDS = [b"-", b"+", b"[a", b"(a", b"[1", b"(x", b"a", b"[abc", b"[", b"("]


class Generator:
    """Commands from a seed or a source of chance; `next()` gives the next one."""

    def __init__(self, source: int | random.Random) -> None:
        self.random = random.Random(source) if isinstance(source, int) else source
        self.choices = self.table()

    def next(self) -> Command:
        return self.random.choice(self.choices)()

    def pick(self, values: list[bytes]) -> bytes:
        return self.random.choice(values)

    def key(self) -> bytes:
        return self.pick(KEYS)

    def value(self) -> bytes:
        return self.pick(VALUES)

    def some(self, one: Callable[[], bytes], most: int = 3) -> list[Word]:
        return [one() for _ in range(self.random.randint(1, most))]

    def pairs(self, first: Callable[[], bytes], second: Callable[[], bytes]) -> list[Word]:
        return [word for _ in range(self.random.randint(1, 3)) for word in (first(), second())]

    def option(self, *options: str) -> list[Word]:
        """One of the option strings, as words."""
        return list(self.random.choice(options).split())

    def table(self) -> list[Callable[[], Command]]:
        k, v, some, pairs, o = self.key, self.value, self.some, self.pairs, self.option

        def i() -> bytes:
            return self.pick(INTEGERS)

        def f() -> bytes:
            return self.pick(FLOATS)

        def s() -> bytes:
            return self.pick(SCORES)

        def x() -> bytes:
            return self.pick(LEX_BOUNDS)

        strings: list[Callable[[], Command]] = [
            lambda: ["SET", k(), v(), *o("", "", "nx", "xx", "get", "keepttl", "ex 100", "px 0", "nx get", "ex x", "bad")],
            lambda: ["GET", k()], lambda: ["GETSET", k(), v()], lambda: ["GETDEL", k()], lambda: ["APPEND", k(), v()],
            lambda: ["STRLEN", k()], lambda: ["INCR", k()], lambda: ["DECR", k()], lambda: ["INCRBY", k(), i()],
            lambda: ["DECRBY", k(), i()], lambda: ["INCRBYFLOAT", k(), f()], lambda: ["GETRANGE", k(), i(), i()],
            lambda: ["SETRANGE", k(), *o("0", "5", "-1", "20"), v()], lambda: ["MGET", *some(k)],
            lambda: ["MSET", *pairs(k, v)], lambda: ["MSETNX", *pairs(k, v)], lambda: ["SETNX", k(), v()],
            lambda: ["LCS", k(), k(), *o("", "len", "idx", "idx withmatchlen", "idx minmatchlen 2", "len idx")],
            lambda: ["GETEX", k(), *o("", "persist", "ex 100", "px 100000", "ex 0", "persist ex 1")],
            lambda: ["SETEX", k(), *o("100", "0", "x"), v()],
        ]  # fmt: skip
        lists: list[Callable[[], Command]] = [
            lambda: ["LPUSH", k(), *some(v)], lambda: ["RPUSH", k(), *some(v)], lambda: ["LPUSHX", k(), *some(v)],
            lambda: ["RPUSHX", k(), v()], lambda: ["LPOP", k()], lambda: ["LPOP", k(), i()], lambda: ["RPOP", k()],
            lambda: ["RPOP", k(), i()], lambda: ["LLEN", k()], lambda: ["LRANGE", k(), i(), i()],
            lambda: ["LINDEX", k(), i()], lambda: ["LSET", k(), i(), v()], lambda: ["LREM", k(), i(), v()],
            lambda: ["LINSERT", k(), *o("before", "after", "x"), v(), v()], lambda: ["LTRIM", k(), i(), i()],
            lambda: ["RPOPLPUSH", k(), k()], lambda: ["LMOVE", k(), k(), *o("left right", "right left", "up left")],
            lambda: ["LPOS", k(), v(), *o("", "rank 2", "rank -1", "rank 0", "count 0", "maxlen 2", "rank -1 count 0")],
            lambda: ["LMPOP", *o("1", "2", "0", "x"), k(), k(), *o("left", "right"), "count", i()],
        ]  # fmt: skip
        sets: list[Callable[[], Command]] = [
            lambda: ["SADD", k(), *some(v, 5)], lambda: ["SREM", k(), *some(v)], lambda: ["SISMEMBER", k(), v()],
            lambda: ["SMISMEMBER", k(), *some(v)], lambda: ["SCARD", k()], lambda: ["SMEMBERS", k()],
            lambda: ["SMOVE", k(), k(), v()], lambda: ["SINTER", *some(k)], lambda: ["SUNION", *some(k)],
            lambda: ["SDIFF", *some(k)], lambda: ["SINTERSTORE", k(), *some(k)], lambda: ["SUNIONSTORE", k(), *some(k)],
            lambda: ["SDIFFSTORE", k(), *some(k)], lambda: ["SPOP", k(), "0"], lambda: ["SPOP", k(), "100"],
            lambda: ["SINTERCARD", *o("1", "2", "0", "x", "5"), k(), k(), *o("", "limit 1", "limit -1", "limit x")],
        ]  # fmt: skip
        hashes: list[Callable[[], Command]] = [
            lambda: ["HSET", k(), *pairs(v, v)], lambda: ["HMSET", k(), *pairs(v, v)], lambda: ["HSETNX", k(), v(), v()],
            lambda: ["HGET", k(), v()], lambda: ["HMGET", k(), *some(v)], lambda: ["HDEL", k(), *some(v)],
            lambda: ["HLEN", k()], lambda: ["HEXISTS", k(), v()], lambda: ["HSTRLEN", k(), v()],
            lambda: ["HKEYS", k()], lambda: ["HVALS", k()], lambda: ["HGETALL", k()],
            lambda: ["HINCRBY", k(), v(), i()], lambda: ["HINCRBYFLOAT", k(), v(), f()], lambda: ["HSET", k(), v()],
            lambda: ["HRANDFIELD", k(), "0"], lambda: ["HRANDFIELD", k(), "2", "bad"],
        ]  # fmt: skip
        sorted_sets: list[Callable[[], Command]] = [
            lambda: ["ZADD", k(), *o("", "nx", "xx", "gt", "lt", "ch", "gt ch", "nx gt", "nx xx"), *pairs(f, v)],
            lambda: ["ZADD", k(), "incr", f(), v()], lambda: ["ZINCRBY", k(), f(), v()], lambda: ["ZCARD", k()],
            lambda: ["ZSCORE", k(), v()], lambda: ["ZMSCORE", k(), *some(v)], lambda: ["ZRANK", k(), v()],
            lambda: ["ZREVRANK", k(), v()],
            lambda: ["ZRANGE", k(), i(), i(), *o("", "withscores", "rev", "rev withscores", "limit 0 1")],
            lambda: ["ZRANGE", k(), s(), s(), "byscore", *o("", "withscores", "rev", "limit 0 2", "limit 1 -1")],
            lambda: ["ZREVRANGE", k(), i(), i()], lambda: ["ZREVRANGEBYSCORE", k(), s(), s()],
            lambda: ["ZRANGEBYSCORE", k(), s(), s(), *o("", "withscores", "limit 0 1", "limit -1 2")],
            lambda: ["ZCOUNT", k(), s(), s()], lambda: ["ZREM", k(), *some(v)],
            lambda: ["ZREMRANGEBYRANK", k(), i(), i()], lambda: ["ZREMRANGEBYSCORE", k(), s(), s()],
            lambda: ["ZPOPMIN", k()], lambda: ["ZPOPMAX", k(), i()], lambda: ["ZRANGESTORE", k(), k(), i(), i()],
            lambda: ["ZMPOP", "1", k(), *o("min", "max", "x"), "count", i()],
            lambda: ["ZUNION", "2", k(), k(), *o("", "withscores", "weights 2 -1", "weights inf 0", "aggregate min")],
            lambda: ["ZINTER", "2", k(), k(), *o("withscores", "aggregate max", "aggregate x", "weights 1")],
            lambda: ["ZDIFF", "2", k(), k(), "withscores"], lambda: ["ZDIFFSTORE", k(), "2", k(), k()],
            lambda: ["ZUNIONSTORE", k(), "2", k(), k(), *o("", "weights 1 2", "aggregate max", "withscores")],
            lambda: ["ZINTERSTORE", k(), *o("2", "0", "3"), k(), k()], lambda: ["ZINTERCARD", "2", k(), k(), "limit", "1"],
            lambda: ["ZADD", LEX_KEY, "0", v(), "0", v()], lambda: ["ZREMRANGEBYLEX", LEX_KEY, x(), x()],
            lambda: ["ZRANGEBYLEX", LEX_KEY, x(), x()], lambda: ["ZREVRANGEBYLEX", LEX_KEY, x(), x(), "limit", "0", "2"],
            lambda: ["ZRANGE", LEX_KEY, x(), x(), "bylex", *o("", "rev", "limit 1 2", "withscores")],
            lambda: ["ZLEXCOUNT", LEX_KEY, x(), x()],
        ]  # fmt: skip
        bits: list[Callable[[], Command]] = [
            lambda: ["SETBIT", k(), *o("0", "7", "100", "-1", "x", "70000"), *o("0", "1", "2")],
            lambda: ["GETBIT", k(), *o("0", "1", "100", "x")], lambda: ["BITCOUNT", k()],
            lambda: ["BITCOUNT", k(), *o("0 -1", "1 5", "-3 -1", "5 1", "0 100"), *o("", "byte", "bit")],
            lambda: ["BITPOS", k(), *o("0", "1"), *o("", "1", "0 -1", "1 5 bit", "-3 -1 byte", "9 2")],
            lambda: ["BITOP", *o("and", "or", "xor", "bad"), k(), *some(k)], lambda: ["BITOP", "not", k(), *some(k, 2)],
            lambda: ["BITFIELD", k(), *o("get u8 0", "set i16 #1 -5", "incrby u4 3 9", "overflow sat incrby i8 0 100",
                                          "overflow fail incrby u2 0 7 get u2 0", "get u64 0", "set u8 x 1", "",
                                          "incrby i64 0 9223372036854775807", "get i5 4294967290", "overflow bad get u8 0")],
            lambda: ["BITFIELD_RO", k(), *o("get u8 0", "set u8 0 1", "get i64 3")],
        ]  # fmt: skip
        sketches: list[Callable[[], Command]] = [
            lambda: ["PFADD", b"hll", *some(lambda: b"x%d" % self.random.randrange(100_000), 200)],
            lambda: ["PFADD", b"hll2", *some(lambda: b"y%d" % self.random.randrange(500), 20)], lambda: ["PFADD", b"hll3"],
            lambda: ["PFCOUNT", *some(k)], lambda: ["PFCOUNT", b"hll", b"hll2"], lambda: ["PFCOUNT", b"hll2"],
            lambda: ["PFMERGE", b"hll3", b"hll2"], lambda: ["PFMERGE", b"hll2", b"hll2"], lambda: ["GET", b"hll3"],
            lambda: ["PFMERGE", b"hll3", b"hll2", b"hll"], lambda: ["PFDEBUG", "ENCODING", b"hll2"], lambda: ["GET", b"hll2"],
            lambda: ["DEL", b"hll2"], lambda: ["DEL", b"hll3"], lambda: ["PFDEBUG", "TODENSE", b"hll3"],
        ]  # fmt: skip

        def place() -> list[Word]:
            return [f"{self.random.uniform(-180, 180):.5f}", f"{self.random.uniform(-85, 85):.5f}"]

        def member() -> bytes:
            return b"place:%d" % self.random.randrange(60)

        order = ("asc", "desc")
        geo: list[Callable[[], Command]] = [
            lambda: ["GEOADD", b"geo", *o("", "nx", "xx", "ch", "nx ch"), *place(), member(), *place(), member()],
            lambda: ["GEOADD", b"geo", *o("200 1", "1 86", "x 1", "1"), member()],
            lambda: ["GEOPOS", b"geo", member(), b"none"], lambda: ["GEOHASH", b"geo", member(), b"none"],
            lambda: ["GEODIST", b"geo", member(), member(), *o("", "km", "mi", "ft", "bad")],
            lambda: ["GEOSEARCH", b"geo", "FROMLONLAT", *place(), "BYRADIUS", *o("1000 km", "5000 mi", "20000 km", "0 m"),
                     *o(*order), *o("", "withdist", "withhash withcoord", "count 3", "count 3 any asc")],
            lambda: ["GEOSEARCH", b"geo", "FROMMEMBER", member(), "BYBOX", *o("3000 2000 km", "100 9000 mi", "1 -1 m"),
                     *o(*order), *o("", "withdist", "count 0", "any", "bad")],
            lambda: ["GEORADIUS", b"geo", *place(), *o("3000 km", "-1 m", "x m", "1 bad"), *o(*order),
                     *o("", "withdist", "store geo2", "storedist geo2", "store geo2 withdist")],
            lambda: ["GEORADIUSBYMEMBER", b"geo", member(), "2000", "km", *o(*order), *o("", "withcoord")],
            lambda: ["GEORADIUS_RO", b"geo", *place(), "900", "km", "asc", *o("", "store geo2")],
            lambda: ["GEOSEARCHSTORE", b"geo2", b"geo", "FROMLONLAT", *place(), "BYRADIUS", "4000", "km", *o("", "storedist")],
            lambda: ["GEOSEARCH", b"geo", "BYRADIUS", "1", "km", "asc", "withdist"], lambda: ["ZREM", b"geo", member()],
            lambda: ["GEOSEARCH", k(), "FROMLONLAT", "1", "1", "BYRADIUS", "1", "km"],
        ]  # fmt: skip
        sorting: list[Callable[[], Command]] = [
            lambda: ["SORT", k(), *o("", "desc", "alpha", "alpha desc", "limit 0 2", "limit -1 2", "limit 1 -1", "get # alpha",
                                     "by nosort limit 0 0", "by k* get k*", "by nosort store k1", "alpha store k2",
                                     "by k*->a get k*->1", "limit x 1", "bad", "by *->a get #")],
            lambda: ["SORT_RO", k(), *o("alpha", "store k1", "desc")],
        ]  # fmt: skip
        keys: list[Callable[[], Command]] = [
            lambda: ["DEL", *some(k)], lambda: ["UNLINK", k()], lambda: ["EXISTS", *some(k)], lambda: ["TYPE", k()],
            lambda: ["RENAME", k(), k()], lambda: ["RENAMENX", k(), k()], lambda: ["TOUCH", *some(k)],
            lambda: ["COPY", k(), k(), *o("", "replace", "db 1", "db 99", "bad")], lambda: ["MOVE", k(), *o("1", "0", "99", "x")],
            lambda: ["EXPIRE", k(), *o("100", "1000", "-1", "x"), *o("", "nx", "xx", "gt", "lt", "nx gt", "gt lt", "foo")],
            lambda: ["PERSIST", k()], lambda: ["TTL", k()], lambda: ["EXPIREAT", k(), "99999999999"],
            lambda: ["EXPIRETIME", k()], lambda: ["DBSIZE"], lambda: ["KEYS", *o("*", "k[1-3]", "k?", "x*", "k[^1]")],
            lambda: ["SELECT", *o("0", "0", "0", "1", "99", "x")], lambda: ["RESTORE", k(), "0", "bad"],
            lambda: ["DUMP", "absent"], lambda: ["OBJECT", "ENCODING", "absent"], lambda: ["DEBUG", "DIGEST-VALUE", k()],
            lambda: ["PEXPIREAT", k(), "1"], lambda: ["OBJECT", "NOSUCH", k()], lambda: ["SCAN", "x"],
        ]  # fmt: skip
        others: list[Callable[[], Command]] = [
            lambda: ["MULTI"], lambda: ["EXEC"], lambda: ["EXEC"], lambda: ["DISCARD"], lambda: ["WATCH", k()],
            lambda: ["UNWATCH"], lambda: ["PING"], lambda: ["PING", v()], lambda: ["ECHO", v()], lambda: ["NOSUCH", "a", "b"],
            lambda: ["GET"], lambda: ["GET", "a", "b"], lambda: ["CLIENT", "NOSUCH"], lambda: ["CONFIG", "SET", "x", "y"],
        ]  # fmt: skip
        rare: list[Callable[[], Command]] = [lambda: ["FLUSHDB"], lambda: ["SWAPDB", "0", "1"], lambda: ["FLUSHALL"]]
        streams = stream_commands(self)
        common = (
            strings + lists + sets + hashes + sorted_sets + bits + sketches + geo + streams + sorting + keys + others
        )
        return common * 5 + rare
