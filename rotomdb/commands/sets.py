"""Set commands."""

from __future__ import annotations

import random
from collections.abc import Iterable

from rotomdb.commands.arguments import (
    Options,
    parse_int,
    parse_ranged_int,
    parse_signed_count,
    scan_cursor,
    scan_options,
)
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import MUST_BE_POSITIVE, syntax_error
from rotomdb.commands.large_replies import as_reply
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    DENYOOM,
    FAST,
    READONLY,
    WRITE,
    Bytes,
    Key,
    command,
)
from rotomdb.commands.reply import SetReply
from rotomdb.engine import sets
from rotomdb.errors import CommandError

GROUP = "set"
SREM_BATCH = 1024


@command(
    "SADD",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="RW insert",
    syntax="key member...",
)
def sadd(ctx: Context, key: Key, *members: Bytes) -> int:
    """Adds one or more members to a set. Creates the key if it doesn't exist."""
    added = sets.add(ctx.db, key, members)
    if added:
        ctx.changed(key, "sadd", added)
    return added


@command(
    "SREM",
    since="1.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="RW delete",
    syntax="key member...",
)
def srem(ctx: Context, key: Key, *members: Bytes) -> int:
    """Removes one or more members from a set. Deletes the set if the last member was removed."""
    removed = sets.remove(ctx.db, key, members)
    if removed:
        ctx.changed(key, "srem", removed)
    return removed


@command("SISMEMBER", since="1.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def sismember(ctx: Context, key: Key, member: Bytes) -> bool:
    """Determines whether a member belongs to a set."""
    return sets.contains(ctx.db, key, member)


@command(
    "SMISMEMBER", since="6.2.0", flags=READONLY | FAST, group=GROUP, arity=-3, complexity="O(N)", syntax="key member..."
)
def smismember(ctx: Context, key: Key, *members: Bytes) -> list[bool]:
    """Determines whether multiple members belong to a set."""
    return sets.contains_many(ctx.db, key, members)


@command("SCARD", since="1.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def scard(ctx: Context, key: Key) -> int:
    """Returns the number of members in a set."""
    return sets.length(ctx.db, key)


@command(
    "SMEMBERS", since="1.0.0", flags=READONLY, group=GROUP, complexity="O(N)", tips="nondeterministic_output_order"
)
def smembers(ctx: Context, key: Key) -> object:
    """Returns all members of a set."""
    return as_reply(ctx, SetReply, sets.members_or_parts(ctx.db, key))


@command(
    "SPOP",
    since="1.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(N)",
    keys="RW access delete",
    syntax="key [count:integer]",
    tips="nondeterministic_output",
)
def spop(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Returns one or more random members from a set after removing them. Deletes the set with its last member."""
    if count is None:
        member = sets.pop(ctx.db, key)
        if member is not None:
            ctx.changed(key, "spop")
            ctx.propagate(b"SREM", key, member)
        return member
    wanted = parse_ranged_int(count, 0, (1 << 63) - 1, MUST_BE_POSITIVE)
    size = sets.length(ctx.db, key)
    if wanted == 0 or size == 0:
        return SetReply()
    members = sets.members(ctx.db, key)
    if wanted >= size:
        ctx.db.delete(key)
        ctx.changed(key, "spop", size)
        ctx.propagate(b"DEL", key)
        return SetReply(members)
    chosen = random.sample(members, wanted)
    sets.remove(ctx.db, key, chosen)
    ctx.changed(key, "spop", wanted)
    for start in range(0, wanted, SREM_BATCH):
        ctx.propagate(b"SREM", key, *chosen[start : start + SREM_BATCH])
    return SetReply(chosen)


@command(
    "SRANDMEMBER",
    since="1.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key [count:integer]",
    tips="nondeterministic_output",
)
def srandmember(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Get one or multiple random members from a set."""
    if count is None:
        members = sets.random_members(ctx.db, key, 1)
        return members[0] if members else None
    wanted = parse_signed_count(count)
    if wanted < 0:
        return sets.random_members(ctx.db, key, -wanted)
    members = sets.members(ctx.db, key)
    return members if wanted >= len(members) else random.sample(members, wanted)


@command(
    "SMOVE",
    since="1.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    keys="1 RW access delete; 2 RW insert",
    syntax="source:key destination:key member",
)
def smove(ctx: Context, source: Key, destination: Key, member: Bytes) -> int:
    """Moves a member from one set to another."""
    if not ctx.db.exists(source):
        return 0
    found = sets.contains(ctx.db, source, member)
    sets.length(ctx.db, destination)  # a destination of another type is refused before anything moves
    if not found:
        return 0
    if source == destination:
        return 1
    sets.remove(ctx.db, source, (member,))
    ctx.changed(source, "srem")
    if sets.add(ctx.db, destination, (member,)):
        ctx.changed(destination, "sadd")
    return 1


def intersection(ctx: Context, keys: Iterable[bytes]) -> list[bytes]:
    """Members that all sets have."""
    smallest_first = sorted(((sets.length(ctx.db, key), key) for key in keys), key=lambda pair: pair[0])
    if smallest_first[0][0] == 0:
        return []
    result = sets.members(ctx.db, smallest_first[0][1])
    for _, key in smallest_first[1:]:
        held = sets.contains_many(ctx.db, key, result)
        result = [member for member, inside in zip(result, held, strict=True) if inside]
    return result


def union(ctx: Context, keys: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(member for key in keys for member in sets.members(ctx.db, key)))


def difference(ctx: Context, keys: Iterable[bytes]) -> list[bytes]:
    """Members of the first set that no other has."""
    first, *others = keys
    for key in others:
        sets.length(ctx.db, key)  # a wrong type is an error even where the result is already empty
    result = sets.members(ctx.db, first)
    for key in others:
        held = sets.contains_many(ctx.db, key, result)
        result = [member for member, inside in zip(result, held, strict=True) if not inside]
    return result


def store(ctx: Context, destination: bytes, members: list[bytes], event: str) -> int:
    """Replace `destination`, whatever it held, by these members."""
    existed = ctx.db.delete(destination)
    if members:
        sets.add(ctx.db, destination, members)
        ctx.changed(destination, event)
    elif existed:
        ctx.changed(destination, "del")
    return len(members)


@command(
    "SINTER",
    since="1.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-2,
    complexity="O(N*M)",
    syntax="key...",
    tips="nondeterministic_output_order",
)
def sinter(ctx: Context, *keys: Key) -> SetReply:
    """Returns the intersect of multiple sets."""
    return SetReply(intersection(ctx, keys))


@command(
    "SINTERSTORE",
    since="1.0.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-3,
    complexity="O(N*M)",
    keys="1 RW update; 2..-1 RO access",
    syntax="destination:key key...",
)
def sinterstore(ctx: Context, destination: Key, *keys: Key) -> int:
    """Stores the intersect of multiple sets in a key."""
    return store(ctx, destination, intersection(ctx, keys), "sinterstore")


@command(
    "SINTERCARD",
    since="7.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    complexity="O(N*M)",
    keys="#1 RO access",
    syntax="numkeys:integer key... [LIMIT limit:integer]",
)
def sintercard(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> int:
    """Returns the number of members of the intersect of multiple sets."""
    count = parse_int(numkeys, "ERR numkeys should be greater than 0")
    if count <= 0:
        raise CommandError("ERR numkeys should be greater than 0")
    if count > len(arguments):
        raise CommandError("ERR Number of keys can't be greater than number of args")
    limit = cardinality_limit(Options(arguments[count:]))
    size = len(intersection(ctx, arguments[:count]))
    return min(size, limit) if limit else size


def cardinality_limit(options: Options) -> int:
    """The LIMIT option of SINTERCARD and ZINTERCARD; 0: none."""
    limit = 0
    while options:
        if options.next() != b"LIMIT" or not options:
            raise syntax_error()
        limit = options.integer("ERR LIMIT can't be negative")
        if limit < 0:
            raise CommandError("ERR LIMIT can't be negative")
    return limit


@command(
    "SUNION",
    since="1.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    syntax="key...",
    tips="nondeterministic_output_order",
)
def sunion(ctx: Context, *keys: Key) -> SetReply:
    """Returns the union of multiple sets."""
    return SetReply(union(ctx, keys))


@command(
    "SUNIONSTORE",
    since="1.0.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="1 OW update; 2..-1 RO access",
    syntax="destination:key key...",
)
def sunionstore(ctx: Context, destination: Key, *keys: Key) -> int:
    """Stores the union of multiple sets in a key."""
    return store(ctx, destination, union(ctx, keys), "sunionstore")


@command(
    "SDIFF",
    since="1.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    syntax="key...",
    tips="nondeterministic_output_order",
)
def sdiff(ctx: Context, *keys: Key) -> SetReply:
    """Returns the difference of multiple sets."""
    return SetReply(difference(ctx, keys))


@command(
    "SDIFFSTORE",
    since="1.0.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    keys="1 OW update; 2..-1 RO access",
    syntax="destination:key key...",
)
def sdiffstore(ctx: Context, destination: Key, *keys: Key) -> int:
    """Stores the difference of multiple sets in a key."""
    return store(ctx, destination, difference(ctx, keys), "sdiffstore")


@command(
    "SSCAN",
    since="2.8.0",
    flags=READONLY,
    group=GROUP,
    syntax="key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    tips="nondeterministic_output",
)
def sscan(ctx: Context, key: Key, cursor: Bytes, *options: Bytes) -> list[object]:
    """Iterates over members of a set."""
    position = scan_cursor(cursor)
    if not sets.length(ctx.db, key):
        return [b"0", []]
    parsed = scan_options(position, options, frozenset())
    following, members = sets.scan(ctx.db, key, parsed.cursor, parsed.count, parsed.pattern)
    return [b"%d" % following, members]
