from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer

# Append the RESP form of a command's value; `resp` is 2 or 3.
cdef int encode_reply(Buffer* out, object value, int resp) except -1
cdef int64_t reply_bytes(object value, int64_t enough) except -1
