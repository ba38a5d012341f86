from libc.stdint cimport uint8_t

# Both return a new listpack. The ziplist has been validated; a damaged zipmap gives NULL, with *problem set.
cdef uint8_t* listpack_of_ziplist(const uint8_t* data) noexcept
cdef uint8_t* listpack_of_zipmap(const uint8_t* data, size_t size, const char** problem) noexcept
