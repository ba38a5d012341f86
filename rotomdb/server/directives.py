"""What a directive is: the type of the rows that the tables `directives_*` consist of, and short ways to write them.

A row says all that is known of a directive: its values, and whether it does something here. Reading, CONFIG GET, SET and
REWRITE, `--help` and docs/configuration.md all come from it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1
LONG_MAX = (1 << 63) - 1
ULONG_MAX = (1 << 64) - 1


class Kind(enum.Enum):
    """What a directive's words mean."""

    BOOL = "yes|no"
    INT = "number"
    MEMORY = "bytes (kb, mb, gb)"
    STRING = "text"
    NAME = "file name"
    ENUM = "one of"
    FLAGS = "some of"
    SAVE = "seconds changes ..."
    WORDS = "words"
    OCTAL = "octal number"
    BUFFER_LIMITS = "class hard soft seconds ..."
    EVENTS = "letters"
    SHARE = "bytes or percent"
    PERCENTILES = "numbers from 0 to 100"
    SCORES = "three numbers from -2000 to 2000"


# These take several words; CONFIG SET and quoted values of a file give them in one.
MANY_WORDS = (Kind.SAVE, Kind.WORDS, Kind.FLAGS, Kind.BUFFER_LIMITS, Kind.PERCENTILES, Kind.SCORES)

Check = Callable[[Any], str]


def accept(value: Any) -> str:
    """The check of a row that has none."""
    return ""


def same(value: Any) -> Any:
    """The meaning of values that stand for themselves."""
    return value


@dataclass(frozen=True)
class Directive:
    """A row of the table. `low` and `high` bound numbers, both inclusive."""

    name: str
    kind: Kind
    default: Any
    doc: str
    mutable: bool = True
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = LONG_MAX
    secret: bool = False
    aliases: tuple[str, ...] = ()  # other names, which CONFIG GET answers as well
    protected: bool = False  # changes at run time only where enable-protected-configs allows it
    hidden: bool = False  # CONFIG GET shows it only to those who ask for it by its full name
    idle: str = ""  # why every value is accepted and none does anything; empty: it does something
    refusal: str = ""  # why only the values in `off` are accepted; empty: all are
    off: tuple[Any, ...] = ()
    check: Check = accept  # what is wrong with a value, in Redis's words
    meaning: Callable[[Any], Any] = same  # the value that one stands for

    @property
    def honoured(self) -> str:
        """Whether it does something here, in a word or with the reason why not."""
        if self.refusal:
            return f"off only: {self.refusal}"
        return f"no effect: {self.idle}" if self.idle else "real"

    def also(self, *aliases: str) -> Directive:
        return replace(self, aliases=aliases)

    def fixed(self) -> Directive:
        """Not to be changed at run time."""
        return replace(self, mutable=False)

    def unlisted(self) -> Directive:
        return replace(self, hidden=True)

    def guarded(self) -> Directive:
        return replace(self, protected=True)

    def checked(self, check: Check) -> Directive:
        return replace(self, check=check)

    def standing_for(self, meaning: Callable[[Any], Any]) -> Directive:
        return replace(self, meaning=meaning)

    def without_effect(self, reason: str) -> Directive:
        return replace(self, idle=reason)

    def refused(self, reason: str, *off: Any) -> Directive:
        """Only its default and `off` are accepted: what it promises for other values is not kept here."""
        return replace(self, refusal=reason, off=(self.default, *off))


def yes(name: str, default: bool, doc: str, mutable: bool = True) -> Directive:
    return Directive(name, Kind.BOOL, default, doc, mutable)


def number(name: str, default: int, doc: str, low: int = 0, high: int = LONG_MAX, mutable: bool = True) -> Directive:
    return Directive(name, Kind.INT, default, doc, mutable, low=low, high=high)


def memory(name: str, default: int, doc: str, low: int = 0, high: int = LONG_MAX) -> Directive:
    return Directive(name, Kind.MEMORY, default, doc, low=low, high=high)


def text(name: str, default: str, doc: str, mutable: bool = True, secret: bool = False) -> Directive:
    return Directive(name, Kind.STRING, default, doc, mutable, secret=secret)


def file_name(name: str, default: str, doc: str, mutable: bool = True) -> Directive:
    """Text that names a file inside `dir` and is no path."""

    kind = "dirname" if name == "appenddirname" else "filename"

    def check(value: str) -> str:
        if not value:
            return f"{name} can't be empty"
        if "/" in value or "\0" in value or value in (".", ".."):
            return f"{name} can't be a path, just a {kind}"
        return ""

    return Directive(name, Kind.NAME, default, doc, mutable, check=check)


def path(name: str, default: str, doc: str, mutable: bool = True) -> Directive:
    """Text that names a file anywhere."""
    return text(name, default, doc, mutable).checked(lambda value: f"{name} holds a NUL byte" if "\0" in value else "")


def choice(name: str, default: str, choices: str, doc: str, mutable: bool = True) -> Directive:
    return Directive(name, Kind.ENUM, default, doc, mutable, tuple(choices.split()))


def table(rows: Iterable[Directive]) -> dict[str, Directive]:
    return {row.name: row for row in rows}
