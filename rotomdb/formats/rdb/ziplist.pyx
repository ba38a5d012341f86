"""Ziplist, the packed sequence of Redis before 7.0: read only, to be re-packed as a listpack.

    zlbytes u32 | zltail u32 | zllen u16 | entry* | 0xFF
    entry = size of the previous entry (1 or 5 bytes) | encoding | data
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from rotomdb.engine.number cimport format_int64

cdef enum:
    HEADER = 10
    END = 0xFF
    WIDE_PREVIOUS = 0xFE
    COUNT_UNKNOWN = 0xFFFF


cdef inline size_t previous_size(const uint8_t* p) noexcept nogil:
    return 5 if p[0] == WIDE_PREVIOUS else 1


cdef inline int encoding_size(uint8_t c) noexcept nogil:
    """Bytes of the encoding itself; 0: no valid encoding."""
    if c < 0x40:
        return 1
    if c < 0x80:
        return 2
    if c < 0xC0:
        return 5
    if c == 0xC0 or c == 0xD0 or c == 0xE0 or c == 0xF0 or c == 0xFE or 0xF1 <= c <= 0xFD:
        return 1
    return 0


cdef inline size_t data_size(const uint8_t* p) noexcept nogil:
    """Bytes of data behind the encoding at `p`."""
    cdef uint8_t c = p[0]
    if c < 0x40:
        return c
    if c < 0x80:
        return (<size_t>(c & 0x3f) << 8) | p[1]
    if c < 0xC0:
        return (<size_t>p[1] << 24) | (<size_t>p[2] << 16) | (<size_t>p[3] << 8) | p[4]
    if c == 0xC0:
        return 2
    if c == 0xD0:
        return 4
    if c == 0xE0:
        return 8
    if c == 0xF0:
        return 3
    if c == 0xFE:
        return 1
    return 0


cdef const char* ziplist_validate(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t total, tail, wide
    cdef uint16_t stored
    cdef size_t at = HEADER, last = HEADER, previous = 0, claimed, head, start
    cdef uint32_t count = 0
    if size < HEADER + 1:
        return "ziplist shorter than its header"
    memcpy(&total, data, 4)
    memcpy(&tail, data + 4, 4)
    memcpy(&stored, data + 8, 2)
    if total != size:
        return "ziplist length field differs from its size"
    if data[size - 1] != END:
        return "ziplist without end marker"
    while data[at] != END:
        start = at
        head = previous_size(data + at)
        if head + 1 > size - 1 - at:
            return "ziplist entry longer than the ziplist"
        if head == 1:
            claimed = data[at]
        else:
            memcpy(&wide, data + at + 1, 4)
            claimed = wide
        if claimed != previous:
            return "ziplist entry with a wrong previous length"
        at += head
        head = <size_t>encoding_size(data[at])
        if head == 0:
            return "ziplist entry with unknown encoding"
        if head > size - 1 - at:
            return "ziplist entry longer than the ziplist"
        if data_size(data + at) > size - 1 - at - head:
            return "ziplist entry longer than the ziplist"
        at += head + data_size(data + at)
        previous = at - start
        last = start
        count += 1
    if at != size - 1:
        return "ziplist end marker before its end"
    if tail != last:
        return "ziplist tail offset is not its last entry"
    if stored != COUNT_UNKNOWN and stored != count:
        return "ziplist count differs from its entries"
    return NULL


cdef size_t ziplist_first(const uint8_t* data) noexcept nogil:
    return HEADER if data[HEADER] != END else 0


cdef size_t ziplist_next(const uint8_t* data, size_t at) noexcept nogil:
    at += previous_size(data + at)
    at += <size_t>encoding_size(data[at]) + data_size(data + at)
    return at if data[at] != END else 0


cdef const char* entry_value(const uint8_t* data, size_t at, uint32_t* length, int64_t* value) noexcept nogil:
    cdef const uint8_t* p = data + at + previous_size(data + at)
    cdef uint8_t c = p[0]
    cdef int16_t i16
    cdef int32_t i32
    cdef int64_t i64
    if c < 0xC0:
        length[0] = <uint32_t>data_size(p)
        return <const char*>p + encoding_size(c)
    if c == 0xC0:
        memcpy(&i16, p + 1, 2)
        value[0] = i16
    elif c == 0xD0:
        memcpy(&i32, p + 1, 4)
        value[0] = i32
    elif c == 0xE0:
        memcpy(&i64, p + 1, 8)
        value[0] = i64
    elif c == 0xF0:
        value[0] = p[1] | (<int32_t>p[2] << 8) | (<int32_t><int8_t>p[3]) * 65536
    elif c == 0xFE:
        value[0] = <int8_t>p[1]
    else:
        value[0] = (c & 0x0f) - 1
    return NULL


cdef const char* ziplist_text(const uint8_t* data, size_t at, uint32_t* length, char* scratch) noexcept nogil:
    cdef int64_t integer
    cdef const char* text = entry_value(data, at, length, &integer)
    if text != NULL:
        return text
    length[0] = <uint32_t>format_int64(scratch, integer)
    return scratch
