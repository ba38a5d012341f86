"""Packed values of old files as listpacks: ziplists (Redis <= 6.2) and zipmaps (Redis 2.2 and 2.4)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.formats.rdb.cursor cimport CURSOR_TRUNCATED, Cursor, cursor_fail, cursor_take
from rotomdb.engine.listpack cimport lp_append, lp_count, lp_new
from rotomdb.engine.memory cimport mem_free
from rotomdb.formats.rdb.ziplist cimport ziplist_first, ziplist_next, ziplist_text

cdef enum:
    END = 0xFF                        # of a zipmap
    WIDE = 0xFE                       # the length follows in four bytes
    COUNT_UNKNOWN = 0xFE


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


cdef bint zipmap_pairs(Cursor* cursor, uint8_t** lp) noexcept:
    """Append the entries up to the end marker; False with the reason in the cursor."""
    cdef const uint8_t* p
    cdef uint64_t length, unused
    cdef uint32_t wide
    cdef bint is_value = False
    while True:
        p = cursor_take(cursor, 1)
        if p == NULL:
            return False
        length = p[0]
        if length == END:
            if is_value:
                return cursor_fail(cursor, "zipmap key without a value", 0)
            return cursor.position == cursor.size or cursor_fail(cursor, "zipmap end marker before its end", 0)
        if length == WIDE:
            p = cursor_take(cursor, 4)
            if p == NULL:
                return False
            memcpy(&wide, p, 4)
            length = wide
        unused = 0
        if is_value:
            # Room behind the value that a shorter one left.
            p = cursor_take(cursor, 1)
            if p == NULL:
                return False
            unused = p[0]
        p = cursor_take(cursor, length)
        if p == NULL or cursor_take(cursor, unused) == NULL:
            return False
        lp[0] = lp_append(lp[0], <const char*>p, length)
        is_value = not is_value


cdef uint8_t* listpack_of_zipmap(const uint8_t* data, size_t size, const char** problem) noexcept:
    """Re-pack a zipmap; NULL with *problem set when it is damaged."""
    cdef Cursor cursor
    cdef uint8_t* lp
    memset(&cursor, 0, sizeof(cursor))
    cursor.base = data
    cursor.size = size
    if size < 2 or data[size - 1] != END:
        problem[0] = "zipmap without end marker"
        return NULL
    cursor_take(&cursor, 1)           # the count
    lp = lp_new(0)
    if not zipmap_pairs(&cursor, &lp):
        problem[0] = cursor.error
        if cursor.error_kind == CURSOR_TRUNCATED:
            problem[0] = "zipmap entry longer than the zipmap"
    elif data[0] != COUNT_UNKNOWN and data[0] != lp_count(lp) // 2:
        problem[0] = "zipmap count differs from its pairs"
    if problem[0] != NULL:
        mem_free(lp)
        return NULL
    return lp
