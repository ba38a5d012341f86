from rotomdb.engine.buffer cimport Buffer
from rotomdb.engine.keyspace cimport Entry

cdef int encode_value(Buffer* out, Entry* entry, bint compress, int version) except -1
