from libc.stdint cimport int64_t, uint64_t

from rotomdb.formats.rdb.record cimport Record

cdef class Selection:
    cdef public object databases          # None: all
    cdef public object kinds              # names as TYPE has them; None: all
    cdef public bytes glob
    cdef public object matches            # a function of the key; None: all
    cdef public int64_t expires_from, expires_to     # ms; keys without expire time count as never
    cdef public int64_t size_from, size_to           # bytes in the file
    cdef public uint64_t sample           # of 2**32
    cdef public bint exclude              # want all others instead
    cdef public bint functions            # want function libraries, which are no keys, too
    cdef bint matches_record(self, const Record* record) except -1
    cdef bint asks_size(self) noexcept
    cdef bint fits(self, size_t size) noexcept
