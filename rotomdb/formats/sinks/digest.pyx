"""A sink that makes one number of each value, so that two can be compared without holding either."""

from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.buffer cimport buffer_append, buffer_release
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.table cimport table_hash
from rotomdb.formats.sinks.sink cimport KIND_LIST, KIND_STRING, ValueSink


cdef class DigestSink(ValueSink):
    """A 64-bit digest of each value, in `digest`: equal for equal values, whatever their encoding and the order of their members.

    Keyed anew in every process, so that nobody can make two values look alike on purpose.
    """

    def __dealloc__(self):
        buffer_release(&self.joined)

    cdef uint64_t mix(self, const char* data, size_t size, const void* more, size_t more_size) noexcept:
        cdef uint64_t length = size
        self.joined.length = 0
        buffer_append(&self.joined, &length, 8)
        buffer_append(&self.joined, data, size)
        buffer_append(&self.joined, more, more_size)
        return table_hash(self.joined.data, self.joined.length)

    cdef int begin_key(self) except -1:
        self.digest = self.position = self.elements = 0
        self.kind = KIND_STRING
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        self.digest = <uint64_t>kind * 0x9E3779B97F4A7C15U
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.digest = self.mix(data, size, NULL, 0)
        self.elements = size
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        self.position += 1
        self.elements += 1
        self.digest += self.mix(data, size, &self.position, 8 if self.kind == KIND_LIST else 0)
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        cdef uint64_t value = self.mix(data, size, &expire_ms, 8)
        self.elements += 1
        self.digest += self.mix(name, name_size, &value, 8)
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        if score == 0:
            score = 0.0                   # small sorted sets do not keep the sign of a zero
        self.elements += 1
        self.digest += self.mix(data, size, &score, 8)
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        self.elements += 1
        self.digest += self.mix(data, size, &index, 8)
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        self.elements += 1
        self.digest = self.mix(<char*>&id, 16, &self.digest, 8)
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        cdef uint64_t value = self.mix(data, size, &self.digest, 8)
        self.digest = self.mix(name, name_size, &value, 8)
        return 0

    cdef int stream_tail(self, tail) except -1:
        groups = sorted(
            (group.name, group.last_id, group.entries_read, sorted(group.pending.items()), sorted(group.owners.items()),
             sorted(one.name for one in group.consumers))
            for group in tail.groups
        )
        text = repr((tail.length, tail.last_id, tail.max_deleted_id, tail.entries_added, groups)).encode()
        self.digest = self.mix(<const char*>text, <size_t>len(text), &self.digest, 8)
        return 0

    cdef int module(self, name) except -1:
        # The raw bytes: nobody but the module can tell what they mean.
        self.digest = self.mix(<const char*>self.record.base + self.record.value_start,
                               self.record.end - self.record.value_start, NULL, 0)
        return 0
