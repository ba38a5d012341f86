from libc.stdint cimport uint8_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport Keyspace
from rotomdb.engine.rdb_cursor cimport RdbCursor

# Types 15, 19 and 21. The key must be absent. False: the error is recorded in the cursor and nothing was added.
cdef bint decode_stream(RdbCursor reader, int type, Keyspace db, const char* key, size_t key_length) noexcept
cdef bint skip_stream(RdbCursor reader, int type) noexcept
# NULL when the (validated) listpack is a sound stream node, else what is wrong.
cdef const char* check_node(uint8_t* lp) noexcept nogil
cdef StreamId raw_id(const uint8_t* data) noexcept nogil
