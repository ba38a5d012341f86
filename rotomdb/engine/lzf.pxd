from libc.stdint cimport uint8_t

# Bytes written to `out`, or 0 when the result needs more than `budget` bytes.
cdef size_t lzf_compress(const uint8_t* source, size_t length, uint8_t* out, size_t budget) noexcept nogil
# 1 when `source` inflates to exactly `expected` bytes, else 0 (nothing is written past `expected`).
cdef bint lzf_decompress(const uint8_t* source, size_t length, uint8_t* out, size_t expected) noexcept nogil
