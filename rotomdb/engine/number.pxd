from libc.stdint cimport int64_t, uint64_t

# Strict canonical decimal int64 (no sign '+', no leading zero, no "-0", no space): 1 and *out, else 0.
cdef bint parse_int64(const char* text, Py_ssize_t length, int64_t* out) noexcept nogil
# Decimal digits only, leading zeros allowed.
cdef bint parse_uint64(const char* text, Py_ssize_t length, uint64_t* out) noexcept nogil
# Writes decimal text (no terminator), returns its length; `out` needs 21 bytes.
cdef int format_int64(char* out, int64_t value) noexcept nogil
cdef int format_uint64(char* out, uint64_t value) noexcept nogil
# strtod over the whole of `text`, no NaN, no leading space: 1 and *out, else 0.
cdef bint parse_double(const char* text, Py_ssize_t length, double* out) noexcept
# Shortest text that reads back as the same double, in the layout of Redis 7.2; `out` needs 40 bytes.
cdef int format_double(char* out, double value) except -1
