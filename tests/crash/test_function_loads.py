"""A crash in the middle of writing a change of libraries leaves those before it or those after it."""

from __future__ import annotations

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.commands.replaying import replayer
from rotomdb.engine import Engine
from rotomdb.formats.aof.replay import replay
from rotomdb.formats.rdb.library_format import payload_of
from rotomdb.scripting.scripts import Scripting
from rotomdb.storage.propagation import encode_command

RUN_EACH = 13  # making an interpreter for every byte would take seconds


def library(name: str, result: int) -> bytes:
    return f"#!lua name={name}\nredis.register_function('{name}_f', function() return {result} end)".encode()


# Each change, and the libraries after it.
CHANGES = [
    (encode_command("FUNCTION", "LOAD", library("a", 1)), [library("a", 1)]),
    (encode_command("FUNCTION", "LOAD", "REPLACE", library("a", 2)), [library("a", 2)]),
    (
        encode_command("FUNCTION", "RESTORE", payload_of([library("b", 1), library("a", 3)]), "REPLACE"),
        [library("a", 3), library("b", 1)],
    ),
    (encode_command("FUNCTION", "RESTORE", payload_of([library("c", 1)]), "FLUSH"), [library("c", 1)]),
    (encode_command("FUNCTION", "DELETE", "c"), []),
    (encode_command("FUNCTION", "FLUSH"), []),
]


def replayed(log: bytes, *, functions: bool) -> list[bytes]:
    engine = Engine(1)
    dispatcher = Dispatcher(engine, REGISTRY.values())
    dispatcher.loading = True
    Scripting(dispatcher, lambda level, text: None, functions=functions)
    failures: list[object] = []
    replay(
        log, "log", engine, replayer(dispatcher, lambda words, error: failures.append(error)), judge=lambda found: None
    )
    assert not failures
    return sorted(engine.function_libraries)


def test_a_log_cut_at_every_byte_holds_the_libraries_of_a_whole_number_of_changes() -> None:
    load_all()
    log = b"".join(words for words, _ in CHANGES)
    ends = [len(b"".join(words for words, _ in CHANGES[:count])) for count in range(len(CHANGES) + 1)]
    states = [[], *(state for _, state in CHANGES)]
    for cut in range(len(log) + 1):
        whole = max(count for count, end in enumerate(ends) if end <= cut)
        if cut % RUN_EACH == 0 or cut in ends:
            assert replayed(log[:cut], functions=True) == states[whole], cut
        assert replayed(log[:cut], functions=False) == states[whole], cut
