"""A sink that makes RESTORE commands."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append_byte, buffer_release
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.rdb.encoder cimport put_length, put_string
from rotomdb.formats.rdb.format cimport RDB_HASH, RDB_TEMPLATE_ARRAY_REF, RDB_TEMPLATE_LISTPACK_REF
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.command_writer cimport CommandWriter
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.rdb.dump_payload import seal


cdef class RestoreSink(CommandWriter):
    """One RESTORE for each key, with the bytes of the file: encodings, times and access information stay as they are."""

    cdef Buffer plain_hash
    cdef bint plain                       # the bytes of the file are for files only: the value goes as a plain hash

    def __dealloc__(self):
        buffer_release(&self.plain_hash)

    cdef int begin_key(self) except -1:
        TextSink.begin_key(self)
        self.plain = self.record.type in (RDB_TEMPLATE_LISTPACK_REF, RDB_TEMPLATE_ARRAY_REF)
        self.plain_hash.length = 0
        return self.select()

    cdef int begin(self, int kind, int64_t count) except -1:
        if self.plain:
            buffer_append_byte(&self.plain_hash, RDB_HASH)
            put_length(&self.plain_hash, <uint64_t>count)
        return 0

    cdef int end_key(self) except -1:
        words = [b"RESTORE", record_key(self.record), b"%d" % (0 if self.record.expire_ms == NO_EXPIRE else self.record.expire_ms),
                 self.payload(), b"ABSTTL"]
        if self.replace:
            words.append(b"REPLACE")
        if self.record.idle_seconds >= 0:
            words += [b"IDLETIME", b"%d" % self.record.idle_seconds]
        elif self.record.frequency >= 0:
            words += [b"FREQ", b"%d" % self.record.frequency]
        self.command(*words)
        return 0

    cdef bytes payload(self):
        if not self.plain:
            return self.dump_payload()
        return seal(PyBytes_FromStringAndSize(self.plain_hash.data, <Py_ssize_t>self.plain_hash.length), self.rdb_version)

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        if self.plain:
            put_string(&self.plain_hash, name, name_size, True)
            put_string(&self.plain_hash, data, size, True)
        return 0
