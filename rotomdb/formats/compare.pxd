# For qsort.
from libc.stdint cimport uint64_t

cdef inline int compare_uint64(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<uint64_t*>a)[0]
    cdef uint64_t y = (<uint64_t*>b)[0]
    return (x > y) - (x < y)
