from rotomdb.engine.keyspace cimport Keyspace
from rotomdb.engine.rdb_cursor cimport RdbCursor

# Types 15, 19 and 21. The key must be absent. False: the error is recorded in the cursor and nothing was added.
cdef bint decode_stream(RdbCursor reader, int type, Keyspace db, const char* key, size_t key_length) noexcept
cdef bint skip_stream(RdbCursor reader, int type) noexcept
