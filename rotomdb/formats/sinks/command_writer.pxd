from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.sinks.text cimport TextSink

cdef class CommandWriter(TextSink):
    cdef bint as_lines, replace
    cdef int64_t database                 # that is selected; -1: none yet
    cdef readonly int64_t commands
    cdef void open_command(self, Buffer* out, int64_t words) noexcept
    cdef void word(self, Buffer* out, const char* data, size_t size) noexcept
    cdef void close_command(self) noexcept
    cdef void literal(self, const char* text) noexcept
    cdef void integer(self, Buffer* out, int64_t value) noexcept
    cdef void key(self) noexcept
    cdef int select(self) except -1
    # The value that was just walked over, as DUMP gives it.
    cdef bytes dump_payload(self)
