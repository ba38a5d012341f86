"""The notation in which commands declare their arguments."""

from __future__ import annotations

import pytest

from rotomdb.commands.syntax import Argument, parse_syntax


def test_words_types_and_flags_become_a_tree() -> None:
    key, condition, increment, pairs = parse_syntax("key [condition=(NX | XX)] [INCR] <score:double member>...")
    assert key == Argument("key", "key", key_index=0)
    assert condition.optional and condition.kind == "oneof" and condition.name == "condition"
    assert [choice.token for choice in condition.arguments] == ["NX", "XX"]
    assert increment == Argument("incr", "pure-token", "INCR", optional=True)
    assert (pairs.name, pairs.kind, pairs.multiple) == ("score_member", "block", True)
    assert [part.kind for part in pairs.arguments] == ["double", "string"]


def test_a_word_in_front_belongs_to_the_argument_behind_it() -> None:
    assert parse_syntax("[COUNT count:integer]") == (Argument("count", "integer", "COUNT", optional=True),)
    (limit,) = parse_syntax("[LIMIT <offset:integer count:integer>]")
    assert (limit.token, limit.name, limit.kind) == ("LIMIT", "offset_count", "block")


def test_a_word_that_repeats_with_its_argument_is_told_from_one_that_does_not() -> None:
    (repeated,) = parse_syntax("[GET... pattern:pattern@1]")
    assert repeated == Argument("pattern", "pattern", "GET", 1, optional=True, multiple=True, multiple_token=True)
    (once,) = parse_syntax("[KEYS key...]")
    assert (once.multiple, once.multiple_token) == (True, False)


def test_a_quoted_word_stands_for_itself() -> None:
    word, argument = parse_syntax("'ON' name")
    assert word == Argument("on", "pure-token", "ON") and argument == Argument("name", "string")
    (operator,) = parse_syntax("operator=(equal='=' | approximately=~)")
    assert [choice.token for choice in operator.arguments] == ["=", "~"]


def test_keys_count_up_unless_an_index_is_given() -> None:
    assert [argument.key_index for argument in parse_syntax("destination:key key... [STORE key@1]")] == [0, 1, 1]


@pytest.mark.parametrize("malformed", ["(a | b", "[a", "a]", "<a", "key)", "[]", "(|)"])
def test_a_malformed_declaration_is_refused(malformed: str) -> None:
    with pytest.raises(ValueError):
        parse_syntax(malformed)
