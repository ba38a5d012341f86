from libc.stdint cimport int64_t, uint8_t, uint32_t

# NULL when sound, else what is wrong.
cdef const char* ziplist_validate(const uint8_t* data, size_t size) noexcept nogil
# Walking a validated ziplist: offset of the first entry, of the one after `at`; 0 at the end.
cdef size_t ziplist_first(const uint8_t* data) noexcept nogil
cdef size_t ziplist_next(const uint8_t* data, size_t at) noexcept nogil
# The entry as text; integers are written into `scratch` (21 bytes).
cdef const char* ziplist_text(const uint8_t* data, size_t at, uint32_t* length, char* scratch) noexcept nogil
