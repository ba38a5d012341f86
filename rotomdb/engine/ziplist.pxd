from libc.stdint cimport int64_t, uint8_t, uint32_t

# NULL when sound, else what is wrong.
cdef const char* ziplist_validate(const uint8_t* data, size_t size) noexcept nogil
# Walking a validated ziplist: offset of the first entry, of the one after `at`; 0 at the end.
cdef size_t ziplist_first(const uint8_t* data) noexcept nogil
cdef size_t ziplist_next(const uint8_t* data, size_t at) noexcept nogil
# As lp_get: string entries give pointer and length, integers NULL and the value.
cdef const char* ziplist_get(const uint8_t* data, size_t at, uint32_t* length, int64_t* value) noexcept nogil
