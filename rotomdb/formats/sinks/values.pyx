"""Sinks that a walker hands values to: members that occur twice, Python values, JSON, a digest."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, qsort
from libc.string cimport memcmp, strlen

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.sinks.json_text cimport FORM_AUTO, is_text, put_encoded, put_json_bytes, put_unquoted
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.number cimport format_int64, format_uint64
from rotomdb.formats.rdb.walker cimport (
    KIND_HASH, KIND_LIST, KIND_MODULE, KIND_SET, KIND_STREAM, KIND_STRING, NO_FIELD_TIME, ValueSink,
)
from rotomdb.engine.table cimport table_hash

from dataclasses import dataclass

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, TYPE_NAMES
from rotomdb.errors import DuplicateKeyError, RdbValueError

cdef extern from "Python.h":
    char* PyOS_double_to_string(double value, char format, int precision, int flags, int* kind) except NULL
    int Py_DTSF_ADD_DOT_0

cdef enum:
    FEW_MEMBERS = 16                      # compared pair by pair
    LEAST_KEY_SLOTS = 1024                # a power of two
    SPILL_BYTES = 1 << 16


FORM_NAMES = ("auto", "escaped", "base64", "hex")  # as formats/sinks/json_text.pxd numbers them
CSV_COLUMNS = (
    "db", "key", "type", "encoding", "ttl_ms_absolute", "lru_idle_s", "lfu_freq", "value", "field_ttls_ms_absolute",
    "keys_as", "values_as",
)


cdef int compare_hashes(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<uint64_t*>a)[0]
    cdef uint64_t y = (<uint64_t*>b)[0]
    return (x > y) - (x < y)


cdef class CheckSink(ValueSink):
    """Finds members and fields that occur twice in a value, values without any, and keys that occur twice in a database.

    All are told apart by keyed 64-bit hashes: two different ones are taken for one in 2**-64 of pairs.

    Args:
        unique_keys: Look for keys, too, in 11 to 32 bytes of memory for each; the sink must see every record just once.
        with_expired: Also those whose time is over by the walker's clock. A server drops them from a snapshot as it reads,
            so that another of the name may follow; as the base of a log it keeps them.
    """

    cdef bint unique_keys, with_expired
    cdef uint64_t* key_slots              # hashes of the keys so far, by open addressing; 0: free
    cdef size_t key_slot_count, key_count
    cdef Buffer hashes
    cdef int kind
    cdef int64_t elements
    cdef readonly int64_t empty           # values without elements, which servers drop

    def __cinit__(self, bint unique_keys=False, bint with_expired=True):
        self.unique_keys = unique_keys
        self.with_expired = with_expired

    def __dealloc__(self):
        buffer_release(&self.hashes)
        free(self.key_slots)

    cdef bint put_key(self, uint64_t hash) noexcept nogil:
        """Take the hash in, unless it is there: False."""
        cdef size_t at = hash & (self.key_slot_count - 1)
        while self.key_slots[at] != 0:
            if self.key_slots[at] == hash:
                return False
            at = (at + 1) & (self.key_slot_count - 1)
        self.key_slots[at] = hash
        return True

    cdef int grow_keys(self) except -1:
        cdef uint64_t* former = self.key_slots
        cdef size_t former_count = self.key_slot_count, i
        cdef size_t wanted = max(former_count * 2, <size_t>LEAST_KEY_SLOTS)
        cdef uint64_t* slots = <uint64_t*>calloc(wanted, 8)
        if slots == NULL:
            raise MemoryError()
        self.key_slots = slots
        self.key_slot_count = wanted
        for i in range(former_count):
            if former[i] != 0:
                self.put_key(former[i])
        free(former)
        return 0

    cdef int remember_key(self) except -1:
        cdef uint64_t hash = table_hash(self.walker.held_key, self.walker.held_length)
        if not self.with_expired and self.walker.expire_ms != NO_EXPIRE and self.walker.expire_ms < self.walker.now_ms:
            return 0
        hash ^= self.walker.database * <uint64_t>0x9E3779B97F4A7C15
        if self.key_count * 4 >= self.key_slot_count * 3:
            self.grow_keys()
        if not self.put_key(hash if hash != 0 else 1):
            raise DuplicateKeyError(self.walker.start, "duplicate key")
        self.key_count += 1
        return 0

    cdef int begin_key(self) except -1:
        self.hashes.length = 0
        self.elements = 0
        self.kind = KIND_STRING
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        return 0

    cdef int remember(self, const char* data, size_t size) except -1:
        cdef uint64_t hash = table_hash(data, size)
        buffer_append(&self.hashes, &hash, 8)
        self.elements += 1
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        if self.kind == KIND_SET:
            return self.remember(data, size)
        self.elements += 1
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        return self.remember(name, name_size)

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return self.remember(data, size)

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.elements += 1
        return 0

    cdef int end_key(self) except -1:
        cdef uint64_t* hashes = <uint64_t*>self.hashes.data
        cdef size_t count = self.hashes.length // 8, i, j
        cdef bint twice = False
        if self.elements == 0 and self.kind != KIND_STRING and self.kind != KIND_STREAM and self.kind != KIND_MODULE:
            self.empty += 1
        if count <= FEW_MEMBERS:
            for i in range(1, count):
                for j in range(i):
                    twice = twice or hashes[i] == hashes[j]
        else:
            qsort(hashes, count, 8, compare_hashes)
            for i in range(1, count):
                twice = twice or hashes[i] == hashes[i - 1]
        if twice:
            what = "hash field" if self.kind == KIND_HASH else "set member" if self.kind == KIND_SET else "sorted set member"
            raise RdbValueError(self.walker.value_start, f"duplicate {what}")
        if self.unique_keys:
            self.remember_key()
        return 0


cdef class TextSink(ValueSink):
    """The base of sinks that write."""

    def __cinit__(self, write=None, *ignored):
        self.write = write

    def __dealloc__(self):
        buffer_release(&self.out)

    cdef int spill(self) except -1:
        """Hand on what is there, once it is enough."""
        if self.out.length >= SPILL_BYTES:
            self.flush()
        return 0

    def flush(self):
        """Hand on everything."""
        if self.out.length:
            self.write(PyBytes_FromStringAndSize(self.out.data, <Py_ssize_t>self.out.length))
            self.out.length = self.key_start = 0
            self.key_split = True

    def put(self, bytes data not None):
        """Text of the caller, between two records."""
        buffer_append(&self.out, <const char*>data, <size_t>len(data))

    cdef int begin_key(self) except -1:
        self.spill()
        self.key_start = self.out.length
        self.key_split = False
        return 0

    cdef int abandon_key(self) except -1:
        """Half a record is not handed on, as far as it has not left yet."""
        if not self.key_split:
            self.out.length = self.key_start
        return 0


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
        cdef int type = self.walker.reading_type
        TextSink.begin_key(self)
        if self.written:
            buffer_append(&self.out, <const char*>self.separator, <size_t>len(self.separator))
        self.text(b'{"db":')
        self.integer(&self.out, <int64_t>self.walker.database)
        self.text(b',"key":')
        put_json_bytes(&self.out, self.walker.held_key, self.walker.held_length, self.key_form)
        head = self.heads.get(type)
        if head is None:
            head = f',"type":"{LOGICAL_TYPES[type]}","encoding":"{TYPE_NAMES[type]}","ttl_ms_absolute":'.encode()
            self.heads[type] = head
        buffer_append(&self.out, <const char*>head, <size_t>len(head))
        if self.walker.expire_ms == NO_EXPIRE:
            self.text(b"null")
        else:
            self.integer(&self.out, self.walker.expire_ms)
        if self.walker.idle_seconds >= 0:
            self.text(b',"lru_idle_s":')
            self.integer(&self.out, self.walker.idle_seconds)
        if self.walker.frequency >= 0:
            self.text(b',"lfu_freq":')
            self.integer(&self.out, self.walker.frequency)
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
        cdef int type = self.walker.reading_type
        TextSink.begin_key(self)
        self.integer(&self.out, <int64_t>self.walker.database)
        self.text(b",")
        self.cell_of_bytes(self.walker.held_key, self.walker.held_length, self.key_form)
        self.put(f",{LOGICAL_TYPES[type]},{TYPE_NAMES[type]},".encode())
        if self.walker.expire_ms != NO_EXPIRE:
            self.integer(&self.out, self.walker.expire_ms)
        self.text(b",")
        if self.walker.idle_seconds >= 0:
            self.integer(&self.out, self.walker.idle_seconds)
        self.text(b",")
        if self.walker.frequency >= 0:
            self.integer(&self.out, self.walker.frequency)
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


def id_text(entry_id):
    """`ms-seq`."""
    return f"{entry_id[0]}-{entry_id[1]}"


@dataclass
class StreamValue:
    """A stream: its entries as (ID, [(field, value), ...]), and what stands behind them."""

    entries: list
    tail: object


cdef class ObjectSink(ValueSink):
    """Values as Python objects, in `value` after each visit.

    bytes; list of bytes (list, set); list of (field, value) pairs; list of (member, score) pairs; a StreamValue; list of
    (index, value) pairs (array); None (module).
    """

    cdef public object value
    cdef public dict field_times          # ms, of the fields that have one
    cdef public object module_name
    cdef list pairs

    cdef int begin_key(self) except -1:
        self.field_times = {}
        self.module_name = None
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.value = PyBytes_FromStringAndSize(data, <Py_ssize_t>size)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.value = StreamValue([], None) if kind == KIND_STREAM else []
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        (<list>self.value).append(PyBytes_FromStringAndSize(data, <Py_ssize_t>size))
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        field_name = PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size)
        (<list>self.value).append((field_name, PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        if expire_ms != NO_FIELD_TIME:
            self.field_times[field_name] = expire_ms
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        (<list>self.value).append((PyBytes_FromStringAndSize(data, <Py_ssize_t>size), score))
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        (<list>self.value).append((index, PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.pairs = []
        self.value.entries.append(((id.ms, id.seq), self.pairs))
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        self.pairs.append((PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size),
                           PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        return 0

    cdef int stream_tail(self, tail) except -1:
        self.value.tail = tail
        return 0

    cdef int module(self, name) except -1:
        self.value = None
        self.module_name = name
        return 0


cdef class DigestSink(ValueSink):
    """A 64-bit digest of each value, in `digest`: equal for equal values, whatever their encoding and the order of their members.

    Keyed anew in every process, so that nobody can make two values look alike on purpose.
    """

    def __dealloc__(self):
        buffer_release(&self.joined)

    cdef uint64_t mix(self, const char* data, size_t size, const void* more, size_t more_size) noexcept:
        cdef uint64_t length = size
        self.joined.length = 0
        buffer_append(&self.joined, &length, 8)
        buffer_append(&self.joined, data, size)
        buffer_append(&self.joined, more, more_size)
        return table_hash(self.joined.data, self.joined.length)

    cdef int begin_key(self) except -1:
        self.digest = self.position = self.elements = 0
        self.kind = KIND_STRING
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        self.digest = <uint64_t>kind * 0x9E3779B97F4A7C15U
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.digest = self.mix(data, size, NULL, 0)
        self.elements = size
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        self.position += 1
        self.elements += 1
        self.digest += self.mix(data, size, &self.position, 8 if self.kind == KIND_LIST else 0)
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        cdef uint64_t value = self.mix(data, size, &expire_ms, 8)
        self.elements += 1
        self.digest += self.mix(name, name_size, &value, 8)
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        if score == 0:
            score = 0.0                   # small sorted sets do not keep the sign of a zero
        self.elements += 1
        self.digest += self.mix(data, size, &score, 8)
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.elements += 1
        self.digest += self.mix(data, size, &index, 8)
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.elements += 1
        self.digest = self.mix(<char*>&id, 16, &self.digest, 8)
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        cdef uint64_t value = self.mix(data, size, &self.digest, 8)
        self.digest = self.mix(name, name_size, &value, 8)
        return 0

    cdef int stream_tail(self, tail) except -1:
        groups = sorted(
            (group.name, group.last_id, group.entries_read, sorted(group.pending.items()), sorted(group.owners.items()),
             sorted(one.name for one in group.consumers))
            for group in tail.groups
        )
        text = repr((tail.length, tail.last_id, tail.max_deleted_id, tail.entries_added, groups)).encode()
        self.digest = self.mix(<const char*>text, <size_t>len(text), &self.digest, 8)
        return 0

    cdef int module(self, name) except -1:
        # The raw bytes: nobody but the module can tell what they mean.
        self.digest = self.mix(<const char*>self.walker.cursor.base + self.walker.value_start,
                               self.walker.cursor.position - self.walker.value_start, NULL, 0)
        return 0
