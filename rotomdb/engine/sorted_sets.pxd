from rotomdb.engine.keyspace cimport Entry

cdef void to_skiplist(Entry* entry) noexcept
