"""RDB files from Python: read them entry by entry, write them key by key.

    import rotomdb.rdb

    with rotomdb.rdb.open("dump.rdb") as snapshot:
        for entry in snapshot:
            print(entry.db, entry.key, entry.type, entry.expire_ms, entry.value)

    with rotomdb.rdb.create("new.rdb", target="redis-7.2") as writer:
        writer.add("greeting", "hello", expire_ms=1_900_000_000_000)
        writer.add("scores", rotomdb.rdb.SortedSet({"ada": 3, "bob": 1.5}))

The format: docs/formats.md. Memory does not grow with the file, but for 16 bytes and a set's overhead per key that is written.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from xxhash import xxh3_128_digest

from rotomdb.engine import Engine, streams
from rotomdb.errors import RdbError, SourceError
from rotomdb.formats.rdb.encoder import dump_value, encode_length, encode_string
from rotomdb.formats.rdb.format import (
    CHECKSUM_BYTES,
    OPCODE_EOF,
    OPCODE_EXPIRETIME_MS,
    RDB_HASH,
    RDB_HASH_TIMED,
    RDB_LIST,
    RDB_SET,
    RDB_STRING,
    RDB_ZSET_2,
    VERSION_FIELD_TIMES,
    VERSION_STREAM_ACTIVITY,
)
from rotomdb.formats.rdb.reader import Aux, End, Function, KeyRecord, RdbReader
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.stream_tail import StreamGroup
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, TYPE_NAMES
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter, Target
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.formats.sinks.objects import ObjectSink, StreamValue
from rotomdb.formats.sinks.text import TextSink
from rotomdb.storage.output import WholeFile
from rotomdb.storage.rdb_source import open_rdb

__all__ = [
    "TARGETS", "Entry", "RdbError", "Snapshot", "SortedSet", "SourceError", "Stream", "StreamGroup", "Writer", "create", "open",
]  # fmt: skip

Text = bytes | str | int | float
Id = tuple[int, int]
DEFAULT_TARGET = "redis-7.2"


@dataclass(frozen=True)
class Stream:
    """The value of a stream.

    Attributes:
        entries: ((ms, seq), [(field, value), ...]) in order.
        groups: Consumer groups with their pending entries.
    """

    entries: list[tuple[Id, list[tuple[bytes, bytes]]]]
    length: int
    last_id: Id
    max_deleted_id: Id
    entries_added: int
    groups: list[StreamGroup]


class SortedSet(dict[Text, float]):
    """Members with their scores, for `Writer.add`."""


@dataclass
class Entry:
    """A key of a snapshot. Its value is decoded when it is first asked for, while the snapshot is open.

    Attributes:
        type: As the TYPE command calls it: string, list, set, hash, zset, stream, array, or module.
        encoding: How the file holds it, as redis-check-rdb calls it: `hash-listpack`.
        expire_ms: Unix time in ms; None: it does not expire.
        idle_seconds, frequency: What the file says of its use (LRU, LFU); None: nothing.
        size: Bytes in the file.
        field_times: Fields of a hash that expire, with their Unix times in ms. Known once the value is.
    """

    db: int
    key: bytes
    type: str
    encoding: str
    expire_ms: int | None
    idle_seconds: int | None
    frequency: int | None
    offset: int
    _snapshot: Snapshot = field(repr=False)
    _value: Any = field(default=None, repr=False)
    _read: bool = field(default=False, repr=False)
    _field_times: dict[bytes, int] = field(default_factory=dict, repr=False)

    @property
    def value(self) -> Any:
        """The value: bytes; list of bytes (list); set of bytes; dict of bytes (hash); dict of floats (zset); a Stream;
        dict by index (array); None (module).

        Raises:
            RdbError: it is damaged.
            ValueError: the snapshot is closed.
        """
        if not self._read:
            self._value, self._field_times = self._snapshot.read_value(self)
            self._read = True
        return self._value

    @property
    def field_times(self) -> dict[bytes, int]:
        if self.type == "hash":
            _ = self.value
        return self._field_times


class Snapshot:
    """An open RDB. Iterate over it, or over `entries` of a selection, as often as you like.

    Attributes:
        version: Of the format.
        aux: What the writer says of itself, filled in while it is iterated over: {b"redis-ver": b"7.2.4", ...}.
        functions: Function libraries, likewise.
    """

    def __init__(self, source: contextlib.ExitStack, data: memoryview, name: str, release: Any) -> None:
        self._stack = source
        self._data, self._release = data, release
        self.name = name
        self._lookup: RdbReader | None = RdbReader(data, name, release)
        self.version = self._lookup.version
        self.aux: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        return self.entries()

    def entries(
        self, *, key: str | bytes | None = None, types: Iterable[str] | None = None, dbs: Iterable[int] | None = None
    ) -> Iterator[Entry]:
        """The keys that are wanted, in the order of the file. Raises RdbError where the file is damaged.

        Args:
            key: A glob, as KEYS takes it.
            types: Names as TYPE has them.

        Raises:
            ValueError: the snapshot is closed.
        """
        selection = Selection()
        selection.glob = key.encode() if isinstance(key, str) else key
        selection.kinds = frozenset(types) if types is not None else None
        selection.databases = frozenset(dbs) if dbs is not None else None
        if self._lookup is None:
            raise ValueError("the snapshot is closed")
        reader = RdbReader(self._data, self.name, self._release)
        reader.walker.templates = self._lookup.walker.templates  # a value may be asked for before the file's end
        self.functions = []
        try:
            for event in reader.records(selection):
                if isinstance(event, KeyRecord):
                    walker = reader.walker
                    yield Entry(
                        event.db, event.key, LOGICAL_TYPES[event.type], TYPE_NAMES[event.type], event.expire_ms,
                        walker.idle_seconds if walker.idle_seconds >= 0 else None,
                        walker.frequency if walker.frequency >= 0 else None, event.start, self,
                    )  # fmt: skip
                elif isinstance(event, Aux):
                    self.aux[event.name] = event.value
                elif isinstance(event, Function):
                    self.functions.append(event.code)
                elif isinstance(event, End):
                    return
        finally:
            reader.close()

    def read_value(self, entry: Entry) -> tuple[Any, dict[bytes, int]]:
        """What `Entry.value` gives, and the times of fields."""
        reader = self._lookup
        if reader is None:
            raise ValueError("the snapshot is closed")
        sink = ObjectSink()
        reader.walker.position = entry.offset
        reader.walker.database = entry.db
        reader.walker.next_record()
        reader.visit(sink)
        value = as_python(entry.type, sink.value)
        if isinstance(sink.value, list) and len(value) != len(sink.value):
            reader.visit(CheckSink())  # which names the member that is there twice: one of the two would be lost
        return value, sink.field_times

    def close(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None
            self._stack.close()


def as_python(kind: str, value: Any) -> Any:
    if kind == "set":
        return set(value)
    if kind in ("hash", "zset", "array"):
        return dict(value)
    if isinstance(value, StreamValue):
        tail = value.tail
        return Stream(value.entries, tail.length, tail.last_id, tail.max_deleted_id, tail.entries_added, tail.groups)
    return value


def open(path: str | Path) -> Snapshot:
    """Open a snapshot: a path (plain, .gz or .zst), `-` for standard input, or `redis://host:port` for a live server's data.

    Raises:
        OSError: it cannot be read.
        SourceError: the server refuses, or a compressed file is damaged.
        RdbError: it is no RDB, or of a version that is not understood.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_rdb(str(path)))
        return Snapshot(stack.pop_all(), source.data, source.name, source.release)


def as_bytes(value: Text) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"no bytes, text or number: {value!r}")
    return repr(value).encode()


def encoded_record(key: Text, value: Any, expire_ms: int | None, field_times: Mapping[Text, int] | None) -> bytes:
    """A small RDB with one key. Raises TypeError for a value that has no counterpart."""
    out = [b"REDIS%04d" % VERSION_FIELD_TIMES]
    if expire_ms is not None:
        out.append(bytes([OPCODE_EXPIRETIME_MS]) + struct.pack("<q", expire_ms))
    name = encode_string(as_bytes(key))
    if isinstance(value, Stream):
        body = stream_body(value)
        out += [body[:1], name, body[1:]]
    elif isinstance(value, SortedSet):
        out += [bytes([RDB_ZSET_2]), name, encode_length(len(value))]
        out += [encode_string(as_bytes(member)) + struct.pack("<d", score) for member, score in value.items()]
    elif isinstance(value, Mapping) and field_times:
        times = {as_bytes(one): when for one, when in field_times.items()}
        earliest = min(times.values())
        out += [bytes([RDB_HASH_TIMED]), name, struct.pack("<q", earliest), encode_length(len(value))]
        for one, data in value.items():
            when = times.get(as_bytes(one))
            out.append(encode_length(0 if when is None else when - earliest + 1))
            out.append(encode_string(as_bytes(one), True) + encode_string(as_bytes(data), True))
    elif isinstance(value, Mapping):
        out += [bytes([RDB_HASH]), name, encode_length(len(value))]
        out += [encode_string(as_bytes(one), True) + encode_string(as_bytes(data), True) for one, data in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        kind = RDB_LIST if isinstance(value, list | tuple) else RDB_SET
        out += [bytes([kind]), name, encode_length(len(value))]
        out += [encode_string(as_bytes(item), True) for item in value]
    else:
        out += [bytes([RDB_STRING]), name, encode_string(as_bytes(value), True)]
    return b"".join([*out, bytes([OPCODE_EOF]), bytes(CHECKSUM_BYTES)])


def stream_body(value: Stream) -> bytes:
    """Type byte and value of a stream. An engine packs the entries into nodes, as a server does."""
    engine = Engine(1)
    database = engine.databases[0]
    handle = streams.create(database, b"s")
    for entry_id, fields in value.entries:
        words = [as_bytes(word) for pair in fields for word in pair]
        handle.add(entry_id, words, 0, engine.stream_node_max_bytes, engine.stream_node_max_entries)
    handle.last_id, handle.max_deleted_id = value.last_id, value.max_deleted_id
    handle.entries_added = value.entries_added
    body = dump_value(database, b"s", VERSION_STREAM_ACTIVITY)
    assert body is not None and body[-1] == 0, "it has no groups yet"
    return body[:-1] + encode_length(len(value.groups)) + b"".join(map(encoded_group, value.groups))


def encoded_group(group: StreamGroup) -> bytes:
    out = [encode_string(group.name), encode_length(group.last_id[0]), encode_length(group.last_id[1])]
    out.append(encode_length((1 << 64) - 1 if group.entries_read is None else group.entries_read))
    owned = {entry_id: state for entry_id, state in group.pending.items() if entry_id in group.owners}
    out.append(encode_length(len(owned)))
    out += [
        raw_id(entry_id) + struct.pack("<q", when) + encode_length(times) for entry_id, (when, times) in owned.items()
    ]
    out.append(encode_length(len(group.consumers)))
    for consumer in group.consumers:
        out += [encode_string(consumer.name), struct.pack("<qq", consumer.seen_ms, consumer.active_ms)]
        out += [encode_length(len(consumer.pending)), *map(raw_id, consumer.pending)]
    return b"".join(out)


def raw_id(entry_id: Id) -> bytes:
    return struct.pack(">QQ", *entry_id)


class Writer(WholeFile):
    """A new RDB. As a context manager it is there whole or, after an exception, not at all."""

    def __init__(self, path: str | Path, target: Target, *, lossy: bool) -> None:
        super().__init__(path)
        self._writer = RdbWriter(self._file.write, target)
        self._lossy = lossy
        self._names: set[tuple[int, bytes]] = set()  # digests of the keys: servers refuse a file that has one twice

    def _finish(self) -> None:
        self._writer.finish()

    @property
    def lost(self) -> dict[str, tuple[int, list[bytes]]]:
        """What the target cannot hold and was left out: {what: (number of keys, names of the first few)}."""
        return self._writer.sink.lost

    def add(
        self,
        key: Text,
        value: Any,
        *,
        db: int = 0,
        expire_ms: int | None = None,
        field_times: Mapping[Text, int] | None = None,
    ) -> None:
        """Write a key.

        Args:
            value: bytes, str or number (string); list or tuple; set or frozenset; SortedSet; any other mapping (hash); Stream.
            expire_ms: Unix time in ms.
            field_times: For a hash: when fields expire.

        Raises:
            TypeError: Redis has no such value.
            ValueError: the key has been written already; or no target was named, and the usual one cannot hold the value.
        """
        name = db, xxh3_128_digest(as_bytes(key))
        if name in self._names:
            raise ValueError(f"the key {key!r} of database {db} is in the file already")
        add_to(self._writer.sink, key, value, db, expire_ms, field_times)
        self._names.add(name)
        if self.lost and not self._lossy:
            what = ", ".join(self.lost)
            raise ValueError(f"{DEFAULT_TARGET} cannot hold {what} (key {key!r}): name a target, such as redis-7.4")

    def copy(self, entry: Entry) -> None:
        """Write a key of a snapshot."""
        self.add(
            entry.key,
            SortedSet(entry.value) if entry.type == "zset" else entry.value,
            db=entry.db,
            expire_ms=entry.expire_ms,
            field_times=dict[Text, int](entry.field_times.items()),
        )


def add_to(
    sink: TextSink, key: Text, value: Any, db: int, expire_ms: int | None, field_times: Mapping[Text, int] | None
) -> None:
    """Hand one key to a sink, through the one reader that knows how."""
    reader = RdbReader(encoded_record(key, value, expire_ms, field_times), "value")
    reader.walker.database = db
    for _ in reader.walk(sink):
        pass
    reader.close()


def create(path: str | Path, *, target: str | None = None) -> Writer:
    """Begin a new snapshot for a server (one of TARGETS). Raises KeyError for an unknown target.

    Args:
        target: What it cannot hold is left out and listed in `lost`. None: as for redis-7.2, and a value that it cannot hold is an error.
    """
    return Writer(path, TARGETS[target or DEFAULT_TARGET], lossy=target is not None)
