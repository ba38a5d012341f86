"""Parsing of option words that a signature cannot express."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rotomdb.commands.errors import NOT_A_FLOAT, NOT_AN_INTEGER, OUT_OF_RANGE, syntax_error
from rotomdb.engine import number
from rotomdb.errors import CommandError

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
UINT64_MAX = (1 << 64) - 1
REPEATED_MAX = 1 << 24
CURSOR = re.compile(rb"([+-]?[0-9]{1,4000})?")


def parse_int(text: bytes, message: str = NOT_AN_INTEGER) -> int:
    """The integer that `text` spells; CommandError with `message` when it is none."""
    value = number.parse_int(text)
    if value is None:
        raise CommandError(message)
    return value


def parse_float(text: bytes, message: str = NOT_A_FLOAT) -> float:
    value = number.parse_float(text)
    if value is None:
        raise CommandError(message)
    return value


def parse_ranged_int(text: bytes, low: int, high: int, message: str) -> int:
    """An integer inside [low, high]; one message for both faults, as Redis gives for counts."""
    value = number.parse_int(text)
    if value is None or not low <= value <= high:
        raise CommandError(message)
    return value


def parse_int32(text: bytes) -> int:
    """An integer that fits a C int, such as the number of a database."""
    value = parse_int(text)
    if not INT32_MIN <= value <= INT32_MAX:
        raise CommandError(f"ERR value is out of range, value must between {INT32_MIN} and {INT32_MAX}")
    return value


def parse_signed_count(text: bytes) -> int:
    """How many random elements; fewer than none: so many, each of them drawn from all.

    What is drawn again and again is bounded, as no size of the data bounds it.
    """
    value = parse_int(text)
    if value == INT64_MIN:
        raise CommandError(f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}")
    if value < -REPEATED_MAX:
        raise CommandError(OUT_OF_RANGE)
    return value


def scan_cursor(text: bytes) -> int:
    """A cursor as C's strtoul reads it: nothing is 0, and a minus counts from the end of the 64 bits."""
    text = text.partition(b"\0")[0]
    value = number.parse_unsigned(text)
    if value is None and CURSOR.fullmatch(text):
        value = int(text or b"0")
    if value is None or text[:1].isspace() or abs(value) > UINT64_MAX:
        raise CommandError("ERR invalid cursor")
    return value & UINT64_MAX


class Options:
    """The words behind a command's fixed arguments, read one after the other."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self.words = words
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    def next(self) -> bytes:
        """The next word in upper case."""
        word = self.words[self.at].upper()
        self.at += 1
        return word

    def value(self) -> bytes:
        """The next word as it is; a syntax error when there is none."""
        if self.at >= len(self.words):
            raise syntax_error()
        word = self.words[self.at]
        self.at += 1
        return word

    def integer(self, message: str = NOT_AN_INTEGER) -> int:
        return parse_int(self.value(), message)

    def remaining(self) -> int:
        return len(self.words) - self.at

    def take(self, count: int) -> Sequence[bytes]:
        taken = self.words[self.at : self.at + count]
        self.at += count
        return taken


def scan_options(cursor: int, words: Sequence[bytes], allow: frozenset[bytes]) -> ScanOptions:
    """MATCH, COUNT and what else the command allows, of the SCAN family."""
    parsed = ScanOptions(cursor)
    options = Options(words)
    while options:
        word = options.next()
        if word == b"COUNT" and options:
            parsed.count = options.integer()
            if parsed.count < 1:
                raise syntax_error()
        elif word == b"MATCH" and options:
            pattern = options.value()
            parsed.pattern = None if pattern == b"*" else pattern
        elif word == b"TYPE" and word in allow and options:
            parsed.type_name = options.value().lower()
        elif word == b"NOVALUES" and word in allow:
            parsed.with_values = False
        else:
            raise syntax_error()
    return parsed


class ScanOptions:
    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.count = 10
        self.pattern: bytes | None = None
        self.type_name: bytes | None = None
        self.with_values = True
