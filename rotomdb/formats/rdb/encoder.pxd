from libc.stdint cimport uint64_t

from rotomdb.engine.buffer cimport Buffer
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport Entry

cdef void put_length(Buffer* out, uint64_t value) noexcept nogil
cdef void put_string(Buffer* out, const char* data, size_t length, bint compress) noexcept nogil
cdef void put_double(Buffer* out, double value) noexcept nogil
cdef void put_raw_id(Buffer* out, StreamId id) noexcept nogil

cdef int encode_value(Buffer* out, Entry* entry, bint compress, int version) except -1
