"""WAIT and WAITAOF: until what this client wrote has reached replicas or the disk."""

from __future__ import annotations

from rotomdb.commands.arguments import INT64_MAX, parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.registry import BLOCKING, Bytes, command
from rotomdb.errors import CommandError

GROUP = "generic"
OF_A_REPLICA = "cannot be used with replica instances. Please also note that {}writes to replicas are just local and are not propagated."


def timeout_ms(ctx: Context, text: bytes) -> int:
    milliseconds = parse_int(text, "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    if milliseconds > INT64_MAX - ctx.now_ms:
        raise CommandError("ERR timeout is out of range")
    return milliseconds


def refuse_on_replica(ctx: Context, name: str, condition: str) -> None:
    if ctx.server.replication.follows:
        raise CommandError(f"ERR {name} {OF_A_REPLICA.format(condition)}")


@command(
    "WAIT",
    since="3.0.0",
    flags=BLOCKING,
    group=GROUP,
    syntax="numreplicas:integer timeout:integer",
    tips="request_policy:all_shards response_policy:agg_min",
    categories="connection",
)
def wait(ctx: Context, numreplicas: Bytes, timeout: Bytes) -> object:
    """Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed."""
    refuse_on_replica(
        ctx, "WAIT", "since Redis 4.0 if a replica is configured to be writable (which is not the default) "
    )
    wanted = parse_int(numreplicas)
    milliseconds = timeout_ms(ctx, timeout)
    replication, place = ctx.server.replication, ctx.replica_offset
    if replication.replicas.with_position(place) < wanted:
        replication.ask_positions()
    return ctx.block_until(
        lambda: replication.replicas.with_position(place) >= wanted,
        lambda: replication.replicas.with_position(place),
        milliseconds,
    )


@command(
    "WAITAOF",
    since="7.2.0",
    flags=BLOCKING,
    group=GROUP,
    syntax="numlocal:integer numreplicas:integer timeout:integer",
    tips="request_policy:all_shards response_policy:agg_min",
    categories="connection",
)
def waitaof(ctx: Context, numlocal: Bytes, numreplicas: Bytes, timeout: Bytes) -> object:
    """Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas."""
    refuse_on_replica(ctx, "WAITAOF", "")
    local = parse_ranged_int(numlocal, 0, 1, "ERR value is out of range, must be between 0 and 1")
    replicas = parse_ranged_int(numreplicas, 0, INT64_MAX, "ERR value is out of range, must be positive")
    milliseconds = timeout_ms(ctx, timeout)
    log = ctx.server.persistence.aof
    refused = CommandError("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
    if local and not log.on:
        raise refused
    offset, place, replication = ctx.write_offset, ctx.replica_offset, ctx.server.replication
    if replication.replicas.with_durable(place) < replicas:
        replication.ask_positions()

    def durable() -> int:
        if not log.on:
            return 0
        if log.durable_offset >= offset:
            return 1
        log.request_sync()
        return 0

    def ready() -> bool:
        # Turned off while somebody waits: the wait ends with the error.
        return bool(local and not log.on) or (
            durable() >= local and replication.replicas.with_durable(place) >= replicas
        )

    def reply() -> object:
        return refused if local and not log.on else [durable(), replication.replicas.with_durable(place)]

    return ctx.block_until(ready, reply, milliseconds)
