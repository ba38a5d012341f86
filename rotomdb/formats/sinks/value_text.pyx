"""A sink that writes one value at a time as text, for people and for cells of tables."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.buffer cimport buffer_append
from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.sinks.json cimport JsonSink
from rotomdb.formats.sinks.sink cimport KIND_MODULE, KIND_STREAM, KIND_STRING


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
