"""Strings: integers held as integers, up to 44 bytes beside the key, more in a block of their own."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from rotomdb.engine.keyspace cimport (
    ENCODING_EMBSTR, ENCODING_INT, ENCODING_RAW, TYPE_STRING, Entry, Keyspace, RawString, encoding_of, key_of, raw_bytes,
    raw_new, set_encoding, type_of,
)
from rotomdb.engine.memory cimport mem_realloc
from rotomdb.engine.number cimport format_int64, parse_int64

from rotomdb.errors import CommandError

cdef extern from "platform.h" nogil:
    int rotom_add_overflows(int64_t a, int64_t b, int64_t* sum)

cdef enum:
    SPARE_MAX = 1 << 20               # growing strings keep as much spare room as they hold, up to 1 MiB


cdef const char* text_of(Entry* entry, size_t* length, char* scratch) noexcept nogil:
    cdef int encoding = encoding_of(entry)
    if encoding == ENCODING_EMBSTR:
        length[0] = <size_t>entry.value
        return key_of(entry) + entry.key_length
    if encoding == ENCODING_RAW:
        length[0] = (<RawString*>entry.value).length
        return raw_bytes(<RawString*>entry.value)
    length[0] = <size_t>format_int64(scratch, <int64_t>entry.value)
    return scratch


cdef inline bytes to_bytes(Entry* entry):
    cdef char scratch[24]
    cdef size_t length
    cdef const char* text = text_of(entry, &length, scratch)
    return PyBytes_FromStringAndSize(text, <Py_ssize_t>length)


cdef RawString* writable(Keyspace db, Entry* entry, size_t needed) noexcept:
    cdef char scratch[24]
    cdef size_t length, capacity
    cdef const char* text
    cdef RawString* raw
    capacity = needed + (needed if needed < SPARE_MAX else <size_t>SPARE_MAX)
    if encoding_of(entry) == ENCODING_RAW:
        raw = <RawString*>entry.value
        if raw.capacity < needed:
            raw = <RawString*>mem_realloc(raw, sizeof(RawString) + capacity)
            raw.capacity = capacity
            entry.value = raw
        return raw
    text = text_of(entry, &length, scratch)
    raw = raw_new(text, length, capacity)
    entry.value = raw
    set_encoding(entry, ENCODING_RAW)
    return raw


def get(Keyspace db not None, bytes key not None):
    """The value, or None; counts a hit or a miss."""
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    if entry == NULL:
        return None
    return to_bytes(entry)


def peek(Keyspace db not None, bytes key not None):
    """The value, or None, without counting."""
    cdef Entry* entry = db.peek_type(key, TYPE_STRING)
    return None if entry == NULL else to_bytes(entry)


def get_many(Keyspace db not None, keys):
    """A value or None per key; a key of another type counts as absent (MGET)."""
    cdef list values = []
    cdef Entry* entry
    for key in keys:
        entry = db.find(key)
        values.append(None if entry == NULL or type_of(entry) != TYPE_STRING else to_bytes(entry))
    return values


def set(Keyspace db not None, bytes key not None, bytes value not None, bint keep_ttl=False):
    """Store the string whatever was there; drops the expire time unless `keep_ttl`."""
    db.store_string(key, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), keep_ttl, ENCODING_INT)


def set_built(Keyspace db not None, bytes key not None, bytes value not None, bint keep_ttl=False, bint raw=True):
    """As `set`, for what a command has put together: never held as an integer, and `raw` not beside the key either."""
    db.store_string(
        key, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), keep_ttl, ENCODING_RAW if raw else ENCODING_EMBSTR
    )


def set_many(Keyspace db not None, tuple pairs not None):
    """Store strings from a flat sequence key, value, ..."""
    cdef Py_ssize_t i
    cdef bytes key, value
    for i in range(0, len(pairs), 2):
        key = pairs[i]
        value = pairs[i + 1]
        db.store_string(key, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), False, ENCODING_INT)


def length(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    if entry == NULL:
        return 0
    text_of(entry, &size, scratch)
    return size


def append(Keyspace db not None, bytes key not None, bytes data not None):
    """Append to the value (made when absent); returns the new length."""
    cdef Entry* entry = db.peek_type(key, TYPE_STRING)
    cdef size_t extra = PyBytes_GET_SIZE(data), size
    cdef char scratch[24]
    cdef RawString* raw
    if entry == NULL:
        db.store_string(key, PyBytes_AS_STRING(data), extra, False, ENCODING_INT)
        return extra
    text_of(entry, &size, scratch)
    raw = writable(db, entry, size + extra)
    memcpy(raw_bytes(raw) + raw.length, PyBytes_AS_STRING(data), extra)
    raw.length += extra
    return raw.length


def get_range(Keyspace db not None, bytes key not None, int64_t start, int64_t end):
    """Bytes from `start` to `end` inclusive; negative positions count from the end."""
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const char* text
    cdef int64_t count
    if entry == NULL:
        return b""
    text = text_of(entry, &size, scratch)
    count = <int64_t>size
    if start < 0 and end < 0 and start > end:
        return b""
    if start < 0:
        start = start + count if start + count > 0 else 0
    if end < 0:
        end = end + count if end + count > 0 else 0
    if end >= count:
        end = count - 1
    if start > end or count == 0:
        return b""
    return PyBytes_FromStringAndSize(text + start, end - start + 1)


def set_range(Keyspace db not None, bytes key not None, int64_t offset, bytes data not None):
    """Overwrite from `offset`, padding with zero bytes; returns the new length. `data` must not be empty."""
    cdef Entry* entry = db.peek_type(key, TYPE_STRING)
    cdef size_t end = <size_t>offset + PyBytes_GET_SIZE(data), size = 0
    cdef char scratch[24]
    cdef RawString* raw
    if entry == NULL:
        raw = raw_new(NULL, 0, end)
        entry = db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_STRING, ENCODING_RAW, raw, 0)
    else:
        text_of(entry, &size, scratch)
        raw = writable(db, entry, end if end > size else size)
    if end > raw.length:
        memset(raw_bytes(raw) + raw.length, 0, end - raw.length)
        raw.length = end
    memcpy(raw_bytes(raw) + offset, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return raw.length


def increment(Keyspace db not None, bytes key not None, int64_t delta):
    """Add to the integer at `key` (0 when absent); CommandError when it is none or the sum overflows."""
    cdef Entry* entry = db.peek_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const char* text
    cdef int64_t value = 0, total
    cdef int digits
    if entry != NULL:
        if encoding_of(entry) == ENCODING_INT:
            value = <int64_t>entry.value
        else:
            text = text_of(entry, &size, scratch)
            if size > 20 or not parse_int64(text, <Py_ssize_t>size, &value):
                raise CommandError("ERR value is not an integer or out of range")
    if rotom_add_overflows(value, delta, &total):
        raise CommandError("ERR increment or decrement would overflow")
    if entry != NULL and encoding_of(entry) == ENCODING_INT:
        entry.value = <void*>total
    else:
        digits = format_int64(scratch, total)
        db.store_string(key, scratch, digits, True, ENCODING_INT)
    return total
