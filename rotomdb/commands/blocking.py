"""Commands that wait for an element."""

from __future__ import annotations

import math

from rotomdb.commands.arguments import Options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error
from rotomdb.commands.lists import counted_keys, end_of_list, move, pop_count
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    BLOCKING,
    DENYOOM,
    FAST,
    NOSCRIPT,
    WRITE,
    Bytes,
    Key,
    command,
)
from rotomdb.commands.reply import NULL_ARRAY
from rotomdb.engine import lists, number, sorted_sets
from rotomdb.errors import CommandError

TIMEOUT_MAX_MS = (1 << 63) - 1
LIST, SORTED_SET = b"list", b"zset"


def timeout_ms(ctx: Context, text: bytes) -> int:
    """Seconds with a fraction as milliseconds, rounded up; 0: without end."""
    seconds = number.parse_float(text)
    if seconds is None:
        raise CommandError("ERR timeout is not a float or out of range")
    if seconds < 0:
        raise CommandError("ERR timeout is negative")
    if math.isinf(seconds) or seconds * 1000 > TIMEOUT_MAX_MS - ctx.now_ms:
        raise CommandError("ERR timeout is out of range")
    return math.ceil(seconds * 1000)


def blocking_pop(ctx: Context, words: tuple[bytes, ...], from_head: bool) -> object:
    *keys, timeout = words
    wait_ms = timeout_ms(ctx, timeout)
    for key in keys:
        if lists.length(ctx.db, key):
            value = lists.pop(ctx.db, key, from_head)
            ctx.changed(key, "lpop" if from_head else "rpop")
            ctx.propagate(b"LPOP" if from_head else b"RPOP", key)
            return [key, value]
    return ctx.block(keys, LIST, wait_ms, NULL_ARRAY)


@command(
    "BLPOP", since="2.0.0", flags=WRITE | NOSCRIPT | BLOCKING, properties=Property.MAY_EMPTY, group="list", arity=-3,
    complexity="O(N)",
    keys="1..-2 RW access delete",
    syntax="key... timeout:double",
)  # fmt: skip
def blpop(ctx: Context, *words: Bytes) -> object:
    """Removes and returns the first element in a list. Blocks until an element is available otherwise."""
    return blocking_pop(ctx, words, True)


@command(
    "BRPOP", since="2.0.0", flags=WRITE | NOSCRIPT | BLOCKING, properties=Property.MAY_EMPTY, group="list", arity=-3,
    complexity="O(N)",
    keys="1..-2 RW access delete",
    syntax="key... timeout:double",
)  # fmt: skip
def brpop(ctx: Context, *words: Bytes) -> object:
    """Removes and returns the last element in a list. Blocks until an element is available otherwise."""
    return blocking_pop(ctx, words, False)


def blocking_move(
    ctx: Context, source: bytes, destination: bytes, wait_ms: int, from_head: bool, to_head: bool
) -> object:
    value = move(ctx, source, destination, from_head, to_head)
    if value is None:
        return ctx.block([source], LIST, wait_ms, None)
    return value


@command(
    "BLMOVE",
    since="6.2.0",
    flags=WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    properties=Property.MAY_EMPTY,
    group="list",
    keys="1 RW access delete; 2 RW insert",
    syntax="source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT) timeout:double",
)
def blmove(ctx: Context, source: Key, destination: Key, wherefrom: Bytes, whereto: Bytes, timeout: Bytes) -> object:
    """Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available."""
    from_head, to_head = end_of_list(wherefrom), end_of_list(whereto)
    value = blocking_move(ctx, source, destination, timeout_ms(ctx, timeout), from_head, to_head)
    if isinstance(value, bytes):
        ctx.propagate(b"LMOVE", source, destination, wherefrom, whereto)
    return value


@command(
    "BRPOPLPUSH",
    since="2.2.0",
    flags=WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    properties=Property.MAY_EMPTY,
    group="list",
    keys="1 RW access delete; 2 RW insert",
    syntax="source:key destination:key timeout:double",
)
def brpoplpush(ctx: Context, source: Key, destination: Key, timeout: Bytes) -> object:
    """Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available."""
    value = blocking_move(ctx, source, destination, timeout_ms(ctx, timeout), False, True)
    if isinstance(value, bytes):
        ctx.propagate(b"RPOPLPUSH", source, destination)
    return value


@command(
    "BLMPOP",
    since="7.0.0",
    flags=WRITE | BLOCKING,
    properties=Property.MAY_EMPTY,
    group="list",
    arity=-5,
    complexity="O(N+M)",
    keys="#2 RW access delete",
    syntax="timeout:double numkeys:integer key... where=(LEFT | RIGHT) [COUNT count:integer]",
)
def blmpop(ctx: Context, timeout: Bytes, numkeys: Bytes, *arguments: Bytes) -> object:
    """Pops the first element from one of multiple lists. Blocks until an element is available otherwise."""
    keys, words = counted_keys(numkeys, arguments)
    from_head = end_of_list(words.value())
    count = pop_count(words)
    wait_ms = timeout_ms(ctx, timeout)
    for key in keys:
        if lists.length(ctx.db, key):
            values = lists.pop_many(ctx.db, key, from_head, count) or []
            ctx.changed(key, "lpop" if from_head else "rpop", len(values))
            ctx.propagate(b"LPOP" if from_head else b"RPOP", key, len(values))
            return [key, values]
    return ctx.block(keys, LIST, wait_ms, NULL_ARRAY)


def blocking_pop_scored(ctx: Context, words: tuple[bytes, ...], from_max: bool) -> object:
    *keys, timeout = words
    wait_ms = timeout_ms(ctx, timeout)
    for key in keys:
        if sorted_sets.length(ctx.db, key):
            flat = sorted_sets.pop(ctx.db, key, 1, from_max) or []
            ctx.changed(key, "zpopmax" if from_max else "zpopmin")
            ctx.propagate(b"ZPOPMAX" if from_max else b"ZPOPMIN", key)
            return [key, *flat]
    return ctx.block(keys, SORTED_SET, wait_ms, NULL_ARRAY)


@command(
    "BZPOPMIN", since="5.0.0", flags=WRITE | NOSCRIPT | FAST | BLOCKING, properties=Property.MAY_EMPTY, group="sorted-set", arity=-3, complexity="O(log(N))",
    keys="1..-2 RW access delete",
    syntax="key... timeout:double",
)  # fmt: skip
def bzpopmin(ctx: Context, *words: Bytes) -> object:
    """Removes and returns the member with the lowest score. Blocks until a member is available otherwise."""
    return blocking_pop_scored(ctx, words, False)


@command(
    "BZPOPMAX", since="5.0.0", flags=WRITE | NOSCRIPT | FAST | BLOCKING, properties=Property.MAY_EMPTY, group="sorted-set", arity=-3, complexity="O(log(N))",
    keys="1..-2 RW access delete",
    syntax="key... timeout:double",
)  # fmt: skip
def bzpopmax(ctx: Context, *words: Bytes) -> object:
    """Removes and returns the member with the highest score. Blocks until a member is available otherwise."""
    return blocking_pop_scored(ctx, words, True)


@command(
    "BZMPOP", since="7.0.0", flags=WRITE | BLOCKING, properties=Property.MAY_EMPTY, group="sorted-set", arity=-5,
    complexity="O(K)+O(M*log(N))",
    keys="#2 RW access delete",
    syntax="timeout:double numkeys:integer key... where=(MIN | MAX) [COUNT count:integer]",
)  # fmt: skip
def bzmpop(ctx: Context, timeout: Bytes, numkeys: Bytes, *arguments: Bytes) -> object:
    """Removes and returns members by score from one of several sorted sets. Blocks until a member is available."""
    keys, words = counted_keys(numkeys, arguments)
    from_max = end_of_scores(words)
    count = pop_count(words)
    wait_ms = timeout_ms(ctx, timeout)
    for key in keys:
        if sorted_sets.length(ctx.db, key):
            flat = sorted_sets.pop(ctx.db, key, count, from_max) or []
            ctx.changed(key, "zpopmax" if from_max else "zpopmin", len(flat) // 2)
            ctx.propagate(b"ZPOPMAX" if from_max else b"ZPOPMIN", key, len(flat) // 2)
            return [key, [[flat[i], flat[i + 1]] for i in range(0, len(flat), 2)]]
    return ctx.block(keys, SORTED_SET, wait_ms, NULL_ARRAY)


def end_of_scores(words: Options) -> bool:
    """Whether MAX (True) or MIN."""
    where = words.value().upper()
    if where not in (b"MIN", b"MAX"):
        raise syntax_error()
    return where == b"MAX"
