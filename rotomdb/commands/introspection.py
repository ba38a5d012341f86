"""COMMAND: what the server can do, from the declarations themselves."""

from __future__ import annotations

from rotomdb.commands.categories import categories
from rotomdb.commands.dispatch import Command, Context
from rotomdb.commands.key_specs import KeySpec, find_keys
from rotomdb.commands.registry import (
    LOADING,
    STALE,
    Bytes,
    CommandSpec,
    Flag,
    command,
)
from rotomdb.commands.reply import NULL_ARRAY, MapReply, SetReply, Status
from rotomdb.commands.syntax import Argument
from rotomdb.engine import glob
from rotomdb.errors import CommandError

GROUP = "server"
EVER = LOADING | STALE
SHOWN_FLAGS = {
    Flag.WRITE: "write", Flag.READONLY: "readonly", Flag.DENYOOM: "denyoom", Flag.ADMIN: "admin",
    Flag.NOSCRIPT: "noscript", Flag.BLOCKING: "blocking", Flag.LOADING: "loading", Flag.STALE: "stale",
    Flag.FAST: "fast", Flag.PUBSUB: "pubsub", Flag.NO_AUTH: "no_auth", Flag.NO_MULTI: "no_multi",
    Flag.SKIP_MONITOR: "skip_monitor", Flag.SKIP_SLOWLOG: "skip_slowlog", Flag.ASKING: "asking",
    Flag.NO_ASYNC_LOADING: "no_async_loading", Flag.ALLOW_BUSY: "allow_busy",
    Flag.NO_MANDATORY_KEYS: "no_mandatory_keys",
}  # fmt: skip


def first_last_step(specs: tuple[KeySpec, ...]) -> tuple[int, int, int]:
    """The key positions as clients before 7.0 know them, as far as such a range can say it."""
    ranges = [spec for spec in specs if spec.known and not spec.word and not spec.counted]
    if len(specs) == 1 and ranges:
        return ranges[0].first, ranges[0].last, ranges[0].step
    first = last = 0
    for spec in ranges:
        if spec.step == 1 and (first == 0 or spec.first == last + 1):
            first, last = first or spec.first, spec.last
    return first, last, 1 if first else 0


def movable_keys(specs: tuple[KeySpec, ...]) -> bool:
    """Whether there are keys that `first_last_step` cannot tell."""
    return any(not spec.known or spec.word or spec.counted for spec in specs)


def describe_keys(spec: KeySpec) -> MapReply:
    """A key specification as COMMAND INFO shows it."""
    if not spec.known:
        begin: list[object] = [b"unknown", MapReply([])]
        find: list[object] = [b"unknown", MapReply([])]
    elif spec.word:
        begin = [b"keyword", MapReply([b"keyword", spec.word.encode(), b"startfrom", spec.start])]
    else:
        begin = [b"index", MapReply([b"index", spec.first])]
    if spec.counted:
        find = [b"keynum", MapReply([b"keynumidx", 0, b"firstkey", 1, b"keystep", spec.step])]
    elif spec.known:
        last = spec.last if spec.last < 0 or spec.word else spec.last - spec.first
        find = [b"range", MapReply([b"lastkey", last, b"keystep", spec.step, b"limit", spec.limit])]
    return MapReply([
        b"flags", SetReply([Status(word.encode()) for word in spec.access]),
        b"begin_search", MapReply([b"type", begin[0], b"spec", begin[1]]),
        b"find_keys", MapReply([b"type", find[0], b"spec", find[1]]),
    ])  # fmt: skip


def describe(entry: Command) -> list[object]:
    """A row of COMMAND INFO."""
    spec: CommandSpec = entry.spec
    first, last, step = first_last_step(spec.keys)
    flags = [Status(name.encode()) for flag, name in SHOWN_FLAGS.items() if spec.flags & flag]
    if movable_keys(spec.keys):
        flags.append(Status(b"movablekeys"))
    subcommands = [describe(sub) for sub in (entry.subcommands or {}).values()]
    return [
        spec.name.encode(), spec.arity, SetReply(flags), first, last, step,
        SetReply([Status(name.encode()) for name in categories(spec)]), [tip.encode() for tip in spec.tips],
        [describe_keys(keys) for keys in spec.keys], subcommands,
    ]  # fmt: skip


@command(
    "COMMAND",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    complexity="O(N)",
    arity=-1,
    tips="nondeterministic_output_order",
    categories="connection",
)
def command_(ctx: Context) -> list[object]:
    """Returns detailed information about all commands."""
    return [describe(entry) for entry in ctx.dispatcher.commands.values()]


@command("COMMAND|COUNT", since="2.8.13", flags=EVER, group=GROUP, categories="connection")
def command_count(ctx: Context) -> int:
    """Returns a count of commands."""
    return len(ctx.dispatcher.commands)


def lookup(ctx: Context, name: bytes) -> Command | None:
    """A command, or with `name|sub` a subcommand."""
    head, _, tail = name.lower().partition(b"|")
    found = ctx.dispatcher.find(head)
    if found is None or not tail:
        return found
    return (found.subcommands or {}).get(tail)


@command(
    "COMMAND|INFO",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    complexity="O(N)",
    syntax="[command-name...]",
    tips="nondeterministic_output_order",
    categories="connection",
)
def command_info(ctx: Context, *names: Bytes) -> list[object]:
    """Returns information about one, multiple or all commands."""
    if not names:
        return command_(ctx)  # type: ignore[no-any-return]
    found = [lookup(ctx, name) for name in names]
    return [NULL_ARRAY if entry is None else describe(entry) for entry in found]


@command(
    "COMMAND|LIST",
    since="7.0.0",
    flags=EVER,
    group=GROUP,
    complexity="O(N)",
    syntax="[FILTERBY filterby=(MODULE module-name | ACLCAT category | PATTERN pattern:pattern)]",
    tips="nondeterministic_output_order",
    categories="connection",
)
def command_list(ctx: Context, *options: Bytes) -> list[bytes]:
    """Returns a list of command names."""
    entries: list[Command] = []
    for entry in ctx.dispatcher.commands.values():
        entries += [entry, *(entry.subcommands or {}).values()]
    if not options:
        return [entry.name.encode() for entry in entries]
    if len(options) != 3 or options[0].upper() != b"FILTERBY":
        raise CommandError("ERR syntax error")
    kind, wanted = options[1].upper(), options[2]
    if kind == b"MODULE":
        return []
    if kind == b"ACLCAT":
        return [e.name.encode() for e in entries if "@" + wanted.decode("latin-1").lower() in categories(e.spec)]
    if kind == b"PATTERN":
        return [e.name.encode() for e in entries if glob.match(wanted, e.name.encode(), True)]
    raise CommandError("ERR syntax error")


def describe_argument(argument: Argument) -> MapReply:
    """A node of the argument tree in COMMAND DOCS."""
    reply = MapReply([b"name", argument.name.encode(), b"type", argument.kind.encode()])
    if not argument.arguments:
        reply += (b"display_text", argument.name.encode())
    if argument.key_index is not None:
        reply += (b"key_spec_index", argument.key_index)
    if argument.token is not None:
        reply += (b"token", argument.token.encode())
    flags = [name for name in ("optional", "multiple", "multiple_token") if getattr(argument, name)]
    if flags:
        reply += (b"flags", SetReply([Status(name.encode()) for name in flags]))
    if argument.arguments:
        reply += (b"arguments", [describe_argument(inner) for inner in argument.arguments])
    return reply


def document(entry: Command) -> MapReply:
    spec: CommandSpec = entry.spec
    reply = MapReply([
        b"summary", spec.summary.encode(), b"since", spec.since.encode(), b"group", spec.group.encode(),
        b"complexity", spec.complexity.encode(),
    ])  # fmt: skip
    if spec.syntax:
        reply += (b"arguments", [describe_argument(argument) for argument in spec.syntax])
    if entry.subcommands:
        documented: list[object] = []
        for sub in entry.subcommands.values():
            documented += (sub.name.encode(), document(sub))
        reply += (b"subcommands", MapReply(documented))
    return reply


@command(
    "COMMAND|DOCS",
    since="7.0.0",
    flags=EVER,
    group=GROUP,
    complexity="O(N)",
    syntax="[command-name...]",
    tips="nondeterministic_output_order",
    categories="connection",
)
def command_docs(ctx: Context, *names: Bytes) -> MapReply:
    """Returns documentary information about one, multiple or all commands."""
    entries = (
        [entry for name in names if (entry := lookup(ctx, name)) is not None]
        if names
        else list(ctx.dispatcher.commands.values())
    )
    reply = MapReply()
    for entry in entries:
        reply += (entry.name.encode(), document(entry))
    return reply


def keys_in(ctx: Context, words: tuple[bytes, ...]) -> list[tuple[bytes, tuple[str, ...]]]:
    """The keys in a request and what the command does to each. Raises CommandError when they cannot be told."""
    entry = ctx.dispatcher.find(words[0])
    if entry is None:
        raise CommandError("ERR Invalid command specified")
    if entry.subcommands and len(words) > 1:
        entry = entry.subcommands.get(words[1].lower(), entry)
    if entry.spec.function is None:
        raise CommandError("ERR Invalid command specified")
    if not any("not_key" not in spec.access for spec in entry.spec.keys):
        raise CommandError("ERR The command has no key arguments")
    arity = entry.spec.arity
    if len(words) != arity if arity >= 0 else len(words) < -arity:
        raise CommandError("ERR Invalid number of arguments specified for command")
    found = find_keys(entry.spec.name, entry.spec.keys, words)
    if not found and (found is None or not entry.spec.flags & Flag.NO_MANDATORY_KEYS):
        raise CommandError("ERR Invalid arguments specified for command")
    return [(words[position], access) for position, access in found]


@command(
    "COMMAND|GETKEYS",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    syntax="command [arg...]",
    categories="connection",
)
def command_getkeys(ctx: Context, *words: Bytes) -> list[bytes]:
    """Extracts the key names from an arbitrary command."""
    return [key for key, _ in keys_in(ctx, words)]


@command(
    "COMMAND|GETKEYSANDFLAGS",
    since="7.0.0",
    flags=EVER,
    group=GROUP,
    arity=-4,
    syntax="command [arg...]",
    complexity="O(N)",
    categories="connection",
)
def command_getkeysandflags(ctx: Context, *words: Bytes) -> list[list[object]]:
    """Extracts the key names and access flags for an arbitrary command."""
    return [[key, SetReply([Status(word.encode()) for word in access])] for key, access in keys_in(ctx, words)]


@command("COMMAND|HELP", since="5.0.0", flags=EVER, group=GROUP, categories="connection")
def command_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"(no subcommand)", b"    Return details about all Redis commands.",
        b"COUNT", b"    Return the total number of commands in this Redis server.",
        b"LIST", b"    Return a list of all commands in this Redis server.",
        b"INFO [<command-name> ...]", b"    Return details about multiple Redis commands.",
        b"DOCS [<command-name> ...]", b"    Return documentation details about multiple Redis commands.",
        b"GETKEYS <full-command>", b"    Return the keys from a full Redis command.",
        b"GETKEYSANDFLAGS <full-command>", b"    Return the keys and the access flags from a full Redis command.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
