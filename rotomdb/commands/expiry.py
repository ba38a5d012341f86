"""Expire times: from a command's argument to absolute milliseconds, with Redis's limits."""

from __future__ import annotations

from rotomdb.commands.arguments import INT64_MAX, INT64_MIN, Options, parse_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error
from rotomdb.errors import CommandError

# word -> (milliseconds per unit, relative to now)
EXPIRE_WORDS = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}


def invalid_expire(ctx: Context) -> CommandError:
    return CommandError(f"ERR invalid expire time in '{ctx.command.name}' command")


def absolute_ms(ctx: Context, value: int, unit_ms: int, relative: bool, *, positive: bool = True) -> int:
    """The absolute time in ms.

    Args:
        positive: Refuse zero and less, as SET does; EXPIRE takes them to mean "at once".
    """
    if positive and value <= 0:
        raise invalid_expire(ctx)
    milliseconds = value * unit_ms
    if not INT64_MIN <= milliseconds <= INT64_MAX:
        raise invalid_expire(ctx)
    if relative:
        milliseconds += ctx.now_ms
        if not INT64_MIN <= milliseconds <= INT64_MAX:
            raise invalid_expire(ctx)
    return milliseconds


def expire_option(ctx: Context, word: bytes, options: Options) -> int:
    """Absolute ms of an `EX seconds`-like option whose word has just been read."""
    if not options:
        raise syntax_error()
    unit_ms, relative = EXPIRE_WORDS[word]
    return absolute_ms(ctx, parse_int(options.value()), unit_ms, relative)
