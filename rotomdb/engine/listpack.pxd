from libc.stdint cimport int64_t, uint8_t, uint32_t
from rotomdb.engine.buffer cimport Buffer

cdef enum:
    LISTPACK_HEADER = 6
    LISTPACK_INTEGER_TEXT = 21       # room that lp_text needs for an integer element

cdef uint8_t* lp_new(size_t capacity) noexcept nogil
cdef inline uint32_t lp_bytes(const uint8_t* lp) noexcept nogil:
    return (<uint32_t*>lp)[0]
cdef uint32_t lp_count(const uint8_t* lp) noexcept nogil
# Element pointers; NULL at either end.
cdef uint8_t* lp_first(uint8_t* lp) noexcept nogil
cdef uint8_t* lp_last(uint8_t* lp) noexcept nogil
cdef uint8_t* lp_next(uint8_t* lp, uint8_t* element) noexcept nogil
cdef uint8_t* lp_previous(uint8_t* lp, uint8_t* element) noexcept nogil
# Negative indexes count from the tail.
cdef uint8_t* lp_seek(uint8_t* lp, int64_t index) noexcept nogil
# String elements: pointer and length. Integer elements: NULL and the value.
cdef const char* lp_get(const uint8_t* element, uint32_t* length, int64_t* value) noexcept nogil
# The element as text; integers are written into `scratch` (LISTPACK_INTEGER_TEXT bytes).
cdef const char* lp_text(const uint8_t* element, uint32_t* length, char* scratch) noexcept nogil
# The element's text as a bytes object.
cdef bytes lp_to_bytes(const uint8_t* element)
# Each returns the listpack's new address; offsets (element - lp) stay meaningful, pointers do not.
cdef uint8_t* lp_insert(uint8_t* lp, size_t offset, const char* data, size_t length) noexcept nogil
cdef uint8_t* lp_append(uint8_t* lp, const char* data, size_t length) noexcept nogil
cdef uint8_t* lp_replace(uint8_t* lp, size_t offset, const char* data, size_t length) noexcept nogil
# Deletes `count` elements from the one at `offset`.
cdef uint8_t* lp_delete(uint8_t* lp, size_t offset, uint32_t count) noexcept nogil
# First element equal to data, looking at every (skip + 1)th from `element`; NULL when there is none.
cdef uint8_t* lp_find(uint8_t* lp, uint8_t* element, const char* data, size_t length, uint32_t skip) noexcept nogil
cdef bint lp_equals(const uint8_t* element, const char* data, size_t length) noexcept nogil
# NULL when sound, else what is wrong.
cdef const char* lp_validate(const uint8_t* lp, size_t size) noexcept nogil
# Building several elements at once: encode them into a buffer, append them in one step.
cdef void lp_encode(Buffer* out, const char* data, size_t length) noexcept nogil
cdef void lp_encode_integer(Buffer* out, int64_t value) noexcept nogil
cdef uint8_t* lp_append_encoded(uint8_t* lp, const char* data, size_t size, uint32_t count) noexcept nogil
# An integer element, or a string element that spells one (0 when it does not).
cdef int64_t lp_integer(const uint8_t* element) noexcept nogil
cdef uint8_t* lp_replace_integer(uint8_t* lp, size_t offset, int64_t value) noexcept nogil
# Bytes that an element takes, both ends included.
cdef size_t lp_encoded_size(const char* data, size_t length) noexcept nogil
