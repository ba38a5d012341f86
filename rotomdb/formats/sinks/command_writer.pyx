"""What sinks that make commands have in common: words as RESP or as lines that a person types, SELECT, DUMP payloads."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport strlen

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_reserve
from rotomdb.engine.number cimport format_int64
from rotomdb.formats.resp.resp cimport put_bulk, put_number
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.rdb.dump_payload import seal

cdef const char* HEX_DIGITS = "0123456789abcdef"


cdef void put_quoted(Buffer* out, const char* data, size_t size) noexcept:
    """A word as redis-cli reads it: bare where that is unambiguous, else in double quotes with escapes."""
    cdef size_t i
    cdef uint8_t c
    cdef char* room
    cdef bint bare = size > 0
    for i in range(size):
        c = <uint8_t>data[i]
        if not (c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9' or c == c':' or c == c'_' or c == c'-'
                or c == c'.' or c == c'{' or c == c'}' or c == c'/' or c == c'+'):
            bare = False
            break
    if bare:
        buffer_append(out, data, size)
        return
    buffer_append_byte(out, c'"')
    for i in range(size):
        c = <uint8_t>data[i]
        if c == c'"' or c == c'\\':
            buffer_append_byte(out, c'\\')
            buffer_append_byte(out, c)
        elif c == c'\n':
            buffer_append(out, b"\\n", 2)
        elif c == c'\r':
            buffer_append(out, b"\\r", 2)
        elif c == c'\t':
            buffer_append(out, b"\\t", 2)
        elif 0x20 <= c < 0x7f:
            buffer_append_byte(out, c)
        else:
            buffer_append(out, b"\\x", 2)
            room = buffer_reserve(out, 2)
            room[0] = HEX_DIGITS[c >> 4]
            room[1] = HEX_DIGITS[c & 15]
            out.length += 2
    buffer_append_byte(out, c'"')


cdef class CommandWriter(TextSink):
    """
    Args:
        write: Takes bytes, in pieces of about 64 KB.
        text: Lines as a person types them instead of RESP.
        replace: What the key held before goes.
    """

    def __cinit__(self, write, bint text=False, bint replace=False):
        self.as_lines = text
        self.replace = replace
        self.database = -1

    cdef void open_command(self, Buffer* out, int64_t words) noexcept:
        self.commands += 1
        if not self.as_lines:
            put_number(out, c'*', words)

    cdef void word(self, Buffer* out, const char* data, size_t size) noexcept:
        if self.as_lines:
            if out.length and out.data[out.length - 1] != c'\n':
                buffer_append_byte(out, c' ')
            put_quoted(out, data, size)
        else:
            put_bulk(out, data, size)

    cdef void close_command(self) noexcept:
        if self.as_lines:
            buffer_append_byte(&self.out, c'\n')

    cdef void literal(self, const char* text) noexcept:
        self.word(&self.out, text, strlen(text))

    cdef void integer(self, Buffer* out, int64_t value) noexcept:
        cdef char digits[24]
        self.word(out, digits, <size_t>format_int64(digits, value))

    cdef void key(self) noexcept:
        self.word(&self.out, self.record.key, self.record.key_length)

    def command(self, *words):
        """One whole command, of bytes."""
        self.open_command(&self.out, len(words))
        for word in words:
            self.word(&self.out, <const char*>(<bytes>word), <size_t>len(word))
        self.close_command()

    cdef int select(self) except -1:
        if self.database != <int64_t>self.record.database:
            self.database = <int64_t>self.record.database
            self.command(b"SELECT", b"%d" % self.database)
        return 0

    cdef int abandon_key(self) except -1:
        self.database = -1
        return TextSink.abandon_key(self)

    cdef bytes dump_payload(self):
        cdef size_t start = self.record.value_start
        return seal(bytes([self.record.type]) + PyBytes_FromStringAndSize(
            <const char*>self.record.base + start, <Py_ssize_t>(self.record.end - start)
        ), self.rdb_version)
