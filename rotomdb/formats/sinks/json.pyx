"""A sink that writes records as JSON. Other notations that have lists, pairs and numbers derive from it."""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport strlen

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.number cimport format_int64, format_uint64
from rotomdb.formats.sinks.json_text cimport FORM_AUTO, put_json_bytes
from rotomdb.formats.sinks.sink cimport KIND_MODULE, KIND_STREAM, KIND_STRING, NO_FIELD_TIME
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, TYPE_NAMES
from rotomdb.formats.sinks.text import id_text

cdef extern from "Python.h":
    char* PyOS_double_to_string(double value, char format, int precision, int flags, int* kind) except NULL
    int Py_DTSF_ADD_DOT_0

FORM_NAMES = ("auto", "escaped", "base64", "hex")  # as formats/sinks/json_text.pxd numbers them


cdef class JsonSink(TextSink):
    """Records as JSON objects, one a line.

    Args:
        write: Takes bytes, in pieces of about 64 KB.
        key_form, value_form: A BytesForm each.
        separator: What stands between two records.
    """

    def __cinit__(self, write=None, int key_form=FORM_AUTO, int value_form=FORM_AUTO, bytes separator=b"\n"):
        self.key_form = key_form
        self.value_form = value_form
        self.opening, self.closing = c"[", c"]"
        self.nothing = b"null"
        self.separator = separator
        self.forms = b"".join(
            f',"{name}":"{FORM_NAMES[form]}"'.encode()
            for name, form in (("keys_as", key_form), ("values_as", value_form)) if form != FORM_AUTO
        )
        self.heads = {}

    def __dealloc__(self):
        buffer_release(&self.times)

    cdef void text(self, const char* data) noexcept:
        buffer_append(&self.out, data, strlen(data))

    cdef void integer(self, Buffer* out, int64_t value) noexcept:
        out.length += <size_t>format_int64(buffer_reserve(out, 24), value)

    cdef void put_bytes(self, Buffer* out, const char* data, size_t size) noexcept:
        put_json_bytes(out, data, size, self.value_form)

    cdef void value(self, const char* data, size_t size) noexcept:
        self.put_bytes(&self.out, data, size)

    cdef int begin_key(self) except -1:
        cdef int type = self.record.type
        TextSink.begin_key(self)
        if self.written:
            buffer_append(&self.out, <const char*>self.separator, <size_t>len(self.separator))
        self.text(b'{"db":')
        self.integer(&self.out, <int64_t>self.record.database)
        self.text(b',"key":')
        put_json_bytes(&self.out, self.record.key, self.record.key_length, self.key_form)
        head = self.heads.get(type)
        if head is None:
            head = f',"type":"{LOGICAL_TYPES[type]}","encoding":"{TYPE_NAMES[type]}","ttl_ms_absolute":'.encode()
            self.heads[type] = head
        buffer_append(&self.out, <const char*>head, <size_t>len(head))
        if self.record.expire_ms == NO_EXPIRE:
            self.text(b"null")
        else:
            self.integer(&self.out, self.record.expire_ms)
        if self.record.idle_seconds >= 0:
            self.text(b',"lru_idle_s":')
            self.integer(&self.out, self.record.idle_seconds)
        if self.record.frequency >= 0:
            self.text(b',"lfu_freq":')
            self.integer(&self.out, self.record.frequency)
        self.text(b',"value":')
        self.kind = KIND_STRING
        self.elements = 0
        self.times.length = 0
        return 0

    cdef int abandon_key(self) except -1:
        TextSink.abandon_key(self)
        return 0

    cdef int end_key(self) except -1:
        if self.kind == KIND_MODULE:
            pass
        elif self.kind == KIND_STREAM:
            self.text(b"}")
        elif self.kind != KIND_STRING:
            self.text(b"]")
            if self.elements == 0:
                self.text(b',"empty":true')
        if self.times.length:
            self.text(b',"field_ttls_ms_absolute":[')
            buffer_append(&self.out, self.times.data, self.times.length - 1)
            self.text(b"]")
        self.put(self.forms)
        self.text(b"}")
        self.written = True
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.value(data, size)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        if kind == KIND_STREAM:
            self.text(b'{"entries":[')
        elif kind != KIND_MODULE:
            self.text(b"[")
        return 0

    cdef void comma(self) noexcept:
        if self.elements:
            buffer_append_byte(&self.out, c',')
        self.elements += 1

    cdef int item(self, const char* data, size_t size) except -1:
        self.comma()
        self.value(data, size)
        return self.spill()

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        self.comma()
        self.couple(name, name_size, data, size)
        if expire_ms != NO_FIELD_TIME:
            self.field_time(name, name_size, expire_ms)
        return self.spill()

    cdef void couple(self, const char* name, size_t name_size, const char* data, size_t size) noexcept:
        buffer_append_byte(&self.out, self.opening)
        self.value(name, name_size)
        self.text(b",")
        self.value(data, size)
        buffer_append_byte(&self.out, self.closing)

    cdef void field_time(self, const char* name, size_t name_size, int64_t expire_ms) noexcept:
        buffer_append_byte(&self.times, self.opening)
        self.put_bytes(&self.times, name, name_size)
        buffer_append_byte(&self.times, c',')
        self.integer(&self.times, expire_ms)
        buffer_append_byte(&self.times, self.closing)
        buffer_append_byte(&self.times, c',')

    cdef void number(self, const char* digits) noexcept:
        """A score: text, as JSON has no infinity."""
        self.text(b'"')
        self.text(digits)
        self.text(b'"')

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        # As repr() writes a float: the shortest digits that read back as the same number.
        cdef char* digits = PyOS_double_to_string(score, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        self.comma()
        buffer_append_byte(&self.out, self.opening)
        self.value(data, size)
        buffer_append_byte(&self.out, c',')
        self.number(digits)
        buffer_append_byte(&self.out, self.closing)
        PyMem_Free(digits)
        return self.spill()

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.comma()
        buffer_append_byte(&self.out, self.opening)
        self.out.length += <size_t>format_uint64(buffer_reserve(&self.out, 24), index)
        self.text(b",")
        self.value(data, size)
        buffer_append_byte(&self.out, self.closing)
        return self.spill()

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.comma()
        buffer_append_byte(&self.out, self.opening)
        self.text(b'"')
        self.out.length += <size_t>format_uint64(buffer_reserve(&self.out, 24), id.ms)
        self.text(b"-")
        self.out.length += <size_t>format_uint64(buffer_reserve(&self.out, 24), id.seq)
        self.text(b'",[')
        self.first = True
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        if not self.first:
            self.text(b",")
        self.first = False
        self.couple(name, name_size, data, size)
        return 0

    cdef int end_entry(self) except -1:
        self.text(b"]")
        buffer_append_byte(&self.out, self.closing)
        return self.spill()

    cdef int stream_tail(self, tail) except -1:
        self.text(b"],")
        rest = ",".join((
            f'"length":{tail.length}', f'"last_id":"{id_text(tail.last_id)}"', f'"first_id":"{id_text(tail.first_id)}"',
            f'"max_deleted_id":"{id_text(tail.max_deleted_id)}"', f'"entries_added":{tail.entries_added}', '"groups":[',
        )).encode()
        buffer_append(&self.out, <const char*>rest, <size_t>len(rest))
        for number, group in enumerate(tail.groups):
            self.group(group, number)
        self.text(b"]")
        return 0

    cdef int put_python(self, bytes data) except -1:
        self.value(<const char*>data, <size_t>len(data))
        return 0

    cdef int group(self, group, int64_t number) except -1:
        self.text(b',{"name":' if number else b'{"name":')
        self.put_python(group.name)
        read = self.nothing.decode() if group.entries_read is None else group.entries_read
        self.put(f',"last_id":"{id_text(group.last_id)}","entries_read":{read},"pending":['.encode())
        for index, (entry_id, (when, times)) in enumerate(group.pending.items()):
            self.put(f'{"," if index else ""}["{id_text(entry_id)}",'.encode())
            if entry_id in group.owners:
                self.put_python(group.owners[entry_id])
            else:
                self.put(self.nothing)
            self.put(f",{when},{times}]".encode())
            self.spill()
        self.text(b'],"consumers":[')
        for index, one in enumerate(group.consumers):
            self.put(b',{"name":' if index else b'{"name":')
            self.put_python(one.name)
            self.put(f',"seen_ms":{one.seen_ms},"active_ms":{one.active_ms},"pending":{len(one.pending)}}}'.encode())
        self.text(b"]}")
        return 0

    def function(self, bytes code not None):
        """A record for a function library."""
        self.spill()
        if self.written:
            self.put(self.separator)
        self.text(b'{"type":"function","value":')
        put_json_bytes(&self.out, <const char*>code, <size_t>len(code), FORM_AUTO)
        self.text(b"}")
        self.written = True

    cdef int module(self, name) except -1:
        self.unsupported += 1
        self.put(f'null,"module":"{name}","unsupported":"values of modules cannot be shown"'.encode())
        return 0
