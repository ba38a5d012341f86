from libc.stdint cimport uint8_t, uint64_t

# Bytes written to `out`, or 0 when the result needs more than `budget` bytes.
cdef size_t lzf_compress(const uint8_t* source, size_t length, uint8_t* out, size_t budget) noexcept nogil
# What `source` inflates to, by its tokens alone; 0 when the last of them is cut off.
cdef uint64_t lzf_inflated_size(const uint8_t* source, size_t length) noexcept nogil
# 1 when `source` inflates to exactly `expected` bytes, else 0 (nothing is written past `expected`).
cdef bint lzf_decompress(const uint8_t* source, size_t length, uint8_t* out, size_t expected) noexcept nogil
