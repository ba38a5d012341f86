"""Hash commands."""

from __future__ import annotations

import random

from rotomdb.commands.arguments import INT64_MAX, INT64_MIN, parse_int, parse_signed_count, scan_cursor, scan_options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import OUT_OF_RANGE, syntax_error, wrong_arguments
from rotomdb.commands.large_replies import as_reply
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import DENYOOM, FAST, READONLY, WRITE, Bytes, Int, Key, command
from rotomdb.commands.reply import OK, MapReply
from rotomdb.engine import hashes, number
from rotomdb.errors import CommandError

GROUP = "hash"


@command(
    "HSET",
    since="2.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    syntax="key <field value>...",
)
def hset(ctx: Context, key: Key, *pairs: Bytes) -> int:
    """Creates or modifies the value of a field in a hash."""
    if len(pairs) % 2:
        raise wrong_arguments("hset")
    added = hashes.set(ctx.db, key, pairs)
    ctx.changed(key, "hset", len(pairs) // 2)
    return added


@command(
    "HMSET",
    since="2.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    syntax="key <field value>...",
)
def hmset(ctx: Context, key: Key, *pairs: Bytes) -> object:
    """Sets the values of multiple fields."""
    if len(pairs) % 2:
        raise wrong_arguments("hmset")
    hashes.set(ctx.db, key, pairs)
    ctx.changed(key, "hset", len(pairs) // 2)
    return OK


@command("HSETNX", since="2.0.0", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="RW insert")
def hsetnx(ctx: Context, key: Key, field: Bytes, value: Bytes) -> int:
    """Sets the value of a field in a hash only when the field doesn't exist."""
    added = hashes.set(ctx.db, key, (field, value), True)
    if added:
        ctx.changed(key, "hset")
    return added


@command("HGET", since="2.0.0", flags=READONLY | FAST, group=GROUP)
def hget(ctx: Context, key: Key, field: Bytes) -> bytes | None:
    """Returns the value of a field in a hash."""
    return hashes.get(ctx.db, key, field)


@command("HMGET", since="2.0.0", flags=READONLY | FAST, group=GROUP, arity=-3, complexity="O(N)", syntax="key field...")
def hmget(ctx: Context, key: Key, *fields: Bytes) -> list[bytes | None]:
    """Returns the values of all fields in a hash."""
    return hashes.get_many(ctx.db, key, fields)


@command(
    "HDEL",
    since="2.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="RW delete",
    syntax="key field...",
)
def hdel(ctx: Context, key: Key, *fields: Bytes) -> int:
    """Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain."""
    removed = hashes.delete(ctx.db, key, fields)
    if removed:
        ctx.changed(key, "hdel", removed)
    return removed


@command("HLEN", since="2.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def hlen(ctx: Context, key: Key) -> int:
    """Returns the number of fields in a hash."""
    return hashes.length(ctx.db, key)


@command("HEXISTS", since="2.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def hexists(ctx: Context, key: Key, field: Bytes) -> bool:
    """Determines whether a field exists in a hash."""
    return hashes.get(ctx.db, key, field) is not None


@command("HSTRLEN", since="3.2.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def hstrlen(ctx: Context, key: Key, field: Bytes) -> int:
    """Returns the length of the value of a field."""
    return len(hashes.get(ctx.db, key, field) or b"")


@command("HKEYS", since="2.0.0", flags=READONLY, group=GROUP, complexity="O(N)", tips="nondeterministic_output_order")
def hkeys(ctx: Context, key: Key) -> object:
    """Returns all fields in a hash."""
    return as_reply(ctx, list, hashes.flat_or_parts(ctx.db, key, True, False))


@command("HVALS", since="2.0.0", flags=READONLY, group=GROUP, complexity="O(N)", tips="nondeterministic_output_order")
def hvals(ctx: Context, key: Key) -> object:
    """Returns all values in a hash."""
    return as_reply(ctx, list, hashes.flat_or_parts(ctx.db, key, False, True))


@command("HGETALL", since="2.0.0", flags=READONLY, group=GROUP, complexity="O(N)", tips="nondeterministic_output_order")
def hgetall(ctx: Context, key: Key) -> object:
    """Returns all fields and values in a hash."""
    return as_reply(ctx, MapReply, hashes.flat_or_parts(ctx.db, key, True, True))


@command(
    "HINCRBY",
    since="2.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    keys="RW access update",
    syntax="key field increment:integer",
)
def hincrby(ctx: Context, key: Key, field: Bytes, amount: Int) -> int:
    """Increments the integer value of a field in a hash by a number. Uses 0 as initial value."""
    held = hashes.peek(ctx.db, key, field)
    value = 0 if held is None else parse_int(held, "ERR hash value is not an integer")
    total = value + amount
    if not INT64_MIN <= total <= INT64_MAX:
        raise CommandError("ERR increment or decrement would overflow")
    hashes.set(ctx.db, key, (field, b"%d" % total), False, True)
    ctx.changed(key, "hincrby")
    return total


@command(
    "HINCRBYFLOAT",
    since="2.6.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    keys="RW access update",
    syntax="key field increment:double",
)
def hincrbyfloat(ctx: Context, key: Key, field: Bytes, amount: Bytes) -> bytes:
    """Increments the floating point value of a field by a number. Uses 0 as initial value."""
    if not number.is_long_double(amount):
        raise CommandError("ERR value is not a valid float")
    if amount.lower().lstrip(b"+-") in (b"inf", b"infinity"):
        raise CommandError("ERR value is NaN or Infinity")
    held = hashes.peek(ctx.db, key, field)
    if held is not None and not number.is_long_double(held):
        raise CommandError("ERR hash value is not a float")
    total = number.add_long_doubles(held or b"0", amount)
    if total is None:
        raise CommandError("ERR increment would produce NaN or Infinity")
    hashes.set(ctx.db, key, (field, total), False, True)
    ctx.changed(key, "hincrbyfloat")
    ctx.propagate(b"HSET", key, field, total)
    (expire_ms,) = hashes.expire_times(ctx.db, key, (field,))
    if expire_ms != -1:
        ctx.propagate(b"HPEXPIREAT", key, expire_ms, b"FIELDS", 1, field)
    return total


@command(
    "HRANDFIELD",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key [options=<count:integer [WITHVALUES]>]",
    tips="nondeterministic_output",
)
def hrandfield(ctx: Context, key: Key, *options: Bytes) -> object:
    """Returns one or more random fields from a hash."""
    if not options:
        pairs = hashes.random_pairs(ctx.db, key, 1)
        return pairs[0][0] if pairs else None
    count = parse_signed_count(options[0])
    with_values = len(options) == 2 and options[1].upper() == b"WITHVALUES"
    if len(options) > 2 or (len(options) == 2 and not with_values):
        raise syntax_error()
    if with_values and count > INT64_MAX // 2:
        raise CommandError(OUT_OF_RANGE)
    if count < 0:
        chosen = hashes.random_pairs(ctx.db, key, -count)
    else:
        flat = hashes.items(ctx.db, key)
        chosen = list(zip(flat[::2], flat[1::2], strict=True))
        if count < len(chosen):
            chosen = random.sample(chosen, count)
    if not with_values:
        return [field for field, _ in chosen]
    if ctx.resp == 3:
        return [list(pair) for pair in chosen]
    return [part for pair in chosen for part in pair]


@command(
    "HSCAN",
    since="2.8.0",
    flags=READONLY,
    group=GROUP,
    syntax="key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    tips="nondeterministic_output",
)
def hscan(ctx: Context, key: Key, cursor: Bytes, *options: Bytes) -> list[object]:
    """Iterates over fields and values of a hash."""
    position = scan_cursor(cursor)
    if not hashes.length(ctx.db, key):
        return [b"0", []]
    parsed = scan_options(position, options, frozenset([b"NOVALUES"]))
    following, items = hashes.scan(ctx.db, key, parsed.cursor, parsed.count, parsed.pattern, parsed.with_values)
    return [b"%d" % following, items]
