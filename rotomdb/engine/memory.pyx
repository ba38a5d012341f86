"""Counted native memory: every byte that the engine holds is known to `used_memory()`.

The count is per process because memory is: Redis's `used_memory` means the same.
"""

from libc.stdint cimport int64_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, free, malloc, realloc

cdef extern from "platform.h" nogil:
    size_t rotom_allocation_size(void* pointer)
    void* mmap(void* address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t length)
    int rotom_trim_memory()
    void rotom_tune_allocator()
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS

cdef int64_t used = 0


cdef void out_of_memory(size_t size) noexcept nogil:
    fprintf(stderr, "Out Of Memory allocating %zu bytes!\n", size)
    abort()


cdef void* mem_alloc(size_t size) noexcept nogil:
    global used
    cdef void* pointer = malloc(size if size else 1)
    if pointer == NULL:
        out_of_memory(size)
    used += <int64_t>rotom_allocation_size(pointer)
    return pointer


cdef void* mem_realloc(void* pointer, size_t size) noexcept nogil:
    global used
    if pointer == NULL:
        return mem_alloc(size)
    cdef int64_t before = <int64_t>rotom_allocation_size(pointer)
    cdef void* moved = realloc(pointer, size if size else 1)
    if moved == NULL:
        out_of_memory(size)
    used += <int64_t>rotom_allocation_size(moved) - before
    return moved


cdef void* mem_try_realloc(void* pointer, size_t size) noexcept nogil:
    global used
    cdef int64_t before = <int64_t>rotom_allocation_size(pointer) if pointer != NULL else 0
    cdef void* moved = realloc(pointer, size if size else 1)
    if moved != NULL:
        used += <int64_t>rotom_allocation_size(moved) - before
    return moved


cdef void mem_free(void* pointer) noexcept nogil:
    global used
    if pointer != NULL:
        used -= <int64_t>rotom_allocation_size(pointer)
        free(pointer)


cdef void* mem_map(size_t size) noexcept nogil:
    global used
    cdef void* pointer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if pointer == <void*>-1:
        out_of_memory(size)
    used += <int64_t>size
    return pointer


cdef void mem_unmap(void* pointer, size_t size) noexcept nogil:
    global used
    used -= <int64_t>size
    munmap(pointer, size)


cdef void mem_count(int64_t change) noexcept nogil:
    """Count memory that Python objects hold in the place of the engine: arguments that wait to be run."""
    global used
    used += change


cdef int64_t mem_used() noexcept nogil:
    return used


def used_memory():
    """Bytes that the engine holds, allocator rounding included."""
    return used


def purge():
    """Ask the allocator to hand free pages back to the system; whether any were."""
    return rotom_trim_memory() == 1


def tune_allocator():
    """Have free memory go back to the system in small steps: giving back 64 MiB at once stalls for milliseconds.

    For a process that is a server; a program that embeds one keeps its own settings.
    """
    rotom_tune_allocator()
