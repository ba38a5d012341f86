from libc.stdint cimport uint64_t

from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.sinks.sink cimport ValueSink

# A digest of each value.
cdef class DigestSink(ValueSink):
    cdef readonly uint64_t digest
    cdef int kind
    cdef uint64_t position
    cdef Buffer joined
    cdef readonly uint64_t elements
    cdef uint64_t mix(self, const char* data, size_t size, const void* more, size_t more_size) noexcept
