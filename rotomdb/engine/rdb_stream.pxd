from libc.stdint cimport int64_t, uint8_t, uint64_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport Keyspace
from rotomdb.engine.rdb_cursor cimport RdbCursor

# Types 15, 19 and 21. The key must be absent. False: the error is recorded in the cursor and nothing was added.
cdef bint decode_stream(RdbCursor reader, int type, Keyspace db, const char* key, size_t key_length) noexcept
cdef bint skip_stream(RdbCursor reader, int type) noexcept

cdef struct NodeSummary:             # of the nodes so far; zeroed before the first
    int64_t nodes
    int64_t live                     # entries that are not deleted
    StreamId last                    # ID of the last entry, deleted or not

# Both return NULL, or what is wrong: with a node (a validated listpack), and with what the stream says of its nodes.
cdef const char* check_node(uint8_t* lp, StreamId master, NodeSummary* summary) noexcept nogil
cdef const char* check_length(uint64_t length, StreamId last, NodeSummary* summary) noexcept nogil
cdef StreamId raw_id(const uint8_t* data) noexcept nogil
