"""Bytes as JSON strings."""

from libc.stdint cimport uint8_t, uint32_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_reserve

cdef const char* HEX_DIGITS = "0123456789abcdef"
cdef const char* BASE64_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


cdef inline size_t plain_run(const uint8_t* data, size_t size) noexcept nogil:
    """Leading bytes that stand for themselves: ASCII without controls, quotes and backslashes."""
    cdef size_t i = 0
    while i < size and 0x20 <= data[i] < 0x80 and data[i] != c'"' and data[i] != c'\\':
        i += 1
    return i


cdef inline size_t sequence_length(const uint8_t* data, size_t size) noexcept nogil:
    """Bytes of the UTF-8 sequence at `data`, 0 when it is none (RFC 3629: no surrogates, no overlong forms)."""
    cdef uint8_t lead = data[0], low = 0x80, high = 0xBF
    cdef size_t length, i
    if lead < 0x80:
        return 1
    if 0xC2 <= lead <= 0xDF:
        length = 2
    elif 0xE0 <= lead <= 0xEF:
        length = 3
        if lead == 0xE0:
            low = 0xA0
        elif lead == 0xED:
            high = 0x9F
    elif 0xF0 <= lead <= 0xF4:
        length = 4
        if lead == 0xF0:
            low = 0x90
        elif lead == 0xF4:
            high = 0x8F
    else:
        return 0
    if size < length or not low <= data[1] <= high:
        return 0
    for i in range(2, length):
        if not 0x80 <= data[i] <= 0xBF:
            return 0
    return length


cdef bint is_text(const uint8_t* data, size_t size) noexcept nogil:
    cdef size_t at = 0, length
    while at < size:
        length = 1 if data[at] < 0x80 else sequence_length(data + at, size - at)
        if length == 0:
            return False
        at += length
    return True


cdef void put_escaped(Buffer* out, uint8_t c) noexcept nogil:
    cdef char* room
    if c == c'"' or c == c'\\':
        buffer_append_byte(out, c'\\')
        buffer_append_byte(out, c)
    elif c == c'\n':
        buffer_append(out, b"\\n", 2)
    elif c == c'\r':
        buffer_append(out, b"\\r", 2)
    elif c == c'\t':
        buffer_append(out, b"\\t", 2)
    else:
        buffer_append(out, b"\\u00", 4)
        room = buffer_reserve(out, 2)
        room[0] = HEX_DIGITS[c >> 4]
        room[1] = HEX_DIGITS[c & 15]
        out.length += 2


cdef void put_text(Buffer* out, const uint8_t* data, size_t size, bint escape) noexcept nogil:
    cdef size_t at = 0, run
    cdef char* room
    buffer_append_byte(out, c'"')
    while at < size:
        run = plain_run(data + at, size - at)
        buffer_append(out, data + at, run)
        at += run
        if at == size:
            break
        if escape and data[at] == c'\\':
            buffer_append(out, b"\\\\\\\\", 4)
            at += 1
            continue
        if data[at] < 0x80:
            put_escaped(out, data[at])
            at += 1
            continue
        run = sequence_length(data + at, size - at)
        if run:
            buffer_append(out, data + at, run)
            at += run
            continue
        buffer_append(out, b"\\\\x", 3)
        room = buffer_reserve(out, 2)
        room[0] = HEX_DIGITS[data[at] >> 4]
        room[1] = HEX_DIGITS[data[at] & 15]
        out.length += 2
        at += 1
    buffer_append_byte(out, c'"')


cdef void put_base64(Buffer* out, const uint8_t* data, size_t size) noexcept nogil:
    cdef char* room = buffer_reserve(out, (size + 2) // 3 * 4)
    cdef size_t at = 0
    cdef uint32_t group
    while at < size:
        group = <uint32_t>data[at] << 16
        if at + 1 < size:
            group |= <uint32_t>data[at + 1] << 8
        if at + 2 < size:
            group |= data[at + 2]
        room[0] = BASE64_DIGITS[group >> 18]
        room[1] = BASE64_DIGITS[(group >> 12) & 63]
        room[2] = BASE64_DIGITS[(group >> 6) & 63] if at + 1 < size else c'='
        room[3] = BASE64_DIGITS[group & 63] if at + 2 < size else c'='
        room += 4
        out.length += 4
        at += 3


cdef void put_hex(Buffer* out, const uint8_t* data, size_t size) noexcept nogil:
    cdef char* room = buffer_reserve(out, size * 2)
    cdef size_t i
    for i in range(size):
        room[2 * i] = HEX_DIGITS[data[i] >> 4]
        room[2 * i + 1] = HEX_DIGITS[data[i] & 15]
    out.length += size * 2


cdef void put_encoded(Buffer* out, const char* data, size_t size) noexcept nogil:
    """Bytes as the object that stands for what is no text."""
    buffer_append(out, b'{"b64":"', 8)
    put_base64(out, <const uint8_t*>data, size)
    buffer_append(out, b'"}', 2)


cdef void put_escapes(Buffer* out, const uint8_t* data, size_t size) noexcept nogil:
    """Text, with \\xHH for what is no UTF-8 and two backslashes for one."""
    cdef size_t at = 0, run
    cdef char* room
    while at < size:
        run = 1 if data[at] < 0x80 else sequence_length(data + at, size - at)
        if run == 0:
            buffer_append(out, b"\\x", 2)
            room = buffer_reserve(out, 2)
            room[0] = HEX_DIGITS[data[at] >> 4]
            room[1] = HEX_DIGITS[data[at] & 15]
            out.length += 2
            at += 1
            continue
        if data[at] == c'\\':
            buffer_append_byte(out, c'\\')
        buffer_append(out, data + at, run)
        at += run


cdef void put_unquoted(Buffer* out, const char* data, size_t size, int form) noexcept nogil:
    """Bytes in one of the forms that need no quotes around them: all but FORM_AUTO."""
    if form == FORM_ESCAPED:
        put_escapes(out, <const uint8_t*>data, size)
    elif form == FORM_HEX:
        put_hex(out, <const uint8_t*>data, size)
    else:
        put_base64(out, <const uint8_t*>data, size)


cdef void put_json_bytes(Buffer* out, const char* data, size_t size, int form) noexcept nogil:
    """Bytes as JSON, in one of the forms."""
    cdef const uint8_t* bytes_at = <const uint8_t*>data
    if form == FORM_ESCAPED:
        put_text(out, bytes_at, size, True)
    elif form == FORM_AUTO and is_text(bytes_at, size):
        put_text(out, bytes_at, size, False)
    elif form == FORM_AUTO:
        put_encoded(out, data, size)
    else:
        buffer_append_byte(out, c'"')
        put_unquoted(out, data, size, form)
        buffer_append_byte(out, c'"')
