"""Packed values of old files as listpacks: ziplists (Redis <= 6.2) and zipmaps (Redis 2.2 and 2.4)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.listpack cimport lp_append, lp_count, lp_new
from rotomdb.engine.memory cimport mem_free
from rotomdb.engine.ziplist cimport ziplist_first, ziplist_next, ziplist_text


cdef uint8_t* listpack_of_ziplist(const uint8_t* data) noexcept:
    cdef uint8_t* lp = lp_new(0)
    cdef size_t at = ziplist_first(data)
    cdef uint32_t length
    cdef char scratch[24]
    cdef const char* text
    while at:
        text = ziplist_text(data, at, &length, scratch)
        lp = lp_append(lp, text, length)
        at = ziplist_next(data, at)
    return lp


cdef uint8_t* listpack_of_zipmap(const uint8_t* data, size_t size, const char** problem) noexcept:
    """Re-pack a zipmap; NULL with *problem set when it is damaged."""
    cdef uint8_t* lp
    cdef size_t at = 1
    cdef uint64_t length
    cdef uint32_t wide
    cdef bint is_value = False
    cdef size_t free_bytes
    if size < 2 or data[size - 1] != 0xFF:
        problem[0] = "zipmap without end marker"
        return NULL
    lp = lp_new(0)
    while True:
        if at >= size:
            problem[0] = "zipmap runs past its end"
            break
        if data[at] == 0xFF and not is_value:
            if at != size - 1:
                problem[0] = "zipmap end marker before its end"
            elif data[0] != 254 and data[0] != lp_count(lp) // 2:
                problem[0] = "zipmap count differs from its pairs"
            break
        if data[at] == 0xFF:
            problem[0] = "zipmap key without a value"
            break
        if data[at] < 254:
            length = data[at]
            at += 1
        else:
            if size - at < 6:
                problem[0] = "zipmap entry longer than the zipmap"
                break
            memcpy(&wide, data + at + 1, 4)
            length = wide
            at += 5
        free_bytes = 0
        if is_value:
            if at >= size:
                problem[0] = "zipmap runs past its end"
                break
            free_bytes = data[at]
            at += 1
        if length + free_bytes > size - 1 - at:
            problem[0] = "zipmap entry longer than the zipmap"
            break
        lp = lp_append(lp, <const char*>data + at, length)
        at += length + free_bytes
        is_value = not is_value
    if problem[0] != NULL:
        mem_free(lp)
        return NULL
    return lp
