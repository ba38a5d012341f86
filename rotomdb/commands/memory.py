"""MEMORY: what keys and the server take."""

from __future__ import annotations

from rotomdb.commands.arguments import Options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NOT_AN_INTEGER, syntax_error
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import LOADING, NO_FLAGS, READONLY, STALE, Bytes, Key, command, container
from rotomdb.commands.reply import OK, MapReply, Status, Verbatim
from rotomdb.engine.memory import purge

GROUP = "server"

container(
    "MEMORY",
    since="4.0.0",
    properties=Property.ONLY_ASKS,
    group=GROUP,
    summary="A container for memory diagnostics commands",
)


@command(
    "MEMORY|USAGE",
    since="4.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    keys="RO",
    syntax="key [SAMPLES count:integer]",
)
def memory_usage(ctx: Context, key: Key, *options: Bytes) -> int | None:
    """Estimates the memory usage of a key."""
    samples = 5
    words = Options(options)
    while words:
        if words.next() != b"SAMPLES" or not words:
            raise syntax_error()
        samples = words.integer(NOT_AN_INTEGER)
        if samples < 0:
            raise syntax_error()
    return ctx.db.memory_usage(key, samples) if ctx.db.exists(key) else None


@command(
    "MEMORY|STATS",
    since="4.0.0",
    flags=NO_FLAGS,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
)
def memory_stats(ctx: Context) -> MapReply:
    """Returns details about memory usage."""
    return as_map(ctx.server.memory_report().stats())


def as_map(values: dict[str, object]) -> MapReply:
    return MapReply([
        part
        for name, value in values.items()
        for part in (name.encode(), as_map(value) if isinstance(value, dict) else value)
    ])  # fmt: skip


@command(
    "MEMORY|DOCTOR",
    since="4.0.0",
    flags=NO_FLAGS,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
)
def memory_doctor(ctx: Context) -> Verbatim:
    """Outputs a memory problems report."""
    report = ctx.server.memory_report()
    if report.used < 5 << 20:
        return Verbatim(
            b"Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these "
            b"conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be "
            b"back to our programming as soon as I finished rebooting.\n"
        )
    problems = []
    if report.peak > report.used * 1.5:
        problems.append(
            " * Peak memory: In the past this instance used more than 150% the memory that is currently using. The "
            "allocator is normally not able to release memory after a peak."
        )
    if report.fragmentation > 1.4 and report.resident - report.used > 10 << 20:
        problems.append(
            " * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4 (this means "
            "that the Resident Set Size of the process is much larger than the sum of its data). MEMORY PURGE may help."
        )
    if not problems:
        return Verbatim(
            b"Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
        )
    head = "Sam, I detected a few issues in this Redis instance memory implants:"
    return Verbatim("\n\n".join([head, *problems, "I'm here to keep you safe, Sam. I want to help you.\n"]).encode())


@command(
    "MEMORY|PURGE",
    since="4.0.0",
    flags=NO_FLAGS,
    group=GROUP,
    complexity="Depends on how much memory is allocated",
    tips="request_policy:all_shards response_policy:all_succeeded",
)
def memory_purge(ctx: Context) -> object:
    """Asks the allocator to release memory."""
    purge()
    return OK


@command(
    "MEMORY|MALLOC-STATS",
    since="4.0.0",
    flags=NO_FLAGS,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
)
def memory_malloc_stats(ctx: Context) -> Verbatim:
    """Returns the allocator statistics."""
    return Verbatim(b"Stats not supported for the current allocator\n")


@command("MEMORY|HELP", since="4.0.0", flags=LOADING | STALE, group=GROUP)
def memory_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"DOCTOR", b"    Return memory problems reports.",
        b"MALLOC-STATS", b"    Return internal statistics report from the memory allocator.",
        b"PURGE", b"    Attempt to purge dirty pages for reclamation by the allocator.",
        b"STATS", b"    Return information about the memory usage of the server.",
        b"USAGE <key> [SAMPLES <count>]",
        b"    Return memory in bytes used by <key> and its value. Nested values are",
        b"    sampled up to <count> times (default: 5, 0 means sample all).",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
