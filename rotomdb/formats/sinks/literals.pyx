"""Sinks that write single values as JSON text, and records as Python literals: the notations beside JSON and CSV."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte
from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.sinks.json_text cimport put_hex
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.sinks.values cimport JsonSink, TextSink
from rotomdb.formats.rdb.walker cimport KIND_MODULE, KIND_STREAM, KIND_STRING

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES


cdef class ValueText(JsonSink):
    """The value that was visited last, in `take()`: a string's bytes as they are, of any other its JSON.

    Attributes:
        limit: So many bytes are enough; 0: all.
        module_name: Whose value it is; None: no module's.
    """

    cdef public size_t limit
    cdef readonly object module_name

    cdef bint enough(self) noexcept:
        return self.limit != 0 and self.out.length > self.limit

    def take(self):
        text = PyBytes_FromStringAndSize(self.out.data, <Py_ssize_t>self.out.length) if self.out.length else b""
        self.out.length = 0
        return text

    cdef int spill(self) except -1:
        return 0

    cdef int begin_key(self) except -1:
        self.out.length = self.times.length = 0
        self.kind = KIND_STRING
        self.elements = 0
        self.module_name = None
        return 0

    cdef int end_key(self) except -1:
        if self.kind != KIND_STRING and self.kind != KIND_MODULE:
            self.text(b"}" if self.kind == KIND_STREAM else b"]")
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        buffer_append(&self.out, data, min(size, self.limit + 1) if self.limit else size)
        return 0

    cdef void value(self, const char* data, size_t size) noexcept:
        # Cut, it may end inside a character: nobody sees so far.
        self.put_bytes(&self.out, data, min(size, self.limit + 1) if self.limit else size)

    cdef void field_time(self, const char* name, size_t name_size, int64_t expire_ms) noexcept:
        pass

    cdef int item(self, const char* data, size_t size) except -1:
        return 0 if self.enough() else JsonSink.item(self, data, size)

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        return 0 if self.enough() else JsonSink.pair(self, name, name_size, data, size, expire_ms)

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return 0 if self.enough() else JsonSink.scored(self, data, size, score)

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        return 0 if self.enough() else JsonSink.cell(self, index, data, size)

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        return 0 if self.enough() else JsonSink.begin_entry(self, id, fields)

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        return 0 if self.enough() else JsonSink.entry_field(self, name, name_size, data, size)

    cdef int end_entry(self) except -1:
        return 0 if self.enough() else JsonSink.end_entry(self)

    cdef int stream_tail(self, tail) except -1:
        return 0 if self.enough() else JsonSink.stream_tail(self, tail)

    cdef int module(self, name) except -1:
        self.module_name = name
        self.unsupported += 1
        return 0


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
        cdef int type = self.walker.reading_type
        TextSink.begin_key(self)
        self.text(b"(")
        self.integer(&self.out, <int64_t>self.walker.database)
        self.text(b",")
        put_literal(&self.out, <const uint8_t*>self.walker.held_key, self.walker.held_length)
        self.put(f",'{LOGICAL_TYPES[type]}',".encode())
        if self.walker.expire_ms == NO_EXPIRE:
            self.text(b"None")
        else:
            self.integer(&self.out, self.walker.expire_ms)
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
