"""Listpack: Redis's packed sequence of strings and integers, byte for byte as in RDB files.

    total-bytes u32 | count u16 (65535: unknown) | element* | 0xFF
    element = encoding and data | backlen (size of the former, base 128, readable from right to left)

The functions here trust their input: bytes from outside pass lp_validate first.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memmove

from rotomdb.engine.buffer cimport Buffer, buffer_reserve
from rotomdb.engine.memory cimport mem_alloc, mem_realloc, rotom_allocation_size
from rotomdb.engine.number cimport format_int64, parse_int64

cdef enum:
    END = 0xFF
    COUNT_UNKNOWN = 0xFFFF
    ENCODED_HEADER_MAX = 9


cdef inline size_t backlen_size(size_t length) noexcept nogil:
    if length <= 127:
        return 1
    if length < 16383:
        return 2
    if length < 2097151:
        return 3
    if length < 268435455:
        return 4
    return 5


cdef inline void write_backlen(uint8_t* out, size_t length, size_t size) noexcept nogil:
    """`size` base-128 digits, most significant first; all but the first carry bit 7."""
    cdef size_t i = size
    while i:
        i -= 1
        out[i] = <uint8_t>(length & 127) | (128 if i else 0)
        length >>= 7


cdef inline size_t read_backlen(const uint8_t* last) noexcept nogil:
    cdef size_t value = 0
    cdef int shift = 0
    while True:
        value |= <size_t>(last[0] & 127) << shift
        if not last[0] & 128:
            return value
        shift += 7
        last -= 1
        if shift > 28:
            return <size_t>-1


cdef inline size_t head_size(const uint8_t* p) noexcept nogil:
    """Bytes before the string data (strings) or all encoded bytes (integers); 0: no valid encoding."""
    cdef uint8_t c = p[0]
    if c < 0x80:
        return 1
    if c < 0xC0:
        return 1
    if c < 0xF0:
        return 2
    if c == 0xF0:
        return 5
    if c == 0xF1:
        return 3
    if c == 0xF2:
        return 4
    if c == 0xF3:
        return 5
    if c == 0xF4:
        return 9
    return 0


cdef inline size_t encoded_size(const uint8_t* p) noexcept nogil:
    """Size of encoding and data, backlen excluded."""
    cdef uint8_t c = p[0]
    cdef uint32_t length
    if c < 0x80:
        return 1
    if c < 0xC0:
        return 1 + (c & 0x3f)
    if c < 0xE0:
        return 2
    if c < 0xF0:
        return 2 + ((<size_t>(c & 0x0f) << 8) | p[1])
    if c == 0xF0:
        memcpy(&length, p + 1, 4)
        return 5 + <size_t>length
    return head_size(p)


cdef inline size_t element_size(const uint8_t* p) noexcept nogil:
    cdef size_t size = encoded_size(p)
    return size + backlen_size(size)


cdef inline void set_bytes(uint8_t* lp, size_t size) noexcept nogil:
    (<uint32_t*>lp)[0] = <uint32_t>size


cdef inline void set_count(uint8_t* lp, uint32_t count) noexcept nogil:
    cdef uint16_t stored = <uint16_t>(count if count < COUNT_UNKNOWN else COUNT_UNKNOWN)
    memcpy(lp + 4, &stored, 2)


cdef uint8_t* lp_new(size_t capacity) noexcept nogil:
    cdef uint8_t* lp = <uint8_t*>mem_alloc(capacity if capacity > LISTPACK_HEADER + 1 else LISTPACK_HEADER + 1)
    set_bytes(lp, LISTPACK_HEADER + 1)
    set_count(lp, 0)
    lp[LISTPACK_HEADER] = END
    return lp


cdef uint32_t lp_count(const uint8_t* lp) noexcept nogil:
    cdef uint16_t stored
    cdef uint32_t count = 0
    cdef const uint8_t* p
    memcpy(&stored, lp + 4, 2)
    if stored != COUNT_UNKNOWN:
        return stored
    p = lp + LISTPACK_HEADER
    while p[0] != END:
        count += 1
        p += element_size(p)
    return count


cdef uint8_t* lp_first(uint8_t* lp) noexcept nogil:
    return lp + LISTPACK_HEADER if lp[LISTPACK_HEADER] != END else NULL


cdef uint8_t* lp_next(uint8_t* lp, uint8_t* element) noexcept nogil:
    element += element_size(element)
    return element if element[0] != END else NULL


cdef uint8_t* lp_previous(uint8_t* lp, uint8_t* element) noexcept nogil:
    cdef size_t size
    if element == lp + LISTPACK_HEADER:
        return NULL
    size = read_backlen(element - 1)
    return element - size - backlen_size(size)


cdef uint8_t* lp_last(uint8_t* lp) noexcept nogil:
    return lp_previous(lp, lp + lp_bytes(lp) - 1)


cdef uint8_t* lp_seek(uint8_t* lp, int64_t index) noexcept nogil:
    cdef uint16_t stored
    cdef int64_t count
    cdef uint8_t* p
    memcpy(&stored, lp + 4, 2)
    if stored != COUNT_UNKNOWN:
        count = stored
        if index < -count or index >= count:
            return NULL
        # Walk from the nearer end.
        if index >= 0 and index > count // 2:
            index -= count
        elif index < 0 and -index > count // 2 + 1:
            index += count
    if index >= 0:
        p = lp_first(lp)
        while index and p != NULL:
            p = lp_next(lp, p)
            index -= 1
    else:
        p = lp_last(lp)
        while index < -1 and p != NULL:
            p = lp_previous(lp, p)
            index += 1
    return p


cdef const char* lp_get(const uint8_t* p, uint32_t* length, int64_t* value) noexcept nogil:
    cdef uint8_t c = p[0]
    cdef int16_t i16
    cdef int32_t i32
    cdef int64_t i64
    if c < 0x80:
        value[0] = c
        return NULL
    if c < 0xC0:
        length[0] = c & 0x3f
        return <const char*>p + 1
    if c < 0xE0:
        i32 = (<int32_t>(c & 0x1f) << 8) | p[1]
        value[0] = i32 - 8192 if i32 >= 4096 else i32
        return NULL
    if c < 0xF0:
        length[0] = (<uint32_t>(c & 0x0f) << 8) | p[1]
        return <const char*>p + 2
    if c == 0xF0:
        memcpy(length, p + 1, 4)
        return <const char*>p + 5
    if c == 0xF1:
        memcpy(&i16, p + 1, 2)
        value[0] = i16
    elif c == 0xF2:
        i32 = p[1] | (<int32_t>p[2] << 8) | (<int32_t><int8_t>p[3]) * 65536
        value[0] = i32
    elif c == 0xF3:
        memcpy(&i32, p + 1, 4)
        value[0] = i32
    else:
        memcpy(&i64, p + 1, 8)
        value[0] = i64
    return NULL


cdef const char* lp_text(const uint8_t* element, uint32_t* length, char* scratch) noexcept nogil:
    cdef int64_t value
    cdef const char* text = lp_get(element, length, &value)
    if text != NULL:
        return text
    length[0] = <uint32_t>format_int64(scratch, value)
    return scratch


cdef bytes lp_to_bytes(const uint8_t* element):
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef uint32_t size
    cdef const char* text = lp_text(element, &size, scratch)
    return PyBytes_FromStringAndSize(text, size)


cdef size_t encode_integer(uint8_t* out, int64_t value) noexcept nogil:
    """Encoding and data of an integer element; returns its size (at most 9)."""
    cdef int16_t i16
    cdef int32_t i32
    if 0 <= value <= 127:
        out[0] = <uint8_t>value
        return 1
    if -4096 <= value <= 4095:
        i32 = <int32_t>(value if value >= 0 else value + 8192)
        out[0] = <uint8_t>((i32 >> 8) | 0xC0)
        out[1] = <uint8_t>(i32 & 0xff)
        return 2
    if -32768 <= value <= 32767:
        out[0] = 0xF1
        i16 = <int16_t>value
        memcpy(out + 1, &i16, 2)
        return 3
    if -8388608 <= value <= 8388607:
        out[0] = 0xF2
        i32 = <int32_t>value
        memcpy(out + 1, &i32, 3)
        return 4
    if -2147483648 <= value <= 2147483647:
        out[0] = 0xF3
        i32 = <int32_t>value
        memcpy(out + 1, &i32, 4)
        return 5
    out[0] = 0xF4
    memcpy(out + 1, &value, 8)
    return 9


cdef size_t encode_head(uint8_t* out, const char* data, size_t length, size_t* data_length) noexcept nogil:
    """Encoding bytes for `data` into `out` (9 bytes); *data_length is what of `data` follows them verbatim."""
    cdef int64_t value
    cdef uint32_t wide
    if length <= 20 and parse_int64(data, <Py_ssize_t>length, &value):
        data_length[0] = 0
        return encode_integer(out, value)
    data_length[0] = length
    if length < 64:
        out[0] = <uint8_t>(0x80 | length)
        return 1
    if length < 4096:
        out[0] = <uint8_t>(0xE0 | (length >> 8))
        out[1] = <uint8_t>(length & 0xff)
        return 2
    out[0] = 0xF0
    wide = <uint32_t>length
    memcpy(out + 1, &wide, 4)
    return 5


cdef size_t lp_encoded_size(const char* data, size_t length) noexcept nogil:
    cdef uint8_t head[ENCODED_HEADER_MAX]
    cdef size_t data_length
    cdef size_t size = encode_head(head, data, length, &data_length) + data_length
    return size + backlen_size(size)


cdef uint8_t* splice(uint8_t* lp, size_t offset, size_t removed, const uint8_t* head, size_t head_length,
                     const char* data, size_t data_length, int count_change) noexcept nogil:
    """Replace `removed` bytes at `offset` by one element (none when head_length is 0)."""
    cdef size_t old_bytes = lp_bytes(lp)
    cdef size_t body = head_length + data_length
    cdef size_t added = body + backlen_size(body) if head_length else 0
    cdef size_t new_bytes = old_bytes - removed + added
    cdef uint16_t stored
    if new_bytes > old_bytes:
        lp = <uint8_t*>mem_realloc(lp, new_bytes)
    if added != removed:
        memmove(lp + offset + added, lp + offset + removed, old_bytes - offset - removed)
    if head_length:
        memcpy(lp + offset, head, head_length)
        memcpy(lp + offset + head_length, data, data_length)
        write_backlen(lp + offset + body, body, added - body)
    if new_bytes < old_bytes:
        lp = <uint8_t*>mem_realloc(lp, new_bytes)
    set_bytes(lp, new_bytes)
    memcpy(&stored, lp + 4, 2)
    if stored != COUNT_UNKNOWN:
        set_count(lp, <uint32_t>(<int>stored + count_change))
    elif count_change < 0:
        set_count(lp, lp_count(lp))
    return lp


cdef uint8_t* lp_insert(uint8_t* lp, size_t offset, const char* data, size_t length) noexcept nogil:
    cdef uint8_t head[ENCODED_HEADER_MAX]
    cdef size_t data_length
    cdef size_t head_length = encode_head(head, data, length, &data_length)
    return splice(lp, offset, 0, head, head_length, data, data_length, 1)


cdef uint8_t* lp_append(uint8_t* lp, const char* data, size_t length) noexcept nogil:
    return lp_insert(lp, lp_bytes(lp) - 1, data, length)


cdef uint8_t* lp_replace(uint8_t* lp, size_t offset, const char* data, size_t length) noexcept nogil:
    cdef uint8_t head[ENCODED_HEADER_MAX]
    cdef size_t data_length
    cdef size_t head_length = encode_head(head, data, length, &data_length)
    return splice(lp, offset, element_size(lp + offset), head, head_length, data, data_length, 0)


cdef uint8_t* lp_replace_integer(uint8_t* lp, size_t offset, int64_t value) noexcept nogil:
    cdef uint8_t head[ENCODED_HEADER_MAX]
    cdef size_t head_length = encode_integer(head, value)
    if head_length == 1 and lp[offset] < 0x80:
        lp[offset] = head[0]             # same size: nothing moves
        return lp
    return splice(lp, offset, element_size(lp + offset), head, head_length, NULL, 0, 0)


cdef void lp_encode(Buffer* out, const char* data, size_t length) noexcept nogil:
    cdef uint8_t* room = <uint8_t*>buffer_reserve(out, length + ENCODED_HEADER_MAX + 5)
    cdef size_t data_length, backlen
    cdef size_t body = encode_head(room, data, length, &data_length)
    memcpy(room + body, data, data_length)
    body += data_length
    backlen = backlen_size(body)
    write_backlen(room + body, body, backlen)
    out.length += body + backlen


cdef void lp_encode_integer(Buffer* out, int64_t value) noexcept nogil:
    cdef uint8_t* room = <uint8_t*>buffer_reserve(out, ENCODED_HEADER_MAX + 1)
    cdef size_t body = encode_integer(room, value)
    room[body] = <uint8_t>body
    out.length += body + 1


cdef uint8_t* lp_append_encoded(uint8_t* lp, const char* data, size_t size, uint32_t count) noexcept nogil:
    cdef size_t end = lp_bytes(lp) - 1
    cdef uint16_t stored
    if end + size + 1 > rotom_allocation_size(lp):
        # A node grows by many small appends: take room for the next ones too.
        lp = <uint8_t*>mem_realloc(lp, end + 1 + size + (end + size) // 4)
    memcpy(lp + end, data, size)
    lp[end + size] = END
    set_bytes(lp, end + size + 1)
    memcpy(&stored, lp + 4, 2)
    if stored != COUNT_UNKNOWN:
        set_count(lp, stored + count)
    return lp


cdef int64_t lp_integer(const uint8_t* element) noexcept nogil:
    cdef uint32_t length
    cdef int64_t value = 0
    cdef const char* text = lp_get(element, &length, &value)
    if text != NULL and not parse_int64(text, length, &value):
        return 0
    return value


cdef uint8_t* lp_delete(uint8_t* lp, size_t offset, uint32_t count) noexcept nogil:
    cdef size_t end = offset
    cdef uint32_t deleted = 0
    while deleted < count and lp[end] != END:
        end += element_size(lp + end)
        deleted += 1
    return splice(lp, offset, end - offset, NULL, 0, NULL, 0, -<int>deleted)


cdef bint equals(const uint8_t* p, const char* data, size_t length, bint is_integer, int64_t integer) noexcept nogil:
    cdef uint32_t held_length
    cdef int64_t held
    cdef const char* text = lp_get(p, &held_length, &held)
    if text == NULL:
        return is_integer and held == integer
    # A string element may spell an integer: old ziplists and foreign writers do that.
    return held_length == length and memcmp(text, data, length) == 0


cdef bint lp_equals(const uint8_t* element, const char* data, size_t length) noexcept nogil:
    cdef int64_t integer = 0
    cdef bint is_integer = length <= 20 and parse_int64(data, <Py_ssize_t>length, &integer)
    return equals(element, data, length, is_integer, integer)


cdef uint8_t* lp_find(uint8_t* lp, uint8_t* element, const char* data, size_t length, uint32_t skip) noexcept nogil:
    cdef int64_t integer = 0
    cdef bint is_integer = length <= 20 and parse_int64(data, <Py_ssize_t>length, &integer)
    cdef uint32_t passed
    while element != NULL and element[0] != END:
        if equals(element, data, length, is_integer, integer):
            return element
        passed = 0
        while passed <= skip and element[0] != END:
            element += element_size(element)
            passed += 1
    return NULL


cdef const char* lp_validate(const uint8_t* lp, size_t size) noexcept nogil:
    cdef size_t at = LISTPACK_HEADER, body, head, backlen
    cdef uint32_t count = 0
    cdef uint16_t stored
    cdef uint32_t total, wide
    if size < LISTPACK_HEADER + 1:
        return "listpack shorter than its header"
    memcpy(&total, lp, 4)
    if total != size:
        return "listpack length field differs from its size"
    if lp[size - 1] != END:
        return "listpack without end marker"
    while True:
        if at >= size:
            return "listpack runs past its end"
        if lp[at] == END:
            break
        head = head_size(lp + at)
        if head == 0:
            return "listpack element with unknown encoding"
        if head > size - 1 - at:
            return "listpack element longer than the listpack"
        if lp[at] == 0xF0:
            memcpy(&wide, lp + at + 1, 4)
            if wide > size:
                return "listpack element longer than the listpack"
        body = encoded_size(lp + at)
        backlen = backlen_size(body)
        if body + backlen > size - 1 - at:
            return "listpack element longer than the listpack"
        if lp[at + body] & 128 or read_backlen(lp + at + body + backlen - 1) != body:
            return "listpack element with a wrong back length"
        if backlen > 1 and not lp[at + body + backlen - 1] & 128:
            return "listpack element with a wrong back length"
        at += body + backlen
        count += 1
    if at != size - 1:
        return "listpack end marker before its end"
    memcpy(&stored, lp + 4, 2)
    if stored != COUNT_UNKNOWN and stored != count:
        return "listpack count differs from its elements"
    return NULL
