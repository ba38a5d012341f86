"""Values go through the libraries of scripts and come back: cjson, cmsgpack and struct."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.engine import Engine
from rotomdb.scripting.scripts import Scripting

load_all()
CONTEXT = Context(Dispatcher(Engine(1), REGISTRY.values()))
Scripting(CONTEXT.dispatcher, lambda level, text: None)

DIGITS_14 = 10**14 - 1  # what cjson writes of a number
NUMBERS = st.one_of(st.integers(-DIGITS_14, DIGITS_14), st.integers(-(10**6), 10**6).map(lambda number: number / 64))
SCALARS = st.one_of(NUMBERS, st.booleans(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
# Lua has one kind of table: an empty list comes back as an object.
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=5),
        st.dictionaries(st.text("abcdefghij", min_size=1, max_size=4), inner, max_size=5),
    ),
    max_leaves=12,
)
INTEGERS = {"b": 8, "h": 16, "i4": 32, "i6": 48}  # a double holds them all


def run(script: str, *arguments: bytes) -> Any:
    value = CONTEXT.dispatcher.execute(CONTEXT, [b"EVAL", script.encode(), b"0", *arguments])
    assert not isinstance(value, Exception), value
    return value


@given(VALUES)
def test_a_value_comes_back_from_cjson(value: Any) -> None:
    text = run("return cjson.encode(cjson.decode(ARGV[1]))", json.dumps([value]).encode())
    assert json.loads(text) == [value]


@given(VALUES)
def test_a_value_comes_back_from_cmsgpack(value: Any) -> None:
    text = run(
        "return cjson.encode(cmsgpack.unpack(cmsgpack.pack(cjson.decode(ARGV[1]))))", json.dumps([value]).encode()
    )
    assert json.loads(text) == [value]


@given(st.binary(max_size=300))
def test_bytes_come_back_from_cmsgpack_and_struct(data: bytes) -> None:
    assert run("return cmsgpack.unpack(cmsgpack.pack(ARGV[1]))", data) == data
    assert run("return (struct.unpack('>Ic0', struct.pack('>Ic0', #ARGV[1], ARGV[1])))", data) == data
    assert run("return struct.pack('>Ic0', #ARGV[1], ARGV[1])", data) == struct.pack(">I", len(data)) + data


@given(st.data())
def test_numbers_are_packed_as_other_programs_pack_them(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(INTEGERS)))
    bits = INTEGERS[kind]
    number = data.draw(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1))
    for order, name in (("<", "little"), (">", "big")):
        packed = run(f"return struct.pack('{order}{kind}', ARGV[1])", b"%d" % number)
        assert packed == number.to_bytes(bits // 8, name, signed=True)
        assert run(f"return string.format('%.0f', (struct.unpack('{order}{kind}', ARGV[1])))", packed) == b"%d" % number


@given(st.floats(allow_nan=False))
def test_a_double_keeps_every_bit_in_struct(number: float) -> None:
    packed = struct.pack(">d", number)
    assert run("return struct.pack('>d', (struct.unpack('>d', ARGV[1])))", packed) == packed


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32])
def test_the_filling_before_a_value_of_any_size_is_zeros(size: int) -> None:
    packed = run(f"return struct.pack('>!32bi{size}', 1, 2)")
    assert packed == b"\1" + bytes(size - 1) + (2).to_bytes(size, "big")
