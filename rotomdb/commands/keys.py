"""Commands on keys of any type."""

from __future__ import annotations

from rotomdb.commands.arguments import INT64_MAX, Options, parse_int, parse_int32, scan_cursor, scan_options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import (
    DB_INDEX_OUT_OF_RANGE,
    NO_SUCH_KEY,
    SAME_OBJECT,
    shown,
    syntax_error,
)
from rotomdb.commands.expiry import absolute_ms
from rotomdb.commands.large_replies import as_reply
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    DENYOOM,
    FAST,
    LOADING,
    READONLY,
    STALE,
    TOUCHES_ARBITRARY_KEYS,
    WRITE,
    Bytes,
    Flag,
    Key,
    command,
    container,
)
from rotomdb.commands.reply import OK, Status
from rotomdb.engine import hashes, lists, strings
from rotomdb.engine.keyspace import Keyspace
from rotomdb.errors import CommandError, RdbValueError
from rotomdb.formats.rdb import decoder, encoder
from rotomdb.formats.rdb.dump_payload import seal, unseal

GROUP = "generic"
DUMP_VERSION = 10
SHARED_INTEGERS, SHARED_REFCOUNT = 10_000, (1 << 31) - 1
DUMP_VERSION_ACCEPTED = 12
TYPES = (b"string", b"list", b"set", b"zset", b"hash", b"module", b"stream")


@command(
    "DEL",
    since="1.0.0",
    flags=WRITE,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    keys="RM delete",
    syntax="key...",
    tips="request_policy:multi_shard response_policy:agg_sum",
)
def delete(ctx: Context, *keys: Key) -> int:
    """Deletes one or more keys."""
    removed = 0
    for key in keys:
        if ctx.db.delete(key):
            removed += 1
            ctx.changed(key, "del")
    return removed


@command(
    "UNLINK",
    since="4.0.0",
    flags=WRITE | FAST,
    group=GROUP,
    arity=-2,
    complexity="O(1) for each key",
    keys="RM delete",
    syntax="key...",
    tips="request_policy:multi_shard response_policy:agg_sum",
)
def unlink(ctx: Context, *keys: Key) -> int:
    """Deletes one or more keys."""
    return delete(ctx, *keys)  # type: ignore[no-any-return]


@command(
    "EXISTS",
    since="1.0.0",
    flags=READONLY | FAST,
    properties=Property.ONLY_ASKS,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    keys="RO",
    syntax="key...",
    tips="request_policy:multi_shard response_policy:agg_sum",
)
def exists(ctx: Context, *keys: Key) -> int:
    """Determines whether one or more keys exist."""
    return sum(ctx.db.count_lookup(key) for key in keys)


@command(
    "TOUCH",
    since="3.2.1",
    flags=READONLY | FAST,
    properties=Property.ALWAYS_TOUCHES,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    keys="RO",
    syntax="key...",
    tips="request_policy:multi_shard response_policy:agg_sum",
)
def touch(ctx: Context, *keys: Key) -> int:
    """Returns the number of existing keys out of those specified after updating the time they were last accessed."""
    return sum(ctx.db.count_lookup(key) for key in keys)


@command("TYPE", since="1.0.0", flags=READONLY | FAST, properties=Property.ONLY_ASKS, group=GROUP, keys="RO")
def type_(ctx: Context, key: Key) -> Status:
    """Determines the type of value stored at a key."""
    return Status(ctx.db.type_name(key) or b"none")


@command(
    "RENAME", since="1.0.0", flags=WRITE, group=GROUP, keys="1 RW access delete; 2 OW update", syntax="key newkey:key"
)
def rename(ctx: Context, key: Key, newkey: Key) -> object:
    """Renames a key and overwrites the destination."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    if key != newkey:
        if ctx.db.delete(newkey):
            ctx.dispatcher.touch(ctx.db.index, newkey)
        rename_existing(ctx, key, newkey)
    return OK


def rename_existing(ctx: Context, key: bytes, newkey: bytes) -> None:
    ctx.db.move(key, ctx.db, newkey)
    ctx.changed(key, "rename_from")
    ctx.changed(newkey, "rename_to", 0)


@command(
    "RENAMENX",
    since="1.0.0",
    flags=WRITE | FAST,
    group=GROUP,
    keys="1 RW access delete; 2 OW insert",
    syntax="key newkey:key",
)
def renamenx(ctx: Context, key: Key, newkey: Key) -> int:
    """Renames a key only when the target key name doesn't exist."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    if key == newkey or ctx.db.exists(newkey):
        return 0
    rename_existing(ctx, key, newkey)
    return 1


@command("MOVE", since="1.0.0", flags=WRITE | FAST, group=GROUP, keys="RW access update", syntax="key db:integer")
def move(ctx: Context, key: Key, db: Bytes) -> int:
    """Moves a key to another database."""
    databases = ctx.engine.databases
    index = parse_int32(db)
    if not 0 <= index < len(databases):
        raise CommandError(DB_INDEX_OUT_OF_RANGE)
    target = databases[index]
    if target is ctx.db:
        raise CommandError(SAME_OBJECT)
    if not ctx.db.exists(key) or target.exists(key):
        return 0
    ctx.db.move(key, target, key)
    ctx.changed(key, "move_from")
    written_elsewhere(ctx, target, key, "move_to")
    return 1


@command(
    "COPY",
    since="6.2.0",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    complexity="O(N)",
    keys="1 RO access; 2 OW update",
    syntax="source:key destination:key [DB destination-db:integer] [REPLACE]",
)
def copy(ctx: Context, source: Key, destination: Key, *options: Bytes) -> int:
    """Copies the value of a key to a new key."""
    target, replace = ctx.db, False
    words = Options(options)
    while words:
        word = words.next()
        if word == b"REPLACE":
            replace = True
        elif word == b"DB" and words:
            index = parse_int32(words.value())
            if not 0 <= index < len(ctx.engine.databases):
                raise CommandError(DB_INDEX_OUT_OF_RANGE)
            target = ctx.engine.databases[index]
        else:
            raise syntax_error()
    if target is ctx.db and source == destination:
        raise CommandError(SAME_OBJECT)
    if not ctx.db.count_lookup(source):
        return 0
    if target.exists(destination):
        if not replace:
            return 0
        target.delete(destination)
    # The RDB form is the one faithful copy of every type.
    body = encoder.dump_value(ctx.db, source, DUMP_VERSION_ACCEPTED)
    assert body is not None
    decoder.RdbDecoder(body).restore_value(target, destination)
    expire_ms = ctx.db.expire_at(source)
    if expire_ms is not None and expire_ms != -1:
        target.set_expire_at(destination, expire_ms)
    ctx.dispatcher.dirty += 1
    written_elsewhere(ctx, target, destination, "copy_to")
    return 1


def written_elsewhere(ctx: Context, target: Keyspace, key: bytes, event: str) -> None:
    """As `ctx.changed`, for a key of another database."""
    ctx.dispatcher.touch(target.index, key)
    if ctx.dispatcher.on_event is not None:
        ctx.dispatcher.happened(ctx, target, key, event)


@command(
    "KEYS",
    since="1.0.0",
    flags=READONLY,
    properties=Property.SEES_ALL_KEYS,
    group=GROUP,
    complexity="O(N)",
    syntax="pattern:pattern",
    tips="request_policy:all_shards nondeterministic_output_order",
    categories="keyspace dangerous",
)
def keys_(ctx: Context, pattern: Bytes) -> object:
    """Returns all key names that match a pattern."""
    return as_reply(ctx, list, ctx.db.match_or_parts(pattern))


@command(
    "SCAN",
    since="2.8.0",
    flags=READONLY | TOUCHES_ARBITRARY_KEYS,
    properties=Property.SEES_ALL_KEYS,
    group=GROUP,
    syntax="cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type]",
    tips="nondeterministic_output request_policy:special",
)
def scan(ctx: Context, cursor: Bytes, *options: Bytes) -> list[object]:
    """Iterates over the key names in the database."""
    parsed = scan_options(scan_cursor(cursor), options, frozenset([b"TYPE"]))
    kind = -1
    if parsed.type_name is not None:
        # An unknown type matches nothing, and the scan still ends.
        kind = TYPES.index(parsed.type_name) if parsed.type_name in TYPES else 15
    following, found = ctx.db.scan(parsed.cursor, parsed.count, parsed.pattern, kind)
    return [b"%d" % following, found]


@command(
    "RANDOMKEY",
    since="1.0.0",
    flags=READONLY | TOUCHES_ARBITRARY_KEYS,
    properties=Property.SEES_ALL_KEYS,
    group=GROUP,
    tips="request_policy:all_shards nondeterministic_output",
)
def randomkey(ctx: Context) -> bytes | None:
    """Returns a random key name from the database."""
    return ctx.db.random_key()


# Expiry


def expire(ctx: Context, key: bytes, amount: bytes, unit_ms: int, relative: bool, words: tuple[bytes, ...]) -> int:
    only_without = only_with = only_greater = only_less = False
    for word in words:
        option = word.upper()
        if option == b"NX":
            only_without = True
        elif option == b"XX":
            only_with = True
        elif option == b"GT":
            only_greater = True
        elif option == b"LT":
            only_less = True
        else:
            raise CommandError(f"ERR Unsupported option {shown(word)}")
    if only_without and (only_with or only_greater or only_less):
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if only_greater and only_less:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    expire_ms = absolute_ms(ctx, parse_int(amount), unit_ms, relative, positive=False)
    current = ctx.db.expire_at(key)
    if current is None:
        return 0
    if only_without and current != -1:
        return 0
    if only_with and current == -1:
        return 0
    # A key without an expire time counts as one that never ends.
    if only_greater and (current == -1 or expire_ms <= current):
        return 0
    if only_less and current != -1 and expire_ms >= current:
        return 0
    if expire_ms <= ctx.now_ms and not (ctx.dispatcher.loading or ctx.replaying):
        ctx.db.delete(key)
        ctx.changed(key, "del")
        ctx.propagate(b"DEL", key)
        return 1
    ctx.db.set_expire_at(key, expire_ms)
    ctx.changed(key, "expire")
    ctx.propagate(b"PEXPIREAT", key, expire_ms, *words)
    return 1


@command(
    "EXPIRE",
    since="1.0.0",
    flags=WRITE | FAST,
    group=GROUP,
    syntax="key seconds:integer [condition=(NX | XX | GT | LT)]",
)
def expire_seconds(ctx: Context, key: Key, seconds: Bytes, *options: Bytes) -> int:
    """Sets the expiration time of a key in seconds."""
    return expire(ctx, key, seconds, 1000, True, options)


@command(
    "PEXPIRE",
    since="2.6.0",
    flags=WRITE | FAST,
    group=GROUP,
    syntax="key milliseconds:integer [condition=(NX | XX | GT | LT)]",
)
def expire_milliseconds(ctx: Context, key: Key, milliseconds: Bytes, *options: Bytes) -> int:
    """Sets the expiration time of a key in milliseconds."""
    return expire(ctx, key, milliseconds, 1, True, options)


@command(
    "EXPIREAT",
    since="1.2.0",
    flags=WRITE | FAST,
    group=GROUP,
    syntax="key unix-time-seconds:unix-time [condition=(NX | XX | GT | LT)]",
)
def expire_at_seconds(ctx: Context, key: Key, unix_time_seconds: Bytes, *options: Bytes) -> int:
    """Sets the expiration time of a key to a Unix timestamp."""
    return expire(ctx, key, unix_time_seconds, 1000, False, options)


@command(
    "PEXPIREAT",
    since="2.6.0",
    flags=WRITE | FAST,
    group=GROUP,
    syntax="key unix-time-milliseconds:unix-time [condition=(NX | XX | GT | LT)]",
)
def expire_at_milliseconds(ctx: Context, key: Key, unix_time_milliseconds: Bytes, *options: Bytes) -> int:
    """Sets the expiration time of a key to a Unix milliseconds timestamp."""
    return expire(ctx, key, unix_time_milliseconds, 1, False, options)


def expire_time(ctx: Context, key: bytes) -> int:
    """Absolute ms; -1 without an expire time, -2 without the key."""
    ctx.db.count_lookup(key)
    when = ctx.db.expire_at(key)
    return -2 if when is None else when


@command(
    "TTL",
    since="1.0.0",
    flags=READONLY | FAST,
    properties=Property.ONLY_ASKS,
    group=GROUP,
    tips="nondeterministic_output",
)
def ttl(ctx: Context, key: Key) -> int:
    """Returns the expiration time in seconds of a key."""
    when = expire_time(ctx, key)
    return when if when < 0 else (max(when - ctx.now_ms, 0) + 500) // 1000


@command(
    "PTTL",
    since="2.6.0",
    flags=READONLY | FAST,
    properties=Property.ONLY_ASKS,
    group=GROUP,
    tips="nondeterministic_output",
)
def pttl(ctx: Context, key: Key) -> int:
    """Returns the expiration time in milliseconds of a key."""
    when = expire_time(ctx, key)
    return when if when < 0 else max(when - ctx.now_ms, 0)


@command("EXPIRETIME", since="7.0.0", flags=READONLY | FAST, properties=Property.ONLY_ASKS, group=GROUP)
def expiretime(ctx: Context, key: Key) -> int:
    """Returns the expiration time of a key as a Unix timestamp."""
    when = expire_time(ctx, key)
    return when if when < 0 else (when + 500) // 1000


@command("PEXPIRETIME", since="7.0.0", flags=READONLY | FAST, properties=Property.ONLY_ASKS, group=GROUP)
def pexpiretime(ctx: Context, key: Key) -> int:
    """Returns the expiration time of a key as a Unix milliseconds timestamp."""
    return expire_time(ctx, key)


@command("PERSIST", since="2.2.0", flags=WRITE | FAST, group=GROUP)
def persist(ctx: Context, key: Key) -> int:
    """Removes the expiration time of a key."""
    if ctx.db.expire_at(key) in (None, -1):
        return 0
    ctx.db.set_expire_at(key, -1)
    ctx.changed(key, "persist")
    return 1


# OBJECT

container(
    "OBJECT",
    since="2.2.3",
    properties=Property.ONLY_ASKS,
    group=GROUP,
    summary="A container for object introspection commands",
)


def encoding_of(ctx: Context, key: bytes) -> bytes:
    """Redis's name of the value's encoding; the key must exist."""
    name = ctx.db.encoding_name(key)
    assert name is not None
    if name == b"quicklist" and lists.is_packed(ctx.db, key):
        return b"listpack"
    if name == b"hashtable" and ctx.db.type_name(key) == b"hash" and hashes.has_times(ctx.db, key):
        return b"listpackex" if hashes.is_small(ctx.db, key) else name
    return name


@command("OBJECT|ENCODING", since="2.2.3", flags=READONLY, group=GROUP, keys="RO", tips="nondeterministic_output")
def object_encoding(ctx: Context, key: Key) -> bytes | None:
    """Returns the internal encoding of a Redis object."""
    return encoding_of(ctx, key) if ctx.db.exists(key) else None


@command("OBJECT|REFCOUNT", since="2.2.3", flags=READONLY, group=GROUP, keys="RO", tips="nondeterministic_output")
def object_refcount(ctx: Context, key: Key) -> int | None:
    """Returns the reference count of a value of a key."""
    if not ctx.db.exists(key):
        return None
    return SHARED_REFCOUNT if is_shared(ctx, key) else 1


def is_shared(ctx: Context, key: bytes) -> bool:
    """Whether Redis has one object for all values like this one: small integers, while no policy needs a clock for each."""
    if ctx.db.encoding_name(key) != b"int" or not 0 <= int(strings.peek(ctx.db, key) or b"") < SHARED_INTEGERS:
        return False
    server = ctx.dispatcher.server
    if server is None or not server.config["maxmemory"]:
        return True
    return not server.config["maxmemory-policy"].endswith(("lru", "lfu"))


@command("OBJECT|IDLETIME", since="2.2.3", flags=READONLY, group=GROUP, keys="RO", tips="nondeterministic_output")
def object_idletime(ctx: Context, key: Key) -> int | None:
    """Returns the time since the last access to a Redis object."""
    if ctx.engine.lfu and ctx.db.holds(key):
        raise CommandError(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
            "policies at runtime LRU and LFU data will take some time to adjust."
        )
    return ctx.db.idle_seconds(key)


@command("OBJECT|FREQ", since="4.0.0", flags=READONLY, group=GROUP, keys="RO", tips="nondeterministic_output")
def object_freq(ctx: Context, key: Key) -> int | None:
    """Returns the logarithmic access frequency counter of a Redis object."""
    if ctx.db.holds(key) and not ctx.engine.lfu:
        raise CommandError(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
            "between policies at runtime LRU and LFU data will take some time to adjust."
        )
    return ctx.db.frequency(key)


@command("OBJECT|HELP", since="6.2.0", flags=LOADING | STALE, group=GROUP)
def object_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"ENCODING <key>", b"    Return the kind of internal representation used in order to store the value",
        b"    associated with a <key>.",
        b"FREQ <key>", b"    Return the access frequency index of the <key>. The returned integer is",
        b"    proportional to the logarithm of the recent access frequency of the key.",
        b"IDLETIME <key>", b"    Return the idle time of the <key>, that is the approximated number of",
        b"    seconds elapsed since the last access to the key.",
        b"REFCOUNT <key>", b"    Return the number of references of the value associated with the specified", b"    <key>.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip


# DUMP and RESTORE


@command("DUMP", since="2.6.0", flags=READONLY, group=GROUP, complexity="O(N)", tips="nondeterministic_output")
def dump(ctx: Context, key: Key) -> bytes | None:
    """Returns a serialized representation of the value stored at a key."""
    timed = ctx.db.type_name(key) == b"hash" and hashes.has_times(ctx.db, key)
    version = DUMP_VERSION_ACCEPTED if timed else DUMP_VERSION
    body = encoder.dump_value(ctx.db, key, version)
    if body is None:
        return None
    return seal(body, version)


def payload_body(ctx: Context, payload: bytes) -> bytes:
    """The type byte and the value of a DUMP payload whose footer is right."""
    unsealed = unseal(payload, checked=ctx.dispatcher.server is None or ctx.dispatcher.server.checks_payloads)
    if unsealed is None or unsealed.version > DUMP_VERSION_ACCEPTED:
        raise CommandError("ERR DUMP payload version or checksum are wrong")
    return bytes(unsealed.body)


@command(
    "RESTORE",
    since="2.6.0",
    flags=WRITE | DENYOOM,
    group=GROUP,
    complexity="O(N)",
    keys="OW update",
    syntax="key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ frequency:integer]",
    categories="keyspace dangerous",
)
def restore(ctx: Context, key: Key, ttl: Bytes, serialized_value: Bytes, *options: Bytes) -> object:
    """Creates a key from the serialized representation of a value."""
    replace = absolute = False
    idle = frequency = -1
    words = Options(options)
    while words:
        word = words.next()
        if word == b"REPLACE":
            replace = True
        elif word == b"ABSTTL":
            absolute = True
        elif word == b"IDLETIME" and words and frequency == -1:
            idle = words.integer()
            if idle < 0:
                raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
        elif word == b"FREQ" and words and idle == -1:
            frequency = words.integer()
            if not 0 <= frequency <= 255:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise syntax_error()
    existed = ctx.db.exists(key)
    if existed and not replace:
        raise CommandError("BUSYKEY Target key name already exists.")
    milliseconds = parse_int(ttl)
    if milliseconds < 0:
        raise CommandError("ERR Invalid TTL value, must be >= 0")
    body = payload_body(ctx, serialized_value)
    if existed:
        ctx.db.delete(key)
    expire_ms = 0
    if milliseconds:
        expire_ms = min(milliseconds if absolute else milliseconds + ctx.now_ms, INT64_MAX)
    try:
        filled = decoder.RdbDecoder(body).restore_value(ctx.db, key)
    except RdbValueError:
        if existed:
            ctx.changed(key, "del")
            ctx.propagate(b"DEL", key)
        raise CommandError("ERR Bad data format") from None
    if not filled:
        raise CommandError("ERR Bad data format")
    if expire_ms and expire_ms < ctx.now_ms and not (ctx.dispatcher.loading or ctx.replaying):
        ctx.db.delete(key)
        if existed:
            ctx.changed(key, "del")
            ctx.propagate(b"DEL", key)
        return OK
    if expire_ms:
        ctx.db.set_expire_at(key, expire_ms)
    ctx.db.set_access(key, idle, frequency)
    ctx.changed(key, "restore")
    if milliseconds and not absolute:
        ctx.propagate(b"RESTORE", key, expire_ms, serialized_value, b"ABSTTL", *options)
    return OK


@command(
    "RESTORE-ASKING",
    since="3.0.0",
    flags=WRITE | DENYOOM | Flag.ASKING,
    group="server",
    complexity="O(N)",
    keys="OW update",
    syntax="key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ frequency:integer]",
    categories="keyspace dangerous",
)
def restore_asking(ctx: Context, key: Key, ttl: Bytes, serialized_value: Bytes, *options: Bytes) -> object:
    """An internal command for migrating keys in a cluster."""
    return restore(ctx, key, ttl, serialized_value, *options)
