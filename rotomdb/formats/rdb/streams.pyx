"""Streams out of RDB bytes (docs/formats.md, 2.9): nodes are copied once their structure has been checked whole."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.formats.rdb.format cimport (
    RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STREAM_4, RDB_STREAM_5, STREAM_ID_BYTES,
)
from rotomdb.formats.rdb.cursor cimport cursor_fail, cursor_take
from rotomdb.engine.id_map cimport (
    IdCursor, StreamId, cursor_entry, id_compare, idmap_first, idmap_insert, idmap_next,
)
from rotomdb.engine.keyspace cimport ENCODING_STREAM, TYPE_STREAM, Keyspace
from rotomdb.engine.listpack cimport lp_first, lp_get, lp_integer, lp_next, lp_validate
from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.number cimport parse_int64
from rotomdb.formats.rdb.primitives cimport RdbCursor
from rotomdb.engine.stream cimport (
    ENTRY_DELETED, ENTRY_SAME_FIELDS, Consumer, Group, Pending, Stream, consumer_create, group_create, group_pending,
    named_find, position_of, stream_free, stream_new,
)

cdef enum:
    ENTRIES_MAX = 1 << 30                # of a node, and fields of an entry: a byte each at least

cdef extern from "platform.h" nogil:
    uint64_t bswap64 "__builtin_bswap64"(uint64_t value)


cdef StreamId raw_id(const uint8_t* data) noexcept nogil:
    cdef StreamId id
    memcpy(&id.ms, data, 8)
    memcpy(&id.seq, data + 8, 8)
    id.ms = bswap64(id.ms)
    id.seq = bswap64(id.seq)
    return id


cdef inline bint read_id(RdbCursor reader, StreamId* id) noexcept:
    return reader.plain_length(&id.ms) and reader.plain_length(&id.seq)


cdef inline bint is_integer(uint8_t* element) noexcept nogil:
    cdef uint32_t length
    cdef int64_t value
    cdef const char* text
    if element == NULL:
        return False
    text = lp_get(element, &length, &value)
    return text == NULL or parse_int64(text, length, &value)


cdef const char* check_node(uint8_t* lp, StreamId master, NodeSummary* summary) noexcept nogil:
    """NULL when the listpack is a sound stream node, else what is wrong. `summary` goes on from node to node."""
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* flags_at
    cdef int64_t live, deleted, master_fields, fields, flags, elements
    cdef int64_t seen_deleted = 0, seen = 0
    if at == NULL:
        return "stream node without elements"
    if not is_integer(at):
        return "stream node without entry count"
    live = lp_integer(at)
    at = lp_next(lp, at)
    if not is_integer(at):
        return "stream node without count of deleted entries"
    deleted = lp_integer(at)
    at = lp_next(lp, at)
    if not is_integer(at):
        return "stream node without field count"
    master_fields = lp_integer(at)
    if live < 0 or deleted < 0 or master_fields < 0:
        return "stream node with a negative count"
    if live > ENTRIES_MAX or deleted > ENTRIES_MAX:
        return "stream node with an impossible count"
    if summary.nodes and id_compare(master, summary.master) <= 0:
        return "stream node with a master ID out of order"
    at = lp_next(lp, at)
    for _ in range(master_fields):
        if at == NULL:
            return "stream node with fewer fields than it says"
        at = lp_next(lp, at)
    if not is_integer(at) or lp_integer(at) != 0:
        return "stream node without end of its master entry"
    at = lp_next(lp, at)
    while at != NULL:
        flags_at = at
        flags = flags_at[0]          # a small integer is its own encoding; deleting an entry relies on it
        if flags > (ENTRY_DELETED | ENTRY_SAME_FIELDS):
            return "stream entry with unknown flags"
        seen += 1
        seen_deleted += flags & ENTRY_DELETED
        at = lp_next(lp, at)
        if not is_integer(at):
            return "stream entry without ID"
        at = lp_next(lp, at)
        if not is_integer(at):
            return "stream entry without ID"
        if flags & ENTRY_SAME_FIELDS:
            elements = master_fields + 3
            fields = master_fields
        else:
            at = lp_next(lp, at)
            if not is_integer(at):
                return "stream entry without field count"
            fields = lp_integer(at)
            if fields < 0 or fields > ENTRIES_MAX:
                return "stream entry with an impossible field count"
            elements = 2 * fields + 4
            fields *= 2
        for _ in range(fields):
            at = lp_next(lp, at)
            if at == NULL:
                return "stream entry with fewer fields than it says"
        at = lp_next(lp, at)
        if not is_integer(at) or lp_integer(at) != elements:
            return "stream entry with a wrong element count"
        at = lp_next(lp, at)
    if seen != live + deleted or seen_deleted != deleted:
        return "stream node with a wrong entry count"
    summary.master = master
    summary.nodes += 1
    summary.live += live
    return NULL


cdef bint decode_nodes(RdbCursor reader, Stream* stream, NodeSummary* summary) noexcept:
    cdef uint64_t nodes
    cdef const char* data
    cdef const char* problem
    cdef size_t size, start
    cdef StreamId master
    cdef uint8_t* lp
    if not reader.plain_length(&nodes):
        return False
    for _ in range(nodes):
        start = reader.cursor.position
        if not reader.text(1, &data, &size):
            return False
        if size != STREAM_ID_BYTES:
            return cursor_fail(&reader.cursor, "stream node with a master ID that is not 16 bytes long", start)
        master = raw_id(<const uint8_t*>data)
        start = reader.cursor.position
        if not reader.text(1, &data, &size):
            return False
        problem = lp_validate(<const uint8_t*>data, size)
        if problem == NULL:
            problem = check_node(<uint8_t*>data, master, summary)
        if problem != NULL:
            return cursor_fail(&reader.cursor, problem, start)
        lp = <uint8_t*>mem_alloc(size)
        memcpy(lp, data, size)
        idmap_insert(&stream.nodes, master, lp)
    return True


cdef bint decode_group(RdbCursor reader, int type, Stream* stream) noexcept:
    cdef size_t start = reader.cursor.position
    cdef const char* name
    cdef size_t size
    cdef Group* group
    cdef Pending* pending
    cdef StreamId id
    cdef uint64_t entries_read, count, consumers
    cdef const uint8_t* raw
    cdef IdCursor cursor
    cdef bint more
    if not reader.text(1, &name, &size) or not read_id(reader, &id):
        return False
    if named_find(<void**>stream.groups, stream.group_count, name, size) != NULL:
        return cursor_fail(&reader.cursor, "stream with a repeated group", start)
    group = group_create(stream, name, size, id, position_of(stream, id))
    if type >= RDB_STREAM_2:
        if not reader.plain_length(&entries_read):
            return False
        group.entries_read = <int64_t>entries_read
    if not reader.plain_length(&count):
        return False
    for _ in range(count):
        start = reader.cursor.position
        raw = cursor_take(&reader.cursor, 24)
        if raw == NULL:
            return False
        pending = <Pending*>mem_alloc(sizeof(Pending))
        memcpy(&pending.delivered_ms, raw + 16, 8)
        pending.owner = NULL
        pending.deliveries = 0
        if not idmap_insert(&group.pending, raw_id(raw), pending):
            mem_free(pending)
            return cursor_fail(&reader.cursor, "stream group with a repeated pending entry", start)
        if not reader.plain_length(&pending.deliveries):
            return False
    if not reader.plain_length(&consumers):
        return False
    for _ in range(consumers):
        if not decode_consumer(reader, type, group):
            return False
    more = idmap_first(&group.pending, &cursor)
    while more:
        if (<Pending*>cursor_entry(&cursor).value).owner == NULL:
            return cursor_fail(&reader.cursor, "stream group with a pending entry that no consumer has", start)
        more = idmap_next(&cursor)
    return True


cdef bint decode_consumer(RdbCursor reader, int type, Group* group) noexcept:
    cdef size_t start = reader.cursor.position
    cdef const char* name
    cdef size_t size
    cdef Consumer* consumer
    cdef Pending* pending
    cdef StreamId id
    cdef uint64_t count
    cdef const uint8_t* raw
    if not reader.text(1, &name, &size):
        return False
    if named_find(<void**>group.consumers, group.consumer_count, name, size) != NULL:
        return cursor_fail(&reader.cursor, "stream group with a repeated consumer", start)
    consumer = consumer_create(group, name, size, 0)
    raw = cursor_take(&reader.cursor, 8)
    if raw == NULL:
        return False
    memcpy(&consumer.seen_ms, raw, 8)
    consumer.active_ms = consumer.seen_ms
    if type >= RDB_STREAM_3:
        raw = cursor_take(&reader.cursor, 8)
        if raw == NULL:
            return False
        memcpy(&consumer.active_ms, raw, 8)
    if not reader.plain_length(&count):
        return False
    for _ in range(count):
        start = reader.cursor.position
        raw = cursor_take(&reader.cursor, 16)
        if raw == NULL:
            return False
        id = raw_id(raw)
        pending = group_pending(group, id)
        if pending == NULL:
            return cursor_fail(&reader.cursor, "stream consumer with an entry that is not pending in its group", start)
        if pending.owner != NULL:
            return cursor_fail(&reader.cursor, "stream entry that is pending for two consumers", start)
        pending.owner = consumer
        idmap_insert(&consumer.pending, id, pending)
    return True


cdef bint decode_body(RdbCursor reader, int type, Stream* stream) noexcept:
    cdef size_t start
    cdef uint64_t length, groups
    cdef StreamId first
    cdef NodeSummary summary
    memset(&summary, 0, sizeof(summary))
    if not decode_nodes(reader, stream, &summary):
        return False
    start = reader.cursor.position
    if not reader.plain_length(&length) or not read_id(reader, &stream.last_id):
        return False
    if length and summary.nodes == 0:
        return cursor_fail(&reader.cursor, "stream with a length and no nodes", start)
    # Real files are known whose streams claim other entries than they have, and servers believe length and last ID.
    stream.length = <int64_t>length if length >> 62 == 0 else summary.live
    stream.entries_added = length
    if type >= RDB_STREAM_2:
        if (not read_id(reader, &first) or not read_id(reader, &stream.max_deleted_id)
                or not reader.plain_length(&stream.entries_added)):
            return False
    if not reader.plain_length(&groups):
        return False
    for _ in range(groups):
        if not decode_group(reader, type, stream):
            return False
    return True


cdef bint decode_stream(RdbCursor reader, int type, Keyspace db, const char* key, size_t key_length) noexcept:
    cdef Stream* stream = stream_new()
    if not decode_body(reader, type, stream):
        stream_free(stream)
        return False
    db.add(key, key_length, TYPE_STREAM, ENCODING_STREAM, stream, 0)
    return True


cdef bint skip_stream(RdbCursor reader, int type) noexcept:
    cdef uint64_t nodes, groups, pending, consumers
    if not reader.plain_length(&nodes) or not reader.skip_texts(nodes) or not reader.skip_texts(nodes):
        return False
    if not reader.skip_lengths(3 if type == RDB_STREAM else 8) or not reader.plain_length(&groups):
        return False
    for _ in range(groups):
        if not reader.skip_text() or not reader.skip_lengths(2 if type == RDB_STREAM else 3) or not reader.plain_length(&pending):
            return False
        for _ in range(pending):
            if cursor_take(&reader.cursor, 24) == NULL or not reader.skip_lengths(1):
                return False
        if not reader.plain_length(&consumers):
            return False
        for _ in range(consumers):
            if not reader.skip_text() or cursor_take(&reader.cursor, 16 if type >= RDB_STREAM_3 else 8) == NULL:
                return False
            if not skip_raw_ids(reader):
                return False
        if type >= RDB_STREAM_5 and not skip_raw_ids(reader):
            return False
    return type < RDB_STREAM_4 or skip_producers(reader)


cdef bint skip_raw_ids(RdbCursor reader) noexcept:
    cdef uint64_t count
    if not reader.plain_length(&count):
        return False
    for _ in range(count):
        if cursor_take(&reader.cursor, 16) == NULL:
            return False
    return True


cdef bint skip_producers(RdbCursor reader) noexcept:
    """What a stream of Redis 8.6 remembers of its producers, so that none adds a message twice."""
    cdef uint64_t producers, count
    if not reader.skip_lengths(2) or not reader.plain_length(&producers):
        return False
    for _ in range(producers):
        if not reader.skip_text() or not reader.plain_length(&count):
            return False
        for _ in range(count):
            if not reader.skip_text() or not reader.skip_lengths(2):
                return False
    return reader.skip_lengths(2)
