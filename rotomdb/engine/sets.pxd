from rotomdb.engine.keyspace cimport Engine, Entry, Keyspace

# Add one member; whether it is new.
cdef bint put(Engine engine, Entry* entry, const char* data, size_t length) noexcept
cdef void to_table(Entry* entry) noexcept nogil
