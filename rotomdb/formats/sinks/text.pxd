from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.sinks.sink cimport ValueSink

# Collects output and hands it on in pieces.
cdef class TextSink(ValueSink):
    cdef Buffer out
    cdef object write                     # takes bytes
    cdef size_t key_start                 # where the record in hand begins in `out`
    cdef public int rdb_version           # of the file, for payloads
    cdef bint key_split                   # a part of it has left already
    cdef int spill(self) except -1
