"""BACKUP: copies of the data files while the server runs. Redis has no such command."""

from __future__ import annotations

from rotomdb.commands.dispatch import Context
from rotomdb.commands.registry import ADMIN, NO_MULTI, NOSCRIPT, Bytes, command, container
from rotomdb.commands.reply import OK, MapReply, Status
from rotomdb.errors import CommandError, SaveError

GROUP = "server"
FLAGS = ADMIN | NOSCRIPT | NO_MULTI

container("BACKUP", since="7.2.0", group=GROUP, summary="A container for commands about backups (rotomdb only)")


@command("BACKUP|CREATE", since="7.2.0", flags=FLAGS, group=GROUP)
def backup_create(ctx: Context, *name: Bytes) -> Status:
    """Starts a backup in the background, named after the time by default."""
    if len(name) > 1:
        raise CommandError("ERR wrong number of arguments for 'backup|create' command")
    try:
        started = ctx.server.backups.start(name[0].decode("utf-8", "replace") if name else "")
    except (SaveError, OSError) as error:
        raise CommandError(f"ERR Can't back up: {error}") from None
    return Status(b"Backup started: " + started.encode())


@command("BACKUP|LIST", since="7.2.0", flags=FLAGS, group=GROUP)
def backup_list(ctx: Context) -> list[MapReply]:
    """Returns the backups, oldest first."""
    try:
        backups = ctx.server.backups.list()
    except OSError as error:
        raise CommandError(f"ERR The backups can't be listed: {error}") from None
    return [
        MapReply([
            b"name", index.name.encode(), b"created", index.created, b"keys", index.keys,
            b"files", len(index.files), b"size", index.size,
        ])
        for index in backups
    ]  # fmt: skip


@command("BACKUP|DELETE", since="7.2.0", flags=FLAGS, group=GROUP)
def backup_delete(ctx: Context, name: Bytes) -> object:
    """Deletes a backup."""
    try:
        ctx.server.backups.delete(name.decode("utf-8", "replace"))
    except (SaveError, OSError) as error:
        raise CommandError(f"ERR {error}") from None
    return OK


@command("BACKUP|HELP", since="7.2.0", flags=FLAGS, group=GROUP)
def backup_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"BACKUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CREATE [<name>]", b"    Start a backup of the data files in the background.",
        b"DELETE <name>", b"    Delete a backup.",
        b"LIST", b"    Return the backups, oldest first.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
