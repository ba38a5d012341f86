from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.rdb.records cimport RdbRecords

# What stands behind the nodes of a stream, a StreamTail; None with the error recorded.
cdef object take_tail(RdbRecords records, int type, StreamId first_entry)
