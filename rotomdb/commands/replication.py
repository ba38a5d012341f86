"""Whom a server follows (REPLICAOF), and what a replica and its master say to each other (SYNC, PSYNC, REPLCONF)."""

from __future__ import annotations

from rotomdb.commands.arguments import parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NOT_AN_INTEGER, syntax_error
from rotomdb.commands.host import Connection, connection_of
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
from rotomdb.commands.reply import NO_REPLY, OK, Status
from rotomdb.engine.number import parse_int as parse_int64
from rotomdb.errors import CommandError
from rotomdb.formats.resp.request import split_arguments

GROUP = "server"
SYNC_FLAGS = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI
ADDRESS_LENGTH_MAX = 255
PORT_MAX = 65535
REPLICA_FLAGS = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING
REPLICA_SYNTAX = "args=(host-port=<host port:integer> | no-one=<'NO' 'ONE'>)"


@command("REPLICAOF", since="5.0.0", flags=REPLICA_FLAGS, group=GROUP, syntax=REPLICA_SYNTAX)
def replicaof(ctx: Context, host: Bytes, port: Bytes) -> object:
    """Configures a server as replica of another, or promotes it to a master."""
    return follow(ctx, host, port)


@command("SLAVEOF", since="1.0.0", flags=REPLICA_FLAGS, group=GROUP, syntax=REPLICA_SYNTAX)
def slaveof(ctx: Context, host: Bytes, port: Bytes) -> object:
    """Sets a Redis server as a replica of another, or promotes it to being a master."""
    return follow(ctx, host, port)


def follow(ctx: Context, host: bytes, port: bytes) -> object:
    server = ctx.server
    client = connection_of(ctx)
    if host.lower() == b"no" and port.lower() == b"one":
        if server.replication.follows:
            server.replication.lead()
            server.log("notice", f"MASTER MODE enabled (user request from 'id={client.id} addr={client.address}')")
        return OK
    number = parse_ranged_int(port, 0, PORT_MAX, "ERR Invalid master port")
    if client.is_replica:
        raise CommandError("ERR Command is not valid when client is a replica.")
    name = host.decode("utf-8", "surrogateescape")
    if not server.replication.follow(name, number):
        return Status(b"OK Already connected to specified master")
    server.log(
        "notice", f"REPLICAOF {name}:{number} enabled (user request from 'id={client.id} addr={client.address}')"
    )
    return OK


@command("SYNC", since="1.0.0", flags=SYNC_FLAGS, group=GROUP, syntax="")
def sync(ctx: Context) -> object:
    """An internal command used in replication."""
    return full_copy(ctx, partial=False)


@command("PSYNC", since="2.8.0", flags=SYNC_FLAGS, group=GROUP, arity=-3, syntax="replicationid:string offset:integer")
def psync(ctx: Context, replication_id: Bytes, offset: Bytes, *options: Bytes) -> object:
    """An internal command used in replication."""
    wanted = parse_int(offset, NOT_AN_INTEGER)
    client = may_copy(ctx)
    if client is not None:
        ctx.server.replication.request(client, replication_id.decode("latin-1"), wanted)
    return NO_REPLY


def full_copy(ctx: Context, *, partial: bool) -> object:
    client = may_copy(ctx)
    if client is not None:
        ctx.server.replication.copies.request(client, partial=partial)
    return NO_REPLY


def may_copy(ctx: Context) -> Connection | None:
    """The client, if it may ask for the history now; None: it follows it already. Raises CommandError."""
    client, copies = connection_of(ctx), ctx.server.replication.copies
    if client.is_replica:
        return None
    ctx.server.replication.check_may_be_followed()
    wishes = copies.wishes_of(client)
    if wishes.only is not None and not wishes.knows_mark:
        raise CommandError("ERR Filtered replica requires EOF capability")
    return client


@command(
    "REPLCONF", since="3.0.0", flags=ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, group=GROUP, arity=-1, syntax=""
)
def replconf(ctx: Context, *words: Bytes) -> object:
    """An internal command for configuring the replication stream."""
    if len(words) % 2:
        raise syntax_error()
    wishes = ctx.server.replication.copies.wishes_of(connection_of(ctx))
    for name, value in zip(words[::2], words[1::2], strict=True):
        option = name.lower()
        if option == b"listening-port":
            wishes.port = parse_int(value, NOT_AN_INTEGER)
        elif option == b"ip-address":
            if len(value) > ADDRESS_LENGTH_MAX:
                raise CommandError(
                    f"ERR REPLCONF ip-address provided by replica instance is too long: {len(value)} bytes"
                )
            wishes.address = value.decode("latin-1")
        elif option == b"capa":
            wishes.knows_mark = wishes.knows_mark or value.lower() == b"eof"
            wishes.knows_new_ids = wishes.knows_new_ids or value.lower() == b"psync2"
        elif option == b"ack":
            acknowledge(ctx, words)
            return NO_REPLY
        elif option == b"getack":
            ctx.server.replication.owe_position(connection_of(ctx))
            return NO_REPLY
        elif option == b"version":
            continue  # what a replica can load is told by the versions that files have: the oldest that holds the data
        elif option == b"rdb-only":
            parse_int(value, NOT_AN_INTEGER)
            message = "ERR value is out of range, must be between 0 and 1"
            wishes.copy_only = bool(parse_ranged_int(value, 0, 1, message))
        elif option == b"rdb-filter-only":
            wishes.only = parse_filter(value)
        else:
            raise CommandError(f"ERR Unrecognized REPLCONF option: {name.decode('latin-1')}")
    return OK


def acknowledge(ctx: Context, words: tuple[bytes, ...]) -> None:
    """ACK position, FACK position-on-disk: a replica tells how far it is. One that is none is not answered either."""
    told = {name.upper(): parse_int64(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    position = told.get(b"ACK")
    if position is not None:
        ctx.server.replication.acknowledge(connection_of(ctx), position, told.get(b"FACK"))


def parse_filter(text: bytes) -> frozenset[bytes]:
    """The parts of the data set that are named."""
    parts = split_arguments(text)
    if parts is None:
        raise CommandError("ERR Missing rdb-filter-only values")
    for part in parts:
        if part.lower() != b"functions":
            raise CommandError(f"ERR Unsupported rdb-filter-only option: {part.decode('latin-1')}")
    return frozenset(part.lower() for part in parts)
