"""Key records of an RDB: what stands before a value, and walking over values of any type without building them.

`RdbDecoder` loads values, `RdbWalker` hands them to a sink; both start here. Source: docs/formats.md, sections 1.7 to 2.11.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport buffer_release, buffer_reserve
from rotomdb.formats.rdb.format cimport (
    CELL_DOUBLE, CELL_INTEGER, CELL_LONG_TEXT, CELL_TEXT, MODULE_DOUBLE, MODULE_EOF, MODULE_FLOAT, MODULE_SINT,
    MODULE_STRING, MODULE_UINT, NAMES_PACKED, OPCODE_EXPIRETIME, OPCODE_EXPIRETIME_MS, OPCODE_FREQ, OPCODE_IDLE,
    OPCODE_KEY_META, RDB_ARRAY, RDB_HASH, RDB_HASH_TIMED, RDB_HASH_TIMED_LISTPACK, RDB_HASH_TIMED_LISTPACK_PRE_RELEASE,
    RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_MODULE, RDB_SET, RDB_STRING, RDB_TEMPLATE_ARRAY,
    RDB_TEMPLATE_ARRAY_REF, RDB_TEMPLATE_LISTPACK, RDB_TEMPLATE_LISTPACK_REF, RDB_VALKEY_HASH_TIMED,
    RDB_VALKEY_HASH_UNRELEASED, RDB_ZSET, RDB_ZSET_2, SCORE_INFINITY, SCORE_MINUS_INFINITY, SCORE_NAN, is_packed,
    is_stream, is_timed_hash,
)
from rotomdb.formats.rdb.cursor cimport CURSOR_UNSUPPORTED, cursor_fail, cursor_take
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.listpack cimport lp_count, lp_validate
from rotomdb.engine.number cimport parse_double
from rotomdb.formats.rdb.primitives cimport RdbCursor
from rotomdb.formats.rdb.streams cimport skip_stream

MODULE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(identifier):
    """Name and encoding version of a module type id, as `ReJSON-RL/3`."""
    version, rest, name = identifier & 1023, identifier >> 10, ""
    for _ in range(9):
        name = MODULE_ALPHABET[rest & 63] + name
        rest >>= 6
    return f"{name}/{version}"


cdef class RdbRecords(RdbCursor):
    """Walks the key records of a buffer."""

    def __cinit__(self, data, bint valkey=False):
        self.valkey = self.record.valkey = valkey
        self.record.base = self.cursor.base
        self.record.expire_ms = NO_EXPIRE
        self.record.idle_seconds = -1
        self.record.frequency = -1
        self.record.type = -1
        self.templates = {}

    def __dealloc__(self):
        buffer_release(&self.key_buffer)

    @property
    def reading_type(self):
        """Of the value in hand, or an opcode; -1: none."""
        return self.record.type

    @property
    def idle_seconds(self):
        return self.record.idle_seconds

    @property
    def frequency(self):
        return self.record.frequency

    cdef bint corrupt(self, const char* reason, size_t offset) noexcept:
        return cursor_fail(&self.cursor, reason, offset)

    cdef bint unsupported(self, const char* reason, size_t offset) noexcept:
        cursor_fail(&self.cursor, reason, offset)
        self.cursor.error_kind = CURSOR_UNSUPPORTED
        return False

    # Before the value

    cdef int key_attributes(self) except -2:
        """Read opcodes up to a value type (returned) or an opcode that is no key attribute (returned too)."""
        cdef const uint8_t* p
        cdef uint64_t value
        cdef int32_t seconds
        cdef int opcode
        while True:
            p = cursor_take(&self.cursor, 1)
            if p == NULL:
                self.fail()
            opcode = p[0]
            if opcode == OPCODE_EXPIRETIME_MS:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    self.fail()
                memcpy(&self.record.expire_ms, p, 8)
            elif opcode == OPCODE_EXPIRETIME:
                p = cursor_take(&self.cursor, 4)
                if p == NULL:
                    self.fail()
                memcpy(&seconds, p, 4)
                self.record.expire_ms = <int64_t>seconds * 1000
            elif opcode == OPCODE_IDLE:
                if not self.plain_length(&value):
                    self.fail()
                self.record.idle_seconds = <int64_t>value
            elif opcode == OPCODE_FREQ:
                p = cursor_take(&self.cursor, 1)
                if p == NULL:
                    self.fail()
                self.record.frequency = p[0]
            elif opcode == OPCODE_KEY_META and not self.valkey:
                if not self.skip_key_metadata():
                    self.fail()
            else:
                return opcode

    cdef void reset_attributes(self) noexcept:
        self.record.expire_ms = NO_EXPIRE
        self.record.idle_seconds = -1
        self.record.frequency = -1

    cdef void begin_key(self, const char* key, size_t length) noexcept:
        """Copy the key aside: decoding the value reuses the scratch buffers that it may stand in."""
        self.key_buffer.length = 0
        memcpy(buffer_reserve(&self.key_buffer, length + 1), key, length)
        self.record.key = self.key_buffer.data
        self.record.key_length = length

    cdef int fail_in_key(self) except -1:
        self.reading_key = PyBytes_FromStringAndSize(self.record.key, <Py_ssize_t>self.record.key_length)
        return self.fail()

    cdef bint skip_key_metadata(self) noexcept:
        """Records of modules about the next key: each a class and a self-describing value stream."""
        cdef uint64_t classes
        if not self.plain_length(&classes):
            return False
        for _ in range(classes):
            if cursor_take(&self.cursor, 4) == NULL or not self.skip_module_value():
                return False
        return True

    def read_template(self):
        """The payload of HASH_TEMPLATE: the names of the fields that hashes refer to by its ID."""
        identifier = self.read_length()
        count = self.read_length()
        if count > self.cursor.size - self.cursor.position:
            cursor_fail(&self.cursor, "unexpected end of data", self.cursor.position)
            self.fail()
        self.templates[identifier] = [self.read_string() for _ in range(count)]

    # Values

    cdef bint text_double(self, double* value) noexcept:
        """A score as text: a length byte and ASCII digits, or one of three special lengths."""
        cdef size_t start = self.cursor.position
        cdef const uint8_t* p = cursor_take(&self.cursor, 1)
        cdef const uint8_t* digits
        if p == NULL:
            return False
        if p[0] == SCORE_MINUS_INFINITY:
            value[0] = -INFINITY
            return True
        if p[0] == SCORE_INFINITY:
            value[0] = INFINITY
            return True
        if p[0] == SCORE_NAN:
            return self.corrupt("score is not a number", start)
        digits = cursor_take(&self.cursor, p[0])
        if digits == NULL:
            return False
        if not parse_double(<const char*>digits, p[0], value):
            return self.corrupt("score is not a number", start)
        return True

    cdef bint skip_value(self, int type) noexcept:
        """Walk over a value of any type without building it."""
        cdef uint64_t count, container
        cdef size_t start = self.cursor.position
        cdef double score
        if type == RDB_STRING or is_packed(type) or type == RDB_TEMPLATE_LISTPACK_REF:
            return self.skip_text()
        if type == RDB_LIST or type == RDB_SET or type == RDB_LIST_QUICKLIST:
            return self.plain_length(&count) and self.skip_texts(count)
        if type == RDB_HASH:
            return self.plain_length(&count) and self.skip_texts(count) and self.skip_texts(count)
        if type == RDB_ZSET or type == RDB_ZSET_2:
            if not self.plain_length(&count):
                return False
            for _ in range(count):
                if not self.skip_text():
                    return False
                if type == RDB_ZSET:
                    if not self.text_double(&score):
                        return False
                elif cursor_take(&self.cursor, 8) == NULL:
                    return False
            return True
        if type == RDB_LIST_QUICKLIST_2:
            if not self.plain_length(&count):
                return False
            for _ in range(count):
                if not self.plain_length(&container) or not self.skip_text():
                    return False
            return True
        if type == RDB_MODULE:
            return self.plain_length(&count) and self.skip_module_value()
        if is_stream(type):
            return skip_stream(self, type)
        if is_timed_hash(type):
            return self.skip_expiring_hash(type)
        if type == RDB_ARRAY:
            return self.skip_array()
        if type == RDB_TEMPLATE_LISTPACK or type == RDB_TEMPLATE_ARRAY or type == RDB_TEMPLATE_ARRAY_REF:
            return self.skip_template_hash(type)
        return cursor_fail(&self.cursor, "unknown value type", start)

    cdef bint skip_expiring_hash(self, int type) noexcept:
        cdef uint64_t count, ttl
        cdef bint time_last = type == RDB_VALKEY_HASH_TIMED and self.valkey
        if type == RDB_VALKEY_HASH_UNRELEASED and self.valkey:
            return self.unsupported("hash of an unreleased Valkey", self.cursor.position)
        if type >= RDB_HASH_TIMED and cursor_take(&self.cursor, 8) == NULL:
            return False
        if type == RDB_HASH_TIMED_LISTPACK_PRE_RELEASE or type == RDB_HASH_TIMED_LISTPACK:
            return self.skip_text()
        if not self.plain_length(&count):
            return False
        for _ in range(count):
            if not time_last and not self.plain_length(&ttl):
                return False
            if not self.skip_text() or not self.skip_text():
                return False
            if time_last and cursor_take(&self.cursor, 8) == NULL:
                return False
        return True

    cdef bint skip_array(self) noexcept:
        cdef uint64_t count, value, tag
        cdef size_t start
        if not self.plain_length(&count) or not self.plain_length(&value):
            return False
        if value and not self.plain_length(&value):
            return False
        for _ in range(count):
            start = self.cursor.position
            if not self.plain_length(&value) or not self.plain_length(&tag):
                return False
            if tag == CELL_INTEGER or tag == CELL_DOUBLE:
                if cursor_take(&self.cursor, 8) == NULL:
                    return False
            elif tag == CELL_TEXT or tag == CELL_LONG_TEXT:
                if not self.skip_text():
                    return False
            else:
                return cursor_fail(&self.cursor, "unknown kind of array element", start)
        return True

    cdef bint skip_template_hash(self, int type) noexcept:
        cdef uint64_t form, count
        cdef size_t start = self.cursor.position, size
        cdef const char* names
        if type == RDB_TEMPLATE_ARRAY_REF:
            return self.plain_length(&form) and self.plain_length(&count) and self.skip_texts(count)
        if not self.plain_length(&form):
            return False
        if form == NAMES_PACKED:
            if not self.text(1, &names, &size):
                return False
            if lp_validate(<const uint8_t*>names, size) != NULL:
                return cursor_fail(&self.cursor, "damaged field names", start)
            count = lp_count(<const uint8_t*>names)
        elif not self.plain_length(&count) or not self.skip_texts(count):
            return False
        return self.skip_text() if type == RDB_TEMPLATE_LISTPACK else self.skip_texts(count)

    cdef bint skip_module_value(self) noexcept:
        """The self-describing stream of a module value, up to and with its EOF."""
        cdef uint64_t opcode, operand
        cdef size_t start
        while True:
            start = self.cursor.position
            if not self.plain_length(&opcode):
                return False
            if opcode == MODULE_EOF:
                return True
            if opcode == MODULE_SINT or opcode == MODULE_UINT:
                if not self.plain_length(&operand):
                    return False
            elif opcode == MODULE_FLOAT or opcode == MODULE_DOUBLE:
                if cursor_take(&self.cursor, 4 if opcode == MODULE_FLOAT else 8) == NULL:
                    return False
            elif opcode == MODULE_STRING:
                if not self.skip_text():
                    return False
            else:
                return cursor_fail(&self.cursor, "unknown module opcode", start)

    def skip_module_data(self):
        """Walk over the value stream of a MODULE_AUX record."""
        if not self.skip_module_value():
            self.fail()
