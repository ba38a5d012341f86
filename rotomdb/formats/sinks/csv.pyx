"""A sink that writes records as lines of CSV, with the JSON of what is no string."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from rotomdb.engine.buffer cimport buffer_append, buffer_append_byte, buffer_reserve
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.sinks.json cimport JsonSink
from rotomdb.formats.sinks.json_text cimport FORM_AUTO, is_text, put_encoded, put_unquoted
from rotomdb.formats.sinks.sink cimport KIND_MODULE, KIND_STREAM, KIND_STRING
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, TYPE_NAMES
from rotomdb.formats.sinks.json import FORM_NAMES

CSV_COLUMNS = (
    "db", "key", "type", "encoding", "ttl_ms_absolute", "lru_idle_s", "lfu_freq", "value", "field_ttls_ms_absolute",
    "keys_as", "values_as",
)


cdef bint looks_encoded(const char* data, size_t size) noexcept nogil:
    """Whether text could be taken for bytes that are no text."""
    return size >= 7 and memcmp(data, b'{"b64":', 7) == 0


cdef class CsvSink(JsonSink):
    """Records as lines of CSV (RFC 4180). Text is as it is; what is no string is the JSON of JsonSink, in one cell.

    A cell that is open is quoted piece by piece, before it leaves: no value is ever held whole.
    """

    cdef size_t cell_start                # of what has not been quoted yet
    cdef bint in_cell
    cdef bytes columns_behind             # the forms

    def __cinit__(self, write, int key_form=FORM_AUTO, int value_form=FORM_AUTO, *ignored):
        self.columns_behind = f",{FORM_NAMES[key_form]},{FORM_NAMES[value_form]}\r\n".encode()

    def header(self):
        self.put(",".join(CSV_COLUMNS).encode() + b"\r\n")

    cdef void open_cell(self) noexcept:
        buffer_append_byte(&self.out, c'"')
        self.cell_start = self.out.length
        self.in_cell = True

    cdef void quote(self) noexcept:
        """Double the quotes of what was added to the open cell."""
        cdef size_t at, end = self.out.length, quotes = 0
        cdef size_t to
        cdef char* data
        for at in range(self.cell_start, end):
            quotes += self.out.data[at] == c'"'
        if quotes:
            buffer_reserve(&self.out, quotes)
            data = self.out.data
            to = self.out.length = end + quotes
            at = end
            while to > at:
                at -= 1
                to -= 1
                data[to] = data[at]
                if data[at] == c'"':
                    to -= 1
                    data[to] = c'"'
        self.cell_start = self.out.length

    cdef void close_cell(self) noexcept:
        self.quote()
        buffer_append_byte(&self.out, c'"')
        self.in_cell = False

    def flush(self):
        if self.in_cell:
            self.quote()
        TextSink.flush(self)
        self.cell_start = 0

    cdef void cell_of_bytes(self, const char* data, size_t size, int form) noexcept:
        self.open_cell()
        if form == FORM_AUTO and not looks_encoded(data, size) and is_text(<const uint8_t*>data, size):
            buffer_append(&self.out, data, size)
        elif form == FORM_AUTO:
            put_encoded(&self.out, data, size)
        else:
            put_unquoted(&self.out, data, size, form)
        self.close_cell()

    cdef int begin_key(self) except -1:
        cdef int type = self.record.type
        TextSink.begin_key(self)
        self.integer(&self.out, <int64_t>self.record.database)
        self.text(b",")
        self.cell_of_bytes(self.record.key, self.record.key_length, self.key_form)
        self.put(f",{LOGICAL_TYPES[type]},{TYPE_NAMES[type]},".encode())
        if self.record.expire_ms != NO_EXPIRE:
            self.integer(&self.out, self.record.expire_ms)
        self.text(b",")
        if self.record.idle_seconds >= 0:
            self.integer(&self.out, self.record.idle_seconds)
        self.text(b",")
        if self.record.frequency >= 0:
            self.integer(&self.out, self.record.frequency)
        self.text(b",")
        self.kind = KIND_STRING
        self.elements = 0
        self.times.length = 0
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.cell_of_bytes(data, size, self.value_form)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        if kind != KIND_MODULE:
            self.open_cell()
        return JsonSink.begin(self, kind, count)

    cdef int end_key(self) except -1:
        if self.kind != KIND_STRING and self.kind != KIND_MODULE:
            self.text(b"}" if self.kind == KIND_STREAM else b"]")
            self.close_cell()
        self.text(b",")
        if self.times.length:
            self.open_cell()
            self.text(b"[")
            buffer_append(&self.out, self.times.data, self.times.length - 1)
            self.text(b"]")
            self.close_cell()
        self.put(self.columns_behind)
        self.written = True
        return 0

    cdef int module(self, name) except -1:
        self.unsupported += 1
        return 0

    def function(self, bytes code not None):
        """A row for a function library."""
        self.spill()
        self.put(b",,function,,,,,")
        self.cell_of_bytes(<const char*>code, <size_t>len(code), FORM_AUTO)
        self.put(b",,,\r\n")
