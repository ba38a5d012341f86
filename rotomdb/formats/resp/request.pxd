from cpython.object cimport PyObject
from libc.stdint cimport int64_t

cdef enum ParseResult:
    PARSE_MORE = 0                    # the request is not complete; feed more bytes
    PARSE_COMPLETE = 1                # `items` holds `count` arguments
    PARSE_ERROR = 2                   # `error` says what is wrong

cdef class RequestParser:
    cdef PyObject** items             # owned bytes objects
    cdef int count                    # arguments parsed so far
    cdef int capacity
    cdef int64_t item_bytes           # of the arguments parsed so far, together
    cdef int64_t remaining            # arguments still to come; 0: between requests
    cdef int64_t bulk_length          # of the argument being read; -1: its header is still to come
    cdef public int64_t max_bulk_bytes
    cdef public bint authenticated    # strangers may send only short requests
    cdef bint from_log                # an AOF: no inline requests, bare LF accepted
    cdef readonly bytes error
    cdef int parse(self, const char* data, Py_ssize_t size, Py_ssize_t* consumed) except -1
    cdef int push(self, const char* data, Py_ssize_t size) except -1
    cdef int fail(self, bytes reason)
    cdef int parse_inline(self, const char* data, Py_ssize_t size, Py_ssize_t* consumed) except -1
    cdef void clear(self) noexcept
    cdef void shrink(self) noexcept
    cdef list take(self)
