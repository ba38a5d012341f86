"""Append-only files with wrong structure: counts, lengths, transactions and annotations, under checksums that are right."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rotomdb.formats.aof.annotations import ZEROS_LINE, checksum_line, synced_line
from rotomdb.formats.checksum import crc64

COMMANDS: tuple[tuple[bytes, ...], ...] = (
    (b"SET", b"key", b"value"), (b"SELECT", b"1"), (b"SELECT", b"99999999999"), (b"MULTI",), (b"EXEC",), (b"DEL", b"key"), (b"",),
    (b"RPUSH", b"list", bytes(600), b"x"), (b"PEXPIREAT", b"key", b"9223372036854775807"), (b"SET", b"zeros", bytes(1024)),
)  # fmt: skip
NUMBERS = (
    b"0",
    b"-1",
    b"+1",
    b" 3",
    b"007",
    b"2147483648",
    b"9223372036854775807",
    b"9223372036854775808",
    b"1e3",
    b"",
    b"9" * 30,
)
ANNOTATIONS = (
    b"#TS:1700000000\r\n", b"#TS:+-5\r\n", b"#TS:99999999999999999999\r\n", b"#TS:\r\n", b"# words\r\n", b"#\n", ZEROS_LINE,
    synced_line(0), synced_line(1 << 70), b"#CRC64:5:fffffffffffffffff\r\n", b"#CRC64:-5:0000000000000000\r\n", b"#" + b"9" * 5000 + b"\r\n",
    b"#SYNCED:" + b"9" * 5000 + b"\r\n", b"#CRC64:" + b"9" * 5000 + b":0000000000000000\r\n",
)  # fmt: skip


def number(rng: random.Random, value: int, rate: float) -> bytes:
    if rng.random() >= rate:
        return b"%d" % value
    return rng.choice((b"%d" % (value + rng.choice((-1, 1, 2))), rng.choice(NUMBERS)))


def command(rng: random.Random, words: Sequence[bytes], rate: float) -> bytes:
    end = b"\r\n" if rng.random() >= rate else rng.choice((b"\n", b"\r", b"", b"\0\0"))
    parts = [b"$" + number(rng, len(word), rate) + b"\r\n" + word + b"\r\n" for word in words]
    return b"*" + number(rng, len(words), rate) + end + b"".join(parts)


def structured_log(rng: random.Random) -> bytes:
    """A log of a few blocks."""
    rate = rng.choice((0.0, 0.0, 0.02, 0.1))
    out = b""
    for _ in range(rng.choice((1, 2, 5))):
        block = synced_line(len(out)) if rng.random() < 0.5 else b""
        for _ in range(rng.randrange(6)):
            block += command(rng, rng.choice(COMMANDS), rate)
            if rng.random() < 0.2:
                block += rng.choice(ANNOTATIONS)
        if rng.random() < 0.7:
            size = (
                len(block)
                if rng.random() > rate
                else rng.choice((0, 1, len(block) + 1, len(out) + len(block), 1 << 40, -1))
            )
            block += checksum_line(size, crc64(block[len(block) - size :] if 0 <= size <= len(block) else block))
        out += block
    return out if rng.random() < 0.9 else out[: rng.randrange(len(out) + 1)]


MANIFEST_LINES = (
    b"file a.1.base.rdb seq 1 type b", b"file a.1.incr.aof seq 1 type i", b"file a.2.incr.aof seq 2 type i startoffset 7",
    b'file "a \\x41\\n.3.incr.aof" seq 3 type i startoffset 0 endoffset 9', b"file a.0.base.aof seq 0 type h", b"# words", b"",
    b"file ../a seq 1 type i", b"file a seq 9223372036854775808 type i", b"file a seq -1 type b", b"file a seq 1 type x", b"file",
    b"file a.1.base.rdb seq 1 type b", b'file "a seq 1 type i', b"file a seq 1 type i startoffset", b"file " + b"n" * 1100 + b" seq 1 type i",
)  # fmt: skip


def structured_manifest(rng: random.Random) -> bytes:
    """A manifest with wrong lines, names and numbers among the right ones."""
    lines = sorted(rng.sample(MANIFEST_LINES[:4], rng.randrange(5)))
    for _ in range(rng.choice((0, 0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(MANIFEST_LINES))
    text = b"".join(line + (b"\n" if rng.random() < 0.95 else rng.choice((b"\r\n", b"", b"\0\n"))) for line in lines)
    return text if rng.random() < 0.8 else text[: rng.randrange(len(text) + 1)]
