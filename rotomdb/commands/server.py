"""Commands about the server: data set, persistence, configuration, statistics."""

from __future__ import annotations

import contextlib
import time

from rotomdb.commands.arguments import INT32_MAX, INT32_MIN, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import DB_INDEX_OUT_OF_RANGE, syntax_error
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_ASYNC_LOADING,
    NO_MULTI,
    NOSCRIPT,
    READONLY,
    STALE,
    WRITE,
    Bytes,
    Int,
    command,
    container,
)
from rotomdb.commands.reply import NO_REPLY, OK, MapReply, Status, Verbatim
from rotomdb.errors import CommandError, SaveError
from rotomdb.storage.child import Job

GROUP = "server"


@command(
    "DBSIZE",
    since="1.0.0",
    flags=READONLY | FAST,
    properties=Property.SEES_ALL_KEYS,
    group=GROUP,
    tips="request_policy:all_shards response_policy:agg_sum",
    categories="keyspace",
)
def dbsize(ctx: Context) -> int:
    """Returns the number of keys in the database."""
    return len(ctx.db)


@command("TIME", since="2.6.0", flags=LOADING | STALE | FAST, group=GROUP, tips="nondeterministic_output")
def time_(ctx: Context) -> list[bytes]:
    """Returns the server time."""
    now = time.time_ns() // 1000
    return [b"%d" % (now // 1_000_000), b"%d" % (now % 1_000_000)]


# Flushing


def flush_lazily(ctx: Context, words: tuple[bytes, ...]) -> bool:
    """Whether ASYNC is asked for, or the configuration's choice."""
    if len(words) > 1 or (words and words[0].upper() not in (b"ASYNC", b"SYNC")):
        raise syntax_error()
    if words:
        return words[0].upper() == b"ASYNC"
    server = ctx.dispatcher.server
    return server is not None and bool(server.config["lazyfree-lazy-user-flush"])


@command(
    "FLUSHDB",
    since="1.0.0",
    flags=WRITE,
    group=GROUP,
    complexity="O(N)",
    syntax="[async=(ASYNC | SYNC)]",
    tips="request_policy:all_shards response_policy:all_succeeded",
    categories="keyspace dangerous",
)
def flushdb(ctx: Context, *mode: Bytes) -> object:
    """Removes all keys from the current database."""
    lazily = flush_lazily(ctx, mode)
    server = ctx.dispatcher.server
    if server is not None:
        server.tracking.flushed()
    ctx.dispatcher.touch_database(ctx.db.index)
    ctx.dispatcher.dirty += ctx.db.clear(lazily)
    ctx.propagate("FLUSHDB", *mode)  # also where there was nothing
    return OK


@command(
    "FLUSHALL",
    since="1.0.0",
    flags=WRITE,
    group=GROUP,
    complexity="O(N)",
    syntax="[async=(ASYNC | SYNC)]",
    tips="request_policy:all_shards response_policy:all_succeeded",
    categories="keyspace dangerous",
)
def flushall(ctx: Context, *mode: Bytes) -> object:
    """Removes all keys from all databases."""
    lazily = flush_lazily(ctx, mode)
    server = ctx.dispatcher.server
    if server is not None:
        server.tracking.flushed()
    for database in ctx.engine.databases:
        ctx.dispatcher.touch_database(database.index)
        ctx.dispatcher.dirty += database.clear(lazily)
    if server is not None and not ctx.dispatcher.loading:
        server.persistence.kill_child(Job.SNAPSHOT)
        if server.persistence.settings.save_points:
            with contextlib.suppress(SaveError):  # logged, and INFO shows the failed save
                server.persistence.save()
    ctx.propagate("FLUSHALL", *mode)
    return OK


@command(
    "SWAPDB",
    since="4.0.0",
    flags=WRITE | FAST,
    group=GROUP,
    complexity="O(N)",
    syntax="index1:integer index2:integer",
    categories="keyspace dangerous",
)
def swapdb(ctx: Context, index1: Bytes, index2: Bytes) -> object:
    """Swaps two Redis databases."""
    first = parse_ranged_int(index1, INT32_MIN, INT32_MAX, "ERR invalid first DB index")
    second = parse_ranged_int(index2, INT32_MIN, INT32_MAX, "ERR invalid second DB index")
    count = len(ctx.engine.databases)
    if not (0 <= first < count and 0 <= second < count):
        raise CommandError(DB_INDEX_OUT_OF_RANGE)
    if first != second:
        ctx.dispatcher.touch_database(first, second)
        ctx.dispatcher.touch_database(second, first)
        ctx.engine.swap(first, second)
    ctx.dispatcher.dirty += 1
    return OK


# Persistence


@command("SAVE", since="1.0.0", flags=ADMIN | NOSCRIPT | NO_MULTI | NO_ASYNC_LOADING, group=GROUP, complexity="O(N)")
def save(ctx: Context) -> object:
    """Synchronously saves the database(s) to disk."""
    child = ctx.server.persistence.child
    if child is not None and child.kind is Job.SNAPSHOT:
        raise CommandError("ERR Background save already in progress")
    try:
        ctx.server.persistence.save()
    except SaveError:
        raise CommandError("ERR") from None
    return OK


@command("BGSAVE", since="1.0.0", flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING, group=GROUP, syntax="[SCHEDULE]")
def bgsave(ctx: Context, *options: Bytes) -> Status:
    """Asynchronously saves the database(s) to disk."""
    if options and (len(options) > 1 or options[0].upper() != b"SCHEDULE"):
        raise syntax_error()
    persistence = ctx.server.persistence
    child = persistence.child
    if child is not None and child.kind is Job.SNAPSHOT:
        raise CommandError("ERR Background save already in progress")
    if child is not None and not options:
        raise CommandError(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule "
            "a BGSAVE whenever possible."
        )
    if child is not None:
        persistence.due.add(Job.SNAPSHOT)
        return Status(b"Background saving scheduled")
    try:
        persistence.start_background_save()
    except SaveError:
        raise CommandError("ERR") from None
    return Status(b"Background saving started")


@command("BGREWRITEAOF", since="1.0.0", flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING, group=GROUP)
def bgrewriteaof(ctx: Context) -> Status:
    """Asynchronously rewrites the append-only file to disk."""
    persistence = ctx.server.persistence
    child = persistence.child
    if child is not None and child.kind is Job.REWRITE:
        raise CommandError("ERR Background append only file rewriting already in progress")
    if child is not None:
        persistence.due.add(Job.REWRITE)
        persistence.rewriter.forget_failures()
        return Status(b"Background append only file rewriting scheduled")
    try:
        persistence.start_rewrite()
    except SaveError as error:
        raise CommandError(
            f"ERR Can't execute an AOF background rewriting. Please check the server logs: {error}"
        ) from None
    return Status(b"Background append only file rewriting started")


@command(
    "LASTSAVE",
    since="1.0.0",
    flags=LOADING | STALE | FAST,
    group=GROUP,
    tips="nondeterministic_output",
    categories="admin dangerous",
)
def lastsave(ctx: Context) -> int:
    """Returns the Unix timestamp of the last successful save to disk."""
    return int(ctx.server.persistence.status.last_save)


@command(
    "SHUTDOWN",
    since="1.0.0",
    flags=ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY,
    group=GROUP,
    complexity="O(N)",
    syntax="[(NOSAVE | SAVE)] [NOW] [FORCE] [ABORT]",
)
def shutdown(ctx: Context, *options: Bytes) -> object:
    """Synchronously saves the database(s) to disk and shuts down the Redis server."""
    words = [word.decode("latin-1").lower() for word in options]
    if set(words) == {"abort"}:
        raise CommandError("ERR No shutdown in progress.")
    try:
        ctx.server.shutdown(*words)
    except ValueError:
        raise syntax_error() from None
    except SaveError:
        raise CommandError("ERR Errors trying to SHUTDOWN. Check logs.") from None
    return NO_REPLY


# Information


@command(
    "INFO",
    since="1.0.0",
    flags=LOADING | STALE,
    group=GROUP,
    syntax="[section...]",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    categories="dangerous",
)
def info(ctx: Context, *sections: Bytes) -> Verbatim:
    """Returns information and statistics about the server."""
    return Verbatim(ctx.server.info(sections).encode())


@command("LOLWUT", since="5.0.0", flags=READONLY | FAST, group=GROUP, arity=-1, syntax="[VERSION version:integer]")
def lolwut(ctx: Context, *options: Bytes) -> Verbatim:
    """Displays computer art and the server version."""
    return Verbatim(b"  ,--.\n | () |  rotomdb\n  `--'\n")


@command("ROLE", since="2.8.12", flags=NOSCRIPT | LOADING | STALE | FAST, group=GROUP, categories="admin dangerous")
def role(ctx: Context) -> list[object]:
    """Returns the replication role."""
    return ctx.server.replication.role()


# CONFIG

container("CONFIG", since="2.0.0", group=GROUP, summary="A container for server configuration commands")
CONFIG_FLAGS = ADMIN | NOSCRIPT | LOADING | STALE


@command(
    "CONFIG|GET", since="2.0.0", flags=CONFIG_FLAGS, group=GROUP, arity=-3, complexity="O(N)", syntax="<parameter>..."
)
def config_get(ctx: Context, *patterns: Bytes) -> MapReply:
    """Returns the effective values of configuration parameters."""
    reply = MapReply()
    for name, value in ctx.server.runtime_config.get(patterns).items():
        reply += (name, value)
    return reply


@command(
    "CONFIG|SET",
    since="2.0.0",
    flags=CONFIG_FLAGS,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    syntax="<parameter value>...",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def config_set(ctx: Context, *pairs: Bytes) -> object:
    """Sets configuration parameters in-flight."""
    if len(pairs) % 2:
        raise syntax_error()
    ctx.server.runtime_config.set(list(zip(pairs[::2], pairs[1::2], strict=True)), ctx)
    return OK


@command("CONFIG|RESETSTAT", since="2.0.0", flags=CONFIG_FLAGS, group=GROUP)
def config_resetstat(ctx: Context) -> object:
    """Resets the server's statistics."""
    ctx.server.reset_statistics()
    return OK


@command("CONFIG|REWRITE", since="2.8.0", flags=CONFIG_FLAGS, group=GROUP)
def config_rewrite(ctx: Context) -> object:
    """Persists the effective configuration to file."""
    ctx.server.runtime_config.rewrite()
    return OK


@command("CONFIG|HELP", since="5.0.0", flags=LOADING | STALE, group=GROUP)
def config_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"GET <pattern>", b"    Return parameters matching the glob-like <pattern> and their values.",
        b"SET <directive> <value>", b"    Set the configuration <directive> to <value>.",
        b"RESETSTAT", b"    Reset statistics reported by the INFO command.",
        b"REWRITE", b"    Rewrite the configuration file.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip


# SLOWLOG

container("SLOWLOG", since="2.2.12", group=GROUP, summary="A container for slow log commands")


@command(
    "SLOWLOG|GET",
    since="2.2.12",
    flags=ADMIN | LOADING | STALE,
    group=GROUP,
    complexity="O(N)",
    tips="request_policy:all_nodes nondeterministic_output",
)
def slowlog_get(ctx: Context, count: Int = 10) -> list[object]:
    """Returns the slow log's entries."""
    if count < -1:
        raise CommandError("ERR count should be greater than or equal to -1")
    calls = list(ctx.server.slow_log.entries)
    return [
        [call.id, call.time, call.microseconds, call.arguments, call.address.encode(), call.name.encode("latin-1")]
        for call in (calls if count == -1 else calls[:count])
    ]


@command(
    "SLOWLOG|LEN",
    since="2.2.12",
    flags=ADMIN | LOADING | STALE,
    group=GROUP,
    tips="request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
)
def slowlog_len(ctx: Context) -> int:
    """Returns the number of entries in the slow log."""
    return len(ctx.server.slow_log.entries)


@command(
    "SLOWLOG|RESET",
    since="2.2.12",
    flags=ADMIN | LOADING | STALE,
    group=GROUP,
    complexity="O(N)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def slowlog_reset(ctx: Context) -> object:
    """Clears all entries from the slow log."""
    ctx.server.slow_log.entries.clear()
    return OK


@command("SLOWLOG|HELP", since="6.2.0", flags=LOADING | STALE, group=GROUP)
def slowlog_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"GET [<count>]", b"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        b"    Entries are made of:", b"    id, timestamp, time in microseconds, arguments array, client IP and port,",
        b"    client name",
        b"LEN", b"    Return the length of the slowlog.",
        b"RESET", b"    Reset the slowlog.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
