"""Hash commands about the expire times of single fields."""

from __future__ import annotations

from collections.abc import Sequence

from rotomdb.commands.arguments import INT64_MAX, Options, parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown
from rotomdb.commands.expiry import EXPIRE_WORDS, invalid_expire
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import DENYOOM, FAST, READONLY, WRITE, Bytes, Key, command
from rotomdb.engine import hashes
from rotomdb.engine.hashes import NO_FIELD
from rotomdb.errors import CommandError

GROUP = "hash"
TIME_MAX_MS = ((1 << 48) - 1) >> 2  # latest time that a command may give a field
NO_TIME = -1
FIELDS_MISSING = "ERR Mandatory argument FIELDS is missing or not at the right position"
COUNT_MISMATCH = "ERR The `numfields` parameter must match the number of arguments"

# What HEXPIRE says of each field.
CONDITION_NOT_MET, TIME_SET, FIELD_DELETED = 0, 1, 2


def field_block(
    words: Sequence[bytes], count_error: str = "ERR Number of fields must be a positive integer"
) -> list[bytes]:
    """The fields in `FIELDS numfields field...`, which must be all of the words."""
    if len(words) < 2 or words[0].upper() != b"FIELDS":
        raise CommandError(FIELDS_MISSING)
    count = parse_ranged_int(words[1], 1, INT64_MAX, count_error)
    if count != len(words) - 2:
        raise CommandError(COUNT_MISMATCH)
    return list(words[2:])


def check_time(ctx: Context, value: int, unit_ms: int, relative: bool) -> int:
    """The absolute time in ms; CommandError for one that no field may have."""
    if value < 0:
        raise CommandError("ERR invalid expire time, must be >= 0")
    base = ctx.now_ms if relative else 0
    if value > TIME_MAX_MS // unit_ms or value * unit_ms > TIME_MAX_MS - base:
        raise invalid_expire(ctx)
    return value * unit_ms + base


def condition_met(condition: bytes, current: int, wanted: int) -> bool:
    """NX, XX, GT or LT; a field without an expire time counts as one that never expires."""
    if condition == b"NX":
        return current == NO_TIME
    if condition == b"XX":
        return current != NO_TIME
    if condition == b"GT":
        return current != NO_TIME and wanted > current
    if condition == b"LT":
        return current == NO_TIME or wanted < current
    return True


def delete_fields(ctx: Context, key: bytes, fields: Sequence[bytes]) -> int:
    """Remove fields whose time has come or that were asked for; the effect is an HDEL."""
    removed = hashes.delete(ctx.db, key, fields)
    if removed:
        ctx.changed(key, "hdel", removed)
        ctx.propagate(b"HDEL", key, *fields)
    return removed


def expire_fields(ctx: Context, key: bytes, words: Sequence[bytes], unit_ms: int, relative: bool) -> list[int]:
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    expire_ms = check_time(ctx, parse_int(words[0]), unit_ms, relative)
    condition, rest = b"", words[1:]
    if rest[0].upper() in (b"NX", b"XX", b"GT", b"LT"):
        condition, rest = rest[0].upper(), rest[1:]
    fields = field_block(rest, "ERR Parameter `numFields` should be greater than 0")
    past = expire_ms <= ctx.now_ms and not ctx.replaying
    outcome, changed = [], []
    for field in fields:
        (known,) = hashes.expire_times(ctx.db, key, (field,))
        if known == NO_FIELD:
            outcome.append(NO_FIELD)
        elif not condition_met(condition, known, expire_ms):
            outcome.append(CONDITION_NOT_MET)
        elif past:
            hashes.delete(ctx.db, key, (field,))
            outcome.append(FIELD_DELETED)
            changed.append(field)
        else:
            hashes.set_expire_time(ctx.db, key, field, expire_ms)
            outcome.append(TIME_SET)
            changed.append(field)
    if changed:
        ctx.changed(key, "hdel" if past else "hexpire", len(changed))
        if past:
            ctx.propagate(b"HDEL", key, *changed)
        else:
            ctx.propagate(b"HPEXPIREAT", key, expire_ms, b"FIELDS", len(changed), *changed)
    return outcome


@command(
    "HEXPIRE",
    since="7.4.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    syntax="key seconds:integer [condition=(NX | XX | GT | LT)] FIELDS fields=<numfields:integer field...>",
)
def hexpire(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Set expiry for hash field using relative time to expire (seconds)."""
    return expire_fields(ctx, key, words, 1000, True)


@command(
    "HPEXPIRE",
    since="7.4.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    syntax="key milliseconds:integer [condition=(NX | XX | GT | LT)] FIELDS fields=<numfields:integer field...>",
)
def hpexpire(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Set expiry for hash field using relative time to expire (milliseconds)."""
    return expire_fields(ctx, key, words, 1, True)


@command(
    "HEXPIREAT",
    since="7.4.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    syntax="key unix-time-seconds:unix-time [condition=(NX | XX | GT | LT)] FIELDS fields=<numfields:integer field...>",
)
def hexpireat(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Set expiry for hash field using an absolute Unix timestamp (seconds)."""
    return expire_fields(ctx, key, words, 1000, False)


@command(
    "HPEXPIREAT",
    since="7.4.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    syntax="key unix-time-milliseconds:unix-time [condition=(NX | XX | GT | LT)] FIELDS "
    "fields=<numfields:integer field...>",
)
def hpexpireat(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Set expiry for hash field using an absolute Unix timestamp (milliseconds)."""
    return expire_fields(ctx, key, words, 1, False)


# Asking


def times(ctx: Context, key: bytes, words: Sequence[bytes]) -> list[int]:
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    return hashes.expire_times(ctx.db, key, field_block(words))


@command(
    "HTTL",
    since="7.4.0",
    flags=READONLY | FAST,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def httl(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Returns the TTL in seconds of a hash field."""
    return [when if when < 0 else (when - ctx.now_ms + 999) // 1000 for when in times(ctx, key, words)]


@command(
    "HPTTL",
    since="7.4.0",
    flags=READONLY | FAST,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def hpttl(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Returns the TTL in milliseconds of a hash field."""
    return [when if when < 0 else when - ctx.now_ms for when in times(ctx, key, words)]


@command(
    "HEXPIRETIME",
    since="7.4.0",
    flags=READONLY | FAST,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def hexpiretime(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Returns the expiration time of a hash field as a Unix timestamp, in seconds."""
    return [when if when < 0 else (when + 999) // 1000 for when in times(ctx, key, words)]


@command(
    "HPEXPIRETIME",
    since="7.4.0",
    flags=READONLY | FAST,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def hpexpiretime(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Returns the expiration time of a hash field as a Unix timestamp, in msec."""
    return times(ctx, key, words)


@command(
    "HPERSIST",
    since="7.4.0",
    flags=WRITE | FAST,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    keys="RW update",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def hpersist(ctx: Context, key: Key, *words: Bytes) -> list[int]:
    """Removes the expiration time for each specified field."""
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    return persist_fields(ctx, key, field_block(words))


def persist_fields(ctx: Context, key: bytes, fields: Sequence[bytes]) -> list[int]:
    known = hashes.expire_times(ctx.db, key, fields)
    changed = [field for field, when in zip(fields, known, strict=True) if when >= 0]
    for field in changed:
        hashes.set_expire_time(ctx.db, key, field, NO_TIME)
    if changed:
        ctx.changed(key, "hpersist", len(changed))
        ctx.propagate(b"HPERSIST", key, b"FIELDS", len(changed), *changed)
    return [TIME_SET if when >= 0 else when for when in known]


# Reading and writing together with times


def options_and_fields(
    ctx: Context, words: Sequence[bytes], flags: frozenset[bytes], alone: bytes, per_field: int
) -> tuple[set[bytes], int | None, Sequence[bytes]]:
    """(flags given, absolute expire time in ms, what stands behind `FIELDS numfields`).

    Args:
        alone: The word that excludes a time: PERSIST or KEEPTTL.
        per_field: Words per field.
    """
    given: set[bytes] = set()
    expire_ms: int | None = None
    fields: Sequence[bytes] | None = None
    options = Options(words)
    while options:
        word = options.next()
        if word == b"FIELDS" and options and fields is None:
            count = parse_ranged_int(options.value(), 1, INT64_MAX, "ERR invalid number of fields")
            if count * per_field > options.remaining():
                raise CommandError("ERR wrong number of arguments")
            fields = options.take(count * per_field)
        elif word in EXPIRE_WORDS and options:
            if expire_ms is not None or alone in given:
                raise CommandError(f"ERR Only one of EX, PX, EXAT, PXAT or {alone.decode()} arguments can be specified")
            value = options.integer()
            if value <= 0:
                raise invalid_expire(ctx)
            expire_ms = check_time(ctx, value, *EXPIRE_WORDS[word])
        elif word == alone:
            if expire_ms is not None or alone in given:
                raise CommandError(f"ERR Only one of EX, PX, EXAT, PXAT or {alone.decode()} arguments can be specified")
            given.add(word)
        elif word in flags:
            if given & flags:
                raise CommandError("ERR Only one of FXX or FNX arguments can be specified")
            given.add(word)
        else:
            raise CommandError(f"ERR unknown argument: {shown(options.words[options.at - 1])}")
    if fields is None:
        raise CommandError("ERR missing FIELDS argument")
    return given, expire_ms, fields


@command(
    "HGETEX",
    since="8.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    keys="RW access update",
    syntax="key [expiration=(EX seconds:integer | PX milliseconds:integer | EXAT unix-time-seconds:unix-time | "
    "PXAT unix-time-milliseconds:unix-time | PERSIST)] FIELDS fields=<numfields:integer field...>",
)
def hgetex(ctx: Context, key: Key, *words: Bytes) -> list[bytes | None]:
    """Get the value of one or more fields of a given hash key, and optionally set their expiration."""
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    given, expire_ms, fields = options_and_fields(ctx, words, frozenset(), b"PERSIST", 1)
    values = hashes.get_many(ctx.db, key, fields)
    there = [field for field, value in zip(fields, values, strict=True) if value is not None]
    if b"PERSIST" in given:
        persist_fields(ctx, key, there)
    elif expire_ms is not None and there:
        set_times(ctx, key, there, expire_ms)
    return values


def set_times(ctx: Context, key: bytes, fields: Sequence[bytes], expire_ms: int) -> None:
    """Give fields that are there an expire time; one that is past deletes them."""
    if expire_ms <= ctx.now_ms and not ctx.replaying:
        delete_fields(ctx, key, fields)
        return
    for field in fields:
        hashes.set_expire_time(ctx.db, key, field, expire_ms)
    ctx.changed(key, "hexpire", len(fields))
    ctx.propagate(b"HPEXPIREAT", key, expire_ms, b"FIELDS", len(fields), *fields)


@command(
    "HSETEX",
    since="8.0.0",
    flags=WRITE | DENYOOM | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    keys="RW update",
    syntax="key [condition=(FNX | FXX)] [expiration=(EX seconds:integer | PX milliseconds:integer | EXAT "
    "unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | KEEPTTL)] FIELDS "
    "fields=<numfields:integer data=<field value>...>",
)
def hsetex(ctx: Context, key: Key, *words: Bytes) -> int:
    """Set the value of one or more fields of a given hash key, and optionally set their expiration."""
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    flags = frozenset([b"FNX", b"FXX"])
    given, expire_ms, pairs = options_and_fields(ctx, words, flags, b"KEEPTTL", 2)
    if given & flags:
        present = [value is not None for value in hashes.get_many(ctx.db, key, pairs[::2])]
        if any(present) if b"FNX" in given else not all(present):
            return 0
    keep = b"KEEPTTL" in given
    hashes.set(ctx.db, key, pairs, False, keep)
    ctx.changed(key, "hset", len(pairs) // 2)
    if expire_ms is None:
        ctx.propagate(b"HSETEX", key, *([b"KEEPTTL"] if keep else []), b"FIELDS", len(pairs) // 2, *pairs)
    elif expire_ms <= ctx.now_ms and not ctx.replaying:
        delete_fields(ctx, key, pairs[::2])
    else:
        for field in pairs[::2]:
            hashes.set_expire_time(ctx.db, key, field, expire_ms)
        ctx.changed(key, "hexpire", 0)
        ctx.propagate(b"HSETEX", key, b"PXAT", expire_ms, b"FIELDS", len(pairs) // 2, *pairs)
    return 1


@command(
    "HGETDEL",
    since="8.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-5,
    complexity="O(N)",
    keys="RW access delete",
    syntax="key FIELDS fields=<numfields:integer field...>",
)
def hgetdel(ctx: Context, key: Key, *words: Bytes) -> list[bytes | None]:
    """Returns the value of a field and deletes it from the hash."""
    hashes.expire_times(ctx.db, key, ())  # the type is checked before the arguments
    fields = field_block(words)
    values = []
    for field in fields:
        values.append(hashes.get(ctx.db, key, field))
        hashes.delete(ctx.db, key, (field,))
    there = list(dict.fromkeys(field for field, value in zip(fields, values, strict=True) if value is not None))
    if there:
        ctx.changed(key, "hdel", len(there))
        ctx.propagate(b"HDEL", key, *there)
    return values
