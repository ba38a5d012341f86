"""Geospatial commands: sorted sets whose scores are geohashes."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from rotomdb.commands.arguments import Options, parse_float, parse_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown, syntax_error
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import DENYOOM, READONLY, WRITE, Bytes, Key, command
from rotomdb.commands.reply import NULL_ARRAY
from rotomdb.commands.sorted_sets import store, zadd
from rotomdb.engine import geohash, sorted_sets
from rotomdb.engine.geohash import Shape
from rotomdb.errors import CommandError

GROUP = "geo"
UNITS = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}


def parse_unit(text: bytes) -> float:
    if text.lower() not in UNITS:
        raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return UNITS[text.lower()]


def parse_length(text: bytes, name: str) -> float:
    value = parse_float(text, f"ERR need numeric {name}")
    if value < 0:
        raise CommandError(
            f"ERR {name} cannot be negative" if name == "radius" else "ERR height or width cannot be negative"
        )
    return value


def parse_position(longitude: bytes, latitude: bytes) -> tuple[float, float]:
    lon, lat = parse_float(longitude), parse_float(latitude)
    if not (abs(lon) <= geohash.LIMITS[0] and abs(lat) <= geohash.LIMITS[1]):
        raise CommandError(f"ERR invalid longitude,latitude pair {lon:f},{lat:f}")
    return lon, lat


def human(value: float) -> bytes:
    """`%.17Lf` without trailing zeros."""
    return f"{value:.17f}".rstrip("0").rstrip(".").encode()


def position_reply(ctx: Context, position: tuple[float, float]) -> list[object]:
    # Seventeen decimals in both protocols, as Redis prints coordinates.
    return [float(human(part)) if ctx.resp == 3 else human(part) for part in position]


@command(
    "GEOADD",
    since="3.2.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    arity=-5,
    complexity="O(log(N))",
    syntax="key [condition=(NX | XX)] [change=CH] <longitude:double latitude:double member>...",
)
def geoadd(ctx: Context, key: Key, *arguments: Bytes) -> object:
    """Adds one or more members to a geospatial index. The key is created if it doesn't exist."""
    at = 0
    while at < len(arguments) and arguments[at].upper() in (b"NX", b"XX", b"CH"):
        at += 1
    options, rest = arguments[:at], arguments[at:]
    words = {word.upper() for word in options}
    if len(rest) % 3 or not rest or {b"NX", b"XX"} <= words:
        raise syntax_error()
    pairs: list[bytes] = []
    for i in range(0, len(rest), 3):
        bits = geohash.encode(*parse_position(rest[i], rest[i + 1]))
        pairs += (b"%d" % bits, rest[i + 2])
    before = ctx.dispatcher.dirty
    reply = zadd(ctx, key, *options, *pairs)
    if ctx.dispatcher.dirty != before:
        ctx.propagate(b"zadd", key, *options, *pairs)
    return reply


@command("GEOPOS", since="3.2.0", flags=READONLY, group=GROUP, complexity="O(1)", syntax="key member...")
def geopos(ctx: Context, key: Key, *members: Bytes) -> list[object]:
    """Returns the longitude and latitude of members from a geospatial index."""
    scores = sorted_sets.scores(ctx.db, key, members)
    return [NULL_ARRAY if score is None else position_reply(ctx, geohash.decode(score)) for score in scores]


@command("GEOHASH", since="3.2.0", flags=READONLY, group=GROUP, complexity="O(1)", syntax="key member...")
def geohash_(ctx: Context, key: Key, *members: Bytes) -> list[bytes | None]:
    """Returns members from a geospatial index as geohash strings."""
    scores = sorted_sets.scores(ctx.db, key, members)
    return [None if score is None else geohash.text_of(*geohash.decode(score)) for score in scores]


@command("GEODIST", since="3.2.0", flags=READONLY, group=GROUP, syntax="key member1 member2 [unit=(M | KM | FT | MI)]")
def geodist(ctx: Context, key: Key, member1: Bytes, member2: Bytes, *unit: Bytes) -> bytes | None:
    """Returns the distance between two members of a geospatial index."""
    if len(unit) > 1:
        raise syntax_error()
    scale = parse_unit(unit[0]) if unit else 1.0
    first, second = sorted_sets.scores(ctx.db, key, (member1, member2))
    if first is None or second is None:
        return None
    return b"%.4f" % (geohash.distance(*geohash.decode(first), *geohash.decode(second)) / scale)


@dataclass
class Search:
    """What GEOSEARCH and its older sisters were asked. Distances are replied in `scale` metres."""

    shape: Shape | None = None
    scale: float = 1.0
    ascending: bool | None = None
    count: int = 0
    any_order: bool = False
    with_distance: bool = False
    with_hash: bool = False
    with_position: bool = False
    destination: bytes | None = None
    store_distance: bool = False
    center: tuple[float, float] | None = None
    circle: tuple[float, float] | None = None  # radius, unit
    box: tuple[float, float, float] | None = None  # width, height, unit


Found = tuple[bytes, float, float, tuple[float, float]]  # member, score, metres from the middle, position
METRES = operator.itemgetter(2)


def center_of(ctx: Context, key: bytes, member: bytes) -> tuple[float, float]:
    score = sorted_sets.score(ctx.db, key, member)
    if score is None:
        raise CommandError("ERR could not decode requested zset member")
    return geohash.decode(score)


def parse_common(search: Search, word: bytes, options: Options) -> bool:
    """Options that all forms share; whether `word` was one."""
    if word == b"WITHDIST":
        search.with_distance = True
    elif word == b"WITHHASH":
        search.with_hash = True
    elif word == b"WITHCOORD":
        search.with_position = True
    elif word == b"ANY":
        search.any_order = True
    elif word in (b"ASC", b"DESC"):
        search.ascending = word == b"ASC"
    elif word == b"COUNT" and options:
        search.count = parse_int(options.value())
        if search.count <= 0:
            raise CommandError("ERR COUNT must be > 0")
    else:
        return False
    return True


def check(search: Search, name: str) -> None:
    if search.any_order and not search.count:
        raise CommandError("ERR the ANY argument requires COUNT argument")
    if search.destination is not None and (search.with_distance or search.with_hash or search.with_position):
        raise CommandError(f"ERR {name} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")


def find(ctx: Context, key: bytes, search: Search) -> list[Found]:
    assert search.shape is not None
    found = geohash.search(ctx.db, key, search.shape, search.count if search.any_order else 0)
    ascending = search.ascending
    if ascending is None and search.count and not search.any_order:
        ascending = True  # the nearest ones are what a count asks for
    if ascending is not None:
        found.sort(key=METRES, reverse=not ascending)
    return found[: search.count] if search.count else found


def answer(ctx: Context, key: bytes, search: Search) -> object:
    found = find(ctx, key, search)
    if search.destination is not None:
        flat: list[object] = []
        for member, score, metres, _ in found:
            flat += (member, metres / search.scale if search.store_distance else score)
        return store(
            ctx,
            search.destination,
            flat,
            "geosearchstore" if ctx.command.name == "geosearchstore" else "georadiusstore",
        )
    if not (search.with_distance or search.with_hash or search.with_position):
        return [item[0] for item in found]
    rows: list[object] = []
    for member, score, metres, position in found:
        row: list[object] = [member]
        if search.with_distance:
            row.append(b"%.4f" % (metres / search.scale))
        if search.with_hash:
            row.append(int(score))
        if search.with_position:
            row.append(position_reply(ctx, position))
        rows.append(row)
    return rows


# GEOSEARCH


def parse_search(ctx: Context, key: bytes, words: tuple[bytes, ...], *, stored: bool) -> Search:
    search = Search()
    name = shown(ctx.request()[0])  # as the client spelled it
    options = Options(words)
    exists = ctx.db.exists(key)
    while options:
        word = options.next()
        if word == b"FROMLONLAT" and options.remaining() >= 2 and search.center is None:
            search.center = parse_position(options.value(), options.value())
        elif word == b"FROMMEMBER" and options and search.center is None:
            member = options.value()
            search.center = center_of(ctx, key, member) if exists else (0.0, 0.0)
        elif word == b"BYRADIUS" and options.remaining() >= 2 and search.circle is None and search.box is None:
            search.circle = (parse_length(options.value(), "radius"), parse_unit(options.value()))
        elif word == b"BYBOX" and options.remaining() >= 3 and search.circle is None and search.box is None:
            width, height = parse_length(options.value(), "width"), parse_length(options.value(), "height")
            search.box = (width, height, parse_unit(options.value()))
        elif word == b"STOREDIST" and stored:
            search.store_distance = True
        elif not parse_common(search, word, options):
            raise syntax_error()
    if search.center is None:
        raise CommandError(f"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")
    if search.circle is None and search.box is None:
        raise CommandError(f"ERR exactly one of BYRADIUS and BYBOX can be specified for {name}")
    if search.circle is not None:
        radius, search.scale = search.circle
        search.shape = Shape(*search.center, radius=radius * search.scale)
    elif search.box is not None:
        width, height, search.scale = search.box
        search.shape = Shape(*search.center, width=width * search.scale, height=height * search.scale, box=True)
    return search


@command(
    "GEOSEARCH",
    since="6.2.0",
    flags=READONLY,
    group=GROUP,
    arity=-7,
    complexity="O(N+log(M))",
    syntax="key from=(FROMMEMBER member | FROMLONLAT <longitude:double latitude:double>) by=(circle=<BYRADIUS "
    "radius:double unit=(M | KM | FT | MI)> | box=<BYBOX width:double height:double unit=(M | KM | FT | "
    "MI)>) [order=(ASC | DESC)] [count=<COUNT count:integer [ANY]>] [WITHCOORD] [WITHDIST] [WITHHASH]",
)
def geosearch(ctx: Context, key: Key, *words: Bytes) -> object:
    """Queries a geospatial index for members inside an area of a box or a circle."""
    sorted_sets.length(ctx.db, key)
    search = parse_search(ctx, key, words, stored=False)
    check(search, "geosearch")
    return answer(ctx, key, search)


@command(
    "GEOSEARCHSTORE",
    since="6.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-8,
    complexity="O(N+log(M))",
    keys="1 OW update; 2 RO access",
    syntax="destination:key source:key from=(FROMMEMBER member | FROMLONLAT <longitude:double latitude:double>) "
    "by=(circle=<BYRADIUS radius:double unit=(M | KM | FT | MI)> | box=<BYBOX width:double height:double "
    "unit=(M | KM | FT | MI)>) [order=(ASC | DESC)] [count=<COUNT count:integer [ANY]>] [STOREDIST]",
)
def geosearchstore(ctx: Context, destination: Key, source: Key, *words: Bytes) -> object:
    """Queries a geospatial index for members inside an area of a box or a circle, and stores the result."""
    sorted_sets.length(ctx.db, source)
    search = parse_search(ctx, source, words, stored=True)
    search.destination = destination
    check(search, "GEOSEARCHSTORE")
    return answer(ctx, source, search)


# GEORADIUS and its variants


def radius_search(
    ctx: Context, key: bytes, center: tuple[float, float] | None, words: tuple[bytes, ...], *, may_store: bool
) -> object:
    search, radius = Search(), 0.0
    if center is not None:  # without the member nobody asks how far around it
        radius, search.scale = parse_length(words[0], "radius"), parse_unit(words[1])
    options = Options(words[2:])
    while options:
        word = options.next()
        if word in (b"STORE", b"STOREDIST") and may_store and options:
            search.destination = options.value()
            search.store_distance = word == b"STOREDIST"
        elif not parse_common(search, word, options):
            raise syntax_error()
    check(search, "STORE option in GEORADIUS")
    if center is None:  # the key is absent, and with it the member
        return store(ctx, search.destination, [], "georadiusstore") if search.destination is not None else []
    search.shape = Shape(*center, radius=radius * search.scale)
    return answer(ctx, key, search)


def radius_around_position(ctx: Context, key: bytes, words: tuple[bytes, ...], *, may_store: bool) -> object:
    sorted_sets.length(ctx.db, key)
    return radius_search(ctx, key, parse_position(words[0], words[1]), words[2:], may_store=may_store)


def radius_around_member(ctx: Context, key: bytes, words: tuple[bytes, ...], *, may_store: bool) -> object:
    center = center_of(ctx, key, words[0]) if sorted_sets.length(ctx.db, key) else None
    return radius_search(ctx, key, center, words[1:], may_store=may_store)


@command(
    "GEORADIUS",
    since="3.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-6,
    complexity="O(N+log(M))",
    keys="1 RO access; STORE@6 OW update; STOREDIST@6 OW update",
    syntax="key longitude:double latitude:double radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] "
    "[WITHHASH] [count=<COUNT count:integer [ANY]>] [order=(ASC | DESC)] [STORE key] [STOREDIST key]",
)
def georadius(ctx: Context, key: Key, *words: Bytes) -> object:
    """Queries a geospatial index for members within a distance from a coordinate, optionally stores the result."""
    return radius_around_position(ctx, key, words, may_store=True)


@command(
    "GEORADIUS_RO",
    since="3.2.10",
    flags=READONLY,
    group=GROUP,
    arity=-6,
    complexity="O(N+log(M))",
    syntax="key longitude:double latitude:double radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] "
    "[WITHHASH] [count=<COUNT count:integer [ANY]>] [order=(ASC | DESC)]",
)
def georadius_ro(ctx: Context, key: Key, *words: Bytes) -> object:
    """Returns members from a geospatial index that are within a distance from a coordinate."""
    return radius_around_position(ctx, key, words, may_store=False)


@command(
    "GEORADIUSBYMEMBER",
    since="3.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-5,
    complexity="O(N+log(M))",
    keys="1 RO access; STORE@5 OW update; STOREDIST@5 OW update",
    syntax="key member radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count=<COUNT "
    "count:integer [ANY]>] [order=(ASC | DESC)] [STORE key] [STOREDIST key]",
)
def georadiusbymember(ctx: Context, key: Key, *words: Bytes) -> object:
    """Queries a geospatial index for members within a distance from a member, optionally stores the result."""
    return radius_around_member(ctx, key, words, may_store=True)


@command(
    "GEORADIUSBYMEMBER_RO",
    since="3.2.10",
    flags=READONLY,
    group=GROUP,
    arity=-5,
    complexity="O(N+log(M))",
    syntax="key member radius:double unit=(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count=<COUNT "
    "count:integer [ANY]>] [order=(ASC | DESC)]",
)
def georadiusbymember_ro(ctx: Context, key: Key, *words: Bytes) -> object:
    """Returns members from a geospatial index that are within a distance from a member."""
    return radius_around_member(ctx, key, words, may_store=False)
