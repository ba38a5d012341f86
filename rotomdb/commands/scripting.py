"""EVAL and its kin, SCRIPT: what clients ask of the scripts. They run in `rotomdb.scripting`, above this layer."""

from __future__ import annotations

from typing import Any, Protocol

from rotomdb.commands.dispatch import Context
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    ALLOW_BUSY,
    LOADING,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READONLY,
    SKIP_MONITOR,
    STALE,
    Bytes,
    command,
    container,
)
from rotomdb.commands.reply import OK, Status
from rotomdb.engine.number import parse_int
from rotomdb.errors import CommandError

GROUP = "scripting"
RUNS = NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS
COMPLEXITY = "Depends on the script that is executed."
WRITES, READS = "#2 RW access update", "#2 RO access"
SCRIPT = "script numkeys:integer [key...] [arg...]"
SHA1 = "sha1 numkeys:integer [key...] [arg...]"
TO_ALL = "request_policy:all_nodes response_policy:all_succeeded"
BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."


class Scripts(Protocol):
    """What the commands need of the scripts of a server."""

    def evaluate(
        self, ctx: Context, code: bytes, keys: int, words: tuple[bytes, ...], *, read_only: bool
    ) -> object: ...

    def evaluate_known(
        self, ctx: Context, digest: bytes, keys: int, words: tuple[bytes, ...], *, read_only: bool
    ) -> object: ...

    def never_writes(self, command: str, text: bytes) -> bool: ...

    def load(self, code: bytes) -> bytes: ...

    def source(self, digest: bytes) -> bytes | None: ...

    def flush(self) -> None: ...

    def kill(self, *, function: bool) -> None: ...

    @property
    def libraries(self) -> Any: ...

    def running_function(self) -> tuple[str, list[bytes], int] | None: ...


def scripts_of(ctx: Context) -> Scripts:
    scripts: Scripts | None = ctx.dispatcher.scripting
    if scripts is None:
        raise CommandError("ERR there is nobody here who runs scripts")
    return scripts


def key_count(
    text: bytes, words: tuple[bytes, ...], no_number: str = "ERR value is not an integer or out of range"
) -> int:
    """How many of the words are keys. Raises CommandError; `no_number` where the text is none."""
    count = parse_int(text)
    if count is None:
        raise CommandError(no_number)
    if count > len(words):
        raise CommandError("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("ERR Number of keys can't be negative")
    return count


@command(
    "EVAL",
    since="2.6.0",
    flags=RUNS,
    properties=Property.MAY_REPLICATE | Property.RUNS_SCRIPT | Property.REPLAYED,
    group=GROUP,
    complexity=COMPLEXITY,
    keys=WRITES,
    syntax=SCRIPT,
)
def eval_(ctx: Context, script: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Executes a server-side Lua script."""
    return scripts_of(ctx).evaluate(ctx, script, key_count(numkeys, words), words, read_only=False)


@command("EVAL_RO", since="7.0.0", flags=RUNS | READONLY, group=GROUP, complexity=COMPLEXITY, keys=READS, syntax=SCRIPT)
def eval_ro(ctx: Context, script: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Executes a read-only server-side Lua script."""
    return scripts_of(ctx).evaluate(ctx, script, key_count(numkeys, words), words, read_only=True)


@command(
    "EVALSHA",
    since="2.6.0",
    flags=RUNS,
    properties=Property.MAY_REPLICATE | Property.RUNS_SCRIPT | Property.REPLAYED,
    group=GROUP,
    complexity=COMPLEXITY,
    keys=WRITES,
    syntax=SHA1,
)
def evalsha(ctx: Context, sha1: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Executes a server-side Lua script by SHA1 digest."""
    return evaluate_known(ctx, sha1, numkeys, words, read_only=False)


@command(
    "EVALSHA_RO",
    since="7.0.0",
    flags=RUNS | READONLY,
    group=GROUP,
    complexity=COMPLEXITY,
    keys=READS,
    syntax=SHA1,
)
def evalsha_ro(ctx: Context, sha1: Bytes, numkeys: Bytes, *words: Bytes) -> object:
    """Executes a read-only server-side Lua script by SHA1 digest."""
    return evaluate_known(ctx, sha1, numkeys, words, read_only=True)


def evaluate_known(ctx: Context, sha1: bytes, numkeys: bytes, words: tuple[bytes, ...], *, read_only: bool) -> object:
    if len(sha1) != 40:
        raise CommandError(NO_SCRIPT)
    return scripts_of(ctx).evaluate_known(ctx, sha1, key_count(numkeys, words), words, read_only=read_only)


container("SCRIPT", since="2.6.0", group=GROUP, summary="A container for Lua scripts management commands")


@command(
    "SCRIPT|LOAD",
    since="2.6.0",
    flags=NOSCRIPT | STALE,
    properties=Property.REPLAYED,
    group=GROUP,
    complexity="O(N) with the length of the script.",
    tips=TO_ALL,
)
def script_load(ctx: Context, script: Bytes) -> bytes:
    """Loads a server-side Lua script to the script cache."""
    return scripts_of(ctx).load(script)


@command(
    "SCRIPT|EXISTS",
    since="2.6.0",
    flags=NOSCRIPT,
    group=GROUP,
    arity=-3,
    complexity="O(N) with the number of scripts.",
    syntax="sha1...",
    tips="request_policy:all_shards response_policy:agg_logical_and",
)
def script_exists(ctx: Context, *sha1: Bytes) -> list[int]:
    """Determines whether server-side Lua scripts exist in the script cache."""
    scripts = scripts_of(ctx)
    return [int(scripts.source(digest) is not None) for digest in sha1]


@command("SCRIPT|SHOW", since="8.0.0", flags=NOSCRIPT, group=GROUP)
def script_show(ctx: Context, sha1: Bytes) -> bytes:
    """Returns the source of a script in the script cache (Valkey)."""
    code = scripts_of(ctx).source(sha1)
    if code is None:
        raise CommandError("NOSCRIPT No matching script.")
    return code


@command(
    "SCRIPT|FLUSH",
    since="2.6.0",
    flags=NOSCRIPT,
    properties=Property.REPLAYED,
    group=GROUP,
    complexity="O(N) with the number of scripts in the cache.",
    syntax="[async=(ASYNC | SYNC)]",
    tips=TO_ALL,
)
def script_flush(ctx: Context, flush_type: Bytes | None = None) -> Status:
    """Removes all server-side Lua scripts from the script cache."""
    if flush_type is not None and flush_type.upper() not in (b"ASYNC", b"SYNC"):
        raise CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    scripts_of(ctx).flush()
    return OK


@command(
    "SCRIPT|KILL",
    since="2.6.0",
    flags=NOSCRIPT | ALLOW_BUSY,
    group=GROUP,
    tips="request_policy:all_shards response_policy:one_succeeded",
)
def script_kill(ctx: Context) -> Status:
    """Terminates a server-side Lua script during execution."""
    scripts_of(ctx).kill(function=False)
    return OK


@command("SCRIPT|DEBUG", since="3.2.0", flags=NOSCRIPT, group=GROUP, syntax="mode=(YES | SYNC | NO)")
def script_debug(ctx: Context, mode: Bytes) -> Status:
    """Sets the debug mode of server-side Lua scripts: there is no debugger, so it can only be off."""
    word = mode.upper()
    if word in (b"YES", b"SYNC"):
        raise CommandError("ERR SCRIPT DEBUG: this server has no debugger of scripts")
    if word != b"NO":
        raise CommandError("ERR Use SCRIPT DEBUG YES/SYNC/NO")
    return OK


@command("SCRIPT|HELP", since="5.0.0", flags=LOADING | STALE, group=GROUP)
def script_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"DEBUG (YES|SYNC|NO)", b"    Set the debug mode for subsequent scripts executed.",
        b"EXISTS <sha1> [<sha1> ...]", b"    Return information about the existence of the scripts in the script cache.",
        b"FLUSH [ASYNC|SYNC]", b"    Flush the Lua scripts cache. Very dangerous on replicas.",
        b"    When called without the optional mode argument, the behavior is determined by the",
        b"    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        b"    * ASYNC: Asynchronously flush the scripts cache.", b"    * SYNC: Synchronously flush the scripts cache.",
        b"KILL", b"    Kill the currently executing Lua script.",
        b"LOAD <script>", b"    Load a script into the scripts cache without executing it.",
        b"SHOW <sha1>", b"    Show a script in the scripts cache.",
        b"HELP", b"    Prints this help.",
    )]  # fmt: skip
