from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum:
    INTSET_HEADER = 8

cdef struct Intset:                  # exactly the RDB form
    uint32_t width                   # 2, 4 or 8 bytes per member; never shrinks
    uint32_t length

cdef Intset* intset_new() noexcept nogil
cdef int64_t intset_get(Intset* intset, uint32_t index) noexcept nogil
cdef bint intset_find(Intset* intset, int64_t value, uint32_t* index) noexcept nogil
# Both return the new address and set *changed.
cdef Intset* intset_add(Intset* intset, int64_t value, bint* changed) noexcept nogil
cdef Intset* intset_remove(Intset* intset, int64_t value, bint* changed) noexcept nogil
cdef inline size_t intset_bytes(Intset* intset) noexcept nogil:
    return INTSET_HEADER + <size_t>intset.width * intset.length
cdef const char* intset_validate(const uint8_t* data, size_t size) noexcept nogil
