"""Intset: a sorted array of integers of one width, byte for byte as in RDB files."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove

from rotomdb.engine.memory cimport mem_alloc, mem_realloc


cdef inline uint32_t width_for(int64_t value) noexcept nogil:
    if -32768 <= value <= 32767:
        return 2
    if -2147483648 <= value <= 2147483647:
        return 4
    return 8


cdef inline int64_t load(const uint8_t* members, uint32_t width, uint32_t index) noexcept nogil:
    cdef int16_t i16
    cdef int32_t i32
    cdef int64_t i64
    if width == 2:
        memcpy(&i16, members + <size_t>index * 2, 2)
        return i16
    if width == 4:
        memcpy(&i32, members + <size_t>index * 4, 4)
        return i32
    memcpy(&i64, members + <size_t>index * 8, 8)
    return i64


cdef inline void store(uint8_t* members, uint32_t width, uint32_t index, int64_t value) noexcept nogil:
    # Little endian: the low bytes of the wide value are the narrow one.
    memcpy(members + <size_t>index * width, &value, width)


cdef inline uint8_t* members_of(Intset* intset) noexcept nogil:
    return <uint8_t*>intset + INTSET_HEADER


cdef Intset* intset_new() noexcept nogil:
    cdef Intset* intset = <Intset*>mem_alloc(INTSET_HEADER)
    intset.width = 2
    intset.length = 0
    return intset


cdef int64_t intset_get(Intset* intset, uint32_t index) noexcept nogil:
    return load(members_of(intset), intset.width, index)


cdef bint intset_find(Intset* intset, int64_t value, uint32_t* index) noexcept nogil:
    """Binary search; *index is where `value` is or would go."""
    cdef uint32_t low = 0, high = intset.length, middle
    cdef int64_t held
    if width_for(value) > intset.width:
        index[0] = 0 if value < 0 else intset.length
        return False
    while low < high:
        middle = (low + high) // 2
        held = intset_get(intset, middle)
        if held == value:
            index[0] = middle
            return True
        if held < value:
            low = middle + 1
        else:
            high = middle
    index[0] = low
    return False


cdef Intset* intset_add(Intset* intset, int64_t value, bint* changed) noexcept nogil:
    cdef uint32_t width = width_for(value), index, i, old_width = intset.width
    cdef uint8_t* members
    changed[0] = True
    if width > old_width:
        # A value too wide for the set is its new first or last member: widen from the back.
        intset = <Intset*>mem_realloc(intset, INTSET_HEADER + <size_t>width * (intset.length + 1))
        members = members_of(intset)
        i = intset.length
        while i:
            i -= 1
            store(members, width, i + (1 if value < 0 else 0), load(members, old_width, i))
        store(members, width, 0 if value < 0 else intset.length, value)
        intset.width = width
        intset.length += 1
        return intset
    if intset_find(intset, value, &index):
        changed[0] = False
        return intset
    intset = <Intset*>mem_realloc(intset, intset_bytes(intset) + old_width)
    members = members_of(intset)
    memmove(members + <size_t>(index + 1) * old_width, members + <size_t>index * old_width,
            <size_t>(intset.length - index) * old_width)
    store(members, old_width, index, value)
    intset.length += 1
    return intset


cdef Intset* intset_remove(Intset* intset, int64_t value, bint* changed) noexcept nogil:
    cdef uint32_t index, width = intset.width
    cdef uint8_t* members
    changed[0] = intset_find(intset, value, &index)
    if not changed[0]:
        return intset
    members = members_of(intset)
    memmove(members + <size_t>index * width, members + <size_t>(index + 1) * width,
            <size_t>(intset.length - index - 1) * width)
    intset.length -= 1
    return <Intset*>mem_realloc(intset, intset_bytes(intset))


cdef const char* intset_validate(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t width, length, i
    cdef int64_t previous, current
    if size < INTSET_HEADER:
        return "intset shorter than its header"
    memcpy(&width, data, 4)
    memcpy(&length, data + 4, 4)
    if width != 2 and width != 4 and width != 8:
        return "intset with unknown width"
    if length == 0:
        return "intset without members"
    if size != INTSET_HEADER + <size_t>width * length:
        return "intset length field differs from its size"
    previous = load(data + INTSET_HEADER, width, 0)
    for i in range(1, length):
        current = load(data + INTSET_HEADER, width, i)
        if current <= previous:
            return "intset members out of order"
        previous = current
    return NULL
