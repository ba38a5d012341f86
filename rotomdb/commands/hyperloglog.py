"""HyperLogLog: how many different elements were seen, in 12 KB at the most."""

from __future__ import annotations

from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import ADMIN, DENYOOM, FAST, READONLY, WRITE, Bytes, Key, command
from rotomdb.commands.reply import OK, Status
from rotomdb.engine import hyperloglog, strings
from rotomdb.errors import CommandError

GROUP = "hyperloglog"
SPARSE_MAX_BYTES = 3000


def sketch_at(ctx: Context, key: bytes) -> bytes | None:
    """The sketch at `key`, checked; None when the key is absent."""
    data = strings.get(ctx.db, key)
    if data is None:
        return None
    problem = hyperloglog.problem(data)
    if problem == "type":
        raise CommandError("WRONGTYPE Key is not a valid HyperLogLog string value.")
    if problem is not None:
        raise CommandError("INVALIDOBJ Corrupted HLL object detected")
    return data


def sparse_limit(ctx: Context) -> int:
    server = ctx.dispatcher.server
    return SPARSE_MAX_BYTES if server is None else int(server.config["hll-sparse-max-bytes"])


@command("PFADD", since="2.8.9", flags=WRITE | DENYOOM | FAST, group=GROUP, keys="RW insert", syntax="key [element...]")
def pfadd(ctx: Context, key: Key, *elements: Bytes) -> bool:
    """Adds elements to a HyperLogLog key. Creates the key if it doesn't exist."""
    held = sketch_at(ctx, key)
    data, changes = hyperloglog.add(held or hyperloglog.stale(hyperloglog.new()), elements, sparse_limit(ctx))
    if held is None:
        changes += 1
    if not changes:
        return False
    strings.set_built(ctx.db, key, data, True)
    ctx.changed(key, "pfadd", changes)
    return True


@command(
    "PFCOUNT",
    since="2.8.9",
    flags=READONLY,
    properties=Property.MAY_REPLICATE,
    group=GROUP,
    arity=-2,
    keys="RW access",
    syntax="key...",
)
def pfcount(ctx: Context, *keys: Key) -> int:
    """Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s)."""
    sketches = [data for key in keys if (data := sketch_at(ctx, key)) is not None]
    if len(keys) > 1:
        merged = hyperloglog.merge_registers([hyperloglog.registers_of(data) for data in sketches])
        return hyperloglog.estimate(merged)
    if not sketches:
        return 0
    cardinality = hyperloglog.cached(sketches[0])
    if cardinality is None:
        cardinality = hyperloglog.estimate(hyperloglog.registers_of(sketches[0]))
        # The value changes without changing what it means: it is logged, as Redis does.
        strings.set_built(ctx.db, keys[0], hyperloglog.with_cache(sketches[0], cardinality), True)
        ctx.changed(keys[0], "")
        ctx.propagate(b"PFCOUNT", keys[0])
    return cardinality


@command(
    "PFMERGE",
    since="2.8.9",
    flags=WRITE | DENYOOM,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    keys="1 RW access insert; 2..-1 RO access",
    syntax="destkey:key sourcekey:key...",
)
def pfmerge(ctx: Context, destination: Key, *sources: Key) -> object:
    """Merges one or more HyperLogLog values into a single key."""
    sketches = [data for key in (destination, *sources) if (data := sketch_at(ctx, key)) is not None]
    registers = hyperloglog.merge_registers([hyperloglog.registers_of(data) for data in sketches])
    target = strings.peek(ctx.db, destination) or hyperloglog.new()
    if any(data[4] == 0 for data in sketches):
        target = hyperloglog.to_dense(target)
    strings.set_built(ctx.db, destination, hyperloglog.store_registers(target, registers, sparse_limit(ctx)), True)
    ctx.changed(destination, "pfadd")
    return OK


@command(
    "PFDEBUG",
    since="2.8.9",
    flags=WRITE | DENYOOM | ADMIN,
    group=GROUP,
    complexity="N/A",
    keys="2 RW access",
    syntax="subcommand key",
)
def pfdebug(ctx: Context, subcommand: Bytes, key: Bytes) -> object:
    """Internal commands for debugging HyperLogLog values."""
    name = subcommand.upper()
    data = sketch_at(ctx, key)
    if data is None:
        raise CommandError("ERR The specified key does not exist")
    if name == b"GETREG":
        return list(hyperloglog.registers_of(data))
    if name == b"ENCODING":
        return Status(b"dense" if data[4] == 0 else b"sparse")
    if name == b"TODENSE":
        if data[4] == 0:
            return 0
        strings.set_built(ctx.db, key, hyperloglog.to_dense(data), True)
        ctx.changed(key, "")
        return 1
    raise CommandError(f"ERR Unknown PFDEBUG subcommand '{shown(subcommand)}'")


@command("PFSELFTEST", since="2.8.9", flags=ADMIN, group=GROUP, complexity="N/A")
def pfselftest(ctx: Context) -> object:
    """An internal command for testing HyperLogLog values."""
    sketch = hyperloglog.new()
    for checkpoint in (100, 1000, 10_000):
        sketch, _ = hyperloglog.add(sketch, (b"element:%d" % i for i in range(checkpoint)), SPARSE_MAX_BYTES)
        found = hyperloglog.estimate(hyperloglog.registers_of(sketch))
        if abs(found - checkpoint) > checkpoint * 0.05:
            raise CommandError(f"ERR TESTFAILED Too big error. card:{checkpoint} found:{found}")
    return OK
