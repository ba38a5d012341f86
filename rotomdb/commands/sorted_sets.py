"""Sorted set commands that do not block."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rotomdb.commands.arguments import (
    INT64_MAX,
    Options,
    parse_float,
    parse_int,
    parse_ranged_int,
    parse_signed_count,
    scan_cursor,
    scan_options,
)
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NOT_AN_INTEGER, OUT_OF_RANGE, syntax_error
from rotomdb.commands.lists import counted_keys, pop_count
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    DENYOOM,
    FAST,
    READONLY,
    WRITE,
    Bytes,
    Float,
    Int,
    Key,
    command,
)
from rotomdb.commands.reply import NULL_ARRAY
from rotomdb.commands.sets import cardinality_limit
from rotomdb.engine import number, sets, sorted_sets
from rotomdb.engine.sorted_sets import ADD_GT, ADD_INCREMENT, ADD_LT, ADD_NX, ADD_XX, LEX_MAX, LEX_MIN
from rotomdb.errors import CommandError, WrongTypeError

GROUP = "sorted-set"
NOT_A_FLOAT_RANGE = "ERR min or max is not a float"
NOT_A_STRING_RANGE = "ERR min or max not valid string range item"
ADD_WORDS = {b"NX": ADD_NX, b"XX": ADD_XX, b"GT": ADD_GT, b"LT": ADD_LT, b"INCR": ADD_INCREMENT}
Flat = list[object]  # member, score, member, score, ...


def with_scores_reply(ctx: Context, flat: Sequence[object], with_scores: bool) -> list[object]:
    """Members alone, or with scores: pairs in RESP3, flat in RESP2."""
    if not with_scores:
        return list(flat[::2])
    if ctx.resp == 3:
        return [[flat[i], flat[i + 1]] for i in range(0, len(flat), 2)]
    return list(flat)


# Adding


@command(
    "ZADD",
    since="1.2.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-4,
    complexity="O(log(N))",
    syntax="key [condition=(NX | XX)] [comparison=(GT | LT)] [change=CH] [increment=INCR] <score:double member>...",
)
def zadd(ctx: Context, key: Key, *arguments: Bytes) -> object:
    """Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist."""
    if arguments[0][:1].isalpha():
        return zadd_with_options(ctx, key, arguments)
    if len(arguments) % 2:
        raise syntax_error()
    added, changed, _ = sorted_sets.add(ctx.db, key, arguments)
    if added or changed:
        ctx.changed(key, "zadd", added + changed)
    return added


def zadd_with_options(ctx: Context, key: bytes, arguments: tuple[bytes, ...]) -> object:
    flags, count_changed, at = 0, False, 0
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"CH":
            count_changed = True
        elif word in ADD_WORDS:
            flags |= ADD_WORDS[word]
        else:
            break
        at += 1
    elements = arguments[at:]
    if not elements or len(elements) % 2:
        raise syntax_error()
    if flags & ADD_NX and flags & ADD_XX:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if (flags & ADD_GT and flags & (ADD_LT | ADD_NX)) or (flags & ADD_LT and flags & ADD_NX):
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if flags & ADD_INCREMENT and len(elements) > 2:
        raise CommandError("ERR INCR option supports a single increment-element pair")
    added, changed, score = sorted_sets.add(ctx.db, key, elements, flags)
    if added or changed:
        ctx.changed(key, "zincr" if flags & ADD_INCREMENT else "zadd", added + changed)
    if flags & ADD_INCREMENT:
        return score
    return added + changed if count_changed else added


@command(
    "ZINCRBY",
    since="1.2.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    complexity="O(log(N))",
    keys="RW access update",
    syntax="key increment:integer member",
)
def zincrby(ctx: Context, key: Key, increment: Float, member: Bytes) -> float | None:
    """Increments the score of a member in a sorted set."""
    _, _, score = sorted_sets.add(ctx.db, key, (increment, member), ADD_INCREMENT)
    ctx.changed(key, "zincr")
    return score


# Asking


@command("ZCARD", since="1.2.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def zcard(ctx: Context, key: Key) -> int:
    """Returns the number of members in a sorted set."""
    return sorted_sets.length(ctx.db, key)


@command("ZSCORE", since="1.2.0", flags=READONLY | FAST, group=GROUP)
def zscore(ctx: Context, key: Key, member: Bytes) -> float | None:
    """Returns the score of a member in a sorted set."""
    return sorted_sets.score(ctx.db, key, member)


@command(
    "ZMSCORE", since="6.2.0", flags=READONLY | FAST, group=GROUP, arity=-3, complexity="O(N)", syntax="key member..."
)
def zmscore(ctx: Context, key: Key, *members: Bytes) -> list[float | None]:
    """Returns the score of one or more members in a sorted set."""
    return sorted_sets.scores(ctx.db, key, members)


def rank(ctx: Context, key: bytes, member: bytes, with_score: bytes | None, reverse: bool) -> object:
    if with_score is not None and with_score.upper() != b"WITHSCORE":
        raise syntax_error()
    found = sorted_sets.rank(ctx.db, key, member, reverse)
    if found is None:
        return NULL_ARRAY if with_score is not None else None
    return list(found) if with_score is not None else found[0]


@command(
    "ZRANK",
    since="2.0.0",
    flags=READONLY | FAST,
    group=GROUP,
    complexity="O(log(N))",
    syntax="key member [withscore=WITHSCORE]",
)
def zrank(ctx: Context, key: Key, member: Bytes, withscore: Bytes | None = None) -> object:
    """Returns the index of a member in a sorted set ordered by ascending scores."""
    return rank(ctx, key, member, withscore, False)


@command(
    "ZREVRANK",
    since="2.0.0",
    flags=READONLY | FAST,
    group=GROUP,
    complexity="O(log(N))",
    syntax="key member [withscore=WITHSCORE]",
)
def zrevrank(ctx: Context, key: Key, member: Bytes, withscore: Bytes | None = None) -> object:
    """Returns the index of a member in a sorted set ordered by descending scores."""
    return rank(ctx, key, member, withscore, True)


# Ranges


def score_bound(text: bytes) -> tuple[float, bool]:
    """(bound, exclusive) from `5`, `(5`, `-inf`."""
    exclusive = text.startswith(b"(")
    value = number.parse_bound(text[1:] if exclusive else text)
    if value is None:
        raise CommandError(NOT_A_FLOAT_RANGE)
    return value, exclusive


def score_bounds(low: bytes, high: bytes) -> tuple[float, bool, float, bool]:
    return (*score_bound(low), *score_bound(high))


def lex_bound(text: bytes) -> tuple[bytes | int, bool]:
    """(bound, exclusive) from `[abc`, `(abc`, `-`, `+`."""
    if text in (b"-", b"+"):
        return (LEX_MIN if text == b"-" else LEX_MAX), False
    if text[:1] not in (b"[", b"("):
        raise CommandError(NOT_A_STRING_RANGE)
    return text[1:], text[:1] == b"("


def lex_bounds(low: bytes, high: bytes) -> tuple[bytes | int, bool, bytes | int, bool]:
    return (*lex_bound(low), *lex_bound(high))


@dataclass
class RangeOptions:
    """What ZRANGE and its older sisters were asked."""

    by: bytes = b"RANK"
    reverse: bool = False
    with_scores: bool = False
    offset: int = 0
    limit: int = -1
    limited: bool = False


def select_range(ctx: Context, key: bytes, first: bytes, second: bytes, options: RangeOptions) -> Flat:
    """Elements of a range; with `reverse`, score and lex ranges are given from high to low."""
    if options.by == b"RANK":
        start, stop = parse_int(first), parse_int(second)
        return sorted_sets.range_by_rank(ctx.db, key, start, stop, options.reverse)
    low, high = (second, first) if options.reverse else (first, second)
    if options.by == b"SCORE":
        bounds = score_bounds(low, high)
        return sorted_sets.range_by_score(ctx.db, key, *bounds, options.reverse, options.offset, options.limit)
    lex = lex_bounds(low, high)
    return sorted_sets.range_by_lex(ctx.db, key, *lex, options.reverse, options.offset, options.limit)


def parse_range(words: tuple[bytes, ...], allowed: frozenset[bytes], preset: RangeOptions) -> RangeOptions:
    options = Options(words)
    while options:
        word = options.next()
        if word not in allowed:
            raise syntax_error()
        if word == b"WITHSCORES":
            preset.with_scores = True
        elif word == b"REV":
            preset.reverse = True
        elif word == b"LIMIT":
            if options.remaining() < 2:
                raise syntax_error()
            preset.offset, preset.limit = options.integer(), options.integer()
            preset.limited = True
        else:
            preset.by = word[2:]
    if preset.limited and preset.by == b"RANK":
        raise CommandError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if preset.with_scores and preset.by == b"LEX":
        raise CommandError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
    return preset


ZRANGE_WORDS = frozenset([b"BYSCORE", b"BYLEX", b"REV", b"LIMIT", b"WITHSCORES"])


def range_reply(ctx: Context, key: bytes, first: bytes, second: bytes, options: RangeOptions) -> list[object]:
    return with_scores_reply(ctx, select_range(ctx, key, first, second, options), options.with_scores)


@command(
    "ZRANGE",
    since="1.2.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key start stop [sortby=(BYSCORE | BYLEX)] [REV] [LIMIT <offset:integer count:integer>] [WITHSCORES]",
)
def zrange(ctx: Context, key: Key, start: Bytes, stop: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a range of indexes, scores or names."""
    return range_reply(ctx, key, start, stop, parse_range(options, ZRANGE_WORDS, RangeOptions()))


@command(
    "ZREVRANGE",
    since="1.2.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key start:integer stop:integer [WITHSCORES]",
)
def zrevrange(ctx: Context, key: Key, start: Bytes, stop: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a range of indexes in reverse order."""
    parsed = parse_range(options, frozenset([b"WITHSCORES"]), RangeOptions(reverse=True))
    return range_reply(ctx, key, start, stop, parsed)


BY_SCORE_WORDS = frozenset([b"LIMIT", b"WITHSCORES"])


@command(
    "ZRANGEBYSCORE",
    since="1.0.5",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key min:double max:double [WITHSCORES] [LIMIT <offset:integer count:integer>]",
)
def zrangebyscore(ctx: Context, key: Key, low: Bytes, high: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a range of scores."""
    return range_reply(ctx, key, low, high, parse_range(options, BY_SCORE_WORDS, RangeOptions(by=b"SCORE")))


@command(
    "ZREVRANGEBYSCORE",
    since="2.2.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key max:double min:double [WITHSCORES] [LIMIT <offset:integer count:integer>]",
)
def zrevrangebyscore(ctx: Context, key: Key, high: Bytes, low: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a range of scores in reverse order."""
    parsed = parse_range(options, BY_SCORE_WORDS, RangeOptions(by=b"SCORE", reverse=True))
    return range_reply(ctx, key, high, low, parsed)


@command(
    "ZRANGEBYLEX",
    since="2.8.9",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key min max [LIMIT <offset:integer count:integer>]",
)
def zrangebylex(ctx: Context, key: Key, low: Bytes, high: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a lexicographical range."""
    return range_reply(ctx, key, low, high, parse_range(options, frozenset([b"LIMIT"]), RangeOptions(by=b"LEX")))


@command(
    "ZREVRANGEBYLEX",
    since="2.8.9",
    flags=READONLY,
    group=GROUP,
    complexity="O(log(N)+M)",
    syntax="key max min [LIMIT <offset:integer count:integer>]",
)
def zrevrangebylex(ctx: Context, key: Key, high: Bytes, low: Bytes, *options: Bytes) -> list[object]:
    """Returns members in a sorted set within a lexicographical range in reverse order."""
    parsed = parse_range(options, frozenset([b"LIMIT"]), RangeOptions(by=b"LEX", reverse=True))
    return range_reply(ctx, key, high, low, parsed)


@command(
    "ZRANGESTORE",
    since="6.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    complexity="O(log(N)+M)",
    keys="1 OW update; 2 RO access",
    syntax="dst:key src:key min max [sortby=(BYSCORE | BYLEX)] [REV] [LIMIT <offset:integer count:integer>]",
)
def zrangestore(ctx: Context, dst: Key, src: Key, low: Bytes, high: Bytes, *options: Bytes) -> int:
    """Stores a range of members from sorted set in a key."""
    parsed = parse_range(options, ZRANGE_WORDS - {b"WITHSCORES"}, RangeOptions())
    return store(ctx, dst, select_range(ctx, src, low, high, parsed), "zrangestore")


@command(
    "ZCOUNT",
    since="2.0.0",
    flags=READONLY | FAST,
    group=GROUP,
    complexity="O(log(N))",
    syntax="key min:double max:double",
)
def zcount(ctx: Context, key: Key, low: Bytes, high: Bytes) -> int:
    """Returns the count of members in a sorted set that have scores within a range."""
    bounds = score_bounds(low, high)
    return sorted_sets.count_by_score(ctx.db, key, *bounds)


@command("ZLEXCOUNT", since="2.8.9", flags=READONLY | FAST, group=GROUP, complexity="O(log(N))", syntax="key min max")
def zlexcount(ctx: Context, key: Key, low: Bytes, high: Bytes) -> int:
    """Returns the number of members in a sorted set within a lexicographical range."""
    bounds = lex_bounds(low, high)
    return sorted_sets.count_by_lex(ctx.db, key, *bounds)


# Removing


def remove(ctx: Context, key: bytes, members: Sequence[bytes], event: str) -> int:
    removed = sorted_sets.remove(ctx.db, key, members)
    if removed:
        ctx.changed(key, event, removed)
    return removed


@command(
    "ZREM",
    since="1.2.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-3,
    complexity="O(M*log(N))",
    keys="RW delete",
    syntax="key member...",
)
def zrem(ctx: Context, key: Key, *members: Bytes) -> int:
    """Removes one or more members from a sorted set. Deletes the sorted set if all members were removed."""
    return remove(ctx, key, members, "zrem")


@command(
    "ZREMRANGEBYRANK",
    since="2.0.0",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(log(N)+M)",
    keys="RW delete",
)
def zremrangebyrank(ctx: Context, key: Key, start: Int, stop: Int) -> int:
    """Removes members in a sorted set within a range of indexes."""
    return remove(ctx, key, sorted_sets.range_by_rank(ctx.db, key, start, stop)[::2], "zremrangebyrank")


@command(
    "ZREMRANGEBYSCORE",
    since="1.2.0",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(log(N)+M)",
    keys="RW delete",
    syntax="key min:double max:double",
)
def zremrangebyscore(ctx: Context, key: Key, low: Bytes, high: Bytes) -> int:
    """Removes members in a sorted set within a range of scores."""
    bounds = score_bounds(low, high)
    return remove(ctx, key, sorted_sets.range_by_score(ctx.db, key, *bounds)[::2], "zremrangebyscore")


@command(
    "ZREMRANGEBYLEX",
    since="2.8.9",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(log(N)+M)",
    keys="RW delete",
    syntax="key min max",
)
def zremrangebylex(ctx: Context, key: Key, low: Bytes, high: Bytes) -> int:
    """Removes members in a sorted set within a lexicographical range."""
    bounds = lex_bounds(low, high)
    return remove(ctx, key, sorted_sets.range_by_lex(ctx.db, key, *bounds)[::2], "zremrangebylex")


def pop(ctx: Context, key: bytes, count: bytes | None, from_max: bool) -> object:
    wanted = 1
    if count is not None:
        wanted = parse_ranged_int(count, 0, (1 << 63) - 1, "ERR value is out of range, must be positive")
    flat = sorted_sets.pop(ctx.db, key, wanted, from_max) or []
    if flat:
        ctx.changed(key, "zpopmax" if from_max else "zpopmin", len(flat) // 2)
    if count is not None:
        return with_scores_reply(ctx, flat, True)
    return flat


@command(
    "ZPOPMIN",
    since="5.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(log(N)*M)",
    keys="RW access delete",
    syntax="key [count:integer]",
)
def zpopmin(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Returns the lowest-scoring members from a sorted set after removing them."""
    return pop(ctx, key, count, False)


@command(
    "ZPOPMAX",
    since="5.0.0",
    flags=WRITE | FAST,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    complexity="O(log(N)*M)",
    keys="RW access delete",
    syntax="key [count:integer]",
)
def zpopmax(ctx: Context, key: Key, count: Bytes | None = None) -> object:
    """Returns the highest-scoring members from a sorted set after removing them."""
    return pop(ctx, key, count, True)


@command(
    "ZMPOP",
    since="7.0.0",
    flags=WRITE,
    properties=Property.MAY_EMPTY,
    group=GROUP,
    arity=-4,
    complexity="O(K)+O(M*log(N))",
    keys="#1 RW access delete",
    syntax="numkeys:integer key... where=(MIN | MAX) [COUNT count:integer]",
)
def zmpop(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> object:
    """Returns the highest- or lowest-scoring members from one or more sorted sets after removing them."""
    keys, words = counted_keys(numkeys, arguments)
    where = words.value().upper()
    if where not in (b"MIN", b"MAX"):
        raise syntax_error()
    count = pop_count(words)
    for key in keys:
        if sorted_sets.length(ctx.db, key):
            flat = sorted_sets.pop(ctx.db, key, count, where == b"MAX") or []
            ctx.changed(key, "zpopmax" if where == b"MAX" else "zpopmin", len(flat) // 2)
            ctx.propagate(b"ZPOPMAX" if where == b"MAX" else b"ZPOPMIN", key, len(flat) // 2)
            return [key, [[flat[i], flat[i + 1]] for i in range(0, len(flat), 2)]]
    return NULL_ARRAY


# Random and scan


@command(
    "ZRANDMEMBER",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key [options=<count:integer [WITHSCORES]>]",
    tips="nondeterministic_output",
)
def zrandmember(ctx: Context, key: Key, *options: Bytes) -> object:
    """Returns one or more random members from a sorted set."""
    if not options:
        flat = sorted_sets.random_items(ctx.db, key, 1)
        return flat[0] if flat else None
    count = parse_signed_count(options[0])
    with_scores = len(options) == 2 and options[1].upper() == b"WITHSCORES"
    if len(options) > 2 or (len(options) == 2 and not with_scores):
        raise syntax_error()
    if with_scores and count > INT64_MAX // 2:
        raise CommandError(OUT_OF_RANGE)
    if count < 0:
        return with_scores_reply(ctx, sorted_sets.random_items(ctx.db, key, -count), with_scores)
    flat = sorted_sets.items(ctx.db, key)
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    if count < len(pairs):
        pairs = random.sample(pairs, count)
    return with_scores_reply(ctx, [part for pair in pairs for part in pair], with_scores)


@command(
    "ZSCAN",
    since="2.8.0",
    flags=READONLY,
    group=GROUP,
    syntax="key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    tips="nondeterministic_output",
)
def zscan(ctx: Context, key: Key, cursor: Bytes, *options: Bytes) -> list[object]:
    """Iterates over members and scores of a sorted set."""
    position = scan_cursor(cursor)
    if not sorted_sets.length(ctx.db, key):
        return [b"0", []]
    parsed = scan_options(position, options, frozenset())
    following, flat = sorted_sets.scan(ctx.db, key, parsed.cursor, parsed.count, parsed.pattern)
    # Scores are text here in both protocols: a scan reply is an array of strings.
    items = [number.format_float(part) if isinstance(part, float) else part for part in flat]
    return [b"%d" % following, items]


# Union, intersection, difference


def store(ctx: Context, destination: bytes, flat: Flat, event: str) -> int:
    """Replace `destination`, whatever it held, by these elements."""
    existed = ctx.db.delete(destination)
    if flat:
        pairs: Flat = []
        for i in range(0, len(flat), 2):
            pairs += (flat[i + 1], flat[i])
        sorted_sets.add(ctx.db, destination, pairs)
        ctx.changed(destination, event)
    elif existed:
        ctx.changed(destination, "del")
    return len(flat) // 2


Aggregate = Callable[[float, float], float]


def add_scores(a: float, b: float) -> float:
    total = a + b
    return 0.0 if math.isnan(total) else total  # +inf and -inf cancel out


AGGREGATES: dict[bytes, Aggregate] = {b"SUM": add_scores, b"MIN": min, b"MAX": max}


@dataclass
class Combination:
    """Input of ZUNION, ZINTER and ZDIFF: the sets with weighted scores, and how scores combine."""

    inputs: list[dict[bytes, float]]
    aggregate: Aggregate
    with_scores: bool


def read_members(ctx: Context, key: bytes) -> dict[bytes, float]:
    """Members and scores of a sorted set, or of a set (score 1)."""
    kind = ctx.db.type_name(key)
    if kind == b"set":
        return dict.fromkeys(sets.members(ctx.db, key), 1.0)
    if kind not in (None, b"zset"):
        raise WrongTypeError
    flat = sorted_sets.items(ctx.db, key)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def parse_combination(
    ctx: Context, numkeys: bytes, arguments: tuple[bytes, ...], *, weighted: bool, stored: bool
) -> Combination:
    count = parse_int(numkeys, NOT_AN_INTEGER)
    if count < 1:
        raise CommandError(f"ERR at least 1 input key is needed for '{ctx.command.name}' command")
    if count > len(arguments):
        raise syntax_error()
    keys, options = arguments[:count], Options(arguments[count:])
    weights, aggregate, with_scores = [1.0] * count, AGGREGATES[b"SUM"], False
    inputs = [read_members(ctx, key) for key in keys]
    while options:
        word = options.next()
        if word == b"WEIGHTS" and weighted and options.remaining() >= count:
            weights = [parse_float(text, "ERR weight value is not a float") for text in options.take(count)]
        elif word == b"AGGREGATE" and weighted and options:
            name = options.next()
            if name not in AGGREGATES:
                raise syntax_error()
            aggregate = AGGREGATES[name]
        elif word == b"WITHSCORES" and not stored:
            with_scores = True
        else:
            raise syntax_error()
    for i, weight in enumerate(weights):
        if weight != 1.0:
            inputs[i] = {member: weigh(score, weight) for member, score in inputs[i].items()}
    return Combination(inputs, aggregate, with_scores)


def weigh(score: float, weight: float) -> float:
    weighted = score * weight
    return 0.0 if math.isnan(weighted) else weighted  # infinity times zero


def sorted_flat(scores: dict[bytes, float]) -> Flat:
    flat: Flat = []
    for member, score in sorted(scores.items(), key=lambda item: (item[1], item[0])):
        flat += (member, score)
    return flat


def union(combination: Combination) -> Flat:
    result: dict[bytes, float] = {}
    for scores in combination.inputs:
        for member, score in scores.items():
            result[member] = combination.aggregate(result[member], score) if member in result else score
    return sorted_flat(result)


def intersection(combination: Combination) -> Flat:
    first, *others = sorted(combination.inputs, key=len)
    result: dict[bytes, float] = {}
    for member, score in first.items():
        for scores in others:
            if member not in scores:
                break
            score = combination.aggregate(score, scores[member])
        else:
            result[member] = score
    return sorted_flat(result)


def difference(combination: Combination) -> Flat:
    first, *others = combination.inputs
    return sorted_flat(
        {member: score for member, score in first.items() if not any(member in other for other in others)}
    )


@command(
    "ZUNION",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    complexity="O(N)+O(M*log(M))",
    keys="#1 RO access",
    syntax="numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate=(SUM | MIN | MAX)] [WITHSCORES]",
)
def zunion(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> list[object]:
    """Returns the union of multiple sorted sets."""
    combination = parse_combination(ctx, numkeys, arguments, weighted=True, stored=False)
    return with_scores_reply(ctx, union(combination), combination.with_scores)


@command(
    "ZINTER",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    complexity="O(N*K)+O(M*log(M))",
    keys="#1 RO access",
    syntax="numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate=(SUM | MIN | MAX)] [WITHSCORES]",
)
def zinter(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> list[object]:
    """Returns the intersect of multiple sorted sets."""
    combination = parse_combination(ctx, numkeys, arguments, weighted=True, stored=False)
    return with_scores_reply(ctx, intersection(combination), combination.with_scores)


@command(
    "ZDIFF",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    complexity="O(L + (N-K)log(N))",
    keys="#1 RO access",
    syntax="numkeys:integer key... [WITHSCORES]",
)
def zdiff(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> list[object]:
    """Returns the difference between multiple sorted sets."""
    combination = parse_combination(ctx, numkeys, arguments, weighted=False, stored=False)
    return with_scores_reply(ctx, difference(combination), combination.with_scores)


@command(
    "ZUNIONSTORE", since="2.0.0", flags=WRITE | DENYOOM, properties=Property.READS_KEYS, group=GROUP, arity=-4,
    complexity="O(N)+O(M log(M))",
    keys="1 OW update; #2 RO access",
    syntax="destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate=(SUM | MIN | "
        "MAX)]",
)  # fmt: skip
def zunionstore(ctx: Context, destination: Bytes, numkeys: Bytes, *arguments: Bytes) -> int:
    """Stores the union of multiple sorted sets in a key."""
    return store(
        ctx, destination, union(parse_combination(ctx, numkeys, arguments, weighted=True, stored=True)), "zunionstore"
    )


@command(
    "ZINTERSTORE", since="2.0.0", flags=WRITE | DENYOOM, properties=Property.READS_KEYS, group=GROUP, arity=-4,
    complexity="O(N*K)+O(M*log(M))",
    keys="1 OW update; #2 RO access",
    syntax="destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE aggregate=(SUM | MIN | "
        "MAX)]",
)  # fmt: skip
def zinterstore(ctx: Context, destination: Bytes, numkeys: Bytes, *arguments: Bytes) -> int:
    """Stores the intersect of multiple sorted sets in a key."""
    combination = parse_combination(ctx, numkeys, arguments, weighted=True, stored=True)
    return store(ctx, destination, intersection(combination), "zinterstore")


@command(
    "ZDIFFSTORE", since="6.2.0", flags=WRITE | DENYOOM, properties=Property.READS_KEYS, group=GROUP, arity=-4,
    complexity="O(L + (N-K)log(N))",
    keys="1 OW update; #2 RO access",
    syntax="destination:key numkeys:integer key...",
)  # fmt: skip
def zdiffstore(ctx: Context, destination: Bytes, numkeys: Bytes, *arguments: Bytes) -> int:
    """Stores the difference of multiple sorted sets in a key."""
    combination = parse_combination(ctx, numkeys, arguments, weighted=False, stored=True)
    return store(ctx, destination, difference(combination), "zdiffstore")


@command(
    "ZINTERCARD",
    since="7.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    complexity="O(N*K)",
    keys="#1 RO access",
    syntax="numkeys:integer key... [LIMIT limit:integer]",
)
def zintercard(ctx: Context, numkeys: Bytes, *arguments: Bytes) -> int:
    """Returns the number of members of the intersect of multiple sorted sets."""
    count = parse_int(numkeys, NOT_AN_INTEGER)
    if count < 1:
        raise CommandError(f"ERR at least 1 input key is needed for '{ctx.command.name}' command")
    if count > len(arguments):
        raise syntax_error()
    inputs = [read_members(ctx, key) for key in arguments[:count]]
    limit = cardinality_limit(Options(arguments[count:]))
    size = len(intersection(Combination(inputs, max, False))) // 2
    return min(size, limit) if limit else size
