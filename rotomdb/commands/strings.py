"""String commands."""

from __future__ import annotations

from rotomdb.commands.arguments import Options, parse_int
from rotomdb.commands.conditional_strings import CONDITION_WORDS, Condition, condition_option
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import (
    NOT_A_FLOAT,
    STRING_TOO_LONG,
    syntax_error,
    wrong_arguments,
)
from rotomdb.commands.expiry import EXPIRE_WORDS, absolute_ms, expire_option
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    DENYOOM,
    FAST,
    READONLY,
    WRITE,
    Bytes,
    Int,
    Key,
    command,
)
from rotomdb.commands.reply import OK, MapReply
from rotomdb.engine import number, strings, subsequence
from rotomdb.errors import CommandError

GROUP = "string"
MGET_PART = 64  # values that are there at once


@command("GET", since="1.0.0", flags=READONLY | FAST, group=GROUP)
def get(ctx: Context, key: Key) -> bytes | None:
    """Returns the string value of a key."""
    return strings.get(ctx.db, key)


@command(
    "SET",
    since="1.0.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    keys="RW access update variable_flags",
    syntax="key value [condition=(NX | XX)] [GET] [expiration=(EX seconds:integer | PX milliseconds:integer | "
    "EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | KEEPTTL)]",
)
def set_(ctx: Context, key: Key, value: Bytes, *options: Bytes) -> object:
    """Sets the string value of a key, ignoring its type. The key is created if it doesn't exist."""
    if options:
        return set_with_options(ctx, key, value, options)
    strings.set(ctx.db, key, value)
    ctx.changed(key, "set")
    return OK


def set_with_options(ctx: Context, key: bytes, value: bytes, words: tuple[bytes, ...]) -> object:
    only_absent = only_present = keep_ttl = want_old = False
    expire_ms: int | None = None
    verbatim_expire = False
    condition: Condition | None = None
    options = Options(words)
    while options:
        word = options.next()
        if word == b"NX" and not only_present and condition is None:
            only_absent = True
        elif word == b"XX" and not only_absent and condition is None:
            only_present = True
        elif word in CONDITION_WORDS and options and not (only_absent or only_present) and condition is None:
            condition = condition_option(word, options)
        elif word == b"GET":
            want_old = True
        elif word == b"KEEPTTL" and expire_ms is None:
            keep_ttl = True
        elif word in EXPIRE_WORDS and expire_ms is None and not keep_ttl:
            expire_ms = expire_option(ctx, word, options)
            verbatim_expire = word == b"PXAT"
        else:
            raise syntax_error()
    old = strings.get(ctx.db, key) if want_old or condition is not None else None
    exists = old is not None or ctx.db.exists(key)
    if (only_absent and exists) or (only_present and not exists) or not (condition is None or condition(old)):
        return old if want_old else None
    strings.set(ctx.db, key, value, keep_ttl or expire_ms is not None)
    ctx.changed(key, "set")
    if expire_ms is not None:
        ctx.db.set_expire_at(key, expire_ms)
        ctx.event(key, "expire")
        if not verbatim_expire or want_old or condition is not None:
            ctx.propagate(b"SET", key, value, b"PXAT", expire_ms)
    elif condition is not None:
        ctx.propagate(b"SET", key, value, *([b"KEEPTTL"] if keep_ttl else []))
    elif want_old:
        ctx.propagate(b"SET", key, value, *[word for word in words if word.upper() != b"GET"])
    return old if want_old else OK


@command("SETNX", since="1.0.0", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="OW insert")
def setnx(ctx: Context, key: Key, value: Bytes) -> int:
    """Set the string value of a key only when the key doesn't exist."""
    if ctx.db.exists(key):
        return 0
    strings.set(ctx.db, key, value)
    ctx.changed(key, "set")
    return 1


def set_with_expire(ctx: Context, key: bytes, amount: int, unit_ms: int, value: bytes) -> object:
    expire_ms = absolute_ms(ctx, amount, unit_ms, relative=True)
    strings.set(ctx.db, key, value, True)
    ctx.db.set_expire_at(key, expire_ms)
    ctx.changed(key, "set")
    ctx.event(key, "expire")
    ctx.propagate(b"SET", key, value, b"PXAT", expire_ms)
    return OK


@command("SETEX", since="2.0.0", flags=WRITE | DENYOOM, group=GROUP, keys="OW update")
def setex(ctx: Context, key: Key, seconds: Int, value: Bytes) -> object:
    """Sets the string value and expiration time of a key. Creates the key if it doesn't exist."""
    return set_with_expire(ctx, key, seconds, 1000, value)


@command("PSETEX", since="2.6.0", flags=WRITE | DENYOOM, group=GROUP, keys="OW update")
def psetex(ctx: Context, key: Key, milliseconds: Int, value: Bytes) -> object:
    """Sets both string value and expiration time in milliseconds of a key."""
    return set_with_expire(ctx, key, milliseconds, 1, value)


@command(
    "GETSET",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.READS_KEYS,
    group=GROUP,
    keys="RW access update",
)
def getset(ctx: Context, key: Key, value: Bytes) -> bytes | None:
    """Returns the previous string value of a key after setting it to a new value."""
    old = strings.get(ctx.db, key)
    strings.set(ctx.db, key, value)
    ctx.changed(key, "set")
    ctx.propagate(b"SET", key, value)
    return old


@command(
    "GETDEL", since="6.2.0", flags=WRITE | FAST, properties=Property.READS_KEYS, group=GROUP, keys="RW access delete"
)
def getdel(ctx: Context, key: Key) -> bytes | None:
    """Returns the string value of a key after deleting the key."""
    value = strings.get(ctx.db, key)
    if value is not None:
        ctx.db.delete(key)
        ctx.changed(key, "del")
        ctx.propagate(b"DEL", key)
    return value


@command(
    "GETEX",
    since="6.2.0",
    flags=WRITE | FAST,
    properties=Property.READS_KEYS,
    group=GROUP,
    keys="RW access update",
    syntax="key [expiration=(EX seconds:integer | PX milliseconds:integer | EXAT unix-time-seconds:unix-time | "
    "PXAT unix-time-milliseconds:unix-time | PERSIST)]",
)
def getex(ctx: Context, key: Key, *options: Bytes) -> bytes | None:
    """Returns the string value of a key after setting its expiration time."""
    persist, unit, amount = False, b"", b""
    words = Options(options)
    while words:
        word = words.next()
        if word == b"PERSIST" and not unit:
            persist = True
        elif word in EXPIRE_WORDS and not unit and not persist:
            unit, amount = word, words.value()
        else:
            raise syntax_error()
    value = strings.get(ctx.db, key)
    if value is None:
        return None
    expire_ms = absolute_ms(ctx, parse_int(amount), *EXPIRE_WORDS[unit]) if unit else None
    if expire_ms is not None and unit.endswith(b"AT") and expire_ms < ctx.now_ms:
        ctx.db.delete(key)
        ctx.changed(key, "del")
        ctx.propagate(b"DEL", key)
    elif expire_ms is not None:
        ctx.db.set_expire_at(key, expire_ms)
        ctx.changed(key, "expire")
        ctx.propagate(b"PEXPIREAT", key, expire_ms)
    elif persist and ctx.db.expire_at(key) != -1:
        ctx.db.set_expire_at(key, -1)
        ctx.changed(key, "persist")
        ctx.propagate(b"PERSIST", key)
    return value


@command(
    "MGET",
    since="1.0.0",
    flags=READONLY | FAST,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    syntax="key...",
    tips="request_policy:multi_shard",
)
def mget(ctx: Context, *keys: Key) -> object:
    """Atomically returns the string values of one or more keys."""
    if len(keys) <= MGET_PART:
        return strings.get_many(ctx.db, keys)
    parts = (strings.get_many(ctx.db, keys[at : at + MGET_PART]) for at in range(0, len(keys), MGET_PART))
    return ctx.in_parts(list, len(keys), parts)


@command(
    "MSET",
    since="1.0.1",
    flags=WRITE | DENYOOM,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="1..-1/2 OW update",
    syntax="<key value>...",
    tips="request_policy:multi_shard response_policy:all_succeeded",
)
def mset(ctx: Context, *pairs: Bytes) -> object:
    """Atomically creates or modifies the string values of one or more keys."""
    if len(pairs) % 2:
        raise wrong_arguments("mset")
    store_pairs(ctx, pairs)
    return OK


def store_pairs(ctx: Context, pairs: tuple[bytes, ...]) -> None:
    strings.set_many(ctx.db, pairs)
    for key in pairs[::2]:
        ctx.changed(key, "set")


@command(
    "MSETNX",
    since="1.0.1",
    flags=WRITE | DENYOOM,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="1..-1/2 OW insert",
    syntax="<key value>...",
    tips="request_policy:multi_shard response_policy:agg_min",
)
def msetnx(ctx: Context, *pairs: Bytes) -> int:
    """Atomically modifies the string values of one or more keys only when all keys don't exist."""
    if len(pairs) % 2:
        raise wrong_arguments("msetnx")
    if any(ctx.db.exists(key) for key in pairs[::2]):
        return 0
    store_pairs(ctx, pairs)
    return 1


@command("STRLEN", since="2.2.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def strlen(ctx: Context, key: Key) -> int:
    """Returns the length of a string value."""
    return strings.length(ctx.db, key)


def check_length(ctx: Context, length: int) -> None:
    """Refuse to make a longer string; what a log holds was accepted once."""
    if length > ctx.engine.string_max_bytes and not ctx.replaying:
        raise CommandError(STRING_TOO_LONG)


@command("APPEND", since="2.0.0", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="RW insert")
def append(ctx: Context, key: Key, value: Bytes) -> int:
    """Appends a string to the value of a key. Creates the key if it doesn't exist."""
    check_length(ctx, strings.length(ctx.db, key) + len(value))
    length = strings.append(ctx.db, key, value)
    ctx.changed(key, "append")
    return length


@command("GETRANGE", since="2.4.0", flags=READONLY, group=GROUP, complexity="O(N)")
def getrange(ctx: Context, key: Key, start: Int, end: Int) -> bytes:
    """Returns a substring of the string stored at a key."""
    return strings.get_range(ctx.db, key, start, end)


@command("SUBSTR", since="1.0.0", flags=READONLY, group=GROUP, complexity="O(N)")
def substr(ctx: Context, key: Key, start: Int, end: Int) -> bytes:
    """Returns a substring from a string value."""
    return strings.get_range(ctx.db, key, start, end)


@command("SETRANGE", since="2.2.0", flags=WRITE | DENYOOM, group=GROUP)
def setrange(ctx: Context, key: Key, offset: Int, value: Bytes) -> int:
    """Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist."""
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    if not value:
        return strings.length(ctx.db, key)
    strings.length(ctx.db, key)  # a wrong type is the error that comes first
    check_length(ctx, offset + len(value))
    length = strings.set_range(ctx.db, key, offset, value)
    ctx.changed(key, "setrange")
    return length


@command("INCR", since="1.0.0", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="RW access update")
def incr(ctx: Context, key: Key) -> int:
    """Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."""
    value = strings.increment(ctx.db, key, 1)
    ctx.changed(key, "incrby")
    return value


@command("DECR", since="1.0.0", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="RW access update")
def decr(ctx: Context, key: Key) -> int:
    """Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."""
    value = strings.increment(ctx.db, key, -1)
    ctx.changed(key, "incrby")
    return value


@command(
    "INCRBY",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    keys="RW access update",
    syntax="key increment:integer",
)
def incrby(ctx: Context, key: Key, amount: Int) -> int:
    """Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist."""
    value = strings.increment(ctx.db, key, amount)
    ctx.changed(key, "incrby")
    return value


@command(
    "DECRBY",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    keys="RW access update",
    syntax="key decrement:integer",
)
def decrby(ctx: Context, key: Key, amount: Int) -> int:
    """Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist."""
    if amount == -(1 << 63):
        raise CommandError("ERR decrement would overflow")
    value = strings.increment(ctx.db, key, -amount)
    ctx.changed(key, "incrby")
    return value


@command(
    "INCRBYFLOAT",
    since="2.6.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    keys="RW access update",
    syntax="key increment:double",
)
def incrbyfloat(ctx: Context, key: Key, amount: Bytes) -> bytes:
    """Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist."""
    value = strings.peek(ctx.db, key)
    if not (value is None or number.is_long_double(value)) or not number.is_long_double(amount):
        raise CommandError(NOT_A_FLOAT)
    total = number.add_long_doubles(value or b"0", amount)
    if total is None:
        raise CommandError("ERR increment would produce NaN or Infinity")
    strings.set_built(ctx.db, key, total, True, False)
    ctx.changed(key, "incrbyfloat")
    ctx.propagate(b"SET", key, total, b"KEEPTTL")
    return total


@command(
    "LCS",
    since="7.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N*M)",
    syntax="key1:key key2:key@0 [LEN] [IDX] [MINMATCHLEN len:integer] [WITHMATCHLEN]",
)
def lcs(ctx: Context, key1: Key, key2: Key, *options: Bytes) -> object:
    """Finds the longest common substring."""
    if not all(name in (None, b"string") for name in (ctx.db.type_name(key1), ctx.db.type_name(key2))):
        raise CommandError("ERR The specified keys must contain string values")
    want_length = want_matches = with_lengths = False
    minimum = 0
    words = Options(options)
    while words:
        word = words.next()
        if word == b"IDX":
            want_matches = True
        elif word == b"LEN":
            want_length = True
        elif word == b"WITHMATCHLEN":
            with_lengths = True
        elif word == b"MINMATCHLEN" and words:
            minimum = max(words.integer(), 0)
        else:
            raise syntax_error()
    if want_length and want_matches:
        raise CommandError("ERR If you want both the length and indexes, please just use IDX.")
    a, b = strings.peek(ctx.db, key1) or b"", strings.peek(ctx.db, key2) or b""
    if subsequence.table_bytes(a, b) > ctx.engine.string_max_bytes:
        raise CommandError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    try:
        sequence, matches = subsequence.longest_common_subsequence(a, b)
    except MemoryError:
        raise CommandError("ERR Insufficient memory, failed allocating transient memory for LCS") from None
    if want_length:
        return len(sequence)
    if not want_matches:
        return sequence
    found: list[object] = []
    for a_start, b_start, length in matches:
        if length >= minimum:
            row: list[object] = [[a_start, a_start + length - 1], [b_start, b_start + length - 1]]
            found.append([*row, length] if with_lengths else row)
    return MapReply([b"matches", found, b"len", len(sequence)])
