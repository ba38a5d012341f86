"""The base of sinks that write: what they make gathers in a buffer and leaves it in pieces."""

from cpython.bytes cimport PyBytes_FromStringAndSize

from rotomdb.engine.buffer cimport buffer_append, buffer_release
from rotomdb.formats.sinks.sink cimport ValueSink

cdef enum:
    SPILL_BYTES = 1 << 16


cdef class TextSink(ValueSink):
    """The base of sinks that write."""

    def __cinit__(self, write=None, *ignored):
        self.write = write

    def __dealloc__(self):
        buffer_release(&self.out)

    cdef int spill(self) except -1:
        """Hand on what is there, once it is enough."""
        if self.out.length >= SPILL_BYTES:
            self.flush()
        return 0

    def flush(self):
        """Hand on everything."""
        if self.out.length:
            self.write(PyBytes_FromStringAndSize(self.out.data, <Py_ssize_t>self.out.length))
            self.out.length = self.key_start = 0
            self.key_split = True

    def put(self, bytes data not None):
        """Text of the caller, between two records."""
        buffer_append(&self.out, <const char*>data, <size_t>len(data))

    cdef int begin_key(self) except -1:
        self.spill()
        self.key_start = self.out.length
        self.key_split = False
        return 0

    cdef int abandon_key(self) except -1:
        """Half a record is not handed on, as far as it has not left yet."""
        if not self.key_split:
            self.out.length = self.key_start
        return 0


def id_text(entry_id):
    """`ms-seq`."""
    return f"{entry_id[0]}-{entry_id[1]}"
