"""What the replay of a log does with each command: execute it, step over it, or refuse the log.

Replay decides with this before it executes, and the tools that only look decide with the same, so that they agree about
what a server takes.

    writes, SELECT                        executed
    what changes no data                  stepped over: PING, PUBLISH, CONFIG, EVAL_RO, REPLCONF ...
    scripts                               executed, in logs of servers before 7.0; EVALSHA needs its script before it
    libraries of functions                loaded, and by the tools carried, as those in an RDB are
    functions that are called             refused: no server logs the call
    MIGRATE                               refused: servers log the DEL that it comes to, nobody the command
    anything else                         refused: nobody can tell what it did
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rotomdb.commands.properties import Property
from rotomdb.commands.registry import CommandSpec, Flag
from rotomdb.engine.libraries import CarriedLibraries
from rotomdb.engine.number import parse_int
from rotomdb.errors import DATABASES_MAX, CommandError, CommandRefusedError
from rotomdb.formats.quoting import quoted
from rotomdb.formats.rdb.library_format import read_header, sources_in

# Redis's commands that change no data, whether this server has them or not.
HARMLESS = frozenset((
    "replconf", "psync", "sync", "replicaof", "slaveof", "failover", "cluster", "lolwut", "sentinel", "hotkeys",
    "commandlog", "eval_ro", "evalsha_ro", "fcall_ro", "function|list", "function|dump", "function|stats", "function|kill",
    "function|help",
))  # fmt: skip
LIBRARIES = frozenset(("function|load", "function|delete", "function|flush", "function|restore"))
NAME_MAX = 64


@dataclass(frozen=True)
class Treatment:
    """What replay does with a command, and how many words it must have (negative: at least)."""

    execute: bool = True
    libraries: bool = False  # executed where functions run, else carried
    arity: int = -1
    refusal: str = ""

    def takes(self, count: int) -> bool:
        return count == self.arity or (self.arity < 0 and count >= -self.arity)


STEP_OVER = Treatment(execute=False)
CHANGE_LIBRARIES = Treatment(libraries=True, arity=-2)


class LogCommands:
    """The commands that a server with so many databases takes from a log.

    Args:
        specs: By the name under which each can be called, `client|id` for a subcommand.
    """

    def __init__(self, specs: Mapping[str, CommandSpec], databases: int) -> None:
        self.specs = specs
        self.databases = databases
        self.known: dict[tuple[bytes, bytes], Treatment] = {}
        self.containers = {name.partition("|")[0] for name in self.specs if "|" in name} | {"function", "script"}

    def has_subcommands(self, name: bytes) -> bool:
        return name.lower().decode("latin-1") in self.containers

    def treatment(self, name: bytes, second: bytes = b"") -> Treatment:
        """Of a command whose first words are these; `second` counts where there are subcommands."""
        key = (name, second if self.has_subcommands(name) else b"")
        found = self.known.get(key)
        if found is None:
            found = self.decide(name, key[1])
            if len(self.known) < 4096:
                self.known[key] = found
        return found

    def decide(self, name: bytes, second: bytes) -> Treatment:
        word = name[:NAME_MAX].lower().decode("latin-1")
        whole = f"{word}|{second[:NAME_MAX].lower().decode('latin-1')}" if second else word
        spec = self.specs.get(whole) or self.specs.get(word)
        if whole in LIBRARIES:
            return CHANGE_LIBRARIES
        if word in HARMLESS or whole in HARMLESS:
            return STEP_OVER
        if word == "fcall":
            return Treatment(refusal=f"{quoted(name)} is in no log: what the function did cannot be told")
        if word == "migrate":
            return Treatment(refusal=f"{quoted(name)} is in no log: what it moved cannot be told")
        if spec is not None and (spec.function is not None or "|" in spec.name):
            executed = bool(spec.flags & (Flag.WRITE | Flag.READONLY) or spec.properties & Property.REPLAYED)
            return Treatment(arity=spec.arity) if executed else STEP_OVER
        words = name + (b" " + second if second else b"")
        return Treatment(refusal=f"Unknown command {quoted(words)} reading the append only file")

    def refusal(self, name: bytes, second: bytes, count: int) -> CommandRefusedError | None:
        """Why a server refuses a log with such a command, as far as that can be told without executing it."""
        found = self.treatment(name, second)
        if found.refusal:
            return CommandRefusedError(found.refusal)
        if not found.takes(count):
            return wrong_arity(name)
        if name.lower() == b"select" and count == 2:
            return self.database_refusal(second)
        return None

    def database_refusal(self, word: bytes) -> CommandRefusedError | None:
        index = parse_int(word)
        if index is None or index < 0:
            return CommandRefusedError(f"SELECT of {quoted(word)}, which is no database")
        return out_of_range(index, self.databases) if index >= self.databases else None


def wrong_arity(name: bytes) -> CommandRefusedError:
    return CommandRefusedError(f"wrong number of arguments for {quoted(name.lower())} command")


def out_of_range(index: int, databases: int) -> CommandRefusedError:
    needed = f": it needs a server with `databases {index + 1}`, at least" if index < DATABASES_MAX else ""
    return CommandRefusedError(f"database {index} is out of range, the limit is {databases}{needed}", index)


def databases_named(words: list[bytes]) -> list[int]:
    """The databases, besides the selected one, that a command works on."""
    name = words[0].lower()
    named = {b"move": words[2:3], b"swapdb": words[1:3]}.get(name, [])
    if name == b"copy":
        named = [words[at + 1] for at in range(3, len(words) - 1) if words[at].lower() == b"db"]
    return [index for word in named if (index := parse_int(word)) is not None]


def carry_library(libraries: CarriedLibraries, words: list[bytes]) -> None:
    """Apply FUNCTION LOAD, DELETE, FLUSH or RESTORE to the libraries that a data set carries. Raises CommandError."""
    action = words[1].upper()
    if action == b"FLUSH" or (action == b"RESTORE" and words[-1].upper() == b"FLUSH"):
        libraries.clear()
    if action == b"DELETE":
        drop_library(libraries, words[2])
    elif action in (b"LOAD", b"RESTORE"):
        for source in sources_in(words[2]) if action == b"RESTORE" else words[-1:]:
            drop_library(libraries, library_name(source))
            libraries.add(source)


def drop_library(libraries: CarriedLibraries, name: bytes) -> None:
    libraries.sources = [source for source in libraries.sources if not name or library_name(source) != name]


def library_name(source: bytes) -> bytes:
    """Nothing where it has none."""
    try:
        return read_header(source).name
    except CommandError:
        return b""
