"""Python literals: what `ast.literal_eval` gives, for all that rows are made of."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomdb.tools.python_literals import parse_literal

ATOMS = st.binary() | st.text() | st.integers() | st.none() | st.booleans() | st.floats(allow_nan=False)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.binary(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES.filter(lambda value: "inf" not in repr(value)))
def test_a_literal_is_what_python_takes_it_for(value: Any) -> None:
    assert parse_literal(repr(value)) == ast.literal_eval(repr(value)) == value


@pytest.mark.parametrize("text", ["", "(1", "1)", "[1)", "{1: }", "open('x')", "b'cut", "(1, two)", "1 2", "b'\u00e9'"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_literal(text)
