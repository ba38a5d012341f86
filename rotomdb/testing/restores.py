"""RESTORE of payloads with wrong structure, and the commands of its type on whatever was accepted.

A decoder that lets something unsound in harms nobody until a command walks over it. So what comes through is read, written to,
copied, dumped and restored, and deleted, by a server without sockets in this process. Beside crashes and hangs, an internal
error counts as a problem, a dump that does not come back as it was, and a payload on which the loader and the walker of the
tools are not of one mind.
"""

from __future__ import annotations

import random
from typing import Any

from rotomdb.commands.digest import Digest, mix_value
from rotomdb.commands.dispatch import Context
from rotomdb.errors import CommandError, RdbUnsupportedTypeError, RdbValueError
from rotomdb.formats.rdb.dump_payload import unseal
from rotomdb.formats.rdb.walker import RdbWalker
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.server.logger import Logger
from rotomdb.server.server import Server

HIGHEST_HELD_TYPE = 25
MODULE_TYPE = 7
COMMANDS_PER_VALUE = 12
PLACES = ("0", "1", "-1", "3", "-7", "100", "4611686018427387904", "-9223372036854775808", "9223372036854775807")
TEXTS = ("a", "field", "7", "-129", "x" * 63, "q" * 5000, "", "\0")

GENERAL = """
    TYPE k|OBJECT ENCODING k|OBJECT FREQ k|OBJECT IDLETIME k|MEMORY USAGE k SAMPLES 0|DEBUG OBJECT k|DEBUG LISTPACK k|RENAME k k2|
    COPY k k2 REPLACE|DUMP k|EXPIRE k 100|PERSIST k|SORT k ALPHA|SORT k BY nosort GET # STORE k2|TOUCH k|SCAN 0 COUNT 1000|
    DEBUG DIGEST-VALUE k|DEBUG STRINGMATCH-LEN 10 k|KEYS *
"""
BY_TYPE = {
    "string": """
        GET k|STRLEN k|GETRANGE k n n|APPEND k t|SETRANGE k 5 t|INCR k|DECRBY k n|INCRBYFLOAT k 1.5|BITCOUNT k n n|BITPOS k 1 n|
        BITFIELD k SET u8 #3 200 GET i16 0 INCRBY i64 7 n|SETBIT k 77 1|GETBIT k 9|PFADD k t a b c|PFCOUNT k|PFCOUNT k k2|PFMERGE k2 k|
        PFMERGE k k2|PFADD k2 t|PFDEBUG GETREG k|PFDEBUG TODENSE k|PFDEBUG ENCODING k|LCS k k2 IDX|BITOP XOR k2 k k2|GETEX k|SUBSTR k n n
    """,
    "list": """
        LLEN k|LRANGE k n n|LRANGE k 0 -1|LINDEX k n|LINSERT k BEFORE t t|LPUSH k t t|RPUSH k t|LPOP k|RPOP k 3|LSET k n t|LREM k n t|
        LTRIM k n n|LPOS k t RANK -1 COUNT 0|LMOVE k k2 LEFT RIGHT|LMOVE k k LEFT RIGHT|LMPOP 1 k LEFT COUNT 3
    """,
    "set": """
        SCARD k|SMEMBERS k|SISMEMBER k t|SMISMEMBER k t t|SADD k t n|SREM k t n|SPOP k|SPOP k 3|SRANDMEMBER k -9|SRANDMEMBER k 5|
        SSCAN k 0 COUNT 100|SINTER k k2|SUNIONSTORE k2 k|SDIFF k k2|SINTERCARD 1 k|SMOVE k k2 t
    """,
    "zset": """
        ZCARD k|ZRANGE k n n WITHSCORES|ZRANGE k -inf +inf BYSCORE LIMIT 0 5|ZREVRANGE k 0 -1|ZRANGEBYLEX k - +|ZADD k 1 t|ZADD k INCR 2 t|
        ZADD k -inf t|ZADD k inf t|ZINCRBY k inf t|ZREM k t|ZSCORE k t|ZMSCORE k t t|ZRANK k t WITHSCORE|ZCOUNT k -inf 5|ZLEXCOUNT k [a (z|
        ZPOPMIN k|ZPOPMAX k 2|ZRANDMEMBER k -5 WITHSCORES|ZREMRANGEBYRANK k n n|ZREMRANGEBYSCORE k 1 2|ZREMRANGEBYLEX k [a [b|
        ZSCAN k 0 COUNT 100|ZUNIONSTORE k2 1 k WEIGHTS inf|ZINTER 2 k k2|ZDIFFSTORE k2 1 k|ZRANGESTORE k2 k 0 -1|GEOPOS k t|GEODIST k t a|
        GEOHASH k t|GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 9999 km ASC WITHDIST WITHHASH WITHCOORD|GEOADD k 13 38 t|GEORADIUSBYMEMBER k t 500 km|
        ZMPOP 1 k MIN COUNT 2
    """,
    "hash": """
        HLEN k|HGETALL k|HGET k t|HMGET k t n|HSET k t t n t|HSETNX k t t|HDEL k t n|HEXISTS k t|HINCRBY k n n|HINCRBYFLOAT k t 1.5|HKEYS k|
        HVALS k|HSTRLEN k t|HRANDFIELD k -5 WITHVALUES|HRANDFIELD k 5|HSCAN k 0 COUNT 100|HEXPIRE k 100 FIELDS 1 t|HPEXPIRE k 1 FIELDS 1 t|
        HTTL k FIELDS 2 t field|HPERSIST k FIELDS 1 t|HPEXPIRETIME k FIELDS 1 t|HGETDEL k FIELDS 1 t|HGETEX k EX 100 FIELDS 1 t
    """,
    "stream": """
        XLEN k|XRANGE k - +|XREVRANGE k + - COUNT 3|XRANGE k 1 5-5|XADD k * t t|XADD k MAXLEN 2 * t t t t|XADD k 5-6 a b|XDEL k 0-1 1-0 5-5|
        XTRIM k MAXLEN 1|XTRIM k MAXLEN ~ 0|XTRIM k MINID 5|XINFO STREAM k FULL|XINFO STREAM k|XINFO GROUPS k|XINFO CONSUMERS k group-0|
        XREAD COUNT 2 STREAMS k 0|XREADGROUP GROUP group-0 c COUNT 2 STREAMS k >|XREADGROUP GROUP group-0 consumer-0 STREAMS k 0|
        XPENDING k group-0|XPENDING k group-0 - + 10|XPENDING k group-0 IDLE n - + 10|XACK k group-0 0-1 5-5|
        XCLAIM k group-0 c 0 0-1 5-5 JUSTID|XCLAIM k group-0 c 0 0-1 FORCE|XAUTOCLAIM k group-0 c 0 0|XGROUP CREATE k new n|
        XGROUP SETID k group-0 $ ENTRIESREAD n|XGROUP DELCONSUMER k group-0 consumer-0|XGROUP DESTROY k group-1|XSETID k 99999999999999-0|
        XGROUP CREATECONSUMER k group-0 t|XDELEX k KEEPREF IDS 1 0-1|XACKDEL k group-0 IDS 1 5-5
    """,
}


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.replace("\n", "").split("|") if line.strip()]


GENERAL_COMMANDS = lines(GENERAL)
COMMANDS = {kind.encode(): lines(text) for kind, text in BY_TYPE.items()}


class Problem(Exception):
    """What must not happen."""


class PayloadUser:
    """A server without sockets or files."""

    def __init__(self) -> None:
        config = Config()
        load_words(
            config,
            ["--port", "0", "--save", "", "--appendonly", "no", "--proto-max-bulk-len", "4mb", "--loglevel", "warning"],
        )
        self.server = Server(config, log=Logger("warning", ""))
        self.server.reactor.close()
        self.dispatcher = self.server.dispatcher
        self.dispatcher.on_internal_error = self.note
        self.dispatcher.on_block = self.dispatcher.on_block_until = None
        self.context = Context(self.dispatcher)
        self.db = self.context.db
        self.traces: list[str] = []
        self.accepted = 0

    def note(self, trace: str) -> None:
        self.traces.append(trace)

    def run(self, *words: bytes) -> Any:
        """The reply, or the error that it is."""
        value = self.dispatcher.execute(self.context, list(words))
        self.dispatcher.stream.take()
        if self.traces:
            raise Problem(f"{b' '.join(words)[:200]!r}: {self.traces.pop()}")
        return value

    def use(self, payload: bytes, rng: random.Random) -> None:
        """RESTORE it, and all that follows. Raises Problem."""
        reply = self.run(b"RESTORE", b"k", b"0", payload, b"REPLACE")
        held = not isinstance(reply, CommandError)
        judge(payload, held)
        if held:
            self.accepted += 1
            self.comes_back()
            for words in self.commands(rng):
                self.run(*words)
            if self.db.exists(b"k"):
                self.comes_back()
        self.run(b"FLUSHALL")

    def commands(self, rng: random.Random) -> list[list[bytes]]:
        kind = self.db.type_name(b"k")
        if kind is None:
            return []  # the last of its fields has expired
        own = COMMANDS[kind]
        chosen = [rng.choice(own if rng.random() < 0.8 else GENERAL_COMMANDS) for _ in range(COMMANDS_PER_VALUE)]
        return [[self.word(word, rng) for word in words] for words in chosen]

    def word(self, word: str, rng: random.Random) -> bytes:
        if word == "n":
            return rng.choice(PLACES).encode()
        return (rng.choice(TEXTS) if word == "t" else word).encode()

    def digest(self, key: bytes) -> bytes:
        digest = Digest()
        mix_value(digest, self.db, key)
        return digest.bytes()

    def comes_back(self) -> None:
        """A dump of the value restores to the same value."""
        dumped = self.run(b"DUMP", b"k")
        if self.db.type_name(b"k") is None:
            return  # its last field has expired meanwhile
        before = self.digest(b"k")
        reply = self.run(b"RESTORE", b"again", b"0", dumped, b"REPLACE")
        if isinstance(reply, CommandError):
            raise Problem(f"its dump is refused: {reply}")
        self.run(b"PERSIST", b"k")
        if self.db.type_name(b"again") is None or self.db.type_name(b"k") is None:
            return
        if self.digest(b"again") not in (before, self.digest(b"k")):
            raise Problem("its dump holds another value")


def judge(payload: bytes, restored: bool) -> None:
    """The walker of the tools finds fault with what the loader refuses, and with nothing else."""
    unsealed = unseal(payload)
    assert unsealed is not None
    if not unsealed.body or unsealed.body[0] > HIGHEST_HELD_TYPE:
        return
    walker, sink = RdbWalker(unsealed.body[:1].tobytes() + b"\x01k" + unsealed.body[1:].tobytes()), CheckSink()
    try:
        walker.walk(sink, None, 1, len(payload))
    except RdbUnsupportedTypeError:
        return
    except RdbValueError as error:
        if restored:
            raise Problem(f"restored, but the walker refuses it: {error}") from None
        return
    if not restored and not sink.empty and unsealed.body[0] != MODULE_TYPE:
        raise Problem("refused, but the walker finds nothing wrong")
