"""Strings as arrays of bits; bit 0 is the highest of the first byte."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.engine.keyspace cimport ENCODING_RAW, TYPE_STRING, Entry, Keyspace, RawString, raw_bytes, raw_new
from rotomdb.engine.strings cimport text_of, writable

cdef extern from "platform.h" nogil:
    int rotom_bit_count64 "__builtin_popcountll"(unsigned long long value)


cdef inline int bit_at(const uint8_t* data, int64_t offset) noexcept nogil:
    return (data[offset >> 3] >> (7 - (offset & 7))) & 1


cdef RawString* grown(Keyspace db, bytes key, size_t needed, bint* grew) except NULL:
    """The value at `key` as a writable block of at least `needed` bytes, zero-padded; made when absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_STRING)
    cdef RawString* raw
    cdef char scratch[24]
    cdef size_t size
    grew[0] = False
    if entry == NULL:
        raw = raw_new(NULL, 0, needed)
        db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_STRING, ENCODING_RAW, raw, 0)
    else:
        text_of(entry, &size, scratch)
        raw = writable(db, entry, needed if needed > size else size)
    if raw.length < needed:
        memset(raw_bytes(raw) + raw.length, 0, needed - raw.length)
        raw.length = needed
        grew[0] = True
    return raw


def get(Keyspace db not None, bytes key not None, int64_t offset):
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const char* text
    if entry == NULL:
        return 0
    text = text_of(entry, &size, scratch)
    return bit_at(<const uint8_t*>text, offset) if <size_t>(offset >> 3) < size else 0


def set(Keyspace db not None, bytes key not None, int64_t offset, bint value):
    """Set one bit; (old bit, whether the string changed or grew)."""
    cdef bint grew
    cdef RawString* raw = grown(db, key, <size_t>(offset >> 3) + 1, &grew)
    cdef uint8_t* byte = <uint8_t*>raw_bytes(raw) + (offset >> 3)
    cdef int old = bit_at(<uint8_t*>raw_bytes(raw), offset)
    cdef uint8_t mask = <uint8_t>(1 << (7 - (offset & 7)))
    byte[0] = byte[0] | mask if value else byte[0] & <uint8_t>~mask
    return old, grew or old != value


cdef int64_t count_bytes(const uint8_t* data, size_t size) noexcept nogil:
    cdef int64_t total = 0
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        total += rotom_bit_count64(word)
        data += 8
        size -= 8
    while size:
        total += rotom_bit_count64(data[0])
        data += 1
        size -= 1
    return total


cdef bint clamp(int64_t* start, int64_t* end, int64_t total) noexcept nogil:
    """Resolve negative ends and cut to the string; False when nothing is inside."""
    if start[0] < 0 and end[0] < 0 and start[0] > end[0]:
        return False
    if start[0] < 0:
        start[0] = start[0] + total if start[0] + total > 0 else 0
    if end[0] < 0:
        end[0] = end[0] + total if end[0] + total > 0 else 0
    if end[0] >= total:
        end[0] = total - 1
    return start[0] <= end[0] and total > 0


def count(Keyspace db not None, bytes key not None, int64_t start=0, int64_t end=-1, bint by_bit=False):
    """Bits set between two positions, both inclusive, in bytes or in bits."""
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const uint8_t* data
    cdef int64_t total
    if entry == NULL:
        return 0
    data = <const uint8_t*>text_of(entry, &size, scratch)
    if not clamp(&start, &end, <int64_t>size * 8 if by_bit else <int64_t>size):
        return 0
    if not by_bit:
        return count_bytes(data + start, <size_t>(end - start + 1))
    total = 0
    while start <= end and start & 7:
        total += bit_at(data, start)
        start += 1
    while end >= start and (end & 7) != 7:
        total += bit_at(data, end)
        end -= 1
    if end >= start:
        total += count_bytes(data + (start >> 3), <size_t>((end - start + 1) >> 3))
    return total


def position(Keyspace db not None, bytes key not None, bint bit, int64_t start=0, int64_t end=-1, bint by_bit=False,
             bint end_given=False):
    """First position of a bit; -1 when there is none. Without an end, zeros go on behind the string."""
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const uint8_t* data
    cdef uint8_t skip = 0 if bit else 0xff
    cdef int64_t at, last
    if entry == NULL:
        return -1 if bit else 0
    data = <const uint8_t*>text_of(entry, &size, scratch)
    if not clamp(&start, &end, <int64_t>size * 8 if by_bit else <int64_t>size):
        return -1
    at = start if by_bit else start * 8
    last = end if by_bit else end * 8 + 7
    while at <= last:
        if at & 7 == 0 and at + 7 <= last and data[at >> 3] == skip:
            at += 8
            continue
        if bit_at(data, at) == bit:
            return at
        at += 1
    return <int64_t>size * 8 if not bit and not end_given else -1


def combine(bytes operation not None, list sources not None):
    """BITOP over byte strings; shorter ones are padded with zeros."""
    cdef Py_ssize_t longest = max([len(source) for source in sources], default=0)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, longest)
    cdef uint8_t* result = <uint8_t*>PyBytes_AS_STRING(out)
    cdef Py_ssize_t i
    cdef uint8_t byte, first, others, seen_once, seen_more
    cdef bint started
    cdef bytes source
    cdef int kind = OPERATIONS[operation]
    for i in range(longest):
        started = False
        byte = first = others = seen_once = seen_more = 0
        for source in sources:
            byte = <uint8_t>PyBytes_AS_STRING(source)[i] if i < PyBytes_GET_SIZE(source) else 0
            if not started:
                first = byte
                result[i] = byte
                started = True
            else:
                others |= byte
                if kind == 0:
                    result[i] &= byte
                elif kind == 1:
                    result[i] |= byte
                elif kind == 2:
                    result[i] ^= byte
            seen_more |= seen_once & byte
            seen_once |= byte
        if kind == 3:
            result[i] = <uint8_t>~first
        elif kind == 4:
            result[i] = first & <uint8_t>~others
        elif kind == 5:
            result[i] = others & <uint8_t>~first
        elif kind == 6:
            result[i] = first & others
        elif kind == 7:
            result[i] = seen_once & <uint8_t>~seen_more
    return out


OPERATIONS = {b"AND": 0, b"OR": 1, b"XOR": 2, b"NOT": 3, b"DIFF": 4, b"DIFF1": 5, b"ANDOR": 6, b"ONE": 7}


def grow(Keyspace db not None, bytes key not None, int64_t bits):
    """Pad the string with zeros to hold that many bits; whether it grew."""
    cdef bint grew
    grown(db, key, <size_t>((bits + 7) >> 3), &grew)
    return grew


def field_get(Keyspace db not None, bytes key not None, int64_t offset, int width):
    """`width` (1 to 64) bits at `offset` as an unsigned number."""
    cdef Entry* entry = db.find_type(key, TYPE_STRING)
    cdef char scratch[24]
    cdef size_t size
    cdef const uint8_t* data
    cdef uint64_t value = 0
    cdef int64_t i
    if entry == NULL:
        return 0
    data = <const uint8_t*>text_of(entry, &size, scratch)
    for i in range(offset, offset + width):
        value = (value << 1) | <uint64_t>(bit_at(data, i) if <size_t>(i >> 3) < size else 0)
    return value


def field_set(Keyspace db not None, bytes key not None, int64_t offset, int width, uint64_t value):
    """Store `width` bits; whether the string changed or grew."""
    cdef bint grew
    cdef RawString* raw = grown(db, key, <size_t>((offset + width - 1) >> 3) + 1, &grew)
    cdef uint8_t* data = <uint8_t*>raw_bytes(raw)
    cdef int64_t i, at
    cdef int bit
    cdef bint changed = grew
    for i in range(width):
        at = offset + i
        bit = <int>((value >> (width - 1 - i)) & 1)
        if bit_at(data, at) != bit:
            changed = True
            data[at >> 3] ^= <uint8_t>(1 << (7 - (at & 7)))
    return changed
