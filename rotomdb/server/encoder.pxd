from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer

# Append the RESP form of a command's value; `resp` is 2 or 3.
cdef int encode_reply(Buffer* out, object value, int resp) except -1
# The line that stands before `count` elements of a reply of that type.
cdef int put_header(Buffer* out, object kind, Py_ssize_t count, int resp) except -1
cdef int64_t reply_bytes(object value, int64_t enough) except -1
