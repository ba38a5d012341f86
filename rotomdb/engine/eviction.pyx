"""Choosing which key to evict: Redis's approximation of LRU, LFU and shortest time to live by sampling.

A pool keeps the best candidates seen so far, so that a few samples per eviction come close to the true order. Source of the
method: the description of `maxmemory-samples` and of the eviction pool in Redis's documentation.
"""

from bisect import insort

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from rotomdb.engine.keyspace cimport NO_EXPIRE, Engine, Entry, Keyspace, key_of, lfu_counter
from rotomdb.engine.table cimport Table, table_length, table_random

cdef enum:
    POOL_SIZE = 16
    KIND_LRU = 0
    KIND_LFU = 1
    KIND_TTL = 2
    KIND_RANDOM = 3

KINDS = {"lru": KIND_LRU, "lfu": KIND_LFU, "ttl": KIND_TTL, "random": KIND_RANDOM}


cdef class Evictor:
    """Finds victims for one policy."""

    cdef Engine engine
    cdef int kind
    cdef bint volatile_only
    cdef public int samples               # keys looked at per database and eviction
    cdef list pool                        # (score, database index, key), the best candidate last
    cdef int next_database

    def __init__(self, Engine engine not None):
        self.engine = engine
        self.samples = 5
        self.set_policy("noeviction")

    def set_policy(self, str policy not None):
        """A value of `maxmemory-policy`."""
        which, _, kind = policy.partition("-")
        self.volatile_only = which == "volatile"
        self.kind = KINDS.get(kind, -1)
        self.pool = []

    cdef Table* candidates(self, Keyspace db) noexcept:
        return &db.volatile_keys if self.volatile_only else &db.keys

    cdef int64_t score(self, Entry* entry) noexcept:
        """The higher, the sooner it goes."""
        if self.kind == KIND_LFU:
            return 255 - lfu_counter(self.engine, entry.meta >> 8)
        if self.kind == KIND_TTL:
            return -entry.expire_ms
        return <int64_t>((self.engine.lru_clock - (entry.meta >> 8)) & 0xffffff)

    def victim(self):
        """(database index, key) of the key to evict next; None when the policy allows none."""
        cdef Keyspace db
        cdef Entry* entry
        cdef bytes key
        cdef bint found
        if self.kind < 0:
            return None
        if self.kind == KIND_RANDOM:
            return self.random_victim()
        while True:
            found = False
            for db in self.engine.databases:
                if table_length(self.candidates(db)):
                    found = True
                    self.sample(db)
            if not found:
                return None
            while self.pool:
                _, index, key = self.pool.pop()
                db = self.engine.databases[index]
                entry = db.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
                if entry != NULL and (not self.volatile_only or entry.expire_ms != NO_EXPIRE):
                    return index, key

    cdef object random_victim(self):
        cdef Keyspace db
        cdef Entry* entry
        cdef Py_ssize_t _
        for _ in range(len(self.engine.databases)):
            db = self.engine.databases[self.next_database % len(self.engine.databases)]
            self.next_database += 1
            entry = <Entry*>table_random(self.candidates(db))
            if entry != NULL:
                return db.index, PyBytes_FromStringAndSize(key_of(entry), entry.key_length)
        return None

    cdef object sample(self, Keyspace db):
        cdef Entry* entry
        cdef int _
        for _ in range(self.samples):
            entry = <Entry*>table_random(self.candidates(db))
            score = self.score(entry)
            if len(self.pool) == POOL_SIZE and score <= self.pool[0][0]:
                continue
            candidate = (score, db.index, PyBytes_FromStringAndSize(key_of(entry), entry.key_length))
            if candidate in self.pool:
                continue
            insort(self.pool, candidate)
            if len(self.pool) > POOL_SIZE:
                del self.pool[0]
