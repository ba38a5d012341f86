"""COMMAND: what the server can do, from the declarations themselves."""

from __future__ import annotations

from rotomdb.commands.dispatch import Command, Context
from rotomdb.commands.registry import (
    LOADING,
    STALE,
    Bytes,
    CommandSpec,
    CountedKeys,
    Flag,
    KeyRange,
    KeysAfter,
    command,
)
from rotomdb.commands.reply import NULL_ARRAY, MapReply, SetReply, Status
from rotomdb.engine import glob
from rotomdb.errors import CommandError

GROUP = "server"
EVER = LOADING | STALE
GROUP_CATEGORIES = {"sorted-set": "sortedset", "generic": "keyspace", "server": "", "transactions": "transaction"}
SHOWN_FLAGS = {
    Flag.WRITE: "write", Flag.READONLY: "readonly", Flag.DENYOOM: "denyoom", Flag.ADMIN: "admin",
    Flag.NOSCRIPT: "noscript", Flag.BLOCKING: "blocking", Flag.LOADING: "loading", Flag.STALE: "stale",
    Flag.FAST: "fast", Flag.PUBSUB: "pubsub", Flag.NO_AUTH: "no_auth", Flag.NO_MULTI: "no_multi",
}  # fmt: skip


def categories(spec: CommandSpec) -> list[str]:
    """ACL categories, with their `@`."""
    names = []
    if spec.flags & Flag.WRITE:
        names.append("write")
    if spec.flags & Flag.READONLY and spec.keys is not None:
        names.append("read")
    group = GROUP_CATEGORIES.get(spec.group, spec.group)
    if group:
        names.append(group)
    if spec.flags & Flag.ADMIN:
        names += ["admin", "dangerous"]
    names.append("fast" if spec.flags & Flag.FAST else "slow")
    return [f"@{name}" for name in names]


def key_positions(spec: CommandSpec) -> tuple[int, int, int]:
    if isinstance(spec.keys, KeyRange):
        return spec.keys.first, spec.keys.last, spec.keys.step
    if isinstance(spec.keys, CountedKeys) and spec.keys.store:
        return spec.keys.store, spec.keys.store, 1
    return 0, 0, 0


def describe(entry: Command) -> list[object]:
    """A row of COMMAND INFO."""
    spec: CommandSpec = entry.spec
    first, last, step = key_positions(spec)
    flags = [Status(name.encode()) for flag, name in SHOWN_FLAGS.items() if spec.flags & flag]
    if isinstance(spec.keys, CountedKeys):
        flags.append(Status(b"movablekeys"))
    access = b"RW" if spec.flags & Flag.WRITE else b"RO"
    specifications: list[object] = []
    if first:
        specifications.append(MapReply([
            b"flags", SetReply([Status(access)]),
            b"begin_search", MapReply([b"type", b"index", b"spec", MapReply([b"index", first])]),
            b"find_keys", MapReply([b"type", b"range", b"spec", MapReply([
                b"lastkey", last - first if last > 0 else last, b"keystep", step, b"limit", 0,
            ])]),
        ]))  # fmt: skip
    if isinstance(spec.keys, KeysAfter):
        specifications.append(MapReply([
            b"flags", SetReply([Status(access)]),
            b"begin_search", MapReply([b"type", b"keyword", b"spec", MapReply([
                b"keyword", spec.keys.keyword, b"startfrom", 1,
            ])]),
            b"find_keys", MapReply([b"type", b"range", b"spec", MapReply([b"lastkey", -1, b"keystep", 1, b"limit", 2])]),
        ]))  # fmt: skip
    if isinstance(spec.keys, CountedKeys):
        specifications.append(MapReply([
            b"flags", SetReply([Status(access)]),
            b"begin_search", MapReply([b"type", b"index", b"spec", MapReply([b"index", spec.keys.count])]),
            b"find_keys", MapReply([b"type", b"keynum", b"spec", MapReply([
                b"keynumidx", 0, b"firstkey", 1, b"keystep", spec.keys.step,
            ])]),
        ]))  # fmt: skip
    subcommands = [describe(sub) for sub in (entry.subcommands or {}).values()]
    return [
        spec.name.encode(), spec.arity, SetReply(flags), first, last, step,
        SetReply([Status(name.encode()) for name in categories(spec)]), [], specifications, subcommands,
    ]  # fmt: skip


@command("COMMAND", since="2.8.13", flags=EVER, group=GROUP, complexity="O(N)", arity=-1)
def command_(ctx: Context) -> list[object]:
    """Returns detailed information about all commands."""
    return [describe(entry) for entry in ctx.dispatcher.commands.values()]


@command("COMMAND|COUNT", since="2.8.13", flags=EVER, group=GROUP)
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


@command("COMMAND|INFO", since="2.8.13", flags=EVER, group=GROUP, complexity="O(N)")
def command_info(ctx: Context, *names: Bytes) -> list[object]:
    """Returns information about one, multiple or all commands."""
    if not names:
        return command_(ctx)  # type: ignore[no-any-return]
    found = [lookup(ctx, name) for name in names]
    return [NULL_ARRAY if entry is None else describe(entry) for entry in found]


@command("COMMAND|LIST", since="7.0.0", flags=EVER, group=GROUP, complexity="O(N)")
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


def document(entry: Command) -> MapReply:
    spec: CommandSpec = entry.spec
    kinds = {"K": b"key", "B": b"string", "I": b"integer", "F": b"double"}
    arguments: list[object] = []
    letters = spec.converters + spec.rest
    for name, letter in zip(spec.parameters, letters, strict=False):
        argument: list[object] = [b"name", name.encode(), b"type", kinds[letter], b"display_text", name.encode()]
        if letter == "K":
            argument += [b"key_spec_index", 0]
        arguments.append(MapReply(argument))
    reply = MapReply([
        b"summary", spec.summary.encode(), b"since", spec.since.encode(), b"group", spec.group.encode(),
        b"complexity", spec.complexity.encode(),
    ])  # fmt: skip
    if arguments:
        reply += (b"arguments", arguments)
    if entry.subcommands:
        documented: list[object] = []
        for sub in entry.subcommands.values():
            documented += (sub.name.encode(), document(sub))
        reply += (b"subcommands", MapReply(documented))
    return reply


@command("COMMAND|DOCS", since="7.0.0", flags=EVER, group=GROUP, complexity="O(N)")
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


def keys_of(spec: CommandSpec, arguments: list[bytes]) -> list[bytes]:
    """The keys in a request. Raises CommandError when they cannot be told."""
    found = spec.keys_of(arguments)
    if found is None:
        raise CommandError("ERR Invalid arguments specified for command")
    return found


@command("COMMAND|GETKEYS", since="2.8.13", flags=EVER, group=GROUP, arity=-3, complexity="O(N)")
def command_getkeys(ctx: Context, *words: Bytes) -> list[bytes]:
    """Extracts the key names from an arbitrary command."""
    entry = ctx.dispatcher.find(words[0])
    if entry is None:
        raise CommandError("ERR Invalid command specified")
    arguments = list(words)
    if entry.subcommands and len(words) > 1:
        entry = entry.subcommands.get(words[1].lower(), entry)
        if entry.spec.function is None:
            raise CommandError("ERR Invalid command specified")
    if entry.spec.keys is None:
        raise CommandError("ERR The command has no key arguments")
    arity = entry.spec.arity
    if len(arguments) != arity if arity >= 0 else len(arguments) < -arity:
        raise CommandError("ERR Invalid number of arguments specified for command")
    return keys_of(entry.spec, arguments)


@command("COMMAND|GETKEYSANDFLAGS", since="7.0.0", flags=EVER, group=GROUP, arity=-3, complexity="O(N)")
def command_getkeysandflags(ctx: Context, *words: Bytes) -> list[list[object]]:
    """Extracts the key names and access flags for an arbitrary command."""
    keys = command_getkeys(ctx, *words)
    entry = ctx.dispatcher.find(words[0])
    assert entry is not None
    return [
        [key, SetReply([Status(flag) for flag in key_flags(entry.spec, position)])] for position, key in enumerate(keys)
    ]


# Commands whose keys are not simply read or updated: flags per key position, the last for all further ones.
CREATES, DELETES = (b"OW", b"insert"), (b"RW", b"delete")
OVERWRITES, REMOVES, INSERTS = (b"OW", b"update"), (b"RM", b"delete"), (b"RW", b"insert")
READS, PEEKS, POPS = (b"RO", b"access"), (b"RO",), (b"RW", b"access", b"delete")
READ_AND_UPDATED = (b"RW", b"access", b"update")
KEY_FLAGS = {
    **dict.fromkeys(("set", "setex", "psetex", "mset", "restore", "restore-asking", "msetex"), (OVERWRITES,)),
    **dict.fromkeys(("setnx", "msetnx"), (CREATES,)),
    **dict.fromkeys(("del", "unlink"), (REMOVES,)),
    **dict.fromkeys(
        ("ltrim", "lrem", "srem", "hdel", "zrem", "zremrangebyrank", "zremrangebyscore", "zremrangebylex", "xdel", "xtrim",
         "xautoclaim"), (DELETES,)
    ),
    **dict.fromkeys(("sort", "georadius", "georadiusbymember"), (READS,)),
    "pfcount": ((b"RW", b"access"),),
    "sinterstore": ((b"RW", b"update"), READS),
    "renamenx": (POPS, CREATES),
    **dict.fromkeys(("lpush", "rpush", "lpushx", "rpushx", "linsert", "sadd", "append", "pfadd", "hsetnx"), (INSERTS,)),
    **dict.fromkeys(("lpop", "rpop", "spop", "zpopmin", "zpopmax", "getdel", "lmpop", "zmpop", "blpop", "brpop", "blmpop", "bzpopmin",
         "bzpopmax", "bzmpop", "migrate"), (POPS,)),
    **dict.fromkeys(("exists", "type", "strlen", "llen", "scard", "zcard", "hlen", "xlen", "touch", "sismember", "hexists", "hstrlen",
         "watch"), (PEEKS,)),
    **dict.fromkeys(
        ("incr", "decr", "incrby", "decrby", "incrbyfloat", "hincrby", "hincrbyfloat", "zincrby", "getset", "getex", "setbit",
         "bitfield", "move"), (READ_AND_UPDATED,)
    ),
    "rename": (POPS, OVERWRITES),
    "copy": (READS, OVERWRITES),
    **dict.fromkeys(("lmove", "rpoplpush", "blmove", "brpoplpush", "smove"), (POPS, INSERTS)),
    **dict.fromkeys(
        ("sunionstore", "sdiffstore", "zinterstore", "zunionstore", "zdiffstore", "zrangestore", "bitop",
         "geosearchstore"), (OVERWRITES, READS)
    ),
}  # fmt: skip


def key_flags(spec: CommandSpec, position: int) -> tuple[bytes, ...]:
    """What the command does to its key at that position, as COMMAND GETKEYSANDFLAGS names it."""
    special = KEY_FLAGS.get(spec.name)
    if special is not None:
        return special[min(position, len(special) - 1)]
    return (b"RW", b"update") if spec.flags & Flag.WRITE else READS


@command("COMMAND|HELP", since="5.0.0", flags=EVER, group=GROUP)
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
