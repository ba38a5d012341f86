"""Reading streams, alone and in consumer groups: XREAD, XREADGROUP, XACK, XCLAIM, XPENDING and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotomdb.commands.arguments import INT64_MAX, Options, parse_int, parse_ranged_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown, syntax_error
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    BLOCKING,
    FAST,
    READONLY,
    WRITE,
    Bytes,
    Key,
    command,
)
from rotomdb.commands.reply import NULL_ARRAY, MapReply
from rotomdb.commands.streams import (
    ABSENT,
    DELETED,
    delete_entry,
    id_block,
    range_end_id,
    range_start_id,
    strict_id,
)
from rotomdb.engine import streams
from rotomdb.engine.streams import ConsumerHandle, GroupHandle, Id, StreamHandle
from rotomdb.errors import CommandError

GROUP = "stream"
STREAM = b"stream"
CLAIM_ATTEMPTS_PER_ENTRY = 10  # how far XAUTOCLAIM looks for each entry that it may return


def no_group(key: bytes, group: bytes) -> CommandError:
    return CommandError(f"NOGROUP No such key '{shown(key)}' or consumer group '{shown(group)}'")


# XREAD and XREADGROUP


@dataclass
class Reading:
    """The options of XREAD and XREADGROUP."""

    count: int = -1
    wait_ms: int | None = None  # None: do not wait; 0: without end
    group: bytes | None = None
    consumer: bytes = b""
    without_pending: bool = False
    keys: Sequence[bytes] = ()
    ids: Sequence[bytes] = ()
    ids_at: int = 0  # position of the first ID among the words


def block_ms(ctx: Context, text: bytes) -> int:
    timeout = parse_int(text, "ERR timeout is not an integer or out of range")
    if timeout < 0:
        raise CommandError("ERR timeout is negative")
    if timeout > INT64_MAX - ctx.now_ms:
        raise CommandError("ERR timeout is out of range")
    return timeout


def parse_reading(ctx: Context, arguments: Sequence[bytes], in_group: bool) -> Reading:
    name = "XREADGROUP" if in_group else "XREAD"
    reading = Reading()
    words = Options(arguments)
    while words:
        word = words.next()
        if word == b"BLOCK" and words:
            if ctx.in_script:
                raise CommandError(f"ERR {name.lower()} command is not allowed with BLOCK option from scripts")
            reading.wait_ms = block_ms(ctx, words.value())
        elif word == b"COUNT" and words:
            # Zero and less mean: no limit.
            count = words.integer()
            reading.count = count if count > 0 else -1
        elif word == b"STREAMS" and words:
            if words.remaining() % 2:
                raise CommandError(
                    f"ERR Unbalanced '{name.lower()}' list of streams: for each stream key an ID or "
                    f"'{'>' if in_group else '$'}' must be specified."
                )
            each = words.remaining() // 2
            reading.keys = words.take(each)
            reading.ids_at = words.at
            reading.ids = words.take(each)
        elif word == b"GROUP" and words.remaining() >= 2:
            if not in_group:
                raise CommandError("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
            reading.group, reading.consumer = words.value(), words.value()
        elif word == b"NOACK":
            if not in_group:
                raise CommandError("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
            reading.without_pending = True
        else:
            raise syntax_error()
    if not reading.keys:
        raise syntax_error()
    if in_group and reading.group is None:
        raise CommandError("ERR Missing GROUP option for XREADGROUP")
    return reading


def reading_reply(ctx: Context, found: list[tuple[bytes, object]]) -> object:
    """[(key, entries)] as a map in RESP3 and as pairs in RESP2."""
    if ctx.resp == 3:
        return MapReply([part for pair in found for part in pair])
    return found


@command(
    "XREAD", since="5.0.0", flags=READONLY | BLOCKING, group=GROUP, arity=-4,
    complexity="O(N)",
    keys="STREAMS@1..-1%2 RO access",
    syntax="[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams=<key... id...>",
)  # fmt: skip
def xread(ctx: Context, *words: Bytes) -> object:
    """Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise."""
    reading = parse_reading(ctx, words, False)
    found: list[tuple[bytes, object]] = []
    resolved = list(words)
    positions: list[tuple[StreamHandle | None, Id]] = []
    for i, (key, text) in enumerate(zip(reading.keys, reading.ids, strict=True)):
        stream = streams.find(ctx.db, key)
        after = position_for(stream, text)
        if text in (b"$", b"+"):
            # While the client waits, "the newest" must stay what it is now.
            resolved[reading.ids_at + i] = streams.format_id(after)
        positions.append((stream, after))
    for key, (stream, after) in zip(reading.keys, positions, strict=True):
        if stream is not None and stream.length and stream.last_live_id > after:
            following = streams.following_id(after)
            assert following is not None
            found.append((key, stream.range(following, streams.MAX_ID, reading.count)))
    if found:
        return reading_reply(ctx, found)
    if reading.wait_ms is None:
        return NULL_ARRAY
    return ctx.block(reading.keys, STREAM, reading.wait_ms, NULL_ARRAY, [b"XREAD", *resolved])


def position_for(stream: StreamHandle | None, text: bytes) -> Id:
    """The ID behind which XREAD reads."""
    if text == b"$":
        return stream.last_id if stream is not None else streams.MIN_ID
    if text == b"+":
        if stream is None:
            return streams.MIN_ID
        if stream.length == 0:
            return stream.last_id
        before = streams.preceding_id(stream.last_live_id)
        if before is None:
            raise CommandError("ERR the stream last element ID is 0-0")
        return before
    if text == b">":
        raise CommandError(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
        )
    return strict_id(text)


def group_position(text: bytes) -> Id | None:
    """Where XREADGROUP reads a consumer's history from; None for `>`."""
    if text == b">":
        return None
    if text in (b"$", b"+"):
        sign = text.decode()
        raise CommandError(
            f"ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this "
            "consumer by specifying a proper ID, or use the > ID to get new messages. "
            f"The {sign} ID would just return an empty result set."
        )
    return strict_id(text)


@command(
    "XREADGROUP", since="5.0.0", flags=WRITE | BLOCKING, group=GROUP, arity=-7,
    complexity="O(M)",
    keys="STREAMS@4..-1%2 RO access",
    syntax="GROUP <group consumer> [COUNT count:integer] [BLOCK milliseconds:integer] [NOACK] STREAMS "
        "streams=<key... id...>",
)  # fmt: skip
def xreadgroup(ctx: Context, *words: Bytes) -> object:
    """Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise."""
    reading = parse_reading(ctx, words, True)
    assert reading.group is not None
    sources: list[tuple[bytes, StreamHandle, GroupHandle, Id | None]] = []
    for key, text in zip(reading.keys, reading.ids, strict=True):
        stream = streams.find(ctx.db, key)
        group = stream.group(reading.group) if stream is not None else None
        if stream is None or group is None:
            raise CommandError(
                f"NOGROUP No such key '{shown(key)}' or consumer group '{shown(reading.group)}' in XREADGROUP with GROUP "
                "option"
            )
        sources.append((key, stream, group, group_position(text)))
    found: list[tuple[bytes, object]] = []
    for key, stream, group, after in sources:
        consumer = acting_consumer(ctx, key, group, reading.consumer)
        if after is not None:
            following = streams.following_id(after)
            history = group.history(consumer, following, reading.count, ctx.now_ms) if following else []
            found.append((key, [[entry_id, NULL_ARRAY if fields is None else fields] for entry_id, fields in history]))
        elif stream.length and stream.last_live_id > group.last_id:
            found.append((key, deliver_new(ctx, key, group, consumer, reading)))
    if found:
        return reading_reply(ctx, found)
    if reading.wait_ms is None:
        return NULL_ARRAY
    # A key that goes or changes its type ends the wait too, with the error that the command then gives.
    return ctx.block(reading.keys, None, reading.wait_ms, NULL_ARRAY)


def deliver_new(
    ctx: Context, key: bytes, group: GroupHandle, consumer: ConsumerHandle, reading: Reading
) -> Sequence[tuple[bytes, list[bytes]]]:
    entries = group.deliver(consumer, reading.count, reading.without_pending, ctx.now_ms)
    if entries:
        consumer.active_ms = ctx.now_ms
        ctx.dispatcher.dirty += len(entries)
        last = streams.format_id(group.last_id)
        if not reading.without_pending:
            for entry_id, _ in entries:
                propagate_claim(ctx, key, group.name, consumer.name, entry_id, ctx.now_ms, 1, last)
        propagate_position(ctx, key, group)
    return entries


def acting_consumer(ctx: Context, key: bytes, group: GroupHandle, name: bytes) -> ConsumerHandle:
    """The consumer that reads or claims, made when the group has none of that name."""
    consumer = group.consumer(name)
    if consumer is None:
        consumer = group.create_consumer(name, ctx.now_ms)
        ctx.changed(key, "xgroup-createconsumer")
        ctx.propagate(b"XGROUP", b"CREATECONSUMER", key, group.name, name)
    consumer.seen_ms = ctx.now_ms
    return consumer


def propagate_claim(
    ctx: Context,
    key: bytes,
    group: bytes,
    owner: bytes,
    entry_id: bytes,
    delivered_ms: int,
    deliveries: int,
    last: bytes,
) -> None:
    """Write down who has an entry pending, since when and how often, whatever led to it."""
    ctx.propagate(
        b"XCLAIM", key, group, owner, b"0", entry_id, b"TIME", delivered_ms, b"RETRYCOUNT", deliveries, b"FORCE", b"JUSTID",
        b"LASTID", last,
    )  # fmt: skip


def propagate_position(ctx: Context, key: bytes, group: GroupHandle) -> None:
    ctx.propagate(
        b"XGROUP", b"SETID", key, group.name, streams.format_id(group.last_id), b"ENTRIESREAD", group.entries_read
    )


# Pending entries


@command(
    "XACK",
    since="5.0.0",
    flags=WRITE | FAST,
    properties=Property.READS_KEYS,
    group=GROUP,
    arity=-4,
    syntax="key group id...",
)
def xack(ctx: Context, key: Key, group: Bytes, *ids: Bytes) -> int:
    """Returns the number of messages that were successfully acknowledged by the consumer group member of a stream."""
    stream = streams.find(ctx.db, key)
    found = stream.group(group) if stream is not None else None
    if found is None:
        return 0
    acknowledged = sum([found.acknowledge(entry_id) for entry_id in [strict_id(text) for text in ids]])
    ctx.dispatcher.dirty += acknowledged
    return acknowledged


@command(
    "XACKDEL",
    since="8.2.0",
    flags=WRITE | FAST,
    group=GROUP,
    arity=-6,
    keys="RW delete",
    syntax="key group [condition=(KEEPREF | DELREF | ACKED)] IDS ids=<numids:integer id...>",
)
def xackdel(ctx: Context, key: Key, group: Bytes, *options: Bytes) -> list[int]:
    """Acknowledges and deletes one or multiple messages for a stream consumer group."""
    stream = streams.peek(ctx.db, key)
    references, ids = id_block(Options(options))
    found = stream.group(group) if stream is not None else None
    if stream is None or found is None:
        return [ABSENT] * len(ids)
    outcome = []
    for entry_id in ids:
        if not found.acknowledge(entry_id):
            outcome.append(ABSENT)
            continue
        ctx.dispatcher.dirty += 1
        # An acknowledged entry that is no longer in the stream is as good as deleted.
        outcome.append(max(delete_entry(stream, entry_id, references), DELETED))
    deleted = outcome.count(DELETED)
    if deleted:
        ctx.changed(key, "xdel", deleted)
    return outcome


@command(
    "XPENDING",
    since="5.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key group [filters=<[IDLE min-idle-time:integer] start end count:integer [consumer]>]",
    tips="nondeterministic_output",
)
def xpending(ctx: Context, key: Key, group: Bytes, *options: Bytes) -> list[object]:
    """Returns the information and entries from a stream consumer group's pending entries list."""
    if options and not 3 <= len(options) <= 6:
        raise syntax_error()
    words = Options(options)
    min_idle, start, end, count, name = 0, streams.MIN_ID, streams.MAX_ID, 0, None
    if words:
        if options[0].upper() == b"IDLE":
            words.next()
            min_idle = words.integer()
            if words.remaining() < 3:
                raise syntax_error()
        start_text, end_text = words.value(), words.value()
        count = max(words.integer(), 0)
        start, end = range_start_id(start_text), range_end_id(end_text)
        name = words.value() if words else None
    stream = streams.find(ctx.db, key)
    found = stream.group(group) if stream is not None else None
    if found is None:
        raise no_group(key, group)
    if not options:
        return pending_summary(found)
    consumer = None
    if name is not None:
        consumer = found.consumer(name)
        if consumer is None:
            return []
    before = max(ctx.now_ms - min_idle, 0) if min_idle > 0 else -1
    return [
        [streams.format_id(entry_id), owner, max(ctx.now_ms - delivered_ms, 0), deliveries]
        for entry_id, owner, delivered_ms, deliveries in found.pending_range(start, end, count, consumer, before)
    ]


def pending_summary(group: GroupHandle) -> list[object]:
    if group.pending_count == 0:
        return [0, None, None, NULL_ARRAY]
    lowest, highest = group.pending_bounds
    return [
        group.pending_count, streams.format_id(lowest), streams.format_id(highest),
        [[c.name, b"%d" % c.pending_count] for c in group.consumers() if c.pending_count],
    ]  # fmt: skip


@dataclass
class Claim:
    """The options of XCLAIM."""

    ids: list[Id]
    delivered_ms: int
    deliveries: int = -1  # -1: count one more
    force: bool = False
    only_ids: bool = False
    last_id: Id = streams.MIN_ID


def parse_claim(ctx: Context, words: Sequence[bytes]) -> Claim:
    ids: list[Id] = []
    for text in words:
        entry_id = streams.parse_id(text)
        if entry_id is None:
            break
        ids.append(entry_id)
    claim = Claim(ids, -1)
    options = Options(words[len(ids) :])
    while options:
        word = options.next()
        if word == b"FORCE":
            claim.force = True
        elif word == b"JUSTID":
            claim.only_ids = True
        elif word == b"IDLE" and options:
            claim.delivered_ms = ctx.now_ms - options.integer("ERR Invalid IDLE option argument for XCLAIM")
        elif word == b"TIME" and options:
            claim.delivered_ms = options.integer("ERR Invalid TIME option argument for XCLAIM")
        elif word == b"RETRYCOUNT" and options:
            claim.deliveries = options.integer("ERR Invalid RETRYCOUNT option argument for XCLAIM")
        elif word == b"LASTID" and options:
            claim.last_id = strict_id(options.value())
        else:
            raise CommandError(f"ERR Unrecognized XCLAIM option '{shown(options.words[options.at - 1])}'")
    if not 0 <= claim.delivered_ms <= ctx.now_ms:
        claim.delivered_ms = ctx.now_ms
    return claim


@command(
    "XCLAIM",
    since="5.0.0",
    flags=WRITE | FAST,
    group=GROUP,
    arity=-6,
    complexity="O(log N)",
    syntax="key group consumer min-idle-time id... [IDLE ms:integer] [TIME unix-time-milliseconds:unix-time] "
    "[RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID id]",
    tips="nondeterministic_output",
)
def xclaim(ctx: Context, key: Key, group: Bytes, consumer: Bytes, min_idle_time: Bytes, *words: Bytes) -> list[object]:
    """Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member."""
    stream = streams.find(ctx.db, key)
    found = stream.group(group) if stream is not None else None
    if stream is None or found is None:
        raise no_group(key, group)
    min_idle = parse_int(min_idle_time, "ERR Invalid min-idle-time argument for XCLAIM")
    claim = parse_claim(ctx, words)
    moved = claim.last_id > found.last_id
    if moved:
        found.last_id = claim.last_id
    last = streams.format_id(found.last_id)
    owner = acting_consumer(ctx, key, found, consumer)
    reply: list[object] = []
    claimed = False
    for entry_id in claim.ids:
        pending = found.pending(entry_id)
        text = streams.format_id(entry_id)
        if not stream.contains(entry_id):
            if pending is not None:
                forget_pending(ctx, key, found, entry_id, pending, last)
                claimed = True
            continue
        if pending is None:
            if not claim.force:
                continue
            deliveries = 1
        else:
            deliveries = pending[2]
            if 0 < min_idle > ctx.now_ms - pending[1]:
                continue
        if claim.deliveries >= 0:
            deliveries = claim.deliveries
        elif not claim.only_ids:
            deliveries += 1
        take_over(ctx, key, found, owner, entry_id, claim.delivered_ms, deliveries, last)
        claimed = True
        reply.append(text if claim.only_ids else stream.range(entry_id, entry_id)[0])
    if moved and not claimed:
        ctx.dispatcher.dirty += 1
        propagate_position(ctx, key, found)
    return reply


def take_over(
    ctx: Context, key: bytes, group: GroupHandle, owner: ConsumerHandle, entry_id: Id, delivered_ms: int, deliveries: int,
    last: bytes,
) -> None:  # fmt: skip
    group.assign(entry_id, owner, delivered_ms, deliveries)
    owner.active_ms = ctx.now_ms
    ctx.dispatcher.dirty += 1
    propagate_claim(ctx, key, group.name, owner.name, streams.format_id(entry_id), delivered_ms, deliveries, last)


def forget_pending(
    ctx: Context, key: bytes, group: GroupHandle, entry_id: Id, pending: tuple[bytes, int, int], last: bytes
) -> None:
    """Drop the pending entry of a message that was deleted: replaying its claim does the same."""
    owner, delivered_ms, deliveries = pending
    group.acknowledge(entry_id)
    ctx.dispatcher.dirty += 1
    propagate_claim(ctx, key, group.name, owner, streams.format_id(entry_id), delivered_ms, deliveries, last)


@command(
    "XAUTOCLAIM",
    since="6.2.0",
    flags=WRITE | FAST,
    group=GROUP,
    keys="RW delete",
    syntax="key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
    tips="nondeterministic_output",
)
def xautoclaim(
    ctx: Context, key: Key, group: Bytes, consumer: Bytes, min_idle_time: Bytes, start: Bytes, *options: Bytes
) -> list[object]:
    """Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member."""
    min_idle = parse_int(min_idle_time, "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    at: Id | None = range_start_id(start)
    count, only_ids = 100, False
    words = Options(options)
    while words:
        word = words.next()
        if word == b"COUNT" and words:
            count = parse_ranged_int(words.value(), 1, INT64_MAX // 16, "ERR COUNT must be > 0")
        elif word == b"JUSTID":
            only_ids = True
        else:
            raise syntax_error()
    stream = streams.find(ctx.db, key)
    found = stream.group(group) if stream is not None else None
    if stream is None or found is None:
        raise no_group(key, group)
    owner = acting_consumer(ctx, key, found, consumer)
    last = streams.format_id(found.last_id)
    claimed: list[object] = []
    deleted: list[bytes] = []
    attempts = count * CLAIM_ATTEMPTS_PER_ENTRY
    while at is not None and attempts and count:
        batch = found.pending_range(at, streams.MAX_ID, min(attempts, 100))
        if not batch:
            at = None
        for entry_id, holder, delivered_ms, deliveries in batch:
            if not count:
                break
            attempts -= 1
            at = streams.following_id(entry_id)
            if not stream.contains(entry_id):
                forget_pending(ctx, key, found, entry_id, (holder, delivered_ms, deliveries), last)
                deleted.append(streams.format_id(entry_id))
                count -= 1
            elif min_idle <= 0 or ctx.now_ms - delivered_ms >= min_idle:
                take_over(ctx, key, found, owner, entry_id, ctx.now_ms, deliveries + (not only_ids), last)
                claimed.append(streams.format_id(entry_id) if only_ids else stream.range(entry_id, entry_id)[0])
                count -= 1
    behind = found.pending_range(at, streams.MAX_ID, 1) if at is not None else []
    return [streams.format_id(behind[0][0] if behind else streams.MIN_ID), claimed, deleted]
