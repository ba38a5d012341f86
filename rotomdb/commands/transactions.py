"""MULTI, EXEC and the keys they watch."""

from __future__ import annotations

from rotomdb.commands.dispatch import Context
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE, Key, command
from rotomdb.commands.reply import NULL_ARRAY, OK
from rotomdb.errors import CommandError

GROUP = "transactions"


@command(
    "MULTI",
    since="1.2.0",
    flags=NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    properties=Property.NEVER_QUEUED,
    group=GROUP,
)
def multi(ctx: Context) -> object:
    """Starts a transaction."""
    if ctx.in_multi:
        raise CommandError("ERR MULTI calls can not be nested")
    ctx.in_multi = True
    return OK


@command(
    "DISCARD",
    since="2.0.0",
    flags=NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    properties=Property.NEVER_QUEUED,
    group=GROUP,
)
def discard(ctx: Context) -> object:
    """Discards a transaction."""
    if not ctx.in_multi:
        raise CommandError("ERR DISCARD without MULTI")
    ctx.discard()
    return OK


@command(
    "EXEC",
    since="1.2.0",
    flags=NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG,
    properties=Property.NEVER_QUEUED | Property.ALWAYS_TOUCHES | Property.RUNS_QUEUE,
    group=GROUP,
    complexity="Depends on commands",
)
def exec_(ctx: Context) -> object:
    """Executes all commands in a transaction."""
    if not ctx.in_multi:
        raise CommandError("ERR EXEC without MULTI")
    for index, key in ctx.watched:
        ctx.engine.databases[index].exists(key)  # drops a key past its time, and so fails who watches it
    refused, changed, queue = ctx.abort_exec, ctx.watched_changed, ctx.queue
    ctx.discard()
    if refused:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
    if changed:
        return NULL_ARRAY
    ctx.in_exec = True
    try:
        replies = ([ctx.dispatcher.execute(ctx, arguments)] for arguments in queue)
        return ctx.in_parts(list, len(queue), replies, all_taken=True)
    finally:
        ctx.in_exec = False


@command(
    "WATCH",
    since="2.2.0",
    flags=NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY,
    properties=Property.NEVER_QUEUED,
    group=GROUP,
    arity=-2,
    keys="RO",
    syntax="key...",
)
def watch(ctx: Context, *keys: Key) -> object:
    """Monitors changes to keys to determine the execution of a transaction."""
    if ctx.in_multi:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    for key in keys:
        index = ctx.db.index
        if (index, key) not in ctx.watched:
            ctx.db.exists(key)  # a key already past its time goes now: its end is no change to wait for
            ctx.watched.append((index, key))
            ctx.dispatcher.watchers.setdefault((index, key), set()).add(ctx)
    return OK


@command("UNWATCH", since="2.2.0", flags=NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, group=GROUP)
def unwatch(ctx: Context) -> object:
    """Forgets about watched keys of a transaction."""
    ctx.unwatch()
    return OK
