"""XGROUP: making, moving and removing consumer groups and their consumers."""

from __future__ import annotations

from collections.abc import Sequence

from rotomdb.commands.arguments import Options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown
from rotomdb.commands.registry import DENYOOM, LOADING, STALE, WRITE, Bytes, Key, command, container
from rotomdb.commands.reply import OK, Status
from rotomdb.commands.streams import strict_id
from rotomdb.engine import streams
from rotomdb.engine.streams import GroupHandle, Id, StreamHandle
from rotomdb.errors import CommandError

GROUP = "stream"

container("XGROUP", since="5.0.0", group=GROUP, summary="A container for consumer groups commands")
KEY_REQUIRED = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to "
    "create an empty stream automatically."
)


def subcommand_error(ctx: Context) -> CommandError:
    name, subcommand = ctx.command.name.upper().partition("|")[0], shown(ctx.request()[1])
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {name} HELP.")


def group_options(ctx: Context, options: Sequence[bytes], *, creating: bool) -> tuple[bool, int]:
    """(MKSTREAM, ENTRIESREAD)."""
    make_stream, entries_read = False, streams.UNKNOWN_READ
    words = Options(options)
    while words:
        word = words.next()
        if creating and word == b"MKSTREAM":
            make_stream = True
        elif word == b"ENTRIESREAD" and words:
            entries_read = words.integer()
            if entries_read < 0 and entries_read != streams.UNKNOWN_READ:
                raise CommandError("ERR value for ENTRIESREAD must be positive or -1")
        else:
            raise subcommand_error(ctx)
    return make_stream, entries_read


def existing_group(ctx: Context, key: bytes, name: bytes) -> tuple[StreamHandle, GroupHandle]:
    stream = streams.peek(ctx.db, key)
    if stream is None:
        raise CommandError(KEY_REQUIRED)
    group = stream.group(name)
    if group is None:
        raise CommandError(f"NOGROUP No such consumer group '{shown(name)}' for key name '{shown(key)}'")
    return stream, group


def group_start(stream: StreamHandle | None, text: bytes) -> Id:
    if text == b"$":
        return streams.MIN_ID if stream is None else stream.last_id
    return strict_id(text)


@command(
    "XGROUP|CREATE",
    since="5.0.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    keys="RW insert",
    syntax="key groupname id=(id | new_id=$) [MKSTREAM] [ENTRIESREAD entries_read:integer]",
)
def xgroup_create(ctx: Context, key: Key, group: Bytes, start: Bytes, *options: Bytes) -> object:
    """Creates a consumer group."""
    make_stream, entries_read = group_options(ctx, options, creating=True)
    stream = streams.peek(ctx.db, key)
    if stream is None and not make_stream:
        raise CommandError(KEY_REQUIRED)
    position = group_start(stream, start)
    if stream is None:
        stream = streams.create(ctx.db, key)
    if stream.group(group) is not None:
        raise CommandError("BUSYGROUP Consumer Group name already exists")
    stream.create_group(group, position, entries_read)
    ctx.changed(key, "xgroup-create")
    return OK


@command(
    "XGROUP|SETID",
    since="5.0.0",
    flags=WRITE,
    group=GROUP,
    syntax="key groupname id=(id | new_id=$) [ENTRIESREAD entries_read:integer]",
)
def xgroup_setid(ctx: Context, key: Key, group: Bytes, start: Bytes, *options: Bytes) -> object:
    """Sets the last-delivered ID of a consumer group."""
    _, entries_read = group_options(ctx, options, creating=False)
    stream, found = existing_group(ctx, key, group)
    found.last_id = {b"-": streams.MIN_ID, b"+": streams.MAX_ID}.get(start) or group_start(stream, start)
    found.entries_read = entries_read
    ctx.changed(key, "xgroup-setid")
    return OK


@command(
    "XGROUP|DESTROY",
    since="5.0.0",
    flags=WRITE,
    group=GROUP,
    complexity="O(N)",
    keys="RW delete",
    syntax="key groupname",
)
def xgroup_destroy(ctx: Context, key: Key, group: Bytes) -> int:
    """Destroys a consumer group."""
    stream = streams.peek(ctx.db, key)
    if stream is None:
        raise CommandError(KEY_REQUIRED)
    found = stream.group(group)
    if found is None:
        return 0
    stream.destroy_group(found)
    ctx.changed(key, "xgroup-destroy")
    return 1


@command(
    "XGROUP|CREATECONSUMER",
    since="6.2.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    keys="RW insert",
    syntax="key groupname consumername",
)
def xgroup_createconsumer(ctx: Context, key: Key, group: Bytes, consumer: Bytes) -> int:
    """Creates a consumer in a consumer group."""
    _, found = existing_group(ctx, key, group)
    if found.consumer(consumer) is not None:
        return 0
    found.create_consumer(consumer, ctx.now_ms)
    ctx.changed(key, "xgroup-createconsumer")
    return 1


@command(
    "XGROUP|DELCONSUMER", since="5.0.0", flags=WRITE, group=GROUP, keys="RW delete", syntax="key groupname consumername"
)
def xgroup_delconsumer(ctx: Context, key: Key, group: Bytes, consumer: Bytes) -> int:
    """Deletes a consumer from a consumer group."""
    _, found = existing_group(ctx, key, group)
    gone = found.consumer(consumer)
    if gone is None:
        return 0
    pending = gone.pending_count
    found.destroy_consumer(gone)
    ctx.changed(key, "xgroup-delconsumer")
    return pending


@command("XGROUP|HELP", since="5.0.0", flags=LOADING | STALE, group=GROUP)
def xgroup_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CREATE <key> <groupname> <id|$> [option]", b"    Create a new consumer group. Options are:",
        b"    * MKSTREAM", b"      Create the empty stream if it does not exist.",
        b"    * ENTRIESREAD entries_read", b"      Set the group's entries_read counter (internal use).",
        b"CREATECONSUMER <key> <groupname> <consumer>", b"    Create a new consumer in the specified group.",
        b"DELCONSUMER <key> <groupname> <consumer>", b"    Remove the specified consumer.",
        b"DESTROY <key> <groupname>", b"    Remove the specified group.",
        b"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        b"    Set the current group ID and entries_read counter.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
