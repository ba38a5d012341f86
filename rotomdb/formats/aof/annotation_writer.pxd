from libc.stdint cimport int64_t

cdef class BlockWriter:
    cdef readonly int64_t size              # bytes in the open block
    cdef readonly object checksum           # of them, as an int: CRC64
    cdef int64_t started_ms
    cdef int64_t synced_written             # what the last #SYNCED line said; -1: the file has none yet
    cpdef begin_block(self)
    cpdef bint stands_alone(self, bytes data)
    cpdef bytes add(self, bytes data, int64_t synced, int64_t now_ms)
    cpdef bytes add_all(self, bytes data, list cuts, int64_t synced, int64_t now_ms)
    cpdef count(self, bytes data)
    cpdef bint due(self, int64_t now_ms)
    cpdef bint full(self, Py_ssize_t written)
    cpdef bytes end(self)
