"""A sink that writes records as Python literals."""

from libc.stdint cimport int64_t, uint8_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.sinks.json cimport JsonSink
from rotomdb.formats.sinks.json_text cimport put_hex
from rotomdb.formats.sinks.sink cimport KIND_MODULE, KIND_STREAM, KIND_STRING
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES


cdef inline bint stands_for_itself(uint8_t c) noexcept nogil:
    return 0x20 <= c < 0x7F and c != c"'" and c != c"\\"


cdef void put_literal(Buffer* out, const uint8_t* data, size_t size) noexcept nogil:
    """Bytes as Python writes them."""
    cdef size_t at = 0, run
    buffer_append(out, b"b'", 2)
    while at < size:
        run = at
        while run < size and stands_for_itself(data[run]):
            run += 1
        buffer_append(out, data + at, run - at)
        at = run
        if at == size:
            break
        if data[at] == c"'" or data[at] == c"\\":
            buffer_append_byte(out, c"\\")
            buffer_append_byte(out, data[at])
        elif data[at] == c"\n":
            buffer_append(out, b"\\n", 2)
        elif data[at] == c"\r":
            buffer_append(out, b"\\r", 2)
        elif data[at] == c"\t":
            buffer_append(out, b"\\t", 2)
        else:
            buffer_append(out, b"\\x", 2)
            put_hex(out, data + at, 1)
        at += 1
    buffer_append_byte(out, c"'")


cdef class PythonSink(JsonSink):
    """Records as Python literals, one a line: (db, key, type, expire time, value, [(field, time), ...]), bytes as bytes."""

    def __cinit__(self, write, *ignored):
        self.opening, self.closing = c"(", c")"
        self.nothing = b"None"

    cdef void put_bytes(self, Buffer* out, const char* data, size_t size) noexcept:
        put_literal(out, <const uint8_t*>data, size)

    cdef void number(self, const char* digits) noexcept:
        cdef const char* sign = b"-" if digits[0] == c"-" else b""
        if digits[1 if digits[0] == c"-" else 0] == c"i":
            self.text(sign)
            self.text(b"1e999")           # `inf` would be a name
        else:
            self.text(digits)

    cdef int begin_key(self) except -1:
        cdef int type = self.record.type
        TextSink.begin_key(self)
        self.text(b"(")
        self.integer(&self.out, <int64_t>self.record.database)
        self.text(b",")
        put_literal(&self.out, <const uint8_t*>self.record.key, self.record.key_length)
        self.put(f",'{LOGICAL_TYPES[type]}',".encode())
        if self.record.expire_ms == NO_EXPIRE:
            self.text(b"None")
        else:
            self.integer(&self.out, self.record.expire_ms)
        self.text(b",")
        self.kind = KIND_STRING
        self.elements = 0
        self.times.length = 0
        return 0

    cdef int end_key(self) except -1:
        if self.kind != KIND_STRING and self.kind != KIND_MODULE:
            self.text(b"}" if self.kind == KIND_STREAM else b"]")
        self.text(b",[")
        if self.times.length:
            buffer_append(&self.out, self.times.data, self.times.length - 1)
        self.text(b"])\n")
        self.written = True
        return 0

    cdef int module(self, name) except -1:
        self.unsupported += 1
        self.text(b"None")
        return 0

    def function(self, bytes code not None):
        """A row for a function library."""
        self.text(b"(0,b'','function',None,")
        put_literal(&self.out, <const uint8_t*><const char*>code, <size_t>len(code))
        self.text(b",[])\n")
        self.spill()
