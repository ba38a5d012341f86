"""The options that all commands over an RDB share: which keys are wanted, and how bytes are shown."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rotomdb.formats.rdb.selection import Selection

Command = TypeVar("Command", bound=Callable[..., Any])
KINDS = ("string", "list", "set", "hash", "zset", "stream", "array", "module")
UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
NEVER = 1 << 62
FORMS = {"auto": 0, "escaped": 1, "base64": 2, "hex": 3}  # as formats/sinks/json_text.pxd numbers them


class Span(click.ParamType[tuple[int, int]]):
    """`LOW..HIGH`, either of which may be left out."""

    name = "low..high"

    def __init__(self, units: dict[str, int]) -> None:
        self.units = units

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        low, dots, high = str(value).partition("..")
        try:
            if not dots:
                raise ValueError
            return (self.number(low) if low else -NEVER), (self.number(high) if high else NEVER)
        except (ValueError, KeyError):
            self.fail(f"{value!r} is no range; write LOW..HIGH, LOW.. or ..HIGH", param, context)

    def number(self, text: str) -> int:
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return int(float(digits) * self.units[text[len(digits) :].lower()])


def selecting(command: Command, *, functions: bool = False) -> Command:
    """Adds the options; the command gets one `selection` in their place.

    Args:
        functions: Whether function libraries are something to the command, so that it has `--functions`.
    """
    options = [
        click.option("--db", "dbs", type=click.IntRange(min=0), multiple=True, help="Only this database; repeatable."),
        click.option("--key", "glob", metavar="GLOB", help="Only keys that match, as KEYS does: user:*, h?llo, [ab]*."),
        click.option("--regex", metavar="REGEX", help="Only keys in which this regular expression is found."),
        click.option("--type", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this type; repeatable."),
        click.option("--ttl", type=Span(SECONDS), help="Only keys that expire in so many seconds from now: ..3600, 1h..7d, ..0."),
        click.option("--volatile/--persistent", "volatile", default=None, help="Only keys that expire, or that do not."),
        click.option("--size", type=Span(UNITS), help="Only keys that take so many bytes in the file: 1mb.., ..100."),
        click.option("--sample", type=click.FloatRange(0, 1), metavar="SHARE", help="Only this share of the keys; the same ones each time."),
    ]  # fmt: skip

    if functions:
        options.append(
            click.option(
                "--functions", is_flag=True, help="Function libraries too, which are left out where keys are selected."
            )
        )

    def wrapped(
        *args: Any, functions: bool = False, dbs: tuple[int, ...], glob: str | None, regex: str | None, kinds: tuple[str, ...],
        ttl: tuple[int, int] | None, volatile: bool | None, size: tuple[int, int] | None, sample: float | None, **rest: Any,
    ) -> Any:  # fmt: skip
        selection = make_selection(dbs, glob, regex, kinds, ttl, volatile, size, sample)
        if selection is not None:
            selection.functions = functions
        return command(*args, selection=selection, **rest)

    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


selecting_with_functions = functools.partial(selecting, functions=True)


def make_selection(
    dbs: tuple[int, ...] = (), glob: str | None = None, regex: str | None = None, kinds: tuple[str, ...] = (),
    ttl: tuple[int, int] | None = None, volatile: bool | None = None, size: tuple[int, int] | None = None,
    sample: float | None = None,
) -> Selection | None:  # fmt: skip
    """None: everything."""
    if not (dbs or glob or regex or kinds or ttl or size) and volatile is None and sample is None:
        return None
    selection = Selection()
    selection.databases = frozenset(dbs) or None
    selection.kinds = frozenset(kinds) or None
    selection.glob = glob.encode("utf-8", "surrogateescape") if glob is not None else None
    if regex is not None:
        try:
            pattern = re.compile(regex.encode("utf-8", "surrogateescape"))
        except re.error as error:
            raise click.BadParameter(f"{regex!r}: {error}", param_hint="--regex") from None
        selection.matches = lambda key: pattern.search(key) is not None
    if ttl is not None:
        now = time.time_ns() // 1_000_000
        selection.expires_from, selection.expires_to = (end if abs(end) == NEVER else now + end * 1000 for end in ttl)
        selection.expires_to = min(selection.expires_to, NEVER - 1)  # a key that never expires is in no range
    if volatile is True:
        selection.expires_to = min(selection.expires_to, NEVER - 1)
    elif volatile is False:
        selection.expires_from = NEVER
    if size is not None:
        selection.size_from, selection.size_to = size
    if sample is not None:
        selection.sample = int(sample * (1 << 32))
    return selection
