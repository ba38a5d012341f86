# RESP pieces, header only: what replies and log commands are made of.
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport Buffer, buffer_reserve
from rotomdb.engine.number cimport format_int64

cdef inline void put_number(Buffer* out, char marker, int64_t value) noexcept:
    """A marker, a decimal number, CRLF."""
    cdef char* p = buffer_reserve(out, 24)
    cdef int digits
    p[0] = marker
    digits = format_int64(p + 1, value)
    p[1 + digits] = c'\r'
    p[2 + digits] = c'\n'
    out.length += 3 + digits

cdef inline void put_bulk(Buffer* out, const char* data, size_t size) noexcept:
    """A bulk string."""
    cdef char* p = buffer_reserve(out, size + 32)
    cdef int digits
    p[0] = c'$'
    digits = format_int64(p + 1, <int64_t>size)
    p += 1 + digits
    p[0] = c'\r'
    p[1] = c'\n'
    memcpy(p + 2, data, size)
    p[2 + size] = c'\r'
    p[3 + size] = c'\n'
    out.length += 5 + digits + size
