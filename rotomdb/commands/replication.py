"""SYNC, PSYNC and REPLCONF, as far as a full copy goes: for `redis-cli --rdb`, backups and tools. Nothing follows the copy."""

from __future__ import annotations

from rotomdb.commands.arguments import parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NOT_AN_INTEGER, syntax_error
from rotomdb.commands.host import connection_of
from rotomdb.commands.registry import (
    ADMIN,
    ALLOW_BUSY,
    LOADING,
    NO_ASYNC_LOADING,
    NO_MULTI,
    NOSCRIPT,
    STALE,
    Bytes,
    command,
)
from rotomdb.commands.reply import NO_REPLY, OK
from rotomdb.errors import CommandError
from rotomdb.formats.resp.request import split_arguments

GROUP = "server"
SYNC_FLAGS = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI
ADDRESS_LENGTH_MAX = 255


@command("SYNC", since="1.0.0", flags=SYNC_FLAGS, group=GROUP, syntax="")
def sync(ctx: Context) -> object:
    """An internal command used in replication."""
    return full_copy(ctx, partial=False)


@command("PSYNC", since="2.8.0", flags=SYNC_FLAGS, group=GROUP, arity=-3, syntax="replicationid:string offset:integer")
def psync(ctx: Context, replication_id: Bytes, offset: Bytes, *options: Bytes) -> object:
    """An internal command used in replication."""
    parse_int(offset, NOT_AN_INTEGER)  # nothing is kept that could be continued: whatever the place, it is a full copy
    return full_copy(ctx, partial=True)


def full_copy(ctx: Context, *, partial: bool) -> object:
    client, copies = connection_of(ctx), ctx.server.copies
    wishes = copies.wishes_of(client)
    if wishes.only is not None and not wishes.knows_mark:
        raise CommandError("ERR Filtered replica requires EOF capability")
    copies.request(client, partial=partial)
    return NO_REPLY


@command(
    "REPLCONF", since="3.0.0", flags=ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, group=GROUP, arity=-1, syntax=""
)
def replconf(ctx: Context, *words: Bytes) -> object:
    """An internal command for configuring the replication stream."""
    if len(words) % 2:
        raise syntax_error()
    wishes = ctx.server.copies.wishes_of(connection_of(ctx))
    for name, value in zip(words[::2], words[1::2], strict=True):
        option = name.lower()
        if option == b"listening-port":
            wishes.port = parse_int(value, NOT_AN_INTEGER)
        elif option == b"ip-address":
            if len(value) > ADDRESS_LENGTH_MAX:
                raise CommandError(
                    f"ERR REPLCONF ip-address provided by replica instance is too long: {len(value)} bytes"
                )
        elif option == b"capa":
            wishes.knows_mark = wishes.knows_mark or value.lower() == b"eof"
        elif option in (b"ack", b"getack"):
            return NO_REPLY
        elif option == b"rdb-only":
            parse_int(value, NOT_AN_INTEGER)
            message = "ERR value is out of range, must be between 0 and 1"
            wishes.copy_only = bool(parse_ranged_int(value, 0, 1, message))
        elif option == b"rdb-filter-only":
            wishes.only = parse_filter(value)
        else:
            raise CommandError(f"ERR Unrecognized REPLCONF option: {name.decode('latin-1')}")
    return OK


def parse_filter(text: bytes) -> frozenset[bytes]:
    """The parts of the data set that are named."""
    parts = split_arguments(text)
    if parts is None:
        raise CommandError("ERR Missing rdb-filter-only values")
    for part in parts:
        if part.lower() != b"functions":
            raise CommandError(f"ERR Unsupported rdb-filter-only option: {part.decode('latin-1')}")
    return frozenset(part.lower() for part in parts)
