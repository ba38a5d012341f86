# Growable byte buffer, header only, in counted memory. A zeroed Buffer is a valid empty one.
from libc.string cimport memcpy

from rotomdb.engine.memory cimport mem_free, mem_realloc, mem_try_realloc

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
        buffer.data = <char*>mem_realloc(buffer.data, wanted)
        buffer.capacity = wanted
    return buffer.data + buffer.length

cdef inline char* buffer_try_reserve(Buffer* buffer, size_t wanted) noexcept nogil:
    """The content gone, room for exactly `wanted` bytes; NULL where there is no such memory, which ends nothing."""
    cdef char* data
    buffer.length = 0
    if wanted > buffer.capacity:
        data = <char*>mem_try_realloc(buffer.data, wanted)
        if data == NULL:
            return NULL
        buffer.data = data
        buffer.capacity = wanted
    return buffer.data

cdef inline void buffer_release(Buffer* buffer) noexcept nogil:
    mem_free(buffer.data)
    buffer.data = NULL
    buffer.length = 0
    buffer.capacity = 0

cdef inline void buffer_fit(Buffer* buffer, size_t room) noexcept nogil:
    """Give back what is more than the content and `room`."""
    if buffer.length + room == 0:
        buffer_release(buffer)
    elif buffer.capacity > buffer.length + room:
        buffer.data = <char*>mem_realloc(buffer.data, buffer.length + room)
        buffer.capacity = buffer.length + room

cdef inline char* buffer_reserve_exactly(Buffer* buffer, size_t extra) noexcept nogil:
    """As `buffer_reserve`, with nothing to spare: for content whose size is known."""
    if buffer.length + extra > buffer.capacity:
        buffer.capacity = buffer.length + extra
        buffer.data = <char*>mem_realloc(buffer.data, buffer.capacity)
    return buffer.data + buffer.length

cdef inline void buffer_append(Buffer* buffer, const void* source, size_t length) noexcept nogil:
    if length:                           # of nothing there may be no address, which memcpy must not be given
        memcpy(buffer_reserve(buffer, length), source, length)
    buffer.length += length

cdef inline void buffer_append_byte(Buffer* buffer, unsigned char byte) noexcept nogil:
    buffer_reserve(buffer, 1)[0] = <char>byte
    buffer.length += 1
