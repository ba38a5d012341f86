"""What stands behind the entries of a stream, as Python objects: its counters, groups and consumers (docs/formats.md, 2.9).

For the tools. What a server loads goes straight into its own structures (streams.pyx).
"""

from dataclasses import dataclass, field

from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.rdb.format cimport RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STREAM_4, RDB_STREAM_5
from rotomdb.formats.rdb.records cimport RdbRecords


@dataclass
class StreamConsumer:
    name: bytes
    seen_ms: int
    active_ms: int                        # files before 7.2 do not say: then as seen_ms
    pending: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class StreamGroup:
    name: bytes
    last_id: tuple[int, int]
    entries_read: int | None              # None: not known
    pending: dict[tuple[int, int], tuple[int, int]]       # ID: delivery time in ms, number of deliveries
    consumers: list[StreamConsumer]
    owners: dict[tuple[int, int], bytes]  # of the pending entries; those that nobody owns are absent


@dataclass
class StreamTail:
    """What stands behind the entries of a stream."""

    length: int
    last_id: tuple[int, int]
    first_id: tuple[int, int]
    max_deleted_id: tuple[int, int]
    entries_added: int
    groups: list[StreamGroup]


def entries_read_of(tail, last_id):
    """How many entries a group has read, where its file does not say (docs/formats.md, 2.9); None: cannot be told."""
    if tail.entries_added == 0:
        return 0
    if tail.length == 0 and last_id <= tail.last_id:
        return tail.entries_added
    if last_id == tail.last_id:
        return tail.entries_added
    if last_id > tail.last_id:
        return None
    if last_id < tail.first_id:
        return tail.entries_added - tail.length
    return tail.entries_added - tail.length + 1 if last_id == tail.first_id else None


cdef object take_id(RdbRecords records):
    return records.read_length(), records.read_length()


cdef object take_tail(RdbRecords records, int type, StreamId first_entry):
    """What stands behind the nodes; None with the error recorded. Raises RdbValueError where lengths are short."""
    cdef size_t start
    length = records.read_length()
    tail = StreamTail(length, take_id(records), (0, 0), (0, 0), length, [])
    if type >= RDB_STREAM_2:
        tail.first_id, tail.max_deleted_id, tail.entries_added = take_id(records), take_id(records), records.read_length()
    elif length:
        tail.first_id = (first_entry.ms, first_entry.seq)
    names = set()
    for _ in range(records.read_length()):
        start = records.cursor.position
        group = take_group(records, type)
        if group is None:
            return None
        if group.name in names:
            records.corrupt(b"stream with a repeated group", start)
            return None
        names.add(group.name)
        if type == RDB_STREAM:
            group.entries_read = entries_read_of(tail, group.last_id)
        tail.groups.append(group)
    if type >= RDB_STREAM_4:
        take_producers(records)
    return tail


cdef int take_producers(RdbRecords records) except -1:
    records.read_length()
    records.read_length()
    for _ in range(records.read_length()):
        records.read_string()
        for _ in range(records.read_length()):
            records.read_string()
            take_id(records)
    records.read_length()
    records.read_length()


cdef object take_group(RdbRecords records, int type):
    cdef size_t start
    name, last_id = records.read_string(), take_id(records)
    entries_read = records.read_length() if type >= RDB_STREAM_2 else None
    if entries_read == 0xFFFFFFFFFFFFFFFF:
        entries_read = None
    group = StreamGroup(name, last_id, entries_read, {}, [], {})
    names = set()
    for _ in range(records.read_length()):
        start = records.cursor.position
        raw = records.read_bytes(24)
        entry_id = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big")
        if entry_id in group.pending:
            records.corrupt(b"stream group with a repeated pending entry", start)
            return None
        group.pending[entry_id] = int.from_bytes(raw[16:], "little", signed=True), records.read_length()
    for _ in range(records.read_length()):
        start = records.cursor.position
        name = records.read_string()
        if name in names:
            records.corrupt(b"stream group with a repeated consumer", start)
            return None
        names.add(name)
        seen_ms = int.from_bytes(records.read_bytes(8), "little", signed=True)
        active_ms = int.from_bytes(records.read_bytes(8), "little", signed=True) if type >= RDB_STREAM_3 else seen_ms
        consumer = StreamConsumer(name, seen_ms, active_ms)
        group.consumers.append(consumer)
        for _ in range(records.read_length()):
            start = records.cursor.position
            raw = records.read_bytes(16)
            entry_id = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
            if entry_id not in group.pending:
                records.corrupt(b"stream consumer with an entry that is not pending in its group", start)
                return None
            if entry_id in group.owners:
                records.corrupt(b"stream entry that is pending for two consumers", start)
                return None
            group.owners[entry_id] = name
            consumer.pending.append(entry_id)
    free = set()
    if type >= RDB_STREAM_5:
        for _ in range(records.read_length()):
            raw = records.read_bytes(16)
            free.add((int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")))
    if any(entry_id not in group.owners and entry_id not in free for entry_id in group.pending):
        records.corrupt(b"stream group with a pending entry that no consumer has", records.cursor.position)
        return None
    return group
