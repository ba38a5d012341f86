"""DEBUG: replies of every kind for the tests of client libraries, single functions of the server, and looks inside one value."""

from __future__ import annotations

import re
from collections.abc import Callable

from rotomdb.commands.arguments import parse_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NO_SUCH_KEY
from rotomdb.commands.keys import encoding_of
from rotomdb.commands.registry import ADMIN, LOADING, NOSCRIPT, STALE, Bytes, Key, command
from rotomdb.commands.reply import OK, MapReply, Protocol, SetReply, Status, Verbatim
from rotomdb.engine import glob, hashes, sets, sorted_sets, strings
from rotomdb.engine.keyspace import Keyspace
from rotomdb.errors import CommandError
from rotomdb.formats.rdb import encoder

GROUP = "server"
FLAGS = ADMIN | NOSCRIPT | LOADING | STALE
AFTER_ATTRIBUTE = b"Some real reply following the attribute"
ATTRIBUTE = b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
BIG_NUMBER = b"1234567999999999999999999999999999999"
LOGGED_BYTES = 512
TYPES = b"string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"


# What counts the entries of a value that is a hash table.
TABLES: dict[tuple[bytes | None, bytes], Callable[[Keyspace, bytes], int]] = {
    (b"hash", b"hashtable"): hashes.length,
    (b"set", b"hashtable"): sets.length,
    (b"zset", b"skiplist"): sorted_sets.length,
}


def truth(ctx: Context, value: bool) -> object:
    """A boolean as RESP3 has it; commands else reply with the integers that RESP2 knows."""
    return Protocol(b"#t\r\n" if value else b"#f\r\n") if ctx.resp == 3 else int(value)


@command("DEBUG|PROTOCOL", since="6.0.0", flags=FLAGS, group=GROUP)
def debug_protocol(ctx: Context, type_name: Bytes) -> object:
    """Replies with a value of that type of the protocol."""
    kind, newer = type_name.lower(), ctx.resp == 3
    if kind == b"push" and not newer:
        raise CommandError("ERR RESP2 is not supported by this command")
    if kind == b"attrib":
        text = b"$%d\r\n%b\r\n" % (len(AFTER_ATTRIBUTE), AFTER_ATTRIBUTE)
        return Protocol(ATTRIBUTE + text) if newer else AFTER_ATTRIBUTE
    if kind == b"push":
        after = b"Some real reply following the push reply"
        return Protocol(b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n$%d\r\n%b\r\n" % (len(after), after))
    if kind in (b"true", b"false"):
        return truth(ctx, kind == b"true")
    replies: dict[bytes, object] = {
        b"string": b"Hello World",
        b"integer": 12345,
        b"double": 3.141,
        b"bignum": Protocol(b"(%b\r\n" % BIG_NUMBER) if newer else BIG_NUMBER,
        b"null": None,
        b"array": [0, 1, 2],
        b"set": SetReply([0, 1, 2]),
        b"map": MapReply([part for i in range(3) for part in (i, truth(ctx, i == 1))]),
        b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    }
    if kind not in replies:
        raise CommandError(f"ERR Wrong protocol type name. Please use one of the following: {TYPES.decode()}")
    return replies[kind]


@command("DEBUG|ERROR", since="3.0.0", flags=FLAGS, group=GROUP)
def debug_error(ctx: Context, message: Bytes) -> object:
    """Replies with this text as an error."""
    raise CommandError(message.decode("latin-1"))


@command("DEBUG|STRINGMATCH-LEN", since="7.2.0", flags=FLAGS, group=GROUP)
def debug_stringmatch_len(ctx: Context, glob_pattern: Bytes, text: Bytes) -> int:
    """Tells whether the text matches the pattern of KEYS."""
    return int(glob.match(glob_pattern, text, False))


@command("DEBUG|LOG", since="7.0.0", flags=FLAGS, group=GROUP)
def debug_log(ctx: Context, message: Bytes) -> object:
    """Writes a line to the server's log."""
    ctx.server.log("warning", f"DEBUG LOG: {message.decode('latin-1')}")
    return OK


@command("DEBUG|STRUCTSIZE", since="2.6.0", flags=FLAGS, group=GROUP)
def debug_structsize(ctx: Context) -> Status:
    """Shows the sizes of the engine's structures."""
    return Status(b"bits:64 entry:24 bucket:64 ")


@command("DEBUG|SDSLEN", since="2.8.0", flags=FLAGS, group=GROUP)
def debug_sdslen(ctx: Context, key: Key) -> Status:
    """Shows the lengths of a key and its string."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    if encoding_of(ctx, key) not in (b"raw", b"embstr"):
        raise CommandError("ERR Not an sds encoded string.")
    size = len(strings.peek(ctx.db, key) or b"")
    return Status(
        b"key_sds_len:%d, key_sds_avail:0, key_zmalloc: %d, val_sds_len:%d, val_sds_avail:0, val_zmalloc: %d"
        % (len(key), len(key), size, size)
    )


def look_inside(ctx: Context, key: bytes, encodings: tuple[bytes, ...], refusal: str, answer: bytes) -> Status:
    """Log the bytes of a value in one of these encodings, as a snapshot holds them: listpacks are Redis's, byte for byte."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    if encoding_of(ctx, key) not in encodings:
        raise CommandError(refusal)
    body = encoder.dump_value(ctx.db, key, 11) or b""
    ctx.server.log("warning", f"DEBUG: {key!r}, {len(body)} bytes as DUMP gives them: {body[:LOGGED_BYTES].hex()}")
    return Status(answer)


@command("DEBUG|LISTPACK", since="7.0.0", flags=FLAGS, group=GROUP)
def debug_listpack(ctx: Context, key: Key) -> Status:
    """Logs what is known of a value that is a listpack."""
    return look_inside(
        ctx, key, (b"listpack", b"listpackex"), "ERR Not a listpack encoded object.",
        b"Listpack structure printed on stdout",
    )  # fmt: skip


@command("DEBUG|QUICKLIST", since="7.0.0", flags=FLAGS, group=GROUP)
def debug_quicklist(ctx: Context, key: Key, full: Bytes = b"0") -> Status:
    """Logs what is known of a list."""
    if ctx.db.exists(key) and ctx.db.type_name(key) != b"list":
        raise CommandError("ERR Not a quicklist encoded object.")
    return look_inside(
        ctx, key, (b"listpack", b"quicklist"), "ERR Not a quicklist encoded object.",
        b"Quicklist structure printed on stdout",
    )  # fmt: skip


@command("DEBUG|HTSTATS", since="2.6.0", flags=FLAGS, group=GROUP)
def debug_htstats(ctx: Context, dbid: Bytes, *full: Bytes) -> Verbatim:
    """Shows how many entries the hash tables of a database have."""
    index = parse_int(dbid)
    if not 0 <= index < len(ctx.engine.databases):
        raise CommandError("ERR Out of range database")
    database = ctx.engine.databases[index]
    return Verbatim(
        b"[Dictionary HT]\n" + table_lines(len(database)) + b"[Expires HT]\n" + table_lines(database.volatile_count)
    )


@command("DEBUG|HTSTATS-KEY", since="5.0.0", flags=FLAGS, group=GROUP)
def debug_htstats_key(ctx: Context, key: Key, *full: Bytes) -> Verbatim:
    """Shows how many entries the hash table of a value has."""
    if not ctx.db.exists(key):
        raise CommandError(NO_SUCH_KEY)
    count_of = TABLES.get((ctx.db.type_name(key), encoding_of(ctx, key)))
    if count_of is None:
        raise CommandError("ERR The value stored at the specified key is not represented using an hash table")
    return Verbatim(table_lines(count_of(ctx.db, key)))


@command("DEBUG|SET-SKIP-CHECKSUM-VALIDATION", since="7.0.0", flags=FLAGS, group=GROUP)
def debug_set_skip_checksum_validation(ctx: Context, enabled: Bytes) -> object:
    """Lets RESTORE take payloads whose checksum is wrong, for tests of what comes behind it."""
    ctx.server.checks_payloads = not leading_int(enabled)
    return OK


def leading_int(text: bytes) -> int:
    """As C's atoi: what begins as no number is zero."""
    found = re.match(rb"\s*[+-]?\d+", text)
    return int(found[0]) if found else 0


def table_lines(entries: int) -> bytes:
    head = b"Hash table 0 stats (main hash table):\n"
    if entries == 0:
        return head + b"No stats available for empty dictionaries\n"
    return head + b" number of elements: %d\n" % entries


@command("DEBUG|CHANGE-REPL-ID", since="3.2.0", flags=FLAGS, group=GROUP)
def debug_change_repl_id(ctx: Context) -> object:
    """Changes the replication ID; nothing replicates yet, so that nobody knows the old one."""
    return OK


@command("DEBUG|DROP-CLUSTER-PACKET-FILTER", since="3.0.0", flags=FLAGS, group=GROUP)
def debug_drop_cluster_packet_filter(ctx: Context, packet_type: Bytes) -> object:
    """Without a cluster bus there is nothing to drop."""
    parse_int(packet_type)
    return OK


def tuned(name: str, since: str, summary: str, words: int) -> None:
    """A DEBUG subcommand for a part that this server does without: it is accepted, so that others' tests go on."""

    def one(ctx: Context, value: Bytes) -> object:
        return OK

    def two(ctx: Context, what: Bytes, value: Bytes) -> object:
        return OK

    function = one if words == 1 else two
    function.__doc__ = summary
    command(name, since=since, flags=FLAGS, group=GROUP)(function)


for _name, _since, _words, _part in (
    ("DEBUG|REPLYBUFFER", "7.0.0", 2, "output buffers, which are given back when they are empty"),
    (
        "DEBUG|QUICKLIST-PACKED-THRESHOLD",
        "7.0.0",
        1,
        "the size from which an element has a node of its own, which is fixed",
    ),
    ("DEBUG|SET-DISABLE-DENY-SCRIPTS", "7.0.0", 1, "scripts, which there are none of"),
    ("DEBUG|DICT-RESIZING", "7.2.0", 1, "the resizing of tables, which only waits for a child"),
    ("DEBUG|CLIENT-ENFORCE-REPLY-LIST", "7.2.0", 1, "how replies are buffered, which is in one way only"),
    ("DEBUG|LEAK", "5.0.0", 1, "memory that leaks, of which there is none on purpose"),
):
    tuned(_name, _since, f"Has no effect: it is about {_part}", _words)
