from libc.stdint cimport int64_t

from rotomdb.engine.keyspace cimport Entry, Keyspace

# Set one field of a hash; whether it is new. With `only_absent` an existing one keeps its value.
cdef bint put(Keyspace db, Entry* entry, const char* name, size_t length, const char* value, size_t value_length,
              bint only_absent, bint keep_time=*) noexcept
# Make an existing field expire.
cdef void put_time(Keyspace db, Entry* entry, const char* name, size_t length, int64_t expire_ms) noexcept
cdef void to_table(Entry* entry) noexcept nogil
