"""Replies of values that may be too large to be Python objects all at once."""

from __future__ import annotations

from typing import Any

from rotomdb.commands.dispatch import Context
from rotomdb.engine.parts import Parts


def as_reply(ctx: Context, kind: type[list[Any]], values: list[bytes] | Parts) -> object:
    """The reply of elements that a function of the engine gave, as they are or in parts.

    Args:
        kind: list, MapReply or SetReply.
    """
    if type(values) is list:
        return values if kind is list else kind(values)
    assert isinstance(values, Parts)
    return ctx.in_parts(kind, values.length, values.lists)
