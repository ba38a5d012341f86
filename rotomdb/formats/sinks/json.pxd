from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.sinks.text cimport TextSink

# Records as JSON; other notations that have lists, pairs and numbers derive from it.
cdef class JsonSink(TextSink):
    cdef int key_form, value_form
    cdef char opening, closing            # around a pair
    cdef bytes nothing                    # null
    cdef bytes separator
    cdef bytes forms                      # said in each record where they are not the usual ones
    cdef int kind
    cdef bint first
    cdef readonly bint written            # any record
    cdef int64_t elements
    cdef Buffer times                     # of fields
    cdef dict heads                       # the beginning of a record, by type
    cdef readonly int64_t unsupported     # values that cannot be shown
    cdef void text(self, const char* data) noexcept
    cdef void integer(self, Buffer* out, int64_t value) noexcept
    cdef void put_bytes(self, Buffer* out, const char* data, size_t size) noexcept
    cdef void value(self, const char* data, size_t size) noexcept
    cdef void couple(self, const char* name, size_t name_size, const char* data, size_t size) noexcept
    cdef void field_time(self, const char* name, size_t name_size, int64_t expire_ms) noexcept
    cdef void number(self, const char* digits) noexcept
    cdef void comma(self) noexcept
    cdef int put_python(self, bytes data) except -1
    cdef int group(self, group, int64_t number) except -1
