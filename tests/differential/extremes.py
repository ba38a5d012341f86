"""Requests at the edge: every command of the registry, each argument in turn replaced by something extreme.

Two sources, because a declaration knows the kinds of the arguments but not the option words: the declarations, on keys of
every type; and requests of the random generator, whose options are right, with one or two words replaced.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from rotomdb.commands import load_all
from rotomdb.commands.registry import REGISTRY, CommandSpec
from tests.differential.generator import Command, Generator

NUMBERS = [
    b"0", b"-1", b"1", b"2147483647", b"2147483648", b"-2147483649", b"4294967295", b"4294967296", b"1000000000000000",
    b"9223372036854775", b"9223372036854775807", b"-9223372036854775808", b"-9223372036854775807", b"9223372036854775808",
    b"18446744073709551615", b"18446744073709551616", b"99999999999999999999999", b"1e400", b"-1e400", b"1e308", b"1e-400",
    b"nan", b"inf", b"-inf", b"-0", b"0x10", b"1.5", b"1e3",
]  # fmt: skip
TEXTS = [b"", b"\x00", b" 1", b"1 ", b"+1", b"-", b"+", b"*", b"(", b"[", b"$", b">", b"#", b"\xff", b"\r\n", b"%s%n", b"1-", b"-1-1",
         b"18446744073709551615-18446744073709551615", b"18446744073709551616-1"]  # fmt: skip
LONG = b"9" * 70_000
EXTREMES = [*NUMBERS, *TEXTS, LONG]

KEYS_OF_TYPES = {
    b"text": [["SET", b"text", b"some text"]],
    b"number": [["SET", b"number", b"17"]],
    b"list": [["RPUSH", b"list", b"a", b"b", b"1", b"2", b"a"]],
    b"set": [["SADD", b"set", b"1", b"2", b"3"]],
    b"hash": [["HSET", b"hash", b"a", b"1", b"f", b"text"]],
    b"sorted": [["ZADD", b"sorted", b"1", b"a", b"2", b"b", b"3.5", b"c"]],
    b"stream": [
        ["XADD", b"stream", b"1-1", b"a", b"1"], ["XADD", b"stream", b"2-1", b"a", b"2"],
        ["XGROUP", "CREATE", b"stream", b"a", b"0"], ["XREADGROUP", "GROUP", b"a", b"a", "STREAMS", b"stream", b">"],
    ],
}  # fmt: skip
ABSENT = b"absent"


def setup() -> list[Command]:
    """A data set with a key of each type."""
    return [["SELECT", "0"], ["FLUSHALL"], *(command for commands in KEYS_OF_TYPES.values() for command in commands)]


def commands_but(without: frozenset[str]) -> list[CommandSpec]:
    """What is registered and can be called, without these commands and containers."""
    load_all()
    return [
        spec
        for name, spec in sorted(REGISTRY.items())
        if spec.function is not None and not {name, name.partition("|")[0]} & without
    ]


def extreme_calls(spec: CommandSpec, key: bytes) -> Iterator[Command]:
    """The command on this key, each of its other arguments extreme in turn."""
    words: Command = list(spec.name.split("|"))
    least = max(abs(spec.arity), len(words))
    lengths = [least] if not spec.rest and spec.arity >= 0 else [least, least + 1]
    for length in lengths:
        count = length - len(words)
        if spec.max_arguments >= 0 and length > spec.max_arguments:
            continue
        kinds = [(spec.converters + spec.rest * count)[i] for i in range(count)]
        base = [key if kind == "K" else b"a" if kind == "B" else b"1" for kind in kinds]
        if named := spec.keys_of([*words, *base]):
            base = [key if word in named else word for word in base]  # type: ignore[comparison-overlap]
        yield [*words, *base]
        for at in range(count):
            if kinds[at] != "K":
                for extreme in EXTREMES:
                    yield [*words, *base[:at], extreme, *base[at + 1 :]]


def mutated(seed: int, count: int, *, without: frozenset[str]) -> Iterator[Command]:
    """Requests of the generator, with one or two of their words extreme."""
    chance = random.Random(seed)
    generator = Generator(chance)
    while count:
        command = generator.next()
        name = str(command[0]).lower()
        if name in without:
            continue
        for _ in range(chance.randint(1, 2)):
            if len(command) > 1:
                command[chance.randrange(1, len(command))] = chance.choice(EXTREMES)
        count -= 1
        yield command
