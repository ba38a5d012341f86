"""DEBUG: for tests and for looking inside."""

from __future__ import annotations

import time

from rotomdb.commands.arguments import INT64_MAX, parse_float, parse_ranged_int
from rotomdb.commands.digest import dataset_digest, value_digest
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import MUST_BE_POSITIVE, NO_SUCH_KEY, syntax_error
from rotomdb.commands.keys import encoding_of
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import ADMIN, LOADING, NOSCRIPT, STALE, Bytes, Key, command, container
from rotomdb.commands.reply import OK, Status
from rotomdb.engine import strings
from rotomdb.errors import CommandError, RotomError
from rotomdb.formats.rdb import encoder
from rotomdb.storage.child import Job

GROUP = "server"
FLAGS = ADMIN | NOSCRIPT | LOADING | STALE
CHANGES_DATA = ADMIN | NOSCRIPT | STALE  # nobody may touch a data set that is being loaded
SLEEP_MAX_S = 1e9  # what the system call takes

container(
    "DEBUG",
    since="1.0.0",
    group=GROUP,
    summary="A container for debugging commands",
    flags=FLAGS,
    properties=Property.ONLY_ASKS,
)


@command("DEBUG|SLEEP", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_sleep(ctx: Context, seconds: Bytes) -> object:
    """Stops the server for that long."""
    time.sleep(min(max(parse_float(seconds), 0), SLEEP_MAX_S))
    return OK


@command("DEBUG|OBJECT", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_object(ctx: Context, key: Key, *options: Bytes) -> Status:
    """Shows low-level information about a key and its value."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    idle = ctx.db.idle_seconds(key) or 0
    body = encoder.dump_value(ctx.db, key, 11) or b""
    lru = (ctx.engine.lru_clock - idle) & 0xFFFFFF
    return Status(
        b"Value at:0x0 refcount:1 encoding:%b serializedlength:%d lru:%d lru_seconds_idle:%d"
        % (encoding_of(ctx, key), len(body) - 1, lru, idle)
    )


@command("DEBUG|DIGEST", since="1.0.0", flags=FLAGS, group=GROUP, complexity="O(N)")
def debug_digest(ctx: Context) -> Status:
    """Returns the fingerprint of the whole data set."""
    return Status(dataset_digest(ctx.engine.databases))


@command("DEBUG|DIGEST-VALUE", since="5.0.0", flags=FLAGS, group=GROUP, complexity="O(N)")
def debug_digest_value(ctx: Context, *keys: Key) -> list[bytes]:
    """Returns the fingerprints of the values at the keys."""
    return [value_digest(ctx.db, key) for key in keys]


def data_set_goes(ctx: Context) -> None:
    """Tell who watches or caches keys that another data set is about to take the place of this one."""
    ctx.server.tracking.flushed()
    for database in ctx.engine.databases:
        ctx.dispatcher.exchanged(database.index)


@command("DEBUG|RELOAD", since="1.0.0", flags=CHANGES_DATA, group=GROUP, complexity="O(N)")
def debug_reload(ctx: Context, *options: Bytes) -> object:
    """Saves a snapshot, and loads it in place of everything."""
    words = {word.upper() for word in options}
    if words - {b"MERGE", b"NOFLUSH", b"NOSAVE"}:
        raise CommandError("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    persistence = ctx.server.persistence
    if b"NOFLUSH" not in words:
        data_set_goes(ctx)
    try:
        if b"NOSAVE" not in words:
            persistence.kill_child(Job.SNAPSHOT)
            persistence.save()
        persistence.reload_snapshot(
            saved=b"NOSAVE" not in words, emptied=b"NOFLUSH" not in words, merged=b"MERGE" in words
        )
    except (RotomError, OSError) as error:
        ctx.server.log("warning", f"The RDB file could not be loaded, the data is what it was: {error}")
        raise CommandError(f"ERR Error trying to load the RDB dump, check server logs: {error}") from None
    return OK


@command("DEBUG|LOADAOF", since="1.0.0", flags=CHANGES_DATA, group=GROUP, complexity="O(N)")
def debug_loadaof(ctx: Context) -> object:
    """Flushes the log to disk, and loads it in place of everything."""
    dispatcher = ctx.dispatcher
    data_set_goes(ctx)
    dispatcher.loading = True
    dispatcher.stream.muted = True
    try:
        ctx.server.persistence.reload_log(ctx.server.replayer())
    except (RotomError, OSError) as error:
        ctx.server.log("warning", f"The AOF files could not be loaded, the data is what it was: {error}")
        raise CommandError(f"ERR Error trying to load the AOF files, check server logs: {error}") from None
    finally:
        dispatcher.loading = False
        dispatcher.stream.muted = False
    dispatcher.dirty = 0
    return OK


@command("DEBUG|POPULATE", since="1.0.0", flags=CHANGES_DATA, group=GROUP, complexity="O(N)")
def debug_populate(ctx: Context, count: Bytes, prefix: Bytes = b"key", size: Bytes = b"0") -> object:
    """Creates keys `prefix:0`, `prefix:1`, ... that do not exist yet."""
    keys = parse_ranged_int(count, 0, INT64_MAX, MUST_BE_POSITIVE)
    length = parse_ranged_int(size, 0, ctx.engine.string_max_bytes, MUST_BE_POSITIVE)
    for i in range(keys):
        key = b"%b:%d" % (prefix, i)
        if not ctx.db.exists(key):
            value = b"value:%d" % i
            strings.set(ctx.db, key, value[:length].ljust(length, b"\0") if length else value)
            ctx.changed(key, "set", 0)
    return OK


@command("DEBUG|SEGFAULT", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_segfault(ctx: Context) -> object:
    """Crashes the server by an access to memory that it may not write."""
    ctx.server.crashes.segfault()
    return OK


@command("DEBUG|PANIC", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_panic(ctx: Context) -> object:
    """Ends the server as something would that must not be."""
    return ctx.server.crashes.panic(f"DEBUG PANIC called at Unix time {int(time.time())}")


@command("DEBUG|ASSERT", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_assert(ctx: Context) -> object:
    """Ends the server as a condition would that does not hold."""
    return ctx.server.crashes.assertion_failed("1 == 2")


@command("DEBUG|OOM", since="1.0.0", flags=FLAGS, group=GROUP)
def debug_oom(ctx: Context) -> object:
    """Ends the server as memory would that cannot be had."""
    return ctx.server.crashes.out_of_memory()


@command("DEBUG|SET-ACTIVE-EXPIRE", since="3.2.0", flags=FLAGS, group=GROUP)
def debug_set_active_expire(ctx: Context, enabled: Bytes) -> object:
    """Turns the search for expired keys in the background on or off."""
    if enabled not in (b"0", b"1"):
        raise syntax_error()
    ctx.server.expire_cycle.active = enabled == b"1"
    return OK


@command("DEBUG|HELP", since="5.0.0", flags=FLAGS, group=GROUP)
def debug_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"ASSERT", b"    Crash by assertion failed.",
        b"CHANGE-REPL-ID", b"    Change the replication ID. Nothing replicates yet.",
        b"DIGEST", b"    Output a hex signature representing the current DB content.",
        b"DIGEST-VALUE <key> [<key> ...]", b"    Output a hex signature of the values of all the specified keys.",
        b"ERROR <string>", b"    Reply with <string> as an error.",
        b"HTSTATS <dbid>", b"    Show how many entries the hash tables of a database have.",
        b"HTSTATS-KEY <key>", b"    Show how many entries the hash table of a value has.",
        b"LISTPACK <key>", b"    Log what is known of a value that is a listpack.",
        b"LOG <message>", b"    Write <message> to the server log.",
        b"LOADAOF", b"    Flush the AOF buffers on disk and reload the AOF in memory.",
        b"OBJECT <key>", b"    Show low level info about `key` and associated value.",
        b"OOM", b"    Crash the server simulating an out-of-memory error.",
        b"PANIC", b"    Crash the server simulating a panic.",
        b"POPULATE <count> [<prefix>] [<size>]", b"    Create <count> string keys named key:<num>.",
        b"PROTOCOL <type>", b"    Reply with a value of a type of the protocol: string, integer, double, bignum, null,",
        b"    array, set, map, attrib, push, verbatim, true or false.",
        b"QUICKLIST <key> [<0|1>]", b"    Log what is known of a list.",
        b"RELOAD [option ...]", b"    Save the RDB on disk and reload it back to memory.",
        b"SDSLEN <key>", b"    Show the lengths of a key and its string.",
        b"SEGFAULT", b"    Crash the server with sigsegv.",
        b"SET-ACTIVE-EXPIRE <0|1>", b"    Setting it to 0 disables expiring keys in background.",
        b"SET-SKIP-CHECKSUM-VALIDATION <0|1>", b"    With 1 RESTORE takes payloads whose checksum is wrong.",
        b"SLEEP <seconds>", b"    Stop the server for <seconds>. Decimals allowed.",
        b"STRINGMATCH-LEN <pattern> <string>", b"    Tell whether <string> matches <pattern>.",
        b"STRUCTSIZE", b"    Show the sizes of structures.",
        b"Without effect are CLIENT-ENFORCE-REPLY-LIST, DICT-RESIZING, DROP-CLUSTER-PACKET-FILTER, LEAK,",
        b"QUICKLIST-PACKED-THRESHOLD, REPLYBUFFER and SET-DISABLE-DENY-SCRIPTS.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
