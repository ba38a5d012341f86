"""Compare and then write: the conditions of SET and DELEX, digests of values, and MSETEX (Redis 8.4)."""

from __future__ import annotations

from collections.abc import Callable

import xxhash

from rotomdb.commands.arguments import Options, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error, wrong_arguments
from rotomdb.commands.expiry import EXPIRE_WORDS, expire_option
from rotomdb.commands.registry import DENYOOM, FAST, READONLY, WRITE, Bytes, Key, command
from rotomdb.engine import strings
from rotomdb.errors import CommandError

GROUP = "string"
CONDITION_WORDS = (b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE")
DIGEST_LENGTH = 16  # hexadecimal digits
HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")

Condition = Callable[[bytes | None], bool]


def digest_of(value: bytes) -> bytes:
    """XXH3 in 64 bits, as hexadecimal digits."""
    return xxhash.xxh3_64_hexdigest(value).encode()


def condition_option(word: bytes, options: Options) -> Condition:
    """The test that IFEQ, IFNE, IFDEQ or IFDNE and its argument put on the held value (None: no key)."""
    wanted = options.value()
    if word == b"IFEQ":
        return lambda held: held == wanted
    if word == b"IFNE":
        return lambda held: held != wanted
    if len(wanted) != DIGEST_LENGTH or not HEXADECIMAL.issuperset(wanted):
        raise CommandError(f"ERR {word.decode()} digest must be exactly {DIGEST_LENGTH} hexadecimal characters")
    wanted = wanted.lower()
    if word == b"IFDEQ":
        return lambda held: held is not None and digest_of(held) == wanted
    return lambda held: held is None or digest_of(held) != wanted


@command("DIGEST", since="8.4.0", flags=READONLY | FAST, group=GROUP, complexity="O(N)")
def digest(ctx: Context, key: Key) -> bytes | None:
    """Returns the XXH3 hash of a string value as a hexadecimal string."""
    value = strings.get(ctx.db, key)
    return None if value is None else digest_of(value)


@command(
    "DELEX",
    since="8.4.0",
    flags=WRITE | FAST,
    group=GROUP,
    complexity="O(1)",
    keys="RM delete",
    syntax="key [condition=(IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest)]",
)
def delex(ctx: Context, key: Key, *options: Bytes) -> int:
    """Conditionally removes the specified key based on value or hash digest comparison."""
    words = Options(options)
    condition: Condition | None = None
    if words:
        if len(options) != 2:
            raise wrong_arguments("delex")
        word = words.next()
        if word not in CONDITION_WORDS:
            raise syntax_error()
        condition = condition_option(word, words)
    if condition is not None:
        if ctx.db.type_name(key) not in (None, b"string"):
            raise CommandError("ERR Key should be of string type if conditions are specified")
        held = strings.peek(ctx.db, key)
        if held is None or not condition(held):
            return 0
    if not ctx.db.delete(key):
        return 0
    ctx.changed(key, "del")
    ctx.propagate(b"DEL", key)
    return 1


@command(
    "MSETEX",
    since="8.4.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    keys="#1/2 OW update",
    syntax="numkeys:integer data=<key value>... [condition=(NX | XX)] [expiration=(EX seconds:integer | PX "
    "milliseconds:integer | EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | "
    "KEEPTTL)]",
    tips="request_policy:multi_shard response_policy:all_succeeded",
)
def msetex(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> int:
    """Atomically sets multiple string keys with an optional shared expiration."""
    count = parse_ranged_int(numkeys, 1, (1 << 31) - 1, "ERR invalid numkeys value")
    if count * 2 > len(arguments):
        raise CommandError("ERR wrong number of key-value pairs")
    pairs, words = arguments[: count * 2], Options(arguments[count * 2 :])
    existing = b""
    expire_ms: int | None = None
    keep_ttl = False
    while words:
        word = words.next()
        if word in (b"NX", b"XX") and not existing:
            existing = word
        elif word == b"KEEPTTL" and expire_ms is None:
            keep_ttl = True
        elif word in EXPIRE_WORDS and expire_ms is None and not keep_ttl:
            expire_ms = expire_option(ctx, word, words)
        else:
            raise syntax_error()
    keys = pairs[::2]
    present = [ctx.db.exists(key) for key in keys] if existing else []
    if (existing == b"NX" and any(present)) or (existing == b"XX" and not all(present)):
        return 0
    for key, value in zip(keys, pairs[1::2], strict=True):
        strings.set(ctx.db, key, value, keep_ttl or expire_ms is not None)
        ctx.changed(key, "set")
        # Written down as what every server knows.
        if expire_ms is not None:
            ctx.db.set_expire_at(key, expire_ms)
            ctx.event(key, "expire")
            ctx.propagate(b"SET", key, value, b"PXAT", expire_ms)
        else:
            ctx.propagate(b"SET", key, value, *([b"KEEPTTL"] if keep_ttl else []))
    return 1
