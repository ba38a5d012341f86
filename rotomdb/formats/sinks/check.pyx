"""A sink that finds what a server would refuse though its bytes can be read: members and keys that occur twice."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, qsort

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.table cimport table_hash
from rotomdb.formats.compare cimport compare_uint64
from rotomdb.formats.sinks.sink cimport KIND_HASH, KIND_MODULE, KIND_SET, KIND_STREAM, KIND_STRING, ValueSink

from rotomdb.errors import DuplicateKeyError, RdbValueError

cdef enum:
    FEW_MEMBERS = 16                      # compared pair by pair
    LEAST_KEY_SLOTS = 1024                # a power of two


cdef class CheckSink(ValueSink):
    """Finds members and fields that occur twice in a value, values without any, and keys that occur twice in a database.

    All are told apart by keyed 64-bit hashes: two different ones are taken for one in 2**-64 of pairs.

    Args:
        unique_keys: Look for keys, too, in 11 to 32 bytes of memory for each; the sink must see every record just once.
        expire_before_ms: Keys whose time is over before this are no duplicates of others: a server drops them from a snapshot
            as it reads, so that another of the name may follow. -1: it keeps them, as in the base of an append-only file.
    """

    cdef bint unique_keys
    cdef int64_t expire_before_ms
    cdef uint64_t* key_slots              # hashes of the keys so far, by open addressing; 0: free
    cdef size_t key_slot_count, key_count
    cdef Buffer hashes
    cdef int kind
    cdef int64_t elements
    cdef readonly int64_t empty           # values without elements, which servers drop

    def __cinit__(self, bint unique_keys=False, int64_t expire_before_ms=-1):
        self.unique_keys = unique_keys
        self.expire_before_ms = expire_before_ms

    def __dealloc__(self):
        buffer_release(&self.hashes)
        free(self.key_slots)

    cdef bint put_key(self, uint64_t hash) noexcept nogil:
        """Take the hash in, unless it is there: False."""
        cdef size_t at = hash & (self.key_slot_count - 1)
        while self.key_slots[at] != 0:
            if self.key_slots[at] == hash:
                return False
            at = (at + 1) & (self.key_slot_count - 1)
        self.key_slots[at] = hash
        return True

    cdef int grow_keys(self) except -1:
        cdef uint64_t* former = self.key_slots
        cdef size_t former_count = self.key_slot_count, i
        cdef size_t wanted = max(former_count * 2, <size_t>LEAST_KEY_SLOTS)
        cdef uint64_t* slots = <uint64_t*>calloc(wanted, 8)
        if slots == NULL:
            raise MemoryError()
        self.key_slots = slots
        self.key_slot_count = wanted
        for i in range(former_count):
            if former[i] != 0:
                self.put_key(former[i])
        free(former)
        return 0

    cdef int remember_key(self) except -1:
        cdef uint64_t hash = table_hash(self.record.key, self.record.key_length)
        if self.expire_before_ms >= 0 and self.record.expire_ms != NO_EXPIRE and self.record.expire_ms < self.expire_before_ms:
            return 0
        hash ^= self.record.database * <uint64_t>0x9E3779B97F4A7C15
        if self.key_count * 4 >= self.key_slot_count * 3:
            self.grow_keys()
        if not self.put_key(hash if hash != 0 else 1):
            raise DuplicateKeyError(self.record.start, "duplicate key")
        self.key_count += 1
        return 0

    cdef int begin_key(self) except -1:
        self.hashes.length = 0
        self.elements = 0
        self.kind = KIND_STRING
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        return 0

    cdef int remember(self, const char* data, size_t size) except -1:
        cdef uint64_t hash = table_hash(data, size)
        buffer_append(&self.hashes, &hash, 8)
        self.elements += 1
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        if self.kind == KIND_SET:
            return self.remember(data, size)
        self.elements += 1
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        return self.remember(name, name_size)

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return self.remember(data, size)

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.elements += 1
        return 0

    cdef int end_key(self) except -1:
        cdef uint64_t* hashes = <uint64_t*>self.hashes.data
        cdef size_t count = self.hashes.length // 8, i, j
        cdef bint twice = False
        if self.elements == 0 and self.kind != KIND_STRING and self.kind != KIND_STREAM and self.kind != KIND_MODULE:
            self.empty += 1
        if count <= FEW_MEMBERS:
            for i in range(1, count):
                for j in range(i):
                    twice = twice or hashes[i] == hashes[j]
        else:
            qsort(hashes, count, 8, compare_uint64)
            for i in range(1, count):
                twice = twice or hashes[i] == hashes[i - 1]
        if twice:
            what = "hash field" if self.kind == KIND_HASH else "set member" if self.kind == KIND_SET else "sorted set member"
            raise RdbValueError(self.record.value_start, f"duplicate {what}")
        if self.unique_keys:
            self.remember_key()
        return 0
