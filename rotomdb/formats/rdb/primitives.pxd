from libc.stdint cimport uint64_t

from rotomdb.engine.buffer cimport Buffer
from rotomdb.formats.rdb.cursor cimport Cursor

cdef class RdbCursor:
    cdef object owner
    cdef Py_buffer view
    cdef Cursor cursor
    cdef Buffer scratch[2]                # inflated or printed strings; two may be alive at once
    cdef char number[2][32]
    # Raises the recorded error.
    cdef int fail(self) except -1
    # The readers return False with the error recorded in the cursor.
    cdef bint length(self, uint64_t* value, int* encoding) noexcept
    cdef bint plain_length(self, uint64_t* value) noexcept
    cdef bint text(self, int slot, const char** data, size_t* size) noexcept
    cdef bint skip_text(self) noexcept
    cdef bint skip_texts(self, uint64_t count) noexcept
    cdef bint skip_lengths(self, int count) noexcept
