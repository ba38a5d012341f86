"""Bitmaps where Redis is newer than the server that the differential tests ask (7.0)."""

from __future__ import annotations

import pytest

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.engine import Engine
from rotomdb.errors import CommandError


@pytest.fixture
def context() -> Context:
    load_all()
    return Context(Dispatcher(Engine(1), REGISTRY.values()))


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("DIFF", 0b1000_0000),  # in the first, in no other
        ("DIFF1", 0b0001_0110),  # in one of the others, not in the first
        ("ANDOR", 0b0110_0000),  # in the first and in one of the others
        ("ONE", 0b1001_0100),  # in exactly one
        ("AND", 0b0010_0000),
        ("XOR", 0b1011_0100),
    ],
)
def test_bitop_of_three_sources(context: Context, operation: str, result: int) -> None:
    for key, bits in (("a", 0b1110_0000), ("b", 0b0110_0110), ("c", 0b0011_0010)):
        context.execute("SET", key, bytes([bits]))
    assert context.execute("BITOP", operation, "out", "a", "b", "c") == 1
    assert context.execute("GET", "out") == bytes([result])


def test_malformed_range_is_an_error_also_without_the_key(context: Context) -> None:
    with pytest.raises(CommandError, match="not an integer"):
        context.execute("BITCOUNT", "absent", "x", "1")
    with pytest.raises(CommandError, match="syntax error"):
        context.execute("BITCOUNT", "absent", "1")


def test_setbit_that_changes_nothing_is_not_logged(context: Context) -> None:
    context.dispatcher.stream.active = True
    context.execute("SETBIT", "k", "5", "1")
    context.dispatcher.stream.take()
    assert context.execute("SETBIT", "k", "5", "1") == 1
    assert context.dispatcher.stream.take() == b""
