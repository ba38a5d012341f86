"""A sink that writes key records: as they are where the target knows their type, else in the plainest type that it has.

Plain types (list, set, hash, sorted set as counted strings) are read by every version; servers pack them again by their own
thresholds. What the target cannot hold at all is left out and noted.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.number cimport format_double
from rotomdb.formats.rdb.format cimport (
    OPCODE_EXPIRETIME, OPCODE_EXPIRETIME_MS, OPCODE_FREQ, OPCODE_IDLE, OPCODE_SELECTDB, RDB_HASH, RDB_HASH_TIMED,
    RDB_LIST, RDB_MODULE, RDB_MODULE_PRE_RELEASE, RDB_SET, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STRING,
    RDB_TEMPLATE_ARRAY_REF, RDB_TEMPLATE_LISTPACK_REF, RDB_VALKEY_HASH_TIMED, RDB_VALKEY_HASH_UNRELEASED, RDB_ZSET,
    RDB_ZSET_2, SCORE_INFINITY, SCORE_MINUS_INFINITY, STREAM_ID_BYTES, VERSION_ACCESS, VERSION_BINARY_SCORES,
    VERSION_FIELD_TIMES, VERSION_STREAMS, VERSION_STREAM_ACTIVITY, VERSION_STREAM_COUNTERS, VERSION_TIMES_IN_MS,
    VERSION_VALKEY, is_timed_hash,
)
from rotomdb.formats.rdb.encoder cimport put_double, put_length, put_raw_id, put_string
from rotomdb.formats.sinks.text cimport TextSink
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.sink cimport (
    KIND_ARRAY, KIND_HASH, KIND_LIST, KIND_MODULE, KIND_SET, KIND_STREAM, KIND_STRING, NO_FIELD_TIME,
)

from rotomdb.formats.rdb.value_types import highest_type
from rotomdb.formats.rdb.stream_tail import entries_read_of

cdef enum:
    SAMPLES = 10                          # keys that are named for each kind of loss

cdef inline uint8_t stream_type(int version) noexcept nogil:
    """The fullest that the version has."""
    if version < VERSION_STREAM_COUNTERS:
        return RDB_STREAM
    return RDB_STREAM_2 if version < VERSION_STREAM_ACTIVITY else RDB_STREAM_3


cdef class RdbSink(TextSink):
    """Key records of a target version.

    Args:
        write: Takes bytes, in pieces of about 64 KB.
        version, valkey: The target's.
        plain: Never copy records, write them all in plain types.
        modules: Whether the target may have modules that read their values.
    """

    cdef int version, highest
    cdef bint valkey, plain, compress, modules
    cdef int64_t database
    cdef bint raw, dropped, lossy         # the record in hand: copied; left out; without a part
    cdef int kind
    cdef int64_t count                    # elements in `body`
    cdef bint counted                     # the count has been written already
    cdef Buffer body                      # elements, until their number is known
    cdef Buffer times
    cdef int64_t earliest
    cdef bint timed
    cdef list fields                      # of a hash with times: (name, value, ms)
    cdef dict losses                      # what: [keys, names of the first few]
    cdef readonly int64_t keys, recoded

    def __cinit__(self, write, int version, bint valkey=False, bint plain=False, bint compress=True, bint modules=True):
        self.version = version
        self.valkey = valkey
        self.plain = plain
        self.compress = compress
        self.modules = modules
        self.highest = highest_type(version, valkey)
        self.database = -1
        self.losses = {}

    def __dealloc__(self):
        buffer_release(&self.body)

    @property
    def lost(self):
        """What the target cannot hold: {what: (number of keys, names of the first few)}."""
        return {what: (keys, list(names)) for what, (keys, names) in self.losses.items()}

    cdef int lose(self, what) except -1:
        entry = self.losses.setdefault(what, [0, []])
        entry[0] += 1
        if len(entry[1]) < SAMPLES:
            entry[1].append(record_key(self.record))
        return 0

    def begin_database(self, int64_t database):
        """What follows is in another database."""
        if database != self.database:
            self.database = database
            buffer_append_byte(&self.out, OPCODE_SELECTDB)
            put_length(&self.out, <uint64_t>database)

    cdef bint copies(self, int type) noexcept:
        """Whether the target reads the record's bytes as they are."""
        if self.plain or type > self.highest or type == RDB_MODULE_PRE_RELEASE:
            return False
        if type == RDB_TEMPLATE_LISTPACK_REF or type == RDB_TEMPLATE_ARRAY_REF:
            return False
        if type == RDB_MODULE and not self.modules:
            return False
        if type == RDB_VALKEY_HASH_TIMED or type == RDB_VALKEY_HASH_UNRELEASED:
            return self.valkey and self.record.valkey and self.version >= VERSION_VALKEY
        if self.valkey and type > RDB_STREAM_3:
            return False
        return True

    cdef int begin_key(self) except -1:
        cdef int type = self.record.type
        cdef int64_t seconds
        TextSink.begin_key(self)
        self.raw = self.copies(type)
        self.dropped = self.lossy = False
        self.kind = -1
        self.count = 0
        self.counted = False
        self.timed = False
        self.body.length = 0
        self.fields = None
        self.begin_database(<int64_t>self.record.database)
        if self.record.expire_ms != NO_EXPIRE:
            if self.version >= VERSION_TIMES_IN_MS:
                buffer_append_byte(&self.out, OPCODE_EXPIRETIME_MS)
                buffer_append(&self.out, &self.record.expire_ms, 8)
            else:
                seconds = self.record.expire_ms // 1000
                buffer_append_byte(&self.out, OPCODE_EXPIRETIME)
                buffer_append(&self.out, &seconds, 4)
        if self.version >= VERSION_ACCESS and self.record.idle_seconds >= 0:
            buffer_append_byte(&self.out, OPCODE_IDLE)
            put_length(&self.out, <uint64_t>self.record.idle_seconds)
        if self.version >= VERSION_ACCESS and self.record.frequency >= 0:
            buffer_append_byte(&self.out, OPCODE_FREQ)
            buffer_append_byte(&self.out, <uint8_t>self.record.frequency)
        if self.raw:
            self.open_record(<uint8_t>type)
        return 0

    cdef int abandon_key(self) except -1:
        self.database = -1                # what selected it may be gone, too
        return TextSink.abandon_key(self)

    cdef void open_record(self, uint8_t type) noexcept:
        buffer_append_byte(&self.out, type)
        put_string(&self.out, self.record.key, self.record.key_length, self.compress)

    cdef int end_key(self) except -1:
        if self.dropped:
            self.abandon_key()
            return 0
        if self.raw:
            self.copy_value()
        elif self.timed:
            self.put_timed_hash()
        elif self.kind != KIND_STRING and self.kind != KIND_STREAM and not self.counted:
            self.open_record(self.plain_type())
            put_length(&self.out, <uint64_t>self.count)
            buffer_append(&self.out, self.body.data, self.body.length)
        self.keys += 1
        self.recoded += not self.raw
        return 0

    cdef int copy_value(self) except -1:
        """The bytes of the file, in pieces."""
        cdef size_t at = self.record.value_start, end = self.record.end, size
        while at < end:
            size = end - at if end - at < (1 << 20) else (1 << 20)
            buffer_append(&self.out, self.record.base + at, size)
            at += size
            self.spill()
        return 0

    cdef uint8_t plain_type(self) noexcept:
        if self.kind == KIND_LIST:
            return RDB_LIST
        if self.kind == KIND_SET:
            return RDB_SET
        if self.kind == KIND_HASH:
            return RDB_HASH
        return RDB_ZSET_2 if self.version >= VERSION_BINARY_SCORES else RDB_ZSET

    # Values in plain types

    cdef int string(self, const char* data, size_t size) except -1:
        self.kind = KIND_STRING
        if not self.raw:
            self.open_record(RDB_STRING)
            put_string(&self.out, data, size, self.compress)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        if self.raw:
            return 0
        if kind == KIND_MODULE or kind == KIND_ARRAY:
            self.dropped = True
            self.lose("arrays" if kind == KIND_ARRAY else "module values")
        elif kind == KIND_STREAM and self.version < VERSION_STREAMS:
            self.dropped = True
            self.lose("streams")
        elif count >= 0 and kind != KIND_STREAM and not is_timed_hash(self.record.type):
            # Known beforehand: the elements need not wait for the last of them.
            self.counted = True
            self.open_record(self.plain_type())
            put_length(&self.out, <uint64_t>count)
        return 0

    cdef Buffer* place(self) noexcept:
        self.count += 1
        return &self.out if self.counted else &self.body

    cdef int item(self, const char* data, size_t size) except -1:
        if self.raw:
            return 0
        put_string(self.place(), data, size, self.compress)
        return self.spill() if self.counted else 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        cdef Buffer* out
        if self.raw:
            return 0
        if expire_ms != NO_FIELD_TIME and not self.timed:
            if self.version < (VERSION_VALKEY if self.valkey else VERSION_FIELD_TIMES):
                if not self.lossy:
                    self.lossy = True
                    self.lose("expire times of hash fields")
                expire_ms = NO_FIELD_TIME
            else:
                self.begin_timed_hash()
        if self.timed:
            self.fields.append((PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size),
                                PyBytes_FromStringAndSize(data, <Py_ssize_t>size), expire_ms))
            return 0
        if not self.counted and self.may_be_timed():
            # Kept apart until it is clear whether any field has a time.
            if self.fields is None:
                self.fields = []
            self.fields.append((PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size),
                                PyBytes_FromStringAndSize(data, <Py_ssize_t>size), NO_FIELD_TIME))
        out = self.place()
        put_string(out, name, name_size, self.compress)
        put_string(out, data, size, self.compress)
        return self.spill() if self.counted else 0

    cdef bint may_be_timed(self) noexcept:
        return self.version >= VERSION_FIELD_TIMES and is_timed_hash(self.record.type)

    cdef int begin_timed_hash(self) except -1:
        self.timed = True
        if self.fields is None:
            self.fields = []
        return 0

    cdef int put_timed_hash(self) except -1:
        cdef int64_t expire_ms
        cdef bytes name, data
        self.open_record(RDB_VALKEY_HASH_TIMED if self.valkey else RDB_HASH_TIMED)
        earliest = min(when for _, _, when in self.fields if when != NO_FIELD_TIME)
        if not self.valkey:
            expire_ms = earliest
            buffer_append(&self.out, &expire_ms, 8)
        put_length(&self.out, <uint64_t>len(self.fields))
        for name, data, when in self.fields:
            expire_ms = when
            if not self.valkey:
                put_length(&self.out, 0 if when == NO_FIELD_TIME else <uint64_t>(when - earliest + 1))
            put_string(&self.out, <const char*>name, <size_t>len(name), self.compress)
            put_string(&self.out, <const char*>data, <size_t>len(data), self.compress)
            if self.valkey:
                buffer_append(&self.out, &expire_ms, 8)
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        cdef Buffer* out
        cdef char digits[48]
        cdef int length
        if self.raw:
            return 0
        out = self.place()
        put_string(out, data, size, self.compress)
        if self.version >= VERSION_BINARY_SCORES:
            put_double(out, score)
        elif score - score != 0:          # an infinity
            buffer_append_byte(out, SCORE_INFINITY if score > 0 else SCORE_MINUS_INFINITY)
        else:
            length = format_double(digits, score)
            buffer_append_byte(out, <uint8_t>length)
            buffer_append(out, digits, <size_t>length)
        return self.spill() if self.counted else 0

    # Streams: their nodes are the same in all versions, what stands behind them is not.

    cdef int node(self, StreamId master, const char* data, size_t size) except -1:
        if self.raw or self.dropped:
            return 0
        self.count += 1
        put_length(&self.body, STREAM_ID_BYTES)
        put_raw_id(&self.body, master)
        put_string(&self.body, data, size, self.compress)
        return 0

    cdef int put_id(self, entry_id) except -1:
        put_length(&self.out, entry_id[0])
        put_length(&self.out, entry_id[1])
        return 0

    cdef int put_raw(self, bytes data) except -1:
        buffer_append(&self.out, <const char*>data, <size_t>len(data))
        return 0

    cdef int put_name(self, bytes name) except -1:
        put_string(&self.out, <const char*>name, <size_t>len(name), False)
        return 0

    cdef int stream_tail(self, tail) except -1:
        if self.raw or self.dropped:
            return 0
        if self.version < VERSION_STREAM_COUNTERS and not derivable(tail):
            self.lose("counters of streams and their groups")
        self.open_record(stream_type(self.version))
        put_length(&self.out, <uint64_t>self.count)
        buffer_append(&self.out, self.body.data, self.body.length)
        put_length(&self.out, tail.length)
        self.put_id(tail.last_id)
        if self.version >= VERSION_STREAM_COUNTERS:
            self.put_id(tail.first_id)
            self.put_id(tail.max_deleted_id)
            put_length(&self.out, tail.entries_added)
        put_length(&self.out, <uint64_t>len(tail.groups))
        for group in tail.groups:
            self.put_group(group)
        return 0

    cdef int put_group(self, group) except -1:
        self.put_name(group.name)
        self.put_id(group.last_id)
        if self.version >= VERSION_STREAM_COUNTERS:
            put_length(&self.out, <uint64_t>-1 if group.entries_read is None else group.entries_read)
        owned = {entry_id: state for entry_id, state in group.pending.items() if entry_id in group.owners}
        if len(owned) < len(group.pending):
            self.lose("pending entries of streams that no consumer has")
        put_length(&self.out, <uint64_t>len(owned))
        for entry_id, (when, times) in owned.items():
            self.put_raw(raw_id_bytes(entry_id) + when.to_bytes(8, "little", signed=True))
            put_length(&self.out, times)
        put_length(&self.out, <uint64_t>len(group.consumers))
        for consumer in group.consumers:
            self.put_name(consumer.name)
            self.put_raw(consumer.seen_ms.to_bytes(8, "little", signed=True))
            if self.version >= VERSION_STREAM_ACTIVITY:
                self.put_raw(consumer.active_ms.to_bytes(8, "little", signed=True))
            put_length(&self.out, <uint64_t>len(consumer.pending))
            for entry_id in consumer.pending:
                self.put_raw(raw_id_bytes(entry_id))
        return 0


def derivable(tail):
    """Whether a loader finds the counters that type 15 has no room for."""
    return (
        tail.max_deleted_id == (0, 0) and tail.entries_added == tail.length
        and all(group.entries_read == entries_read_of(tail, group.last_id) for group in tail.groups)
    )


def raw_id_bytes(entry_id):
    return entry_id[0].to_bytes(8, "big") + entry_id[1].to_bytes(8, "big")
