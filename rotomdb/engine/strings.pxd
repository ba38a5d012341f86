from rotomdb.engine.keyspace cimport Entry, Keyspace, RawString

# The value's bytes; integers are written into `scratch` (21 bytes).
cdef const char* text_of(Entry* entry, size_t* length, char* scratch) noexcept nogil
# Turn the value into a RawString with room for `needed` bytes in all.
cdef RawString* writable(Keyspace db, Entry* entry, size_t needed) noexcept
