# Growable byte buffer, header only. A zeroed Buffer is a valid empty one.
from libc.string cimport memcpy
from libc.stdlib cimport abort, free, realloc

cdef struct Buffer:
    char* data
    size_t length       # bytes in use
    size_t capacity     # bytes allocated

cdef inline char* buffer_reserve(Buffer* buffer, size_t extra) noexcept nogil:
    """Room for `extra` bytes behind the content; returns where they go."""
    cdef size_t wanted = buffer.length + extra
    if wanted > buffer.capacity:
        # Doubling keeps appends O(1) amortised; 256 bytes spare the first few steps.
        wanted = wanted * 2 if wanted < (64 << 20) else wanted + (32 << 20)
        if wanted < 256:
            wanted = 256
        buffer.data = <char*>realloc(buffer.data, wanted)
        if buffer.data == NULL:
            abort()
        buffer.capacity = wanted
    return buffer.data + buffer.length

cdef inline char* buffer_try_reserve(Buffer* buffer, size_t wanted) noexcept nogil:
    """The content gone, room for exactly `wanted` bytes; NULL where there is no such memory, which ends nothing."""
    cdef char* data
    buffer.length = 0
    if wanted > buffer.capacity:
        data = <char*>realloc(buffer.data, wanted)
        if data == NULL:
            return NULL
        buffer.data = data
        buffer.capacity = wanted
    return buffer.data

cdef inline void buffer_append(Buffer* buffer, const void* source, size_t length) noexcept nogil:
    memcpy(buffer_reserve(buffer, length), source, length)
    buffer.length += length

cdef inline void buffer_append_byte(Buffer* buffer, unsigned char byte) noexcept nogil:
    buffer_reserve(buffer, 1)[0] = <char>byte
    buffer.length += 1

cdef inline void buffer_release(Buffer* buffer) noexcept nogil:
    free(buffer.data)
    buffer.data = NULL
    buffer.length = 0
    buffer.capacity = 0
