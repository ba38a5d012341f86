from libc.stdint cimport int64_t, uint8_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport Keyspace
from rotomdb.formats.rdb.primitives cimport RdbCursor

# Types 15, 19 and 21. The key must be absent. False: the error is recorded in the cursor and nothing was added.
cdef bint decode_stream(RdbCursor reader, int type, Keyspace db, const char* key, size_t key_length) noexcept
cdef bint skip_stream(RdbCursor reader, int type) noexcept

cdef struct NodeSummary:             # of the nodes so far; zeroed before the first
    int64_t nodes
    int64_t live                     # entries that are not deleted
    StreamId master                  # of the last of them

# NULL when the (validated) listpack is a sound stream node, else what is wrong.
cdef const char* check_node(uint8_t* lp, StreamId master, NodeSummary* summary) noexcept nogil
cdef StreamId raw_id(const uint8_t* data) noexcept nogil
