from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.rdb.record cimport Record

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
    cdef const Record* record            # the key in hand, from begin_key to end_key or abandon_key; else NULL
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
