"""What a walk over an RDB is for: the interface that every sink has, and the base that takes everything and does nothing.

A walker calls begin_key, then what the value consists of, then end_key; abandon_key where the value is damaged. In between
`record` tells of the key in hand. A sink knows no walker.
"""

from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.id_map cimport StreamId


cdef class ValueSink:
    """The base of all sinks: takes everything and does nothing."""

    cdef int begin_key(self) except -1:
        return 0

    cdef int end_key(self) except -1:
        return 0

    cdef int abandon_key(self) except -1:
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        return 0

    cdef int packed(self, size_t size, int64_t count) except -1:
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        return 0

    cdef int node(self, StreamId master, const char* data, size_t size) except -1:
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        return 0

    cdef int end_entry(self) except -1:
        return 0

    cdef int tail_ahead(self, tail) except -1:
        return 0

    cdef int stream_tail(self, tail) except -1:
        return 0

    cdef int module(self, name) except -1:
        return 0
