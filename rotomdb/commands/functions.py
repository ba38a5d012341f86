"""FUNCTION and FCALL: libraries of functions, and calling them. They run in `rotomdb.scripting`, above this layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from rotomdb.commands.dispatch import Context
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    ALLOW_BUSY,
    DENYOOM,
    LOADING,
    NOSCRIPT,
    READONLY,
    STALE,
    WRITE,
    Bytes,
    command,
    container,
)
from rotomdb.commands.reply import OK, MapReply, SetReply, Status
from rotomdb.commands.scripting import GROUP, READS, RUNS, WRITES, key_count, scripts_of
from rotomdb.engine.glob import match
from rotomdb.errors import CommandError
from rotomdb.formats.rdb.library_format import payload_of

COMPLEXITY = "Depends on the function that is executed."
CALL = "function numkeys:integer [key...] [arg...]"
TO_SHARDS = "request_policy:all_shards response_policy:all_succeeded"
ENGINE = b"LUA"
POLICIES = (b"FLUSH", b"APPEND", b"REPLACE")


class Function(Protocol):
    """What the commands need of a function."""

    name: bytes
    description: bytes | None

    def listed_flags(self) -> list[bytes]: ...


class Held(Protocol):
    @property
    def libraries(self) -> Mapping[bytes, Any]: ...

    @property
    def functions(self) -> Mapping[bytes, Any]: ...


class Libraries(Protocol):
    """What they need of the libraries of a server."""

    @property
    def held(self) -> Held: ...

    def load(self, source: bytes, *, replace: bool) -> bytes: ...

    def delete(self, name: bytes) -> None: ...

    def clear(self) -> None: ...

    def restore(self, payload: bytes, policy: bytes) -> None: ...

    def call(self, ctx: Context, function: Any, keys: int, words: tuple[bytes, ...], *, read_only: bool) -> object: ...


def libraries_of(ctx: Context) -> Libraries:
    libraries: Libraries = scripts_of(ctx).libraries
    return libraries


# Calling


@command(
    "FCALL",
    since="7.0.0",
    flags=RUNS,
    properties=Property.MAY_REPLICATE | Property.RUNS_SCRIPT,
    group=GROUP,
    complexity=COMPLEXITY,
    keys=WRITES,
    syntax=CALL,
)
def fcall(ctx: Context, function: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Invokes a function."""
    return call(ctx, function, numkeys, words, read_only=False)


@command("FCALL_RO", since="7.0.0", flags=RUNS | READONLY, group=GROUP, complexity=COMPLEXITY, keys=READS, syntax=CALL)
def fcall_ro(ctx: Context, function: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Invokes a read-only function."""
    return call(ctx, function, numkeys, words, read_only=True)


def call(ctx: Context, name: bytes, numkeys: bytes, words: tuple[bytes, ...], *, read_only: bool) -> object:
    libraries = libraries_of(ctx)
    function = libraries.held.functions.get(name) or libraries.held.functions.get(name.lower())
    if function is None:
        raise CommandError("ERR Function not found")
    keys = key_count(numkeys, words, "ERR Bad number of keys provided")
    return libraries.call(ctx, function, keys, words, read_only=read_only)


# Libraries

container("FUNCTION", since="7.0.0", group=GROUP, summary="A container for function commands")


@command(
    "FUNCTION|LOAD",
    since="7.0.0",
    flags=WRITE | DENYOOM | NOSCRIPT,
    group=GROUP,
    arity=-3,
    complexity="O(1) (considering compilation time is redundant)",
    syntax="[REPLACE] function-code",
    tips=TO_SHARDS,
)
def function_load(ctx: Context, *words: Bytes) -> bytes:
    """Creates a library."""
    for word in words[:-1]:
        if word.upper() != b"REPLACE":
            raise CommandError(f"ERR Unknown option given: {word.decode('latin-1')}")
    name = libraries_of(ctx).load(words[-1], replace=len(words) > 1)
    ctx.dispatcher.dirty += 1
    return name


@command(
    "FUNCTION|DELETE",
    since="7.0.0",
    flags=WRITE | NOSCRIPT,
    group=GROUP,
    syntax="library-name",
    tips=TO_SHARDS,
)
def function_delete(ctx: Context, name: Bytes) -> Status:
    """Deletes a library and its functions."""
    libraries_of(ctx).delete(name)
    ctx.dispatcher.dirty += 1
    return OK


@command(
    "FUNCTION|FLUSH",
    since="7.0.0",
    flags=WRITE | NOSCRIPT,
    group=GROUP,
    arity=-2,
    complexity="O(N) where N is the number of functions deleted",
    syntax="[async=(ASYNC | SYNC)]",
    tips=TO_SHARDS,
)
def function_flush(ctx: Context, *mode: Bytes) -> Status:
    """Deletes all libraries and functions."""
    if len(mode) > 1:
        raise misused(ctx)
    if mode and mode[0].upper() not in (b"ASYNC", b"SYNC"):
        raise CommandError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    libraries_of(ctx).clear()
    ctx.dispatcher.dirty += 1
    return OK


@command(
    "FUNCTION|RESTORE",
    since="7.0.0",
    flags=WRITE | DENYOOM | NOSCRIPT,
    group=GROUP,
    arity=-3,
    complexity="O(N) where N is the number of functions on the payload",
    syntax="serialized-value [policy=(FLUSH | APPEND | REPLACE)]",
    tips=TO_SHARDS,
)
def function_restore(ctx: Context, payload: Bytes, *policy: Bytes) -> Status:
    """Restores all libraries from a payload."""
    if len(policy) > 1:
        raise misused(ctx)
    word = policy[0].upper() if policy else b"APPEND"
    if word not in POLICIES:
        raise CommandError("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    libraries_of(ctx).restore(payload, word)
    ctx.dispatcher.dirty += 1
    return OK


@command(
    "FUNCTION|DUMP",
    since="7.0.0",
    flags=NOSCRIPT,
    group=GROUP,
    complexity="O(N) where N is the number of functions",
)
def function_dump(ctx: Context) -> bytes:
    """Dumps all libraries into a serialized binary payload."""
    return payload_of(ctx.engine.function_libraries)


@command(
    "FUNCTION|LIST",
    since="7.0.0",
    flags=NOSCRIPT,
    group=GROUP,
    arity=-2,
    complexity="O(N) where N is the number of functions",
    syntax="[LIBRARYNAME library-name-pattern] [WITHCODE]",
    tips="nondeterministic_output_order",
)
def function_list(ctx: Context, *words: Bytes) -> list[object]:
    """Returns information about all libraries."""
    with_code, pattern = False, None
    left = list(words)
    while left:
        word = left.pop(0)
        if not with_code and word.upper() == b"WITHCODE":
            with_code = True
        elif pattern is None and word.upper() == b"LIBRARYNAME":
            if not left:
                raise CommandError("ERR library name argument was not given")
            pattern = left.pop(0)
        else:
            raise CommandError(f"ERR Unknown argument {word.decode('latin-1')}")
    reply: list[object] = []
    for library in libraries_of(ctx).held.libraries.values():
        if pattern is None or match(pattern, library.name, ignore_case=True):
            functions = described_functions(library.functions.values())
            described = MapReply((b"library_name", library.name, b"engine", ENGINE, b"functions", functions))
            if with_code:
                described += [b"library_code", library.source]
            reply.append(described)
    return reply


def described_functions(functions: Collection[Function]) -> list[object]:
    return [
        MapReply((
            b"name", function.name, b"description", function.description,
            b"flags", SetReply(Status(flag) for flag in function.listed_flags()),
        ))
        for function in functions
    ]  # fmt: skip


@command(
    "FUNCTION|STATS",
    since="7.0.0",
    flags=NOSCRIPT | ALLOW_BUSY,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
)
def function_stats(ctx: Context) -> MapReply:
    """Returns information about a function during execution."""
    running, held = scripts_of(ctx).running_function(), libraries_of(ctx).held
    counts = MapReply((b"libraries_count", len(held.libraries), b"functions_count", len(held.functions)))
    described = None
    if running is not None:
        name, request, elapsed_ms = running
        described = MapReply((b"name", name.encode(), b"command", request, b"duration_ms", elapsed_ms))
    return MapReply((b"running_script", described, b"engines", MapReply((ENGINE, counts))))


@command(
    "FUNCTION|KILL",
    since="7.0.0",
    flags=NOSCRIPT | ALLOW_BUSY,
    group=GROUP,
    tips="request_policy:all_shards response_policy:one_succeeded",
)
def function_kill(ctx: Context) -> Status:
    """Terminates a function during execution."""
    scripts_of(ctx).kill(function=True)
    return OK


def misused(ctx: Context) -> CommandError:
    subcommand = ctx.request()[1].decode("latin-1")
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try FUNCTION HELP.")


@command("FUNCTION|HELP", since="7.0.0", flags=LOADING | STALE, group=GROUP)
def function_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"LOAD [REPLACE] <FUNCTION CODE>", b"    Create a new library with the given library name and code.",
        b"DELETE <LIBRARY NAME>", b"    Delete the given library.",
        b"LIST [LIBRARYNAME PATTERN] [WITHCODE]", b"    Return general information on all the libraries:",
        b"    * Library name", b"    * The engine used to run the Library", b"    * Library description",
        b"    * Functions list", b"    * Library code (if WITHCODE is given)",
        b"    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        b"STATS", b"    Return information about the current function running:", b"    * Function name",
        b"    * Command used to run the function", b"    * Duration in MS that the function is running",
        b"    If no function is running, return nil", b"    In addition, returns a list of available engines.",
        b"KILL", b"    Kill the current running function.",
        b"FLUSH [ASYNC|SYNC]", b"    Delete all the libraries.",
        b"    When called without the optional mode argument, the behavior is determined by the",
        b"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        b"    * ASYNC: Asynchronously flush the libraries.", b"    * SYNC: Synchronously flush the libraries.",
        b"DUMP", b"    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
        b"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        b"    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
        b"    control how to handle existing libraries (default APPEND):",
        b"    * FLUSH: delete all existing libraries.",
        b"    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
        b"    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
        b"      libraries with the new libraries (notice that even on this option there is a chance of failure",
        b"      in case of functions name collision with another library).",
        b"HELP", b"    Prints this help.",
    )]  # fmt: skip
