from libc.stdint cimport int64_t

cdef extern from "platform.h" nogil:
    size_t rotom_allocation_size(void* pointer)

# Counted allocation. None of these returns NULL: out of memory ends the process, as in Redis.
cdef void* mem_alloc(size_t size) noexcept nogil
cdef void* mem_realloc(void* pointer, size_t size) noexcept nogil
# As mem_realloc; NULL where there is no such memory, and the block is as it was.
cdef void* mem_try_realloc(void* pointer, size_t size) noexcept nogil
cdef void mem_free(void* pointer) noexcept nogil
# Page-backed zeroed block for large arrays, so that it can be handed back piecemeal.
cdef void* mem_map(size_t size) noexcept nogil
cdef void mem_unmap(void* pointer, size_t size) noexcept nogil
cdef void mem_count(int64_t change) noexcept nogil
cdef int64_t mem_used() noexcept nogil
