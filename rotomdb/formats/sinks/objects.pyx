"""A sink that makes Python values."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.id_map cimport StreamId
from rotomdb.formats.sinks.sink cimport KIND_STREAM, NO_FIELD_TIME, ValueSink

from dataclasses import dataclass


@dataclass
class StreamValue:
    """A stream: its entries as (ID, [(field, value), ...]), and what stands behind them."""

    entries: list
    tail: object


cdef class ObjectSink(ValueSink):
    """Values as Python objects, in `value` after each visit.

    bytes; list of bytes (list, set); list of (field, value) pairs; list of (member, score) pairs; a StreamValue; list of
    (index, value) pairs (array); None (module).
    """

    cdef public object value
    cdef public dict field_times          # ms, of the fields that have one
    cdef public object module_name
    cdef list pairs

    cdef int begin_key(self) except -1:
        self.field_times = {}
        self.module_name = None
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.value = PyBytes_FromStringAndSize(data, <Py_ssize_t>size)
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.value = StreamValue([], None) if kind == KIND_STREAM else []
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        (<list>self.value).append(PyBytes_FromStringAndSize(data, <Py_ssize_t>size))
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        field_name = PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size)
        (<list>self.value).append((field_name, PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        if expire_ms != NO_FIELD_TIME:
            self.field_times[field_name] = expire_ms
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        (<list>self.value).append((PyBytes_FromStringAndSize(data, <Py_ssize_t>size), score))
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        (<list>self.value).append((index, PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.pairs = []
        self.value.entries.append(((id.ms, id.seq), self.pairs))
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        self.pairs.append((PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size),
                           PyBytes_FromStringAndSize(data, <Py_ssize_t>size)))
        return 0

    cdef int stream_tail(self, tail) except -1:
        self.value.tail = tail
        return 0

    cdef int module(self, name) except -1:
        self.value = None
        self.module_name = name
        return 0
