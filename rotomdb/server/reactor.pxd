from libc.stdint cimport int64_t

cdef extern from "poller.h" nogil:
    ctypedef struct rotom_poller:
        pass
    ctypedef struct rotom_event:
        int fd
        int mask

cdef class Handler:
    cdef readonly int fd
    cdef public bint wants_write
    cdef int on_readable(self) except -1
    cdef int on_writable(self) except -1

cdef class Reactor:
    cdef rotom_poller poller
    cdef list handlers                    # by descriptor; None: free
    cdef list timers                      # heap of [due in monotonic ms, number, callable or None when cancelled, ms to a retry]
    cdef int64_t timer_count
    cdef Py_ssize_t cancelled             # timers in the heap that were
    cdef public object before_sleep, after_sleep
    cdef public object report             # called with (what failed, exception); the loop goes on
    cdef public bint stopping
    cdef public bint gathering            # the end of a turn is dear (an fsync): take in all that is ready before it
    cdef int watch(self, int fd, int before, int mask) except -1
    cdef Handler handler_of(self, int fd)
    cdef object complain(self, str what, error)
    cdef object end_failed(self, Handler handler, error)
    cdef int checked(self, int count) except -1
    cdef int handle(self, rotom_event* events, int count) except -1
