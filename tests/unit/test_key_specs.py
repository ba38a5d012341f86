"""The notation in which commands declare their keys, and the keys that it finds in requests."""

from __future__ import annotations

import pytest

from rotomdb.commands import load_all
from rotomdb.commands.key_specs import KeySpec, find_keys, parse_key_specs
from rotomdb.commands.registry import REGISTRY


def keys(text: str, request: str) -> list[bytes] | None:
    words = request.encode().split()
    found = find_keys("", parse_key_specs(text), words)
    return None if found is None else [words[position] for position, _ in found]


@pytest.mark.parametrize(
    ("declared", "request_", "expected"),
    [
        ("1 RO", "GET a", [b"a"]),
        ("1..-1 RM delete", "DEL a b c", [b"a", b"b", b"c"]),
        ("1..-1/2 OW update", "MSET a 1 b 2", [b"a", b"b"]),
        ("1..-2 RW access delete", "BLPOP a b 0", [b"a", b"b"]),
        ("1..2 RO access", "LCS a b IDX", [b"a", b"b"]),
        ("#2 RW access delete", "BLMPOP 0 2 a b LEFT", [b"a", b"b"]),
        ("#1/2 OW update", "MSETEX 2 a 1 b 2 EX 9", [b"a", b"b"]),
        ("STREAMS@1..-1%2 RO access", "XREAD COUNT 1 streams a b 0 0", [b"a", b"b"]),
        ("1 RO access; STORE@6 OW update", "GEORADIUS k 1 1 1 km STORE d", [b"k", b"d"]),
        ("1 RO access; STORE@6 OW update", "GEORADIUS k 1 1 1 km", [b"k"]),
        ("1 RO access; ? OW update", "SORT k STORE d", [b"k"]),
        ("KEYS@-2..-1 RW", "MIGRATE h 1 e 0 9 KEYS a b", [b"a", b"b"]),
    ],
)
def test_keys_stand_where_the_declaration_says(declared: str, request_: str, expected: list[bytes]) -> None:
    assert keys(declared, request_) == expected


@pytest.mark.parametrize("request_", ["ZDIFF x a", "ZDIFF 0 a", "ZDIFF 3 a b", "ZDIFF -1 a", "ZDIFF"])
def test_a_number_of_keys_that_makes_no_sense_leaves_them_untold(request_: str) -> None:
    assert keys("#1 RO access", request_) is None


@pytest.mark.parametrize("malformed", ["", "1", "x RO", "1.. RO", "RO access"])
def test_a_malformed_declaration_is_refused(malformed: str) -> None:
    with pytest.raises(ValueError):
        parse_key_specs(malformed)


def test_what_is_declared_first_is_what_happens_to_the_first_key() -> None:
    copy, target = parse_key_specs("1 RO access; 2 OW update")
    assert copy == KeySpec(("RO", "access"), first=1, last=1)
    assert target == KeySpec(("OW", "update"), first=2, last=2)


def test_every_command_that_names_a_key_says_what_happens_to_it() -> None:
    load_all()
    for spec in REGISTRY.values():
        has_key = any(argument.kind == "key" for argument in spec.syntax)
        assert not has_key or spec.keys, spec.name
        for keys_ in spec.keys:
            assert keys_.access[0] in ("RO", "RW", "OW", "RM", "not_key"), spec.name
