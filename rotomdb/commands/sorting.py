"""SORT: elements of a list, set or sorted set, ordered by themselves or by what other keys say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cmp_to_key

from rotomdb.commands.arguments import Options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import DENYOOM, READONLY, WRITE, Bytes, Key, command
from rotomdb.engine import hashes, lists, number, sets, sorted_sets, strings
from rotomdb.errors import CommandError, WrongTypeError

GROUP = "generic"
Weighted = tuple[bytes, float | bytes | None]


@dataclass
class SortOptions:
    by: bytes | None = None
    get: list[bytes] = field(default_factory=list)
    descending: bool = False
    alphabetic: bool = False
    offset: int = 0
    count: int = -1
    store: bytes | None = None

    @property
    def unsorted(self) -> bool:
        """BY a pattern without `*` means: leave the order alone."""
        return self.by is not None and b"*" not in self.by


def reads_any_key(ctx: Context) -> bool:
    """Whether who asks may read keys that the request does not name, as patterns do."""
    if ctx.user is None or ctx.command is None:
        return True
    return ctx.user.reads_any_key(ctx.command.subject, ctx.request())


def parse_options(ctx: Context, words: tuple[bytes, ...], *, may_store: bool) -> SortOptions:
    parsed = SortOptions()
    options = Options(words)
    while options:
        word = options.next()
        if word in (b"ASC", b"DESC"):
            parsed.descending = word == b"DESC"
        elif word == b"ALPHA":
            parsed.alphabetic = True
        elif word == b"LIMIT" and options.remaining() >= 2:
            parsed.offset, parsed.count = options.integer(), options.integer()
        elif word == b"STORE" and may_store and options:
            parsed.store = options.value()
        elif word == b"BY" and options:
            parsed.by = options.value()
            if not parsed.unsorted and not reads_any_key(ctx):
                raise CommandError("ERR BY option of SORT denied due to insufficient ACL permissions.")
        elif word == b"GET" and options:
            if not reads_any_key(ctx):
                raise CommandError("ERR GET option of SORT denied due to insufficient ACL permissions.")
            parsed.get.append(options.value())
        else:
            raise syntax_error()
    return parsed


def elements_of(ctx: Context, key: bytes) -> tuple[bytes | None, list[bytes]]:
    """Type and elements of the value at `key`."""
    kind = ctx.db.type_name(key)
    if kind is None:
        return None, []
    if kind == b"list":
        return kind, lists.get_range(ctx.db, key, 0, -1)
    if kind == b"set":
        return kind, sets.members(ctx.db, key)
    if kind == b"zset":
        return kind, sorted_sets.items(ctx.db, key)[::2]
    raise WrongTypeError


def look_up(ctx: Context, pattern: bytes, element: bytes) -> bytes | None:
    """The string, or the hash field, that a pattern names for an element; `#` is the element itself."""
    if pattern == b"#":
        return element
    before, star, after = pattern.partition(b"*")
    if not star:
        return None
    key_end, arrow, name = after.partition(b"->")
    if arrow and name:
        key = before + element + key_end
        return hashes.peek(ctx.db, key, name) if ctx.db.type_name(key) == b"hash" else None
    key = before + element + after
    return strings.peek(ctx.db, key) if ctx.db.type_name(key) == b"string" else None


def weigh(ctx: Context, element: bytes, options: SortOptions) -> float | bytes | None:
    """What the element is ordered by."""
    text = element if options.by is None else look_up(ctx, options.by, element)
    if options.alphabetic:
        return text
    if text is None:
        return 0.0
    stripped = text.lstrip(b" \t\n\v\f\r")
    value = number.parse_float(stripped) if stripped else (0.0 if not text else None)  # strtod takes "" for 0
    if value is None:
        raise CommandError("ERR One or more scores can't be converted into double")
    return value


def compare(left: Weighted, right: Weighted) -> int:
    (a, weight_a), (b, weight_b) = left, right
    if isinstance(weight_a, float) and isinstance(weight_b, float):
        # Equal numbers are told apart by the elements, so that the order is the same on every server.
        return (weight_a > weight_b) - (weight_a < weight_b) or (a > b) - (a < b)
    text_a = weight_a if isinstance(weight_a, bytes) else None
    text_b = weight_b if isinstance(weight_b, bytes) else None
    if text_a is None or text_b is None:
        return (text_a is not None) - (text_b is not None)
    return (text_a > text_b) - (text_a < text_b)


def sorted_elements(ctx: Context, key: bytes, options: SortOptions) -> list[bytes]:
    kind, elements = elements_of(ctx, key)
    if options.unsorted and kind == b"set" and (options.store is not None or ctx.in_script):
        # A set has no order of its own: what is stored, and what a script does, must not depend on the server that runs this.
        options.by, options.alphabetic = None, True
    if not options.unsorted:
        weighted: list[Weighted] = [(element, weigh(ctx, element, options)) for element in elements]
        weighted.sort(key=cmp_to_key(compare), reverse=options.descending)
        elements = [element for element, _ in weighted]
    elif kind == b"zset" and options.descending:
        elements.reverse()
    start = min(max(options.offset, 0), len(elements))
    return elements[start:] if options.count < 0 else elements[start : start + options.count]


def output(ctx: Context, elements: list[bytes], options: SortOptions) -> list[bytes | None]:
    if not options.get:
        return list(elements)
    return [look_up(ctx, pattern, element) for element in elements for pattern in options.get]


@command(
    "SORT",
    since="1.0.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    complexity="O(N+M*log(M))",
    keys="1 RO access; ? RO access; ? OW update",
    syntax="key [BY pattern:pattern@1] [LIMIT <offset:integer count:integer>] [GET... pattern:pattern@1] "
    "[order=(ASC | DESC)] [sorting=ALPHA] [STORE destination:key@2]",
    categories="list set sortedset dangerous",
)
def sort(ctx: Context, key: Key, *words: Bytes) -> object:
    """Sorts the elements in a list, a set, or a sorted set, optionally storing the result."""
    options = parse_options(ctx, words, may_store=True)
    result = output(ctx, sorted_elements(ctx, key, options), options)
    if options.store is None:
        return result
    existed = ctx.db.delete(options.store)
    if result:
        lists.push(ctx.db, options.store, [item or b"" for item in result], False)
        ctx.changed(options.store, "sortstore", len(result))
    elif existed:
        ctx.changed(options.store, "del")
    return len(result)


@command(
    "SORT_RO",
    since="7.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N+M*log(M))",
    keys="1 RO access; ? RO access",
    syntax="key [BY pattern:pattern@1] [LIMIT <offset:integer count:integer>] [GET... pattern:pattern@1] "
    "[order=(ASC | DESC)] [sorting=ALPHA]",
    categories="list set sortedset dangerous",
)
def sort_ro(ctx: Context, key: Key, *words: Bytes) -> list[bytes | None]:
    """Returns the sorted elements of a list, a set, or a sorted set."""
    options = parse_options(ctx, words, may_store=False)
    return output(ctx, sorted_elements(ctx, key, options), options)
