"""XINFO: what is known of a stream, its groups and their consumers."""

from __future__ import annotations

from rotomdb.commands.arguments import parse_int
from rotomdb.commands.consumer_groups import subcommand_error
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NO_SUCH_KEY, shown
from rotomdb.commands.registry import LOADING, READONLY, STALE, Bytes, Key, command, container
from rotomdb.commands.reply import MapReply, Status
from rotomdb.engine import streams
from rotomdb.engine.streams import GroupHandle, StreamHandle
from rotomdb.errors import CommandError

GROUP = "stream"
ENTRIES_SHOWN = 10  # by FULL, unless COUNT says otherwise

container("XINFO", since="5.0.0", group=GROUP, summary="A container for stream introspection commands")


def existing(ctx: Context, key: bytes) -> StreamHandle:
    stream = streams.find(ctx.db, key)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


def known(count: int) -> int | None:
    return None if count == streams.UNKNOWN_READ else count


def lag(stream: StreamHandle, group: GroupHandle) -> int | None:
    """Entries that the group has not been given yet; None where counting is impossible."""
    if stream.entries_added == 0:
        return 0
    last, first = group.last_id, stream.first_id
    if last < first and stream.max_deleted_id < first:
        return stream.length
    read = group.entries_read
    if read == streams.UNKNOWN_READ or stream.has_deleted_after(last):
        read = stream.position_of(last)
    return None if read == streams.UNKNOWN_READ else stream.entries_added - read


def summary(stream: StreamHandle) -> MapReply:
    return MapReply([
        b"length", stream.length, b"radix-tree-keys", stream.node_count, b"radix-tree-nodes", stream.node_count + 1,
        b"last-generated-id", streams.format_id(stream.last_id),
        b"max-deleted-entry-id", streams.format_id(stream.max_deleted_id), b"entries-added", stream.entries_added,
        b"recorded-first-entry-id", streams.format_id(stream.first_id),
    ])  # fmt: skip


@command(
    "XINFO|STREAM",
    since="5.0.0",
    flags=READONLY,
    group=GROUP,
    arity=-3,
    syntax="key [FULL full=<[COUNT count:integer]>]",
)
def xinfo_stream(ctx: Context, key: Key, *options: Bytes) -> MapReply:
    """Returns information about a stream."""
    stream = existing(ctx, key)
    if not options:
        first = stream.range(streams.MIN_ID, streams.MAX_ID, 1)
        last = stream.range(streams.MIN_ID, streams.MAX_ID, 1, True)
        reply = summary(stream)
        reply += (
            b"groups", stream.group_count, b"first-entry", first[0] if first else None,
            b"last-entry", last[0] if last else None,
        )  # fmt: skip
        return reply
    count = ENTRIES_SHOWN
    if options[0].upper() != b"FULL" or len(options) not in (1, 3):
        raise subcommand_error(ctx)
    if len(options) == 3:
        if options[1].upper() != b"COUNT":
            raise subcommand_error(ctx)
        count = parse_int(options[2])
        count = ENTRIES_SHOWN if count < 0 else count or -1
    reply = summary(stream)
    reply += (
        b"entries", stream.range(streams.MIN_ID, streams.MAX_ID, count),
        b"groups", [describe_group(stream, group, count) for group in stream.groups()],
    )  # fmt: skip
    return reply


def describe_group(stream: StreamHandle, group: GroupHandle, count: int) -> MapReply:
    pending = group.pending_range(streams.MIN_ID, streams.MAX_ID, count)
    consumers = []
    for consumer in group.consumers():
        own = group.pending_range(streams.MIN_ID, streams.MAX_ID, count, consumer)
        consumers.append(MapReply([
            b"name", consumer.name, b"seen-time", consumer.seen_ms, b"active-time", consumer.active_ms,
            b"pel-count", consumer.pending_count,
            b"pending", [[streams.format_id(entry_id), delivered_ms, times] for entry_id, _, delivered_ms, times in own],
        ]))  # fmt: skip
    return MapReply([
        b"name", group.name, b"last-delivered-id", streams.format_id(group.last_id),
        b"entries-read", known(group.entries_read), b"lag", lag(stream, group), b"pel-count", group.pending_count,
        b"pending", [[streams.format_id(entry_id), *rest] for entry_id, *rest in pending],
        b"consumers", consumers,
    ])  # fmt: skip


@command("XINFO|GROUPS", since="5.0.0", flags=READONLY, group=GROUP)
def xinfo_groups(ctx: Context, key: Key) -> list[MapReply]:
    """Returns a list of the consumer groups of a stream."""
    stream = existing(ctx, key)
    return [
        MapReply([
            b"name", group.name, b"consumers", group.consumer_count, b"pending", group.pending_count,
            b"last-delivered-id", streams.format_id(group.last_id), b"entries-read", known(group.entries_read),
            b"lag", lag(stream, group),
        ])
        for group in stream.groups()
    ]  # fmt: skip


@command(
    "XINFO|CONSUMERS",
    since="5.0.0",
    flags=READONLY,
    group=GROUP,
    syntax="key groupname",
    tips="nondeterministic_output",
)
def xinfo_consumers(ctx: Context, key: Key, group: Bytes) -> list[MapReply]:
    """Returns a list of the consumers in a consumer group."""
    found = existing(ctx, key).group(group)
    if found is None:
        raise CommandError(f"NOGROUP No such consumer group '{shown(group)}' for key name '{shown(key)}'")
    now = ctx.now_ms
    return [
        MapReply([
            b"name", consumer.name, b"pending", consumer.pending_count, b"idle", max(now - consumer.seen_ms, 0),
            b"inactive", -1 if consumer.active_ms == -1 else max(now - consumer.active_ms, 0),
        ])
        for consumer in found.consumers()
    ]  # fmt: skip


@command("XINFO|HELP", since="5.0.0", flags=LOADING | STALE, group=GROUP)
def xinfo_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CONSUMERS <key> <groupname>", b"    Show consumers of <groupname>.",
        b"GROUPS <key>", b"    Show the stream consumer groups.",
        b"STREAM <key> [FULL [COUNT <count>]", b"    Show information about the stream.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
