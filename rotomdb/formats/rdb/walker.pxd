from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.rdb.records cimport RdbRecords

cdef enum ValueKind:
    KIND_STRING
    KIND_LIST
    KIND_SET
    KIND_HASH
    KIND_ZSET
    KIND_STREAM
    KIND_ARRAY
    KIND_MODULE

cdef enum:
    NO_FIELD_TIME = -1

# What a walker tells about each value, piece by piece, in the order of the file. The bytes live until the call returns.
cdef class ValueSink:
    cdef RdbWalker walker
    cdef bint looks_ahead                 # wants `tail_ahead` before the entries of a stream
    cdef bint skips_elements              # packed values need no more than `packed`
    cdef int begin_key(self) except -1
    cdef int end_key(self) except -1
    cdef int abandon_key(self) except -1  # its value is damaged
    cdef int string(self, const char* data, size_t size) except -1
    cdef int begin(self, int kind, int64_t count) except -1          # an aggregate; count: -1 where it is not known yet
    cdef int packed(self, size_t size, int64_t count) except -1      # the bytes of a packed value, or of one of its nodes
    cdef int item(self, const char* data, size_t size) except -1
    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1
    cdef int scored(self, const char* data, size_t size, double score) except -1
    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1
    cdef int node(self, StreamId master, const char* data, size_t size) except -1     # of a stream, before its entries
    cdef int begin_entry(self, StreamId id, int64_t fields) except -1
    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1
    cdef int end_entry(self) except -1
    cdef int tail_ahead(self, tail) except -1
    cdef int stream_tail(self, tail) except -1                       # a StreamTail
    cdef int module(self, name) except -1

cdef class Selection:
    cdef public object databases          # None: all
    cdef public object kinds              # names as TYPE has them; None: all
    cdef public bytes glob
    cdef public object matches            # a function of the key; None: all
    cdef public int64_t expires_from, expires_to     # ms; keys without expire time count as never
    cdef public int64_t size_from, size_to           # bytes in the file
    cdef public uint64_t sample           # of 2**32
    cdef public bint exclude              # want all others instead
    cdef public bint functions            # want function libraries, which are no keys, too
    cdef bint admits(self, RdbWalker walker) except -1
    cdef bint matches_record(self, RdbWalker walker) except -1

cdef class RdbWalker(RdbRecords):
    cdef public uint64_t database         # that the records are in
    cdef readonly int64_t keys, expires, expired, selected
    cdef public int64_t now_ms            # what counts as expired
    cdef public bint dragonfly            # its numbers for value types clash with Redis's
    cdef readonly size_t start, value_start          # of the record in hand
    cdef readonly size_t previous_start   # of the record before
    cdef StreamId first_entry             # of the stream in hand
    cdef bint entry_seen
    cdef int64_t strange_keys             # so far, that have control characters
    cdef bint is_strange(self) noexcept
    cdef bint plausible_key(self) noexcept
    cdef bint plausible_start(self, size_t offset, int highest_type) noexcept
    cdef bint find_record(self) except -1
    cdef int take_value(self, ValueSink sink) except -1
    cdef bint visit_value(self, ValueSink sink) except -1
    cdef bint visit_list(self, ValueSink sink, int type) except -1
    cdef bint visit_items(self, ValueSink sink, int kind) except -1
    cdef bint visit_pairs(self, ValueSink sink) except -1
    cdef bint visit_scored(self, ValueSink sink, int type) except -1
    cdef bint visit_packed(self, ValueSink sink, int type) except -1
    cdef bint visit_intset(self, ValueSink sink, const char* data, size_t size, size_t start) except -1
    cdef bint visit_elements(self, ValueSink sink, int kind, uint8_t* lp, size_t start) except -1
    cdef bint visit_timed_pairs(self, ValueSink sink, int type) except -1
    cdef bint visit_timed_elements(self, ValueSink sink) except -1
    cdef bint visit_array(self, ValueSink sink) except -1
    cdef bint visit_template_hash(self, ValueSink sink, int type) except -1
    cdef bint visit_stream(self, ValueSink sink, int type) except -1
    cdef bint visit_node(self, ValueSink sink, StreamId master, uint8_t* lp) except -1
    cdef object take_tail(self, int type)
    cdef object take_group(self, int type)
    cdef object take_id(self)
