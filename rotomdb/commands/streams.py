"""Stream commands about entries; consumer groups are in stream_groups.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotomdb.commands.arguments import Options
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NO_SUCH_KEY, syntax_error, wrong_arguments
from rotomdb.commands.registry import DENYOOM, FAST, READONLY, WRITE, Bytes, Key, command
from rotomdb.commands.reply import NULL_ARRAY, OK
from rotomdb.engine import streams
from rotomdb.engine.streams import Id, StreamHandle
from rotomdb.errors import CommandError

GROUP = "stream"
INVALID_ID = "ERR Invalid stream ID specified as stream command argument"
TOO_LARGE = "ERR Elements are too large to be stored"
NOT_ABOVE_TOP = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items"
REFERENCE_WORDS = (b"KEEPREF", b"DELREF", b"ACKED")
TRIM_LIMIT_MAX = 1_000_000

# What XDELEX and XACKDEL say of each ID.
ABSENT, DELETED, KEPT = -1, 1, 2


# IDs


def strict_id(text: bytes, missing_sequence: int = 0) -> Id:
    """An ID that is neither `-` nor `+`."""
    parsed = streams.parse_id(text, missing_sequence)
    if parsed is None:
        raise CommandError(INVALID_ID)
    return parsed


def range_end(text: bytes, missing_sequence: int) -> tuple[Id, bool]:
    """(ID, excluded) of one end of an interval: `-`, `+`, an ID, or `(` and an ID."""
    if len(text) > 1 and text[:1] == b"(":
        return strict_id(text[1:], missing_sequence), True
    if text == b"-":
        return streams.MIN_ID, False
    if text == b"+":
        return streams.MAX_ID, False
    return strict_id(text, missing_sequence), False


def range_start_id(text: bytes) -> Id:
    start, excluded = range_end(text, 0)
    if not excluded:
        return start
    following = streams.following_id(start)
    if following is None:
        raise CommandError("ERR invalid start ID for the interval")
    return following


def range_end_id(text: bytes) -> Id:
    end, excluded = range_end(text, streams.MAX_ID[1])
    if not excluded:
        return end
    preceding = streams.preceding_id(end)
    if preceding is None:
        raise CommandError("ERR invalid end ID for the interval")
    return preceding


def requested_id(text: bytes) -> tuple[int | None, int | None]:
    """XADD's ID argument: (ms, seq), with None for what the server is to choose."""
    if text == b"*":
        return None, None
    if text.endswith(b"-*"):
        if b"-" in text[:-2]:
            raise CommandError(INVALID_ID)
        return strict_id(text[:-2])[0], None
    return strict_id(text)


# Trimming


@dataclass
class Trim:
    """What MAXLEN or MINID asks for."""

    threshold: Id | None = None  # MINID
    length: int = 0  # MAXLEN
    argument: int = 0  # position of the threshold among the words
    approximate: bool = False
    limit: int = 0
    references: bytes = b"KEEPREF"

    def run(self, stream: StreamHandle) -> int:
        """Drop entries; returns how many."""
        if self.references != b"KEEPREF":
            candidates = stream.trim_candidates(self.threshold, self.length, self.approximate, self.limit)
            return sum(delete_entry(stream, entry_id, self.references) == DELETED for entry_id in candidates)
        if self.threshold is not None:
            return stream.trim_below(self.threshold, self.approximate, self.limit)
        return stream.trim_to_length(self.length, self.approximate, self.limit)

    def exact_words(self, stream: StreamHandle, words: Sequence[bytes]) -> list[bytes]:
        """The words with what the trim led to, so that a replay does exactly the same."""
        exact = list(words)
        if self.approximate:
            exact[self.argument - 1] = b"="
            if self.threshold is None:
                exact[self.argument] = b"%d" % stream.length
            else:
                first = stream.first_id if stream.length else streams.MAX_ID
                exact[self.argument] = streams.format_id(first)
        return exact


@dataclass
class Parsed:
    """The options of XADD and XTRIM."""

    trim: Trim | None = None
    without_creation: bool = False
    position: int = 0  # of the first word that is no option
    requested: tuple[int | None, int | None] = (None, None)  # XADD's ID


def parse_options(ctx: Context, words: Sequence[bytes], adding: bool) -> Parsed:
    parsed, limit, references = Parsed(), None, b"KEEPREF"
    at, last = 0, len(words) - 1
    while at <= last:
        word = words[at].upper()
        more = last - at
        if adding and word == b"*":
            break
        if word in (b"MAXLEN", b"MINID") and more:
            if parsed.trim is not None:
                raise CommandError("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
            trim = parsed.trim = Trim()
            if more >= 2 and words[at + 1] in (b"~", b"="):
                trim.approximate = words[at + 1] == b"~"
                at += 1
            at += 1
            trim.argument = at
            if word == b"MAXLEN":
                trim.length = Options(words[at:]).integer()
                if trim.length < 0:
                    raise CommandError("ERR The MAXLEN argument must be >= 0.")
            else:
                trim.threshold = strict_id(words[at])
        elif word == b"LIMIT" and more:
            at += 1
            limit = Options(words[at:]).integer()
            if limit < 0:
                raise CommandError("ERR The LIMIT argument must be >= 0.")
        elif word in REFERENCE_WORDS:
            references = word
        elif adding and word == b"NOMKSTREAM":
            parsed.without_creation = True
        elif adding:
            break
        else:
            raise syntax_error()
        at += 1
    parsed.position = at
    if adding and at <= last:
        parsed.requested = requested_id(words[at])
    finish_trim(ctx, parsed.trim, limit, references, adding)
    return parsed


def finish_trim(ctx: Context, trim: Trim | None, limit: int | None, references: bytes, adding: bool) -> None:
    if trim is None:
        if limit:
            raise CommandError("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        if not adding:
            raise CommandError("ERR syntax error, XTRIM must be called with a trimming strategy")
        return
    trim.references = references
    if ctx.replaying:
        return  # the log names the exact result; LIMIT has done its work
    if limit is not None:
        if not trim.approximate:
            raise CommandError("ERR syntax error, LIMIT cannot be used without the special ~ option")
        trim.limit = limit
    elif trim.approximate:
        # Bounds the work of one call, as a latency guard.
        trim.limit = min(100 * ctx.engine.stream_node_max_entries or 10_000, TRIM_LIMIT_MAX)


# Adding


def next_id(ctx: Context, last: Id, ms: int | None, seq: int | None) -> Id:
    """The complete ID of the next entry, above `last`."""
    if last == streams.MAX_ID:
        raise CommandError(EXHAUSTED)
    if ms is None:
        now = ctx.now_ms
        following = streams.following_id(last)
        assert following is not None
        return (now, 0) if now > last[0] else following
    if seq is None:
        seq = last[1] + 1 if ms == last[0] else 0
        if seq > streams.MAX_ID[1]:
            raise CommandError(NOT_ABOVE_TOP)
    if (ms, seq) <= last:
        raise CommandError(NOT_ABOVE_TOP)
    return ms, seq


@command(
    "XADD",
    since="5.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    arity=-5,
    syntax="key [NOMKSTREAM] [trim=<strategy=(MAXLEN | MINID) [operator=(equal='=' | approximately=~)] threshold "
    "[LIMIT count:integer]>] id_or_auto=(auto_id=* | id) <field value>...",
    tips="nondeterministic_output",
)
def xadd(ctx: Context, key: Key, *words: Bytes) -> bytes | None:
    """Appends a new message to a stream. Creates the key if it doesn't exist."""
    if words[0] == b"*":
        return append_next(ctx, key, words)
    parsed = parse_options(ctx, words, True)
    position, trim = parsed.position, parsed.trim
    pairs = len(words) - position - 1
    if pairs < 2 or pairs % 2:
        raise wrong_arguments("xadd")
    if parsed.requested == streams.MIN_ID:
        raise CommandError("ERR The ID specified in XADD must be greater than 0-0")
    stream = streams.peek(ctx.db, key)
    if stream is None and parsed.without_creation:
        return None
    entry_id = next_id(ctx, streams.MIN_ID if stream is None else stream.last_id, *parsed.requested)
    if stream is None:
        stream = streams.create(ctx.db, key)
    engine = ctx.engine
    if not stream.add(entry_id, words, position + 1, engine.stream_node_max_bytes, engine.stream_node_max_entries):
        raise CommandError(TOO_LARGE)
    text = streams.format_id(entry_id)
    ctx.changed(key, "xadd")
    if trim is not None:
        if trim.run(stream):
            ctx.changed(key, "xtrim", 0)
        words = tuple(trim.exact_words(stream, words))
    if words[position] != text or (trim is not None and trim.approximate):
        ctx.propagate(b"XADD", key, *words[:position], text, *words[position + 1 :])
    return text


def append_next(ctx: Context, key: bytes, words: tuple[bytes, ...]) -> bytes:
    """XADD with nothing but `*`, fields and values: nearly every XADD there is."""
    if len(words) < 3 or not len(words) % 2:
        raise wrong_arguments("xadd")
    text = streams.append_next(ctx.db, key, words)
    if not text:
        raise CommandError(EXHAUSTED if text is None else TOO_LARGE)
    ctx.changed(key, "xadd")
    if ctx.dispatcher.stream.wanted:
        ctx.propagate(b"XADD", key, text, *words[1:])
    return text


@command(
    "XTRIM",
    since="5.0.0",
    flags=WRITE,
    group=GROUP,
    arity=-4,
    complexity="O(N)",
    keys="RW delete",
    syntax="key trim=<strategy=(MAXLEN | MINID) [operator=(equal='=' | approximately=~)] threshold [LIMIT "
    "count:integer]>",
    tips="nondeterministic_output",
)
def xtrim(ctx: Context, key: Key, *words: Bytes) -> int:
    """Deletes messages from the beginning of a stream."""
    trim = parse_options(ctx, words, False).trim
    assert trim is not None
    stream = streams.peek(ctx.db, key)
    if stream is None:
        return 0
    dropped = trim.run(stream)
    if dropped:
        ctx.changed(key, "xtrim", dropped)
        if trim.approximate:
            ctx.propagate(b"XTRIM", key, *trim.exact_words(stream, words))
    return dropped


# Reading


@command("XLEN", since="5.0.0", flags=READONLY | FAST, group=GROUP, keys="RO")
def xlen(ctx: Context, key: Key) -> int:
    """Returns the number of messages in a stream."""
    stream = streams.find(ctx.db, key)
    return 0 if stream is None else stream.length


def entries_between(ctx: Context, key: bytes, start: Id, end: Id, options: tuple[bytes, ...], reverse: bool) -> object:
    count = -1
    words = Options(options)
    while words:
        if words.next() != b"COUNT" or not words:
            raise syntax_error()
        count = max(words.integer(), 0)
    stream = streams.find(ctx.db, key)
    if stream is None:
        return []
    return stream.range(start, end, count, reverse) if count else NULL_ARRAY


@command(
    "XRANGE",
    since="5.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key start end [COUNT count:integer]",
)
def xrange(ctx: Context, key: Key, start: Bytes, end: Bytes, *options: Bytes) -> object:
    """Returns the messages from a stream within a range of IDs."""
    return entries_between(ctx, key, range_start_id(start), range_end_id(end), options, False)


@command(
    "XREVRANGE",
    since="5.0.0",
    flags=READONLY,
    group=GROUP,
    complexity="O(N)",
    syntax="key end start [COUNT count:integer]",
)
def xrevrange(ctx: Context, key: Key, end: Bytes, start: Bytes, *options: Bytes) -> object:
    """Returns the messages from a stream within a range of IDs in reverse order."""
    return entries_between(ctx, key, range_start_id(start), range_end_id(end), options, True)


# Deleting


def delete_entry(stream: StreamHandle, entry_id: Id, references: bytes) -> int:
    """Delete one entry under KEEPREF, DELREF or ACKED; ABSENT, DELETED or KEPT."""
    if references == b"ACKED" and stream.is_referenced(entry_id):
        return KEPT if stream.contains(entry_id) else ABSENT
    if references == b"DELREF":
        stream.forget_references(entry_id)
    return DELETED if stream.delete(entry_id) else ABSENT


@command("XDEL", since="5.0.0", flags=WRITE | FAST, group=GROUP, arity=-3, keys="RW delete", syntax="key id...")
def xdel(ctx: Context, key: Key, *ids: Bytes) -> int:
    """Returns the number of messages after removing them from a stream."""
    stream = streams.peek(ctx.db, key)
    if stream is None:
        return 0
    deleted = sum([stream.delete(entry_id) for entry_id in [strict_id(text) for text in ids]])
    if deleted:
        ctx.changed(key, "xdel", deleted)
    return deleted


def id_block(words: Options) -> tuple[bytes, list[Id]]:
    """`[KEEPREF | DELREF | ACKED] IDS numids id...`, in either order."""
    references, ids = b"KEEPREF", None
    while words:
        word = words.next()
        if word in REFERENCE_WORDS:
            references = word
        elif word == b"IDS" and words:
            count = words.integer("ERR Number of IDs must be a positive integer")
            if count <= 0:
                raise CommandError("ERR Number of IDs must be a positive integer")
            if count > words.remaining():
                raise CommandError("ERR The `numids` parameter must match the number of arguments")
            ids = [strict_id(text) for text in words.take(count)]
        else:
            raise syntax_error()
    if ids is None:
        raise syntax_error()
    return references, ids


@command(
    "XDELEX",
    since="8.2.0",
    flags=WRITE | FAST,
    group=GROUP,
    arity=-5,
    keys="RW delete",
    syntax="key [condition=(KEEPREF | DELREF | ACKED)] IDS ids=<numids:integer id...>",
)
def xdelex(ctx: Context, key: Key, *options: Bytes) -> list[int]:
    """Deletes one or multiple entries from the stream, and controls what happens to references to them."""
    stream = streams.peek(ctx.db, key)
    references, ids = id_block(Options(options))
    if stream is None:
        return [ABSENT] * len(ids)
    outcome = [delete_entry(stream, entry_id, references) for entry_id in ids]
    deleted = outcome.count(DELETED)
    if deleted:
        ctx.changed(key, "xdel", deleted)
    return outcome


@command(
    "XSETID",
    since="5.0.0",
    flags=WRITE | DENYOOM | FAST,
    group=GROUP,
    syntax="key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]",
)
def xsetid(ctx: Context, key: Key, last_id: Bytes, *options: Bytes) -> object:
    """An internal command for replicating stream values."""
    chosen, entries_added, max_deleted = strict_id(last_id), -1, streams.MIN_ID
    words = Options(options)
    while words:
        word = words.next()
        if word == b"ENTRIESADDED" and words:
            entries_added = words.integer()
            if entries_added < 0:
                raise CommandError("ERR entries_added must be positive")
        elif word == b"MAXDELETEDID" and words:
            max_deleted = strict_id(words.value())
            if chosen < max_deleted:
                raise CommandError("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise syntax_error()
    stream = streams.peek(ctx.db, key)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    if chosen < stream.max_deleted_id:
        raise CommandError("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if stream.length:
        if chosen < stream.last_live_id:
            raise CommandError("ERR The ID specified in XSETID is smaller than the target stream top item")
        if entries_added != -1 and stream.length > entries_added:
            raise CommandError("ERR The entries_added specified in XSETID is smaller than the target stream length")
    stream.last_id = chosen
    if entries_added != -1:
        stream.entries_added = entries_added
    if max_deleted != streams.MIN_ID:
        stream.max_deleted_id = max_deleted
    ctx.changed(key, "xsetid")
    return OK
