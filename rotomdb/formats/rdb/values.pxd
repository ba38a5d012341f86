from libc.stdint cimport uint8_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.rdb.records cimport RdbRecords
from rotomdb.formats.sinks.sink cimport ValueSink

cdef class RdbValues(RdbRecords):
    cdef StreamId first_entry             # of the stream in hand
    cdef bint entry_seen
    # Each returns False with the error recorded in the cursor.
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
