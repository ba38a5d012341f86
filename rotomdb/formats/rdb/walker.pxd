from libc.stdint cimport int64_t

from rotomdb.formats.rdb.selection cimport Selection
from rotomdb.formats.rdb.values cimport RdbValues
from rotomdb.formats.sinks.sink cimport ValueSink

cdef class RdbWalker(RdbValues):
    cdef readonly int64_t keys, expires, expired, selected
    cdef public int64_t now_ms            # what counts as expired
    cdef public bint dragonfly            # its numbers for value types clash with Redis's
    cdef readonly size_t previous_start   # of the record before
    cdef int64_t strange_keys             # so far, that have control characters
    cdef bint find_record(self) except -1
    cdef int take_value(self, ValueSink sink) except -1
    cdef bint is_wanted(self, Selection selection) except -1
