"""List commands that do not block."""

from __future__ import annotations

from rotomdb.commands.arguments import Options, parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import INDEX_OUT_OF_RANGE, MUST_BE_POSITIVE, NO_SUCH_KEY, syntax_error
from rotomdb.commands.large_replies import as_reply
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
from rotomdb.commands.reply import NULL_ARRAY, OK
from rotomdb.engine import lists
from rotomdb.errors import CommandError

GROUP = "list"
COUNT_MAX = (1 << 63) - 1


@command(
    "LPUSH",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-3,
    keys="RW insert",
    syntax="key element...",
)
def lpush(ctx: Context, key: Key, *elements: Bytes) -> int:
    """Prepends one or more elements to a list. Creates the key if it doesn't exist."""
    length = lists.push(ctx.db, key, elements, True)
    ctx.changed(key, "lpush", len(elements))
    return length


@command(
    "RPUSH",
    since="1.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-3,
    keys="RW insert",
    syntax="key element...",
)
def rpush(ctx: Context, key: Key, *elements: Bytes) -> int:
    """Appends one or more elements to a list. Creates the key if it doesn't exist."""
    length = lists.push(ctx.db, key, elements, False)
    ctx.changed(key, "rpush", len(elements))
    return length


@command(
    "LPUSHX",
    since="2.2.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-3,
    keys="RW insert",
    syntax="key element...",
)
def lpushx(ctx: Context, key: Key, *elements: Bytes) -> int:
    """Prepends one or more elements to a list only when the list exists."""
    return push_existing(ctx, key, elements, True)


@command(
    "RPUSHX",
    since="2.2.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-3,
    keys="RW insert",
    syntax="key element...",
)
def rpushx(ctx: Context, key: Key, *elements: Bytes) -> int:
    """Appends an element to a list only when the list exists."""
    return push_existing(ctx, key, elements, False)


def push_existing(ctx: Context, key: bytes, elements: tuple[bytes, ...], at_head: bool) -> int:
    length = lists.push(ctx.db, key, elements, at_head, True)
    if length:
        ctx.changed(key, "lpush" if at_head else "rpush", len(elements))
    return length


def pop(ctx: Context, key: bytes, count: bytes | None, from_head: bool) -> object:
    event = "lpop" if from_head else "rpop"
    if count is None:
        value = lists.pop(ctx.db, key, from_head)
        if value is not None:
            ctx.changed(key, event)
        return value
    number = parse_ranged_int(count, 0, COUNT_MAX, MUST_BE_POSITIVE)
    values = lists.pop_many(ctx.db, key, from_head, number)
    if values is None:
        return NULL_ARRAY
    if values:
        ctx.changed(key, event, len(values))
    return values


@command(
    "LPOP",
    since="1.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(N)",
    keys="RW access delete",
    syntax="key [count:integer]",
)
def lpop(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Returns the first elements in a list after removing it. Deletes the list if the last element was popped."""
    return pop(ctx, key, count, True)


@command(
    "RPOP",
    since="1.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(N)",
    keys="RW access delete",
    syntax="key [count:integer]",
)
def rpop(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Returns and removes the last elements of a list. Deletes the list if the last element was popped."""
    return pop(ctx, key, count, False)


@command("LLEN", since="1.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def llen(ctx: Context, key: Key) -> int:
    """Returns the length of a list."""
    return lists.length(ctx.db, key)


@command("LINDEX", since="1.0.0", flags=READONLY, group=GROUP, complexity="O(N)", syntax="key index:integer")
def lindex(ctx: Context, key: Key, index: Bytes) -> bytes | None:
    """Returns an element from a list by its index."""
    if lists.length(ctx.db, key) == 0:
        return None
    return lists.index(ctx.db, key, parse_int(index))


@command("LRANGE", since="1.0.0", flags=READONLY, group=GROUP, complexity="O(S+N)")
def lrange(ctx: Context, key: Key, start: Int, stop: Int) -> object:
    """Returns a range of elements from a list."""
    return as_reply(ctx, list, lists.range_or_parts(ctx.db, key, start, stop))


@command(
    "LSET", since="1.0.0", flags=WRITE | DENYOOM, group=GROUP, complexity="O(N)", syntax="key index:integer element"
)
def lset(ctx: Context, key: Key, index: Bytes, element: Bytes) -> object:
    """Sets the value of an element in a list by its index."""
    if lists.length(ctx.db, key) == 0:
        raise CommandError(NO_SUCH_KEY)
    if not lists.set_index(ctx.db, key, parse_int(index), element):
        raise CommandError(INDEX_OUT_OF_RANGE)
    ctx.changed(key, "lset")
    return OK


@command(
    "LINSERT",
    since="2.2.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    complexity="O(N)",
    keys="RW insert",
    syntax="key where=(BEFORE | AFTER) pivot element",
)
def linsert(ctx: Context, key: Key, where: Bytes, pivot: Bytes, element: Bytes) -> int:
    """Inserts an element before or after another element in a list."""
    side = where.upper()
    if side not in (b"BEFORE", b"AFTER"):
        raise syntax_error()
    length = lists.insert(ctx.db, key, pivot, element, side == b"AFTER")
    if length > 0:
        ctx.changed(key, "linsert")
    return length


@command(
    "LREM",
    since="1.0.0",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(N+M)",
    keys="RW delete",
)
def lrem(ctx: Context, key: Key, count: Int, element: Bytes) -> int:
    """Removes elements from a list. Deletes the list if the last element was removed."""
    number = lists.remove(ctx.db, key, count, element)
    if number:
        ctx.changed(key, "lrem", number)
    return number


@command(
    "LTRIM", since="1.0.0", flags=WRITE, properties=Property.MAY_EMPTY, group=GROUP, complexity="O(N)", keys="RW delete"
)
def ltrim(ctx: Context, key: Key, start: Int, stop: Int) -> object:
    """Removes elements from both ends a list. Deletes the list if all elements were trimmed."""
    number = lists.trim(ctx.db, key, start, stop)
    if number is not None:
        ctx.changed(key, "ltrim", number)
    return OK


def move(ctx: Context, source: bytes, destination: bytes, from_head: bool, to_head: bool) -> bytes | None:
    if lists.length(ctx.db, source) == 0:
        return None
    value = lists.index(ctx.db, source, 0 if from_head else -1)
    assert value is not None
    # Pushed before it is popped: a list that is rotated keeps its key and expire time, and a destination of another
    # type is refused before anything moves.
    lists.push(ctx.db, destination, (value,), to_head)
    lists.pop(ctx.db, source, from_head)
    ctx.changed(destination, "lpush" if to_head else "rpush", 0)
    ctx.changed(source, "lpop" if from_head else "rpop")
    return value


@command(
    "RPOPLPUSH",
    since="1.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    keys="1 RW access delete; 2 RW insert",
    syntax="source:key destination:key",
)
def rpoplpush(ctx: Context, source: Key, destination: Key) -> bytes | None:
    """Returns the last element of a list after removing and pushing it to another list."""
    return move(ctx, source, destination, False, True)


def end_of_list(word: bytes) -> bool:
    """Whether LEFT (True) or RIGHT."""
    side = word.upper()
    if side not in (b"LEFT", b"RIGHT"):
        raise syntax_error()
    return side == b"LEFT"


@command(
    "LMOVE",
    since="6.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    keys="1 RW access delete; 2 RW insert",
    syntax="source:key destination:key wherefrom=(LEFT | RIGHT) whereto=(LEFT | RIGHT)",
)
def lmove(ctx: Context, source: Key, destination: Key, wherefrom: Bytes, whereto: Bytes) -> bytes | None:
    """Returns an element after popping it from one list and pushing it to another."""
    from_head, to_head = end_of_list(wherefrom), end_of_list(whereto)
    return move(ctx, source, destination, from_head, to_head)


@command(
    "LPOS",
    since="6.0.6",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
)
def lpos(ctx: Context, key: Key, element: Bytes, *options: Bytes) -> object:
    """Returns the index of matching elements in a list."""
    rank, count, max_length = 1, None, 0
    words = Options(options)
    while words:
        word = words.next()
        if word == b"RANK" and words:
            rank = words.integer()
            if rank == 0:
                raise CommandError(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
                    "or use negative to start from the end of the list"
                )
            if rank == -(1 << 63):
                raise CommandError(
                    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
                )
        elif word == b"COUNT" and words:
            count = words.integer("ERR COUNT can't be negative")
            if count < 0:
                raise CommandError("ERR COUNT can't be negative")
        elif word == b"MAXLEN" and words:
            max_length = words.integer("ERR MAXLEN can't be negative")
            if max_length < 0:
                raise CommandError("ERR MAXLEN can't be negative")
        else:
            raise syntax_error()
    found = lists.positions(ctx.db, key, element, rank, 1 if count is None else count, max_length)
    if count is not None:
        return found or []
    return found[0] if found else None


@command(
    "LMPOP",
    since="7.0.0",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-4,
    complexity="O(N+M)",
    keys="#1 RW access delete",
    syntax="numkeys:integer key... where=(LEFT | RIGHT) [COUNT count:integer]",
)
def lmpop(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> object:
    """Returns multiple elements from a list after removing them. Deletes the list if the last element was popped."""
    keys, words = counted_keys(numkeys, arguments)
    from_head = end_of_list(words.value())
    count = pop_count(words)
    for key in keys:
        if lists.length(ctx.db, key):
            values = lists.pop_many(ctx.db, key, from_head, count)
            assert values is not None
            ctx.changed(key, "lpop" if from_head else "rpop", len(values))
            ctx.propagate(b"LPOP" if from_head else b"RPOP", key, len(values))
            return [key, values]
    return NULL_ARRAY


def counted_keys(numkeys: bytes, arguments: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], Options]:
    """`numkeys key [key ...]` and the words behind them."""
    count = parse_int(numkeys, "ERR numkeys should be greater than 0")
    if count <= 0:
        raise CommandError("ERR numkeys should be greater than 0")
    if count > len(arguments):
        raise syntax_error()
    return arguments[:count], Options(arguments[count:])


def pop_count(words: Options) -> int:
    """The COUNT option of LMPOP and ZMPOP."""
    count: int | None = None
    while words:
        if words.next() != b"COUNT" or count is not None or not words:
            raise syntax_error()
        count = parse_ranged_int(words.value(), 1, COUNT_MAX, "ERR count should be greater than 0")
    return 1 if count is None else count
