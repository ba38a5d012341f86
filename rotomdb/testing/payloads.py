"""Values in every encoding that RDB files and DUMP payloads know, built by hand, with wrong numbers here and there.

Random bytes seldom get behind the first length check of a decoder. Here each length, count, offset, type byte and checksum is
made as a server makes it, and a `Shaper` puts a wrong one in its place from time to time, or leaves an element out, repeats
it, or swaps two. What is computed from other parts (sizes, back links, tails) is computed from what really stands there, so
that one lie does not hide behind another.

The layouts are those of docs/formats.md, section 2.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Sequence

from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.format import (
    CELL_DOUBLE,
    CELL_INTEGER,
    CELL_LONG_TEXT,
    CELL_TEXT,
    CHECKSUM_BYTES,
    OPCODE_EOF,
    OPCODE_EXPIRETIME_MS,
    OPCODE_HASH_TEMPLATE,
    OPCODE_IDLE,
    RDB_ARRAY,
    RDB_HASH,
    RDB_HASH_LISTPACK,
    RDB_HASH_TIMED,
    RDB_HASH_TIMED_LISTPACK,
    RDB_HASH_TIMED_LISTPACK_PRE_RELEASE,
    RDB_HASH_TIMED_PRE_RELEASE,
    RDB_HASH_ZIPLIST,
    RDB_HASH_ZIPMAP,
    RDB_LIST,
    RDB_LIST_QUICKLIST,
    RDB_LIST_QUICKLIST_2,
    RDB_LIST_ZIPLIST,
    RDB_MODULE,
    RDB_SET,
    RDB_SET_INTSET,
    RDB_SET_LISTPACK,
    RDB_STREAM,
    RDB_STREAM_2,
    RDB_STREAM_3,
    RDB_STREAM_4,
    RDB_STREAM_5,
    RDB_STRING,
    RDB_TEMPLATE_ARRAY,
    RDB_TEMPLATE_ARRAY_REF,
    RDB_TEMPLATE_LISTPACK,
    RDB_TEMPLATE_LISTPACK_REF,
    RDB_TYPE_LAST,
    RDB_ZSET,
    RDB_ZSET_2,
    RDB_ZSET_LISTPACK,
    RDB_ZSET_ZIPLIST,
    VERSION_FIELD_TIMES,
    VERSION_SET_LISTPACKS,
)  # fmt: skip
from rotomdb.formats.rdb.lzf import compress

TEXTS = (
    b"", b"0", b"-1", b"7", b"12", b"13", b"127", b"-128", b"128", b"4095", b"-4097", b"32767", b"-32769", b"8388607",
    b"-8388609", b"2147483647", b"-2147483649", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
    b"007", b"1.5", b"-0", b"nan", b"inf", b"-inf", b"1e400", b"a", b"field", b"\0", b"\xff", b"x" * 63, b"y" * 64, b"z" * 130,
    b"w" * 253, b"v" * 254, b"u" * 300,
)  # fmt: skip
LONG_TEXTS = (b"t" * 4095, b"s" * 4096, b"r" * 16384, bytes(range(256)) * 12)
SCORES = (0.0, -0.0, 1.0, 1.5, -3.25, 1e300, float("inf"), float("-inf"), float("nan"), 5e-324, 2.0**53)
TIMES = (0, 1, 1_700_000_000_000, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFF + 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
BASE_TIMES = (4_000_000_000_000, 1_700_000_000_000)  # of fields: to come, and past
IDS = ((0, 0), (0, 1), (1, 0), (5, 5), (1_700_000_000_000, 0), ((1 << 64) - 1, (1 << 64) - 1), ((1 << 63), 3))


class Shaper:
    """Writes the parts of a value, each wrong with probability `rate`."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        self.rng = rng
        self.rate = rate

    def wrong(self) -> bool:
        return self.rng.random() < self.rate

    def edge(self, value: int, bits: int) -> int:
        """Another number of so many bits, one that is likely to be at an edge."""
        rng, top = self.rng, (1 << bits) - 1
        near = (value + 1, value - 1, value + 2, value * 2, value // 2, -value, value ^ (1 << rng.randrange(bits)))
        far = (
            0,
            1,
            top,
            top - 1,
            top - 7,
            top >> 1,
            (top >> 1) + 1,
            254,
            255,
            1 << 31,
            (1 << 32) - 1,
            1 << 40,
            rng.getrandbits(bits),
        )
        return rng.choice(near if rng.random() < 0.5 else far) & top

    def fixed(self, value: int, size: int) -> bytes:
        """A little-endian number."""
        value &= (1 << 8 * size) - 1
        if self.wrong():
            value = self.edge(value, 8 * size)
        return value.to_bytes(size, "little")

    def length(self, value: int) -> bytes:
        """An RDB length, sometimes in a form longer than it has to be."""
        if self.wrong():
            value = self.edge(value, 64)
            if self.rng.random() < 0.1:
                return bytes([self.rng.choice((0x82, 0xBF, 0xC0, 0xC3, 0xC4, 0xFF))])
        forms = [b"\x81" + value.to_bytes(8, "big")]
        if value < 1 << 32:
            forms.append(b"\x80" + value.to_bytes(4, "big"))
        if value < 1 << 14:
            forms.append(bytes([0x40 | value >> 8, value & 0xFF]))
        if value < 1 << 6:
            forms.append(bytes([value]))
        return self.rng.choice(forms) if self.rng.random() < 0.1 else forms[-1]

    def string(self, data: bytes) -> bytes:
        """An RDB string, compressed where it can be and chance has it so."""
        if self.rng.random() < 0.2 and (packed := compress(data)) is not None:
            if self.wrong():
                packed = self.spoiled(packed)
            return b"\xc3" + self.length(len(packed)) + self.length(len(data)) + packed
        if self.rng.random() < 0.5 and data in (b"0", b"7", b"-1", b"127", b"-128"):
            return b"\xc0" + struct.pack("<b", int(data))
        if self.wrong():
            data = self.spoiled(data)
        return self.length(len(data)) + data

    def spoiled(self, data: bytes) -> bytes:
        changed = bytearray(data)
        rng = self.rng
        if not changed or rng.random() < 0.2:
            return data[: rng.randrange(len(data) + 1)] + rng.randbytes(rng.randrange(4))
        for _ in range(rng.choice((1, 1, 2, 4))):
            changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
        return bytes(changed)

    def arranged(self, parts: Iterable[bytes]) -> list[bytes]:
        """The parts, one of them perhaps left out, repeated, or in another's place."""
        parts = list(parts)
        if parts and self.wrong():
            at, other = self.rng.randrange(len(parts)), self.rng.randrange(len(parts))
            how = self.rng.randrange(3)
            if how == 0:
                del parts[at]
            elif how == 1:
                parts.insert(other, parts[at])
            else:
                parts[at], parts[other] = parts[other], parts[at]
        return parts

    def text(self) -> bytes:
        return self.rng.choice(LONG_TEXTS if self.rng.random() < 0.02 else TEXTS)

    def texts(self, most: int = 12) -> list[bytes]:
        return [self.text() for _ in range(self.rng.choice((0, 1, 2, 3, 5, self.rng.randrange(most + 1))))]

    def different_texts(self) -> list[bytes]:
        """Mostly different from one another, as members are; more of them than a small form holds, now and then."""
        if self.rng.random() < 0.05:
            return [b"%d" % number for number in range(self.rng.choice((129, 200, 520, 600)))]
        names = self.texts()
        return names if self.wrong() else list(dict.fromkeys(names))

    def ids(self) -> list[tuple[int, int]]:
        return sorted({self.rng.choice(IDS) for _ in range(self.rng.randrange(4))})


def is_canonical_int(text: bytes) -> bool:
    if not text.lstrip(b"-").isdigit() or len(text) > 20:
        return False
    number = int(text)
    return -(1 << 63) <= number < 1 << 63 and text == b"%d" % number


# Packed values


def ziplist_element(s: Shaper, text: bytes) -> bytes:
    """Encoding and data, without what stands before them."""
    if is_canonical_int(text) and s.rng.random() < 0.9:
        number = int(text)
        if 0 <= number <= 12:
            return s.fixed(0xF1 + number, 1)
        for lead, size in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)):
            if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
                return s.fixed(lead, 1) + number.to_bytes(size, "little", signed=True)
    if len(text) < 64 and s.rng.random() < 0.9:
        return s.fixed(len(text), 1) + text
    if len(text) < 16384 and s.rng.random() < 0.9:
        length = int.from_bytes(s.fixed(len(text), 2), "little") & 0x3FFF
        return bytes([0x40 | length >> 8, length & 0xFF]) + text
    return s.fixed(0x80, 1) + s.fixed(len(text), 4)[::-1] + text


def ziplist(s: Shaper, texts: Sequence[bytes]) -> bytes:
    body, previous, tail = b"", 0, 10
    elements = s.arranged(ziplist_element(s, text) for text in texts)
    for element in elements:
        wide = previous >= 254 or s.rng.random() < 0.02
        element = (s.fixed(254, 1) + s.fixed(previous, 4) if wide else s.fixed(previous, 1)) + element
        tail, previous = 10 + len(body), len(element)
        body += element
    return (
        s.fixed(11 + len(body), 4) + s.fixed(tail, 4) + s.fixed(min(len(elements), 0xFFFF), 2) + body + s.fixed(255, 1)
    )


def zipmap(s: Shaper, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    def length(value: int) -> bytes:
        return s.fixed(value, 1) if value < 254 and s.rng.random() < 0.9 else s.fixed(254, 1) + s.fixed(value, 4)

    entries = []
    for name, value in pairs:
        unused = s.rng.choice((0, 0, 0, 1, 3))
        entries.append(length(len(name)) + name + length(len(value)) + s.fixed(unused, 1) + value + bytes(unused))
    entries = s.arranged(entries)
    return s.fixed(min(len(entries), 254), 1) + b"".join(entries) + s.fixed(255, 1)


def listpack_element(s: Shaper, text: bytes | int) -> bytes:
    if isinstance(text, int) or (is_canonical_int(text) and s.rng.random() < 0.9):
        body = listpack_integer(s, int(text))
    elif len(text) < 64 and s.rng.random() < 0.9:
        body = s.fixed(0x80 | len(text), 1) + text
    elif len(text) < 4096 and s.rng.random() < 0.9:
        length = int.from_bytes(s.fixed(len(text), 2), "little") & 0xFFF
        body = bytes([0xE0 | length >> 8, length & 0xFF]) + text
    else:
        body = s.fixed(0xF0, 1) + s.fixed(len(text), 4) + text
    size = len(body)
    digits = 1 + (size > 127) + (size >= 16383) + (size >= 2097151) + (size >= 268435455)
    if s.wrong():
        size = s.edge(size, 7 * digits)
    back = [size >> 7 * i & 127 | (128 if i < digits - 1 else 0) for i in reversed(range(digits))]
    back[0] &= 127
    return body + bytes([back[0], *(digit | 128 for digit in back[1:])])


def listpack_integer(s: Shaper, number: int) -> bytes:
    if 0 <= number <= 127:
        return s.fixed(number, 1)
    if -4096 <= number <= 4095:
        return bytes([0xC0 | (number & 0x1FFF) >> 8, number & 0xFF])
    for lead, size in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)):
        if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
            return s.fixed(lead, 1) + number.to_bytes(size, "little", signed=True)
    return bytes([0x80 | len(b"%d" % number)]) + b"%d" % number


def listpack(s: Shaper, texts: Iterable[bytes | int]) -> bytes:
    elements = s.arranged(listpack_element(s, text) for text in texts)
    body = b"".join(elements)
    count = min(len(elements), 0xFFFF) if s.rng.random() < 0.97 else 0xFFFF
    return s.fixed(7 + len(body), 4) + s.fixed(count, 2) + body + s.fixed(255, 1)


def intset(s: Shaper, numbers: Iterable[int]) -> bytes:
    held = sorted(set(numbers))
    size = next((size for size in (2, 4) if all(-(1 << 8 * size - 1) <= n < 1 << 8 * size - 1 for n in held)), 8)
    members = s.arranged(s.fixed(number, size) for number in held)
    return s.fixed(size, 4) + s.fixed(len(members), 4) + b"".join(members)


def sketch(s: Shaper) -> bytes:
    """A HyperLogLog."""
    head = b"HYLL" + s.fixed(s.rng.randrange(2), 1) + bytes(3) + s.fixed(s.rng.choice((0, 5, 1 << 63)), 8)
    if head[4] == 0:
        return (
            head
            + s.rng.choice((bytes(12288), b"\xff" * 12288, s.rng.randbytes(12288), b"\x41\x10\x04" * 4096))[
                : 12288 - s.wrong()
            ]
        )
    left, codes = 16384, []
    while left > 0:
        run = min(left, s.rng.choice((1, 2, 3, 4, 64, 100, 5000, 16384)))
        if run <= 4 and s.rng.random() < 0.8:
            code = bytes([0x80 | s.rng.randrange(32) << 2 | run - 1])
        elif run <= 64:
            code = bytes([run - 1])
        else:
            code = bytes([0x40 | run - 1 >> 8, run - 1 & 0xFF])
        codes.append(s.spoiled(code) if s.wrong() else code)
        left -= run
    return head + b"".join(s.arranged(codes))


# Streams


def raw_id(identifier: tuple[int, int]) -> bytes:
    return b"".join(half.to_bytes(8, "big") for half in identifier)


def stream_node(s: Shaper, entries: int) -> bytes:
    fields = [s.text() for _ in range(s.rng.randrange(3))]
    parts: list[bytes | int] = []
    deleted = 0
    for i in range(entries):
        flags = s.rng.choice((0, 2, 2, 2, 1, 3))
        deleted += flags & 1
        parts += [flags, int.from_bytes(s.fixed(i, 8), "little", signed=True), s.rng.choice((0, i, 1 << 40))]
        if flags & 2:
            parts += [*(s.text() for _ in fields), len(fields) + 3]
        else:
            count = s.rng.randrange(3)
            parts += [count, *(s.text() for _ in range(2 * count)), 2 * count + 4]
    master: list[bytes | int] = [entries - deleted, deleted, len(fields), *fields, 0]
    for i, part in enumerate(parts):
        if isinstance(part, int) and s.wrong():
            parts[i] = s.rng.choice((part + 1, -1, 0, 1 << 31, -(1 << 63), (1 << 63) - 1, b"5", b"x"))
    for i in (0, 1, 2):
        if s.wrong():
            master[i] = s.rng.choice((-1, 0, 1 << 20, 1 << 62, (1 << 63) - 1, b"1", b"x"))
    return listpack(s, [*master, *parts])


def stream(s: Shaper, type: int) -> bytes:
    nodes, length, masters = b"", 0, s.ids()
    for master in masters:
        entries = s.rng.choice((1, 1, 2, 3, 8))
        nodes += s.string(raw_id(master)) + s.string(stream_node(s, entries))
        length += entries
    out = s.length(len(masters)) + nodes + s.length(length)
    last = masters[-1] if masters else (0, 0)
    for identifier in (last,) if type == RDB_STREAM else (last, (0, 0), s.rng.choice(IDS)):
        out += s.length(identifier[0]) + s.length(identifier[1])
    if type > RDB_STREAM:
        out += s.length(s.rng.choice((length, length + 5)))
    groups = [stream_group(s, type, b"group-%d" % i) for i in range(s.rng.choice((0, 0, 1, 2)))]
    out += s.length(len(groups)) + b"".join(s.arranged(groups))
    if type >= RDB_STREAM_4:
        out += s.length(100) + s.length(100) + s.length(1) + s.string(b"producer")
        out += s.length(1) + s.string(b"message") + s.length(5) + s.length(5) + s.length(1) + s.length(0)
    return out


def stream_group(s: Shaper, type: int, name: bytes) -> bytes:
    last, pending = s.rng.choice(IDS), s.ids()
    out = s.string(name) + s.length(last[0]) + s.length(last[1])
    if type > RDB_STREAM:
        out += s.length(s.rng.choice((0, 3, (1 << 64) - 1, 1 << 63)))
    out += s.length(len(pending))
    out += b"".join(
        s.arranged(
            raw_id(id) + s.fixed(s.rng.choice(TIMES), 8) + s.length(s.rng.choice((1, 1 << 63))) for id in pending
        )
    )
    consumers = []
    for i in range(s.rng.choice((1, 1, 2)) if pending else s.rng.randrange(3)):
        owned = pending if i == 0 else []
        consumer = s.string(b"consumer-%d" % i) + s.fixed(s.rng.choice(TIMES), 8)
        if type >= RDB_STREAM_3:
            consumer += s.fixed(s.rng.choice(TIMES), 8)
        consumers.append(consumer + s.length(len(owned)) + b"".join(s.arranged(raw_id(id) for id in owned)))
    out += s.length(len(consumers)) + b"".join(s.arranged(consumers))
    return out + s.length(0) if type >= RDB_STREAM_5 else out


# Values by RDB type


def counted(s: Shaper, parts: Iterable[bytes]) -> bytes:
    parts = s.arranged(parts)
    return s.length(len(parts)) + b"".join(parts)


def flat(pairs: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [text for pair in pairs for text in pair]


def pairs_of(s: Shaper) -> list[tuple[bytes, bytes]]:
    return [(name, s.text()) for name in s.different_texts()]


def scores_of(s: Shaper) -> list[tuple[bytes, bytes]]:
    """Members with scores as text, in their order."""
    scores = [(s.rng.choice(SCORES[:-3]), member) for member in s.different_texts()]
    return [(member, b"%.17g" % score) for score, member in (scores if s.wrong() else sorted(scores))]


def text_score(s: Shaper) -> bytes:
    special = s.rng.choice((b"\xff", b"\xfe", b"\xfd", None, None, None, None))
    digits = s.rng.choice((b"1.5", b"-3", b"1e300", b"0"))
    return special if special is not None else s.fixed(len(digits), 1) + digits


def timed_fields(s: Shaper, type: int) -> bytes:
    fields = []
    for name, value in pairs_of(s):
        time = s.rng.choice((0, 0, 1, 5, 1 << 40)) if not s.wrong() else s.rng.choice(TIMES)
        fields.append(s.length(time) + s.string(name) + s.string(value))
    return (s.fixed(s.rng.choice(BASE_TIMES), 8) if type == RDB_HASH_TIMED else b"") + counted(s, fields)


def timed_listpack(s: Shaper, type: int) -> bytes:
    triples: list[bytes | int] = []
    time = s.rng.choice(BASE_TIMES)
    for name, value in pairs_of(s):
        time += s.rng.randrange(1000)
        triples += [name, value, time if not s.wrong() else s.rng.choice((-1, 0, 5, 1 << 62))]
    return (s.fixed(BASE_TIMES[0], 8) if type == RDB_HASH_TIMED_LISTPACK else b"") + s.string(listpack(s, triples))


def module(s: Shaper) -> bytes:
    parts = [
        s.length(1) + s.length(5),
        s.length(2) + s.length(7),
        s.length(3) + bytes(4),
        s.length(4) + bytes(8),
        s.length(5) + s.string(b"x"),
    ]
    return s.length(0x45E25238DF912C03) + b"".join(s.arranged(parts)) + s.length(0)


def array(s: Shaper) -> bytes:
    cells = []
    for i in range(s.rng.randrange(5)):
        tag = s.rng.choice((CELL_TEXT, CELL_INTEGER, CELL_DOUBLE, CELL_LONG_TEXT))
        content = s.string(s.text()) if tag in (CELL_TEXT, CELL_LONG_TEXT) else struct.pack("<d", s.rng.choice(SCORES))
        cells.append(s.length(s.rng.choice((i, 1 << 63))) + s.length(tag) + content)
    return s.length(len(cells)) + s.length(0) + b"".join(s.arranged(cells))


def template_hash(s: Shaper, type: int) -> bytes:
    names = s.different_texts()
    values: list[bytes | int] = [*(s.text() for _ in names)]
    held = b"".join(s.string(str(value).encode() if isinstance(value, int) else value) for value in values)
    packed = s.string(listpack(s, [0, *values]))
    if type == RDB_TEMPLATE_LISTPACK_REF:
        return packed
    if type == RDB_TEMPLATE_ARRAY_REF:
        return s.length(0) + s.length(len(values)) + held
    names_form = s.rng.randrange(2)
    head = s.length(names_form)
    head += s.string(listpack(s, names)) if names_form == 0 else counted(s, map(s.string, names))
    return head + (packed if type == RDB_TEMPLATE_LISTPACK else held)


def numbers_of(s: Shaper) -> list[int]:
    widths = (7, 15, 31, 63)[: s.rng.randrange(1, 5)]
    return [s.rng.getrandbits(s.rng.choice(widths)) - 50 for _ in range(s.rng.choice((1, 2, 5, 600)))]


def list_node(s: Shaper) -> bytes:
    if s.rng.random() < 0.3:
        return s.length(1) + s.string(s.text())
    return s.length(2) + s.string(listpack(s, s.texts()))


ENCODINGS: dict[str, tuple[int, Callable[[Shaper], bytes]]] = {
    "string": (RDB_STRING, lambda s: s.string(s.text())),
    "hyperloglog": (RDB_STRING, lambda s: s.string(sketch(s))),
    "list": (RDB_LIST, lambda s: counted(s, map(s.string, s.texts()))),
    "set": (RDB_SET, lambda s: counted(s, map(s.string, s.different_texts()))),
    "zset": (RDB_ZSET, lambda s: counted(s, (s.string(text) + text_score(s) for text in s.different_texts()))),
    "hash": (RDB_HASH, lambda s: counted(s, (s.string(name) + s.string(value) for name, value in pairs_of(s)))),
    "zset-binary": (RDB_ZSET_2, lambda s: counted(s, (s.string(text) + struct.pack("<d", s.rng.choice(SCORES)) for text in s.different_texts()))),
    "module": (RDB_MODULE, module),
    "zipmap": (RDB_HASH_ZIPMAP, lambda s: s.string(zipmap(s, pairs_of(s)))),
    "list-ziplist": (RDB_LIST_ZIPLIST, lambda s: s.string(ziplist(s, s.texts()))),
    "intset": (RDB_SET_INTSET, lambda s: s.string(intset(s, numbers_of(s)))),
    "zset-ziplist": (RDB_ZSET_ZIPLIST, lambda s: s.string(ziplist(s, flat(scores_of(s))))),
    "hash-ziplist": (RDB_HASH_ZIPLIST, lambda s: s.string(ziplist(s, flat(pairs_of(s))))),
    "quicklist": (RDB_LIST_QUICKLIST, lambda s: counted(s, (s.string(ziplist(s, s.texts())) for _ in range(s.rng.randrange(4))))),
    "stream": (RDB_STREAM, lambda s: stream(s, RDB_STREAM)),
    "hash-listpack": (RDB_HASH_LISTPACK, lambda s: s.string(listpack(s, flat(pairs_of(s))))),
    "zset-listpack": (RDB_ZSET_LISTPACK, lambda s: s.string(listpack(s, flat(scores_of(s))))),
    "quicklist-2": (RDB_LIST_QUICKLIST_2, lambda s: counted(s, (list_node(s) for _ in range(s.rng.randrange(4))))),
    "stream-2": (RDB_STREAM_2, lambda s: stream(s, RDB_STREAM_2)),
    "set-listpack": (RDB_SET_LISTPACK, lambda s: s.string(listpack(s, s.different_texts()))),
    "stream-3": (RDB_STREAM_3, lambda s: stream(s, RDB_STREAM_3)),
    "hash-timed-early": (RDB_HASH_TIMED_PRE_RELEASE, lambda s: timed_fields(s, RDB_HASH_TIMED_PRE_RELEASE)),
    "hash-timed-listpack-early": (RDB_HASH_TIMED_LISTPACK_PRE_RELEASE, lambda s: timed_listpack(s, RDB_HASH_TIMED_LISTPACK_PRE_RELEASE)),
    "hash-timed": (RDB_HASH_TIMED, lambda s: timed_fields(s, RDB_HASH_TIMED)),
    "hash-timed-listpack": (RDB_HASH_TIMED_LISTPACK, lambda s: timed_listpack(s, RDB_HASH_TIMED_LISTPACK)),
    "stream-4": (RDB_STREAM_4, lambda s: stream(s, RDB_STREAM_4)),
    "stream-5": (RDB_STREAM_5, lambda s: stream(s, RDB_STREAM_5)),
    "array": (RDB_ARRAY, array),
    "template-listpack": (RDB_TEMPLATE_LISTPACK, lambda s: template_hash(s, RDB_TEMPLATE_LISTPACK)),
    "template-listpack-shared": (RDB_TEMPLATE_LISTPACK_REF, lambda s: template_hash(s, RDB_TEMPLATE_LISTPACK_REF)),
    "template-array": (RDB_TEMPLATE_ARRAY, lambda s: template_hash(s, RDB_TEMPLATE_ARRAY)),
    "template-array-shared": (RDB_TEMPLATE_ARRAY_REF, lambda s: template_hash(s, RDB_TEMPLATE_ARRAY_REF)),
}  # fmt: skip
"""Name: (RDB type, what makes a value)."""

RATES = (0.0, 0.01, 0.03, 0.1)


def body_of(encoding: str, rng: random.Random) -> bytes:
    """The type byte and a value."""
    type, make = ENCODINGS[encoding]
    s = Shaper(rng, rng.choice(RATES))
    body = make(s)
    if rng.random() < 0.01:
        type = rng.randrange(RDB_TYPE_LAST + 1)
    if rng.random() < 0.02:
        body = body[: rng.randrange(len(body) + 1)]
    return bytes([type]) + body


def sound_body_of(encoding: str, rng: random.Random) -> bytes:
    """The type byte and a value with nothing wrong."""
    type, make = ENCODINGS[encoding]
    return bytes([type]) + make(Shaper(rng, 0))


def payload_of(encoding: str, rng: random.Random) -> bytes:
    """A DUMP payload whose checksum is right."""
    return seal(body_of(encoding, rng), VERSION_SET_LISTPACKS)


def file_of(encodings: Sequence[str], rng: random.Random) -> bytes:
    """An RDB file of a few keys in some of these encodings, without a checksum."""
    out = b"REDIS%04d" % VERSION_FIELD_TIMES
    out += bytes([OPCODE_HASH_TEMPLATE]) + b"\x00\x02" + b"\x01a\x01b"  # a template that hashes refer to
    for i in range(rng.choice((1, 2, 4))):
        s = Shaper(rng, 0.01)
        if rng.random() < 0.2:
            out += bytes([OPCODE_EXPIRETIME_MS]) + s.fixed(rng.choice(TIMES), 8)
        if rng.random() < 0.1:
            out += bytes([OPCODE_IDLE]) + s.length(rng.choice((0, 5, 1 << 63)))
        body = body_of(rng.choice(encodings), rng)
        out += body[:1] + s.string(b"key-%d" % i) + body[1:]
    return out + bytes([OPCODE_EOF]) + bytes(CHECKSUM_BYTES)
