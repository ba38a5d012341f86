"""ACL: who may use the server, and for what."""

from __future__ import annotations

import secrets

from rotomdb.commands.acl_rules import channel_text, command_text, flags_of, key_text, line_of
from rotomdb.commands.arguments import parse_int
from rotomdb.commands.categories import CATEGORIES, categories
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown
from rotomdb.commands.permissions import Selector
from rotomdb.commands.registry import (
    ADMIN,
    LOADING,
    NOSCRIPT,
    STALE,
    Bytes,
    command,
    container,
)
from rotomdb.commands.reply import OK, MapReply, Status
from rotomdb.errors import CommandError

GROUP = "server"
EVER = NOSCRIPT | LOADING | STALE
SECRET = EVER | ADMIN
PASSWORD_BITS_MAX = 4096

container("ACL", since="6.0.0", group=GROUP, summary="A container for Access List Control commands")


@command("ACL|WHOAMI", since="6.0.0", flags=EVER, group=GROUP)
def acl_whoami(ctx: Context) -> bytes | None:
    """Returns the authenticated username of the current connection."""
    return None if ctx.user is None else ctx.user.name


@command("ACL|CAT", since="6.0.0", flags=EVER, group=GROUP, complexity="O(1)", syntax="[categoryname]")
def acl_cat(ctx: Context, category: Bytes | None = None) -> list[bytes]:
    """Lists the ACL categories, or the commands inside a category."""
    if category is None:
        return [name.encode() for name in CATEGORIES]
    wanted = category.decode("latin-1").lower()
    if wanted not in CATEGORIES:
        raise CommandError(f"ERR Unknown category '{shown(category)[:128]}'")
    return [
        entry.name.encode()
        for parent in ctx.dispatcher.named_in_log().values()
        for entry in (parent, *(parent.subcommands or {}).values())
        if f"@{wanted}" in categories(entry.spec)
    ]


@command("ACL|GENPASS", since="6.0.0", flags=EVER, group=GROUP, syntax="[bits:integer]")
def acl_genpass(ctx: Context, bits: Bytes = b"256") -> bytes:
    """Generates a pseudorandom, secure password that can be used to identify ACL users."""
    wanted = parse_int(bits)
    if not 0 < wanted <= PASSWORD_BITS_MAX:
        raise CommandError(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to "
            f"{PASSWORD_BITS_MAX}"
        )
    digits = (wanted + 3) // 4
    return secrets.token_hex((digits + 1) // 2)[:digits].encode()


# Users


@command("ACL|USERS", since="6.0.0", flags=SECRET, group=GROUP, complexity="O(N)")
def acl_users(ctx: Context) -> list[bytes]:
    """Lists all ACL users."""
    return sorted(ctx.server.users.by_name)


@command("ACL|LIST", since="6.0.0", flags=SECRET, group=GROUP, complexity="O(N)")
def acl_list(ctx: Context) -> list[bytes]:
    """Dumps the effective rules in ACL file format."""
    return [line_of(user) for user in ctx.server.users]


@command(
    "ACL|SETUSER",
    since="6.0.0",
    flags=SECRET,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    syntax="username [rule...]",
)
def acl_setuser(ctx: Context, username: Bytes, *rules: Bytes) -> object:
    """Creates and modifies an ACL user and its rules."""
    ctx.server.users.change(username, rules, ctx)
    return OK


@command("ACL|DELUSER", since="6.0.0", flags=SECRET, group=GROUP, arity=-3, complexity="O(1)", syntax="username...")
def acl_deluser(ctx: Context, *usernames: Bytes) -> int:
    """Deletes ACL users, and terminates their connections."""
    if b"default" in usernames:
        raise CommandError("ERR The 'default' user cannot be removed")
    return sum(ctx.server.users.remove(name, ctx) for name in usernames)


def described(selector: Selector) -> list[object]:
    return [b"commands", command_text(selector), b"keys", key_text(selector), b"channels", channel_text(selector)]


@command("ACL|GETUSER", since="6.0.0", flags=SECRET, group=GROUP, complexity="O(N)")
def acl_getuser(ctx: Context, username: Bytes) -> MapReply | None:
    """Lists the ACL rules of a user."""
    user = ctx.server.users.by_name.get(username)
    if user is None:
        return None
    root, *others = user.selectors
    return MapReply([
        b"flags", flags_of(user), b"passwords", [hashed.encode() for hashed in user.passwords], *described(root),
        b"selectors", [MapReply(described(selector)) for selector in others],
    ])  # fmt: skip


@command(
    "ACL|DRYRUN",
    since="7.0.0",
    flags=SECRET,
    group=GROUP,
    arity=-4,
    complexity="O(1)",
    syntax="username command [arg...]",
)
def acl_dryrun(ctx: Context, username: Bytes, *request: Bytes) -> object:
    """Simulates the execution of a command by a user, without executing the command."""
    user = ctx.server.users.by_name.get(username)
    if user is None:
        raise CommandError(f"ERR User '{shown(username)}' not found")
    words = list(request)
    entry = ctx.dispatcher.named_by(words)
    if entry is None:
        raise CommandError(f"ERR Command '{shown(request[0])}' not found")
    arity = entry.spec.arity
    if len(words) != arity if arity >= 0 else len(words) < -arity:
        raise CommandError(f"ERR wrong number of arguments for '{entry.name}' command")
    denied = ctx.dispatcher.would_deny(user, entry, words)
    return OK if denied is None else denied.encode("latin-1")


# The file and the log


@command("ACL|LOAD", since="6.0.0", flags=SECRET, group=GROUP, complexity="O(N)")
def acl_load(ctx: Context) -> object:
    """Reloads the rules from the configured ACL file."""
    ctx.server.users.reload(ctx)
    return OK


@command("ACL|SAVE", since="6.0.0", flags=SECRET, group=GROUP, complexity="O(N)")
def acl_save(ctx: Context) -> object:
    """Saves the effective ACL rules in the configured ACL file."""
    ctx.server.users.save()
    return OK


@command(
    "ACL|LOG",
    since="6.0.0",
    flags=SECRET,
    group=GROUP,
    complexity="O(N)",
    syntax="[operation=(count:integer | RESET)]",
)
def acl_log(ctx: Context, operation: Bytes = b"10") -> object:
    """Lists recent security events generated due to ACL rules."""
    log = ctx.server.acl_log
    if operation.upper() == b"RESET":
        log.entries.clear()
        return OK
    count = max(parse_int(operation), 0)
    now_ms = ctx.server.acl_log.clock()
    return [
        MapReply([
            b"count", entry.count, b"reason", entry.reason.encode(), b"context", entry.where.encode(), b"object", entry.what,
            b"username", entry.username, b"age-seconds", (now_ms - entry.updated_ms) / 1000,
            b"client-info", entry.client, b"entry-id", entry.id, b"timestamp-created", entry.created_ms,
            b"timestamp-last-updated", entry.updated_ms,
        ])
        for entry in list(log.entries)[:count]
    ]  # fmt: skip


@command("ACL|HELP", since="6.0.0", flags=LOADING | STALE, group=GROUP)
def acl_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CAT [<category>]",
        b"    List all commands that belong to <category>, or all command categories", b"    when no category is specified.",
        b"DELUSER <username> [<username> ...]", b"    Delete a list of users.",
        b"DRYRUN <username> <command> [<arg> ...]",
        b"    Returns whether the user can execute the given command without executing the command.",
        b"GETUSER <username>", b"    Get the user's details.",
        b"GENPASS [<bits>]", b"    Generate a secure 256-bit user password. The optional `bits` argument can",
        b"    be used to specify a different size.",
        b"LIST", b"    Show users details in config file format.",
        b"LOAD", b"    Reload users from the ACL file.",
        b"LOG [<count> | RESET]", b"    Show the ACL log entries.",
        b"SAVE", b"    Save the current config to the ACL file.",
        b"SETUSER <username> <attribute> [<attribute> ...]", b"    Create or modify a user with the specified attributes.",
        b"USERS", b"    List all the registered usernames.",
        b"WHOAMI", b"    Return the current connection username.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
