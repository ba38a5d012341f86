"""Keys and values to RDB bytes (docs/formats.md): small aggregates are one copy of their packed form."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.engine.intset cimport Intset, intset_bytes
from rotomdb.engine.keyspace cimport (
    ENCODING_EMBSTR, ENCODING_INT, ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_TIMED_TABLE, NO_EXPIRE, TYPE_HASH, TYPE_LIST, TYPE_SET,
    TYPE_STREAM, TYPE_STRING, Entry, Field, Keyspace, Member, RawString, encoding_of, field_name, field_value, key_of,
    lfu_counter, member_bytes, raw_bytes, type_of,
)
from rotomdb.engine.listpack cimport LISTPACK_INTEGER_TEXT, lp_bytes, lp_count, lp_first, lp_next, lp_text
from rotomdb.formats.rdb.format cimport (
    LENGTH_14_BITS, LENGTH_32_BITS, LENGTH_64_BITS, OPCODE_EXPIRETIME_MS, OPCODE_FREQ, OPCODE_IDLE, RDB_HASH,
    RDB_HASH_LISTPACK, RDB_HASH_TIMED, RDB_LIST_QUICKLIST_2, RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM_2,
    RDB_STREAM_3, RDB_STRING, RDB_ZSET_2, RDB_ZSET_LISTPACK, STREAM_ID_BYTES, STRING_ENCODED, STRING_INT16, STRING_INT32,
    STRING_INT8, STRING_LZF, VERSION_SET_LISTPACKS, VERSION_STREAM_ACTIVITY,
)
from rotomdb.formats.rdb.lzf cimport lzf_compress
from rotomdb.engine.number cimport format_int64, parse_int64
from rotomdb.engine.quicklist cimport Node, Quicklist
from rotomdb.engine.skiplist cimport SkipNode, SortedSet, member_of
from rotomdb.engine.id_map cimport IdCursor, StreamId, cursor_entry, idmap_first, idmap_next
from rotomdb.engine.stream cimport Consumer, Group, Pending, Stream, stream_first_id
from rotomdb.engine.table cimport Table, TableIterator, table_iterate, table_length, table_next, table_stop
from rotomdb.engine.timed_hash cimport NO_TIME, TimedHash, field_time_first, field_time_get

cdef extern from "platform.h" nogil:
    uint32_t bswap32 "__builtin_bswap32"(uint32_t value)
    uint64_t bswap64 "__builtin_bswap64"(uint64_t value)

cdef enum:
    COMPRESS_MIN = 20                # longer strings are worth a try


cdef void put_length(Buffer* out, uint64_t value) noexcept nogil:
    cdef uint32_t wide
    cdef uint64_t widest
    if value < LENGTH_14_BITS:
        buffer_append_byte(out, <uint8_t>value)
    elif value < 16384:
        buffer_append_byte(out, <uint8_t>(LENGTH_14_BITS | (value >> 8)))
        buffer_append_byte(out, <uint8_t>(value & 0xff))
    elif value <= 0xffffffffU:
        buffer_append_byte(out, LENGTH_32_BITS)
        wide = bswap32(<uint32_t>value)
        buffer_append(out, &wide, 4)
    else:
        buffer_append_byte(out, LENGTH_64_BITS)
        widest = bswap64(value)
        buffer_append(out, &widest, 8)


cdef bint put_small_integer(Buffer* out, int64_t value) noexcept nogil:
    """As a number of 8, 16 or 32 bits; False when the value needs more than 32 bits."""
    cdef int8_t i8
    cdef int16_t i16
    cdef int32_t i32
    if -128 <= value <= 127:
        buffer_append_byte(out, STRING_ENCODED + STRING_INT8)
        i8 = <int8_t>value
        buffer_append(out, &i8, 1)
    elif -32768 <= value <= 32767:
        buffer_append_byte(out, STRING_ENCODED + STRING_INT16)
        i16 = <int16_t>value
        buffer_append(out, &i16, 2)
    elif -2147483648 <= value <= 2147483647:
        buffer_append_byte(out, STRING_ENCODED + STRING_INT32)
        i32 = <int32_t>value
        buffer_append(out, &i32, 4)
    else:
        return False
    return True


cdef void put_string(Buffer* out, const char* data, size_t length, bint compress) noexcept nogil:
    cdef int64_t integer
    cdef size_t mark, packed
    cdef uint8_t* room
    if length <= 11 and parse_int64(data, <Py_ssize_t>length, &integer) and put_small_integer(out, integer):
        return
    if compress and length > COMPRESS_MIN:
        mark = out.length
        # Compress straight into the buffer behind the largest header (1 + 9 + 9), then close the gap.
        room = <uint8_t*>buffer_reserve(out, length + 32)
        packed = lzf_compress(<const uint8_t*>data, length, room + 19, length - 4)
        if packed:
            buffer_append_byte(out, STRING_ENCODED + STRING_LZF)
            put_length(out, packed)
            put_length(out, length)
            # The header is at most 19 bytes, so source and destination differ only by a forward gap.
            move_down(out, mark + 19, packed)
            return
    put_length(out, length)
    buffer_append(out, data, length)


cdef void move_down(Buffer* out, size_t source, size_t count) noexcept nogil:
    cdef char* to = out.data + out.length
    cdef char* start = out.data + source
    cdef size_t i
    if to != start:
        for i in range(count):
            to[i] = start[i]
    out.length += count


cdef void put_double(Buffer* out, double value) noexcept nogil:
    buffer_append(out, &value, 8)


cdef void put_id(Buffer* out, StreamId id) noexcept nogil:
    put_length(out, id.ms)
    put_length(out, id.seq)


cdef void put_raw_id(Buffer* out, StreamId id) noexcept nogil:
    cdef uint64_t parts[2]
    parts[0] = bswap64(id.ms)
    parts[1] = bswap64(id.seq)
    buffer_append(out, parts, 16)


cdef void put_stream(Buffer* out, Stream* stream, bint compress, int version) noexcept nogil:
    cdef IdCursor cursor
    cdef int64_t i
    cdef bint more = idmap_first(&stream.nodes, &cursor)
    put_length(out, <uint64_t>stream.nodes.length)
    while more:
        put_length(out, STREAM_ID_BYTES)
        put_raw_id(out, cursor_entry(&cursor).id)
        put_string(out, <const char*>cursor_entry(&cursor).value, lp_bytes(<uint8_t*>cursor_entry(&cursor).value),
                   compress)
        more = idmap_next(&cursor)
    put_length(out, <uint64_t>stream.length)
    put_id(out, stream.last_id)
    put_id(out, stream_first_id(stream))
    put_id(out, stream.max_deleted_id)
    put_length(out, stream.entries_added)
    put_length(out, <uint64_t>stream.group_count)
    for i in range(stream.group_count):
        put_group(out, stream.groups[i], version)


cdef void put_group(Buffer* out, Group* group, int version) noexcept nogil:
    cdef IdCursor cursor
    cdef Pending* pending
    cdef Consumer* consumer
    cdef int64_t i
    cdef bint more = idmap_first(&group.pending, &cursor)
    put_string(out, group.named.name, group.named.name_length, False)
    put_id(out, group.last_id)
    put_length(out, <uint64_t>group.entries_read)
    put_length(out, <uint64_t>group.pending.length)
    while more:
        pending = <Pending*>cursor_entry(&cursor).value
        put_raw_id(out, cursor_entry(&cursor).id)
        buffer_append(out, &pending.delivered_ms, 8)
        put_length(out, pending.deliveries)
        more = idmap_next(&cursor)
    put_length(out, <uint64_t>group.consumer_count)
    for i in range(group.consumer_count):
        consumer = group.consumers[i]
        put_string(out, consumer.named.name, consumer.named.name_length, False)
        buffer_append(out, &consumer.seen_ms, 8)
        if version >= VERSION_STREAM_ACTIVITY:
            buffer_append(out, &consumer.active_ms, 8)
        put_length(out, <uint64_t>consumer.pending.length)
        more = idmap_first(&consumer.pending, &cursor)
        while more:
            put_raw_id(out, cursor_entry(&cursor).id)
            more = idmap_next(&cursor)


cdef uint8_t rdb_type(Entry* entry, int version) noexcept nogil:
    cdef int type = type_of(entry), encoding = encoding_of(entry)
    if type == TYPE_STRING:
        return RDB_STRING
    if type == TYPE_LIST:
        return RDB_LIST_QUICKLIST_2
    if type == TYPE_SET:
        if encoding == ENCODING_INTSET:
            return RDB_SET_INTSET
        return RDB_SET_LISTPACK if encoding == ENCODING_LISTPACK and version >= VERSION_SET_LISTPACKS else RDB_SET
    if type == TYPE_HASH:
        if encoding == ENCODING_TIMED_TABLE:
            return RDB_HASH_TIMED
        return RDB_HASH_LISTPACK if encoding == ENCODING_LISTPACK else RDB_HASH
    if type == TYPE_STREAM:
        return RDB_STREAM_3 if version >= VERSION_STREAM_ACTIVITY else RDB_STREAM_2
    return RDB_ZSET_LISTPACK if encoding == ENCODING_LISTPACK else RDB_ZSET_2


cdef int encode_value(Buffer* out, Entry* entry, bint compress, int version) except -1:
    cdef int type = type_of(entry), encoding = encoding_of(entry)
    cdef char scratch[LISTPACK_INTEGER_TEXT + 3]
    cdef RawString* raw
    cdef Node* node
    cdef Table* table
    cdef TimedHash* timed = NULL
    cdef int64_t earliest = 0, expire_ms
    cdef TableIterator iterator
    cdef Field* field
    cdef Member* member
    cdef SkipNode* skip
    cdef uint8_t* at
    cdef const char* text
    cdef uint32_t length
    if type == TYPE_STRING:
        if encoding == ENCODING_INT:
            if not put_small_integer(out, <int64_t>entry.value):
                length = <uint32_t>format_int64(scratch, <int64_t>entry.value)
                put_length(out, length)
                buffer_append(out, scratch, length)
        elif encoding == ENCODING_EMBSTR:
            put_string(out, key_of(entry) + entry.key_length, <size_t>entry.value, compress)
        else:
            raw = <RawString*>entry.value
            put_string(out, raw_bytes(raw), raw.length, compress)
    elif type == TYPE_LIST:
        put_length(out, <uint64_t>(<Quicklist*>entry.value).nodes)
        node = (<Quicklist*>entry.value).head
        while node != NULL:
            put_length(out, node.container)
            put_string(out, <const char*>node.data, node.size, compress)
            node = node.following
    elif encoding == ENCODING_INTSET:
        put_string(out, <const char*>entry.value, intset_bytes(<Intset*>entry.value), compress)
    elif encoding == ENCODING_LISTPACK and (type != TYPE_SET or version >= VERSION_SET_LISTPACKS):
        put_string(out, <const char*>entry.value, lp_bytes(<uint8_t*>entry.value), compress)
    elif encoding == ENCODING_LISTPACK:
        put_length(out, lp_count(<uint8_t*>entry.value))
        at = lp_first(<uint8_t*>entry.value)
        while at != NULL:
            text = lp_text(at, &length, scratch)
            put_string(out, text, length, compress)
            at = lp_next(<uint8_t*>entry.value, at)
    elif type == TYPE_SET:
        table = <Table*>entry.value
        put_length(out, <uint64_t>table_length(table))
        table_iterate(table, &iterator)
        while True:
            member = <Member*>table_next(&iterator)
            if member == NULL:
                break
            put_string(out, member_bytes(member), member.length, compress)
    elif type == TYPE_HASH:
        table = <Table*>entry.value
        if encoding == ENCODING_TIMED_TABLE:
            timed = <TimedHash*>entry.value
            earliest = field_time_first(timed).expire_ms
            buffer_append(out, &earliest, 8)
        put_length(out, <uint64_t>table_length(table))
        table_iterate(table, &iterator)
        while True:
            field = <Field*>table_next(&iterator)
            if field == NULL:
                break
            if timed != NULL:
                expire_ms = field_time_get(timed, field_name(field), field.length)
                put_length(out, <uint64_t>(expire_ms - earliest + 1) if expire_ms != NO_TIME else 0)
            put_string(out, field_name(field), field.length, compress)
            put_string(out, field_value(field), field.value_length, compress)
    elif type == TYPE_STREAM:
        put_stream(out, <Stream*>entry.value, compress, version)
    else:
        # Highest score first: a loader that inserts at the head of its list then never has to search.
        put_length(out, <uint64_t>table_length(&(<SortedSet*>entry.value).members))
        skip = (<SortedSet*>entry.value).tail
        while skip != NULL:
            put_string(out, member_of(skip), skip.length, compress)
            put_double(out, skip.score)
            skip = skip.backward
    return 0


cdef class KeyspaceEncoder:
    """The key records of one database, in chunks.

    While it lives no key may be added or removed: it is for SAVE, for a forked child, or for a scratch keyspace.
    """

    cdef Keyspace db
    cdef TableIterator iterator
    cdef Buffer buffer
    cdef bint compress
    cdef int version
    cdef bytes access                         # b"lru" or b"lfu": what is written of each key's use
    cdef readonly int64_t keys                # encoded so far

    def __cinit__(self, Keyspace db not None, bint compress, int version, bytes access=b""):
        self.db = db
        self.compress = compress
        self.version = version
        self.access = access
        table_iterate(&db.keys, &self.iterator)

    def __dealloc__(self):
        table_stop(&self.iterator)
        buffer_release(&self.buffer)

    def next_chunk(self, size_t target):
        """Records of about `target` bytes in all, or None at the end."""
        cdef Entry* entry
        self.buffer.length = 0
        while self.buffer.length < target and self.iterator.table != NULL:
            entry = <Entry*>table_next(&self.iterator)
            if entry == NULL:
                break
            if entry.expire_ms != NO_EXPIRE:
                buffer_append_byte(&self.buffer, OPCODE_EXPIRETIME_MS)
                buffer_append(&self.buffer, &entry.expire_ms, 8)
            if self.access == b"lfu":
                buffer_append_byte(&self.buffer, OPCODE_FREQ)
                buffer_append_byte(&self.buffer, <uint8_t>lfu_counter(self.db.engine, entry.meta >> 8))
            elif self.access == b"lru":
                buffer_append_byte(&self.buffer, OPCODE_IDLE)
                put_length(&self.buffer, (self.db.engine.lru_clock - (entry.meta >> 8)) & 0xffffff)
            buffer_append_byte(&self.buffer, rdb_type(entry, self.version))
            put_string(&self.buffer, key_of(entry), entry.key_length, self.compress)
            encode_value(&self.buffer, entry, self.compress, self.version)
            self.keys += 1
        if self.buffer.length == 0:
            return None
        return PyBytes_FromStringAndSize(self.buffer.data, <Py_ssize_t>self.buffer.length)


def dump_value(Keyspace db not None, bytes key not None, int version):
    """Type byte and value, as in a DUMP payload before its footer; None when the key is absent."""
    cdef Entry* entry = db.find(key)
    cdef Buffer buffer
    if entry == NULL:
        return None
    buffer.data = NULL
    buffer.length = 0
    buffer.capacity = 0
    buffer_append_byte(&buffer, rdb_type(entry, version))
    encode_value(&buffer, entry, True, version)
    out = PyBytes_FromStringAndSize(buffer.data, <Py_ssize_t>buffer.length)
    buffer_release(&buffer)
    return out


def encode_length(uint64_t value):
    """RDB variable length."""
    cdef Buffer buffer
    buffer.data = NULL
    buffer.length = 0
    buffer.capacity = 0
    put_length(&buffer, value)
    out = PyBytes_FromStringAndSize(buffer.data, <Py_ssize_t>buffer.length)
    buffer_release(&buffer)
    return out


def encode_string(bytes data not None, bint compress=False):
    """RDB string in the shortest of its forms."""
    cdef Buffer buffer
    buffer.data = NULL
    buffer.length = 0
    buffer.capacity = 0
    put_string(&buffer, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), compress)
    out = PyBytes_FromStringAndSize(buffer.data, <Py_ssize_t>buffer.length)
    buffer_release(&buffer)
    return out
