"""Values of directives: from words to Python and back, with Redis's reasons for what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from rotomdb.formats.resp.request import split_arguments
from rotomdb.server.directives import LONG_MAX, MANY_WORDS, ULONG_MAX, Directive, Kind
from rotomdb.server.event_classes import classes_text, parse_classes

UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
WRITTEN_UNITS = (("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10))
ESCAPES = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b"}
MEMORY = re.compile(r"([0-9]*)([a-z]*)", re.IGNORECASE)
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as string2ll: one way to write a number
LOOSE_INTEGER = re.compile(r"(?:[ \t]*[+-]?[0-9]+)?")  # as strtoll, to which no digits are 0
OCTAL = re.compile(r"[ \t]*\+?[0-7]+")
DIGITS_MAX = 127  # of a memory value
SCORE_MAX = 2000
NOT_A_NUMBER = "argument couldn't be parsed into an integer"
BAD_SAVE_POINTS = "Invalid save parameters"
WRONG_COUNT = "wrong number of arguments"


def parse_memory(word: str) -> int:
    """`64mb` as bytes; no digits are none of them, and what is too large wraps, as in Redis. Raises ValueError."""
    match = MEMORY.fullmatch(word)
    if match is None or match[2].lower() not in UNITS or len(match[1]) > DIGITS_MAX:
        raise ValueError("argument must be a memory value")
    return min(int(match[1] or "0"), ULONG_MAX) * UNITS[match[2].lower()] & ULONG_MAX


def written_memory(value: int) -> str:
    """As CONFIG REWRITE writes it, in the largest unit that fits."""
    for unit, size in WRITTEN_UNITS:
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def quoted(value: bytes) -> bytes:
    """In double quotes, so that reading gives the same bytes: printable ASCII as it is, all else escaped."""
    return b'"%b"' % b"".join(
        ESCAPES.get(byte) or (b"%c" % byte if 0x20 <= byte < 0x7F else b"\\x%02x" % byte) for byte in value
    )


def parse_integer(word: str) -> int:
    if INTEGER.fullmatch(word) is None or not -LONG_MAX - 1 <= int(word) <= LONG_MAX:
        raise ValueError(NOT_A_NUMBER)
    return int(word)


def loose_integer(word: str) -> int:
    """What LOOSE_INTEGER fits."""
    return max(min(int(word or "0"), LONG_MAX), -LONG_MAX - 1)


def parse_octal(word: str) -> int:
    if OCTAL.fullmatch(word) is None or int(word, 8) > LONG_MAX:
        raise ValueError("argument couldn't be parsed as an octal number")
    return int(word, 8)


def parse_share(word: str) -> str:
    """Bytes, or a percentage with its sign."""
    percent = word.removesuffix("%")
    if percent != word and INTEGER.fullmatch(percent) and int(percent) >= 0:
        if int(percent) > 100:
            raise ValueError("percentage argument must be less or equal to 100")
        return word if int(percent) else "0"
    try:
        value = parse_memory(word)
    except ValueError:
        raise ValueError("argument must be a memory or percent value") from None
    return str(value if value <= LONG_MAX else 0)


def parse_words(row: Directive, words: list[str]) -> tuple[str, ...]:
    if row.name == "replicaof":
        if len(words) != 2:
            raise ValueError(WRONG_COUNT)
        if [word.lower() for word in words] == ["no", "one"]:
            return ()
        if INTEGER.fullmatch(words[1]) is None or not 0 <= int(words[1]) <= 65535:
            raise ValueError("Invalid master port")
    return () if words == [""] else tuple(words)


def parse_flags(row: Directive, words: list[str]) -> tuple[str, ...]:
    """Some of the choices, in their order; the first one stands for none."""
    given = {word.lower() for word in words}
    if not given or not given <= set(row.choices):
        raise ValueError(f"argument(s) must be one of the following: {', '.join(row.choices)}")
    return tuple(word for word in row.choices[1:] if word in given) or row.choices[:1]


def parse_save_points(row: Directive, words: list[str]) -> tuple[tuple[int, int], ...]:
    if words == [""]:
        return ()
    if len(words) % 2 or not all(LOOSE_INTEGER.fullmatch(word) for word in words):
        raise ValueError(BAD_SAVE_POINTS)
    numbers = [loose_integer(word) for word in words]
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if any(seconds < 1 or changes < 0 for seconds, changes in points):
        raise ValueError(BAD_SAVE_POINTS)
    return points


def parse_buffer_limits(row: Directive, words: list[str]) -> dict[str, tuple[int, int, int]]:
    if len(words) % 4:
        raise ValueError("Wrong number of arguments in buffer limit configuration.")
    limits = {}
    for i in range(0, len(words), 4):
        name = {"replica": "slave"}.get(words[i].lower(), words[i].lower())
        if name not in row.default:
            raise ValueError("Invalid client class specified in buffer limit configuration.")
        try:
            hard, soft = parse_memory(words[i + 1]), parse_memory(words[i + 2])
            seconds = loose_integer(words[i + 3]) if LOOSE_INTEGER.fullmatch(words[i + 3]) else -1
        except ValueError:
            seconds = -1
        if seconds < 0:
            raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
        limits[name] = (hard, soft, seconds)
    return limits


def parse_percentiles(row: Directive, words: list[str]) -> tuple[float, ...]:
    if words == [""]:
        return ()
    percentiles = []
    for word in words:
        try:
            value = float(word) if word == word.strip() and "_" not in word else math.nan
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise ValueError(f"Invalid {row.name} parameters")
        if not 0 <= value <= 100:
            raise ValueError(f"{row.name} parameters should sit between [0.0,100.0]")
        percentiles.append(value)
    return tuple(percentiles)


def parse_scores(row: Directive, words: list[str]) -> tuple[int, ...]:
    if len(words) != len(row.default):
        raise ValueError(WRONG_COUNT)
    if not all(LOOSE_INTEGER.fullmatch(word) and -SCORE_MAX <= loose_integer(word) <= SCORE_MAX for word in words):
        raise ValueError(f"Invalid {row.name}, elements must be between -{SCORE_MAX} and {SCORE_MAX}.")
    return tuple(loose_integer(word) for word in words)


def parse_bool(word: str) -> bool:
    if word.lower() not in ("yes", "no"):
        raise ValueError("argument must be 'yes' or 'no'")
    return word.lower() == "yes"


PARSE_WORDS: dict[Kind, Callable[[Directive, list[str]], Any]] = {
    Kind.SAVE: parse_save_points, Kind.WORDS: parse_words, Kind.FLAGS: parse_flags, Kind.BUFFER_LIMITS: parse_buffer_limits,
    Kind.PERCENTILES: parse_percentiles, Kind.SCORES: parse_scores,
}  # fmt: skip
PARSE_WORD: dict[Kind, Callable[[str], Any]] = {
    Kind.BOOL: parse_bool, Kind.STRING: str, Kind.NAME: str, Kind.EVENTS: parse_classes, Kind.SHARE: parse_share,
    Kind.INT: parse_integer, Kind.MEMORY: parse_memory, Kind.OCTAL: parse_octal,
}  # fmt: skip
NUMBERS = (Kind.INT, Kind.MEMORY, Kind.OCTAL)


def parse_value(row: Directive, words: list[str]) -> Any:
    """The value that the words give. Raises ValueError with Redis's reason, or with ours for what is not supported."""
    if row.kind in PARSE_WORDS:
        value = PARSE_WORDS[row.kind](row, words)
    elif len(words) != 1:
        raise ValueError(WRONG_COUNT)
    elif row.kind is Kind.ENUM:
        value = words[0].lower()
        if value not in row.choices:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(row.choices)}")
    else:
        value = PARSE_WORD[row.kind](words[0])
    if row.kind in NUMBERS and not row.low <= value <= row.high:
        form = "o" if row.kind is Kind.OCTAL else "d"
        raise ValueError(f"argument must be between {row.low:{form}} and {row.high:{form}} inclusive")
    wrong = row.check(value)
    if wrong:
        raise ValueError(wrong)
    if row.refusal and value not in row.off:
        raise ValueError(f"'{row.name}' cannot be honoured: {row.refusal}")
    return value


def parse_line(row: Directive, words: list[str]) -> Any:
    """As `parse_value`, for the words of a file or a command line: several may stand in one."""
    if row.kind in MANY_WORDS and len(words) == 1:
        inner = split_arguments(words[0].encode("utf-8", "surrogateescape"))
        if inner is None:
            raise ValueError(WRONG_COUNT)
        words = [word.decode("utf-8", "surrogateescape") for word in inner] or [""]
    if row.kind is Kind.BUFFER_LIMITS and words == [""]:
        words = []
    return parse_value(row, words)


def parse_setting(row: Directive, value: str) -> Any:
    """As `parse_value`, for the one value that CONFIG SET has."""
    if row.kind not in MANY_WORDS:
        return parse_value(row, [value])
    words = value.split(" ") if value else [] if row.kind in (Kind.BUFFER_LIMITS, Kind.FLAGS) else [""]
    return parse_value(row, words)


def format_value(row: Directive, value: Any) -> str:
    """The value as CONFIG GET prints it."""
    if row.kind is Kind.BOOL:
        return "yes" if value else "no"
    if row.kind is Kind.SAVE:
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)
    if row.kind in (Kind.WORDS, Kind.FLAGS, Kind.SCORES):
        return " ".join(str(word) for word in value)
    if row.kind is Kind.PERCENTILES:
        return " ".join(f"{percentile:f}".rstrip("0").rstrip(".") for percentile in value)
    if row.kind is Kind.EVENTS:
        return classes_text(value)
    if row.kind is Kind.OCTAL:
        return f"{value:o}"
    if row.kind is Kind.BUFFER_LIMITS:
        return " ".join(f"{name} {hard} {soft} {seconds}" for name, (hard, soft, seconds) in value.items())
    return str(value)
