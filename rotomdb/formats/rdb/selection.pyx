"""Which keys of a file are wanted."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.rdb.record cimport Record, record_key

from rotomdb.formats.rdb.value_types import LOGICAL_TYPES

cdef int64_t NEVER = (<int64_t>1 << 62)


cdef class Selection:
    """Which keys are wanted. Everything is wanted until something is narrowed."""

    def __cinit__(self):
        self.expires_from = self.size_from = -NEVER
        self.expires_to = self.size_to = NEVER
        self.sample = <uint64_t>1 << 32

    cdef bint matches_record(self, const Record* record) except -1:
        """Whether it is one of those that are asked for, but for its size and `exclude`."""
        cdef int64_t expires
        cdef uint64_t mixed
        cdef size_t i
        if self.databases is not None and record.database not in self.databases:
            return False
        if self.kinds is not None and LOGICAL_TYPES.get(record.type) not in self.kinds:
            return False
        if self.sample >> 32 == 0:
            mixed = 0xcbf29ce484222325U          # FNV-1a: the same keys in every run and every file
            for i in range(record.key_length):
                mixed = (mixed ^ <uint8_t>record.key[i]) * 0x100000001b3U
            mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdU
            if (mixed ^ (mixed >> 33)) & 0xffffffffU >= self.sample:
                return False
        if self.glob is not None and not glob_match(
                PyBytes_AS_STRING(self.glob), PyBytes_GET_SIZE(self.glob), record.key, <Py_ssize_t>record.key_length, False):
            return False
        expires = record.expire_ms if record.expire_ms != NO_EXPIRE else NEVER
        if not self.expires_from <= expires <= self.expires_to:
            return False
        return self.matches is None or bool(self.matches(record_key(record)))

    cdef bint asks_size(self) noexcept:
        return self.size_from > 0 or self.size_to < NEVER

    cdef bint fits(self, size_t size) noexcept:
        return self.size_from <= <int64_t>size <= self.size_to
