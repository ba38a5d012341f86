"""A sink that counts: keys, bytes and elements by value type, databases, times to live, the largest keys."""

from libc.stdint cimport int64_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.rdb.format cimport RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.sink cimport ValueSink

from heapq import heappush, heapreplace

from rotomdb.formats.rdb.value_types import TYPE_NAMES

cdef enum:
    TYPES = 34
    SPANS = 9
    SIZE_STEPS = 40

# Upper ends in seconds from now; the last but one is open, the last is for keys that never expire.
TTL_SPANS = ["expired", "1 minute", "1 hour", "1 day", "1 week", "30 days", "1 year", "longer", "never"]
cdef int64_t[7] SPAN_ENDS_MS = [0, 60000, 3600000, 86400000, 604800000, 2592000000, 31536000000]


cdef class SummarySink(ValueSink):
    """Counts as it is walked over.

    Args:
        now_ms: What times to live are counted from.
        top: How many of the largest keys to remember.
    """

    cdef int64_t[TYPES] keys_of, bytes_of, elements_of
    cdef int64_t[SPANS] spans
    cdef int64_t[SIZE_STEPS] sizes        # keys of 2**i to 2**(i+1) - 1 bytes
    cdef int64_t now_ms, top
    cdef dict databases
    cdef list largest                     # a heap of (bytes, db, key, type)
    cdef int64_t elements

    def __cinit__(self, int64_t now_ms, int64_t top=10):
        self.now_ms = now_ms
        self.top = top
        self.databases = {}
        self.largest = []
        self.skips_elements = True

    cdef int begin_key(self) except -1:
        self.elements = 1
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.elements = count if count > 0 else 0
        return 0

    cdef int packed(self, size_t size, int64_t count) except -1:
        if self.record.type == RDB_LIST_QUICKLIST or self.record.type == RDB_LIST_QUICKLIST_2:
            self.elements += count
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.elements += 1
        return 0

    cdef int end_key(self) except -1:
        cdef int type = self.record.type
        cdef int64_t size = <int64_t>(self.record.end - self.record.start), left = size
        cdef int64_t ttl
        cdef int step = 0
        self.keys_of[type] += 1
        self.bytes_of[type] += size
        self.elements_of[type] += self.elements
        while left > 1 and step < SIZE_STEPS - 1:
            left >>= 1
            step += 1
        self.sizes[step] += 1
        database = self.record.database
        self.databases[database] = self.databases.get(database, 0) + 1
        step = SPANS - 1
        if self.record.expire_ms != NO_EXPIRE:
            ttl = self.record.expire_ms - self.now_ms
            step = 0
            while step < 7 and ttl > SPAN_ENDS_MS[step]:
                step += 1
        self.spans[step] += 1
        if self.top:
            if len(self.largest) < self.top:
                heappush(self.largest, (size, database, record_key(self.record), type))
            elif size > <int64_t>self.largest[0][0]:
                heapreplace(self.largest, (size, database, record_key(self.record), type))
        return 0

    def types(self):
        """{type number: (keys, bytes in the file, elements)} of the types that occur."""
        return {
            type: (self.keys_of[type], self.bytes_of[type], self.elements_of[type])
            for type in range(TYPES) if self.keys_of[type]
        }

    def keys_by_database(self):
        return dict(self.databases)

    def keys_by_ttl(self):
        """{upper end of a span from now: keys}."""
        return {name: self.spans[i] for i, name in enumerate(TTL_SPANS)}

    def keys_by_size(self):
        """{bytes: keys of up to so many bytes in the file}, by powers of two."""
        return {(2 << i) - 1: self.sizes[i] for i in range(SIZE_STEPS) if self.sizes[i]}

    def largest_keys(self):
        """(bytes in the file, db, key, name of the encoding), the largest first."""
        ordered = sorted(self.largest, reverse=True)
        return [(size, database, key, TYPE_NAMES[type]) for size, database, key, type in ordered]
