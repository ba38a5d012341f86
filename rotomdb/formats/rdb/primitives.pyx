"""Reading RDB bytes: lengths and strings in all their forms, with every length checked before it is used.

Source of the encodings: docs/formats.md, sections 1.4 and 1.5.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport buffer_release, buffer_try_reserve
from rotomdb.formats.rdb.format cimport (
    LENGTH_14_BITS, LENGTH_32_BITS, LENGTH_64_BITS, LENGTH_LOW_BITS, STRING_ENCODED, STRING_INT16, STRING_INT32,
    STRING_INT8, STRING_LZF,
)
from rotomdb.formats.rdb.cursor cimport CURSOR_TRUNCATED, CURSOR_UNSUPPORTED, cursor_fail, cursor_take
from rotomdb.formats.rdb.lzf cimport lzf_decompress, lzf_inflated_size
from rotomdb.engine.number cimport format_int64

from rotomdb.errors import RdbTruncatedError, RdbUnsupportedTypeError, RdbValueError

cdef enum:
    TEXT_MAX = 0xffffffff             # bytes: what holds a string keeps its length in 32 bits

cdef extern from "platform.h" nogil:
    uint32_t bswap32 "__builtin_bswap32"(uint32_t value)
    uint64_t bswap64 "__builtin_bswap64"(uint64_t value)


cdef class RdbCursor:
    """Walks a buffer front to back. `position` is the offset of the next byte."""

    def __cinit__(self, data, *ignored):
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)
        self.owner = data
        self.cursor.base = <const uint8_t*>self.view.buf
        self.cursor.size = <size_t>self.view.len

    def __dealloc__(self):
        buffer_release(&self.scratch[0])
        buffer_release(&self.scratch[1])
        PyBuffer_Release(&self.view)

    def close(self):
        """Let go of the buffer, so that a mapping can be closed."""
        PyBuffer_Release(&self.view)
        self.cursor.size = 0
        self.cursor.position = 0
        self.owner = None

    @property
    def position(self):
        return self.cursor.position

    @position.setter
    def position(self, size_t offset):
        self.cursor.position = offset if offset < self.cursor.size else self.cursor.size

    cdef int fail(self) except -1:
        reason = self.cursor.error.decode()
        offset = self.cursor.error_offset
        kind = self.cursor.error_kind
        self.cursor.error = NULL
        if kind == CURSOR_TRUNCATED:
            raise RdbTruncatedError(offset, reason)
        if kind == CURSOR_UNSUPPORTED:
            raise RdbUnsupportedTypeError(offset, reason)
        raise RdbValueError(offset, reason)

    cdef bint length(self, uint64_t* value, int* encoding) noexcept:
        """A length; *encoding is -1, or the string encoding when the lead byte announces one."""
        cdef const uint8_t* p = cursor_take(&self.cursor, 1)
        cdef uint32_t wide
        cdef uint64_t widest
        cdef uint8_t lead
        if p == NULL:
            return False
        lead = p[0]
        encoding[0] = -1
        if lead < LENGTH_14_BITS:
            value[0] = lead
            return True
        if lead < LENGTH_32_BITS:
            p = cursor_take(&self.cursor, 1)
            if p == NULL:
                return False
            value[0] = (<uint64_t>(lead & LENGTH_LOW_BITS) << 8) | p[0]
            return True
        if lead == LENGTH_32_BITS:
            p = cursor_take(&self.cursor, 4)
            if p == NULL:
                return False
            memcpy(&wide, p, 4)
            value[0] = bswap32(wide)
            return True
        if lead == LENGTH_64_BITS:
            p = cursor_take(&self.cursor, 8)
            if p == NULL:
                return False
            memcpy(&widest, p, 8)
            value[0] = bswap64(widest)
            return True
        if lead >= STRING_ENCODED:
            encoding[0] = lead & LENGTH_LOW_BITS
            return True
        return cursor_fail(&self.cursor, "unknown length encoding", self.cursor.position - 1)

    cdef bint plain_length(self, uint64_t* value) noexcept:
        cdef size_t start = self.cursor.position
        cdef int encoding
        if not self.length(value, &encoding):
            return False
        if encoding >= 0:
            return cursor_fail(&self.cursor, "string encoding where a length was expected", start)
        return True

    cdef bint text(self, int slot, const char** data, size_t* size) noexcept:
        """A string in any encoding; the bytes live until the next text() into the same slot."""
        cdef size_t start = self.cursor.position
        cdef uint64_t count, packed
        cdef int encoding
        cdef const uint8_t* p
        cdef int8_t i8
        cdef int16_t i16
        cdef int32_t i32
        cdef char* room
        if not self.length(&count, &encoding):
            return False
        if encoding < 0:
            if count > TEXT_MAX and count <= self.cursor.size - self.cursor.position:
                return cursor_fail(&self.cursor, "string of more than 4 GB", start)
            p = cursor_take(&self.cursor, count)
            if p == NULL:
                return False
            data[0] = <const char*>p
            size[0] = count
            return True
        if encoding <= STRING_INT32:
            p = cursor_take(&self.cursor, <uint64_t>1 << encoding)
            if p == NULL:
                return False
            if encoding == STRING_INT8:
                memcpy(&i8, p, 1)
                i32 = i8
            elif encoding == STRING_INT16:
                memcpy(&i16, p, 2)
                i32 = i16
            else:
                memcpy(&i32, p, 4)
            data[0] = self.number[slot]
            size[0] = <size_t>format_int64(self.number[slot], i32)
            return True
        if encoding != STRING_LZF:
            return cursor_fail(&self.cursor, "unknown string encoding", start)
        if not self.plain_length(&packed) or not self.plain_length(&count):
            return False
        p = cursor_take(&self.cursor, packed)
        if p == NULL:
            return False
        # A claim that the tokens do not make good is refused before memory is taken for it.
        if count == 0 or count > TEXT_MAX or count != lzf_inflated_size(p, packed):
            return cursor_fail(&self.cursor, "impossible length of a compressed string", start)
        room = buffer_try_reserve(&self.scratch[slot], count)
        if room == NULL:
            return cursor_fail(&self.cursor, "no memory for a compressed string", start)
        if not lzf_decompress(p, packed, <uint8_t*>room, count):
            return cursor_fail(&self.cursor, "corrupt compressed string", start)
        data[0] = room
        size[0] = count
        return True

    def read_bytes(self, uint64_t count):
        cdef const uint8_t* p = cursor_take(&self.cursor, count)
        if p == NULL:
            self.fail()
        return PyBytes_FromStringAndSize(<const char*>p, <Py_ssize_t>count)

    def read_length(self):
        cdef uint64_t value = 0
        if not self.plain_length(&value):
            self.fail()
        return value

    def read_string(self):
        cdef const char* data
        cdef size_t size
        if not self.text(0, &data, &size):
            self.fail()
        return PyBytes_FromStringAndSize(data, <Py_ssize_t>size)

    cdef bint skip_text(self) noexcept:
        cdef uint64_t count, packed
        cdef int encoding
        cdef size_t start = self.cursor.position
        if not self.length(&count, &encoding):
            return False
        if encoding < 0:
            return cursor_take(&self.cursor, count) != NULL
        if encoding <= STRING_INT32:
            return cursor_take(&self.cursor, <uint64_t>1 << encoding) != NULL
        if encoding == STRING_LZF:
            return (self.plain_length(&packed) and self.plain_length(&count)
                    and cursor_take(&self.cursor, packed) != NULL)
        return cursor_fail(&self.cursor, "unknown string encoding", start)

    cdef bint skip_texts(self, uint64_t count) noexcept:
        for _ in range(count):
            if not self.skip_text():
                return False
        return True

    cdef bint skip_lengths(self, int count) noexcept:
        cdef uint64_t value
        for _ in range(count):
            if not self.plain_length(&value):
                return False
        return True
