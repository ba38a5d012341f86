from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer

cdef void put_command(Buffer* out, PyObject** arguments, int count) noexcept

cdef class PropagationStream:
    cdef Buffer buffer
    cdef public int selected              # database that the bytes so far leave selected; -1: none
    cdef bint other_database              # whether the file has selected one other than 0
    cdef Buffer for_replicas
    cdef public int64_t replica_offset    # of the history that replicas follow
    cdef public int64_t offset            # bytes of commands ever fed
    cdef public bint timestamps
    cdef public int64_t last_timestamp
    cdef bint logged, replicated, silent
    cdef readonly bint wanted             # whether anybody reads what is fed
    cdef public int64_t cut_every         # bytes; 0: never
    cdef int64_t last_cut
    cdef bint in_transaction
    cdef list cuts
    cdef void settle(self) noexcept
    cdef void append(self, const char* data, size_t length) noexcept
    cdef int consider_cut(self) except -1
    cdef void prepare(self, int database, int64_t now_ms) noexcept
    cdef int feed(self, int database, PyObject** arguments, int count, int64_t now_ms) except -1
