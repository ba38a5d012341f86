"""A sink that turns values into the commands that rebuild them, as a rewritten append-only file has them.

Of the tools, of a rewrite with `aof-use-rdb-preamble no`, of a restore. Nothing is ever held whole.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.number cimport format_double, format_uint64
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.command_writer cimport CommandWriter
from rotomdb.formats.sinks.sink cimport KIND_ARRAY, KIND_HASH, KIND_LIST, KIND_MODULE, KIND_ZSET, NO_FIELD_TIME
from rotomdb.formats.sinks.text cimport TextSink

from rotomdb.formats.sinks.text import id_text

cdef enum:
    ITEMS_PER_COMMAND = 64
    BATCH_BYTES = 1 << 16


cdef class CommandSink(CommandWriter):
    """The commands that rebuild each value, then PEXPIREAT where it expires; DEL before them where it is to be replaced."""

    cdef Buffer batch                     # items of the command in hand
    cdef int64_t items                    # in it
    cdef int kind
    cdef list times                       # (name, ms)
    cdef bint empty
    cdef set missing                      # IDs of pending entries of the stream that have not been seen among its entries

    def __cinit__(self, *ignored):
        self.looks_ahead = True

    def __dealloc__(self):
        buffer_release(&self.batch)

    cdef int begin_key(self) except -1:
        TextSink.begin_key(self)
        self.select()
        if self.replace:
            self.command(b"DEL", record_key(self.record))
        self.kind = -1
        self.items = 0
        self.batch.length = 0
        self.times = []
        self.empty = False
        return 0

    cdef int end_key(self) except -1:
        if self.items:
            self.end_batch()
        for name, when in self.times:
            self.command(b"HPEXPIREAT", record_key(self.record), b"%d" % when, b"FIELDS", b"1", name)
        if self.kind == KIND_MODULE or self.kind == KIND_ARRAY:
            # Nobody but the server that wrote it knows commands for it; it takes its own bytes back.
            self.command(b"RESTORE", record_key(self.record), b"0", self.dump_payload())
        if self.record.expire_ms != NO_EXPIRE and not self.empty:
            self.open_command(&self.out, 3)
            self.literal(b"PEXPIREAT")
            self.key()
            self.integer(&self.out, self.record.expire_ms)
            self.close_command()
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        self.open_command(&self.out, 3)
        self.literal(b"SET")
        self.key()
        self.word(&self.out, data, size)
        self.close_command()
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        self.kind = kind
        self.empty = count == 0 and kind != KIND_MODULE
        return 0

    cdef int tail_ahead(self, tail) except -1:
        self.missing = {entry_id for group in tail.groups for entry_id in group.pending}
        return 0

    # Items gather until they are enough for a command: how many there are is not known before the last.

    cdef int end_item(self) except -1:
        self.items += 1
        if self.items == ITEMS_PER_COMMAND or self.batch.length > BATCH_BYTES:
            self.end_batch()
        return 0

    cdef int end_batch(self) except -1:
        cdef const char* name = b"RPUSH" if self.kind == KIND_LIST else b"SADD"
        cdef int words = 1
        if self.kind == KIND_HASH or self.kind == KIND_ZSET:
            name = b"HMSET" if self.kind == KIND_HASH else b"ZADD"
            words = 2
        self.open_command(&self.out, 2 + self.items * words)
        self.literal(name)
        self.key()
        if self.as_lines:
            buffer_append_byte(&self.out, c' ')
        buffer_append(&self.out, self.batch.data, self.batch.length)
        self.close_command()
        self.batch.length = 0
        self.items = 0
        return self.spill()

    cdef int item(self, const char* data, size_t size) except -1:
        self.word(&self.batch, data, size)
        return self.end_item()

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        self.word(&self.batch, name, name_size)
        self.word(&self.batch, data, size)
        if expire_ms != NO_FIELD_TIME:
            self.times.append((PyBytes_FromStringAndSize(name, <Py_ssize_t>name_size), expire_ms))
        return self.end_item()

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        cdef char digits[48]
        self.word(&self.batch, digits, <size_t>format_double(digits, score))
        self.word(&self.batch, data, size)
        return self.end_item()

    # Streams

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        cdef char text[48]
        cdef int size = format_uint64(text, id.ms)
        text[size] = c'-'
        self.open_command(&self.out, 3 + 2 * fields)
        self.literal(b"XADD")
        self.key()
        self.word(&self.out, text, <size_t>(size + 1 + format_uint64(text + size + 1, id.seq)))
        self.items = -1                   # not empty; no batch
        if self.missing:
            self.missing.discard((id.ms, id.seq))
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        self.word(&self.out, name, name_size)
        self.word(&self.out, data, size)
        return 0

    cdef int end_entry(self) except -1:
        self.close_command()
        return self.spill()

    cdef int stream_tail(self, tail) except -1:
        key = record_key(self.record)
        if self.missing:
            # XCLAIM drops what is pending of entries that are gone; only the stream's own bytes tell of it.
            self.items = 0
            self.command(b"RESTORE", key, b"0", self.dump_payload(), b"REPLACE")
            return 0
        if self.items == 0:
            # An entry that its own command trims away: the one way to make a stream without entries.
            self.command(b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y")
        self.items = 0
        self.command(b"XSETID", key, id_bytes(tail.last_id), b"ENTRIESADDED", b"%d" % tail.entries_added,
                     b"MAXDELETEDID", id_bytes(tail.max_deleted_id))
        for group in tail.groups:
            read = -1 if group.entries_read is None else group.entries_read
            self.command(b"XGROUP", b"CREATE", key, group.name, id_bytes(group.last_id), b"ENTRIESREAD", b"%d" % read)
            for consumer in group.consumers:
                self.command(b"XGROUP", b"CREATECONSUMER", key, group.name, consumer.name)
                for entry_id in consumer.pending:
                    when, times = group.pending[entry_id]
                    self.command(b"XCLAIM", key, group.name, consumer.name, b"0", id_bytes(entry_id), b"TIME",
                                 b"%d" % when, b"RETRYCOUNT", b"%d" % times, b"JUSTID", b"FORCE")
        return 0


def id_bytes(entry_id):
    return id_text(entry_id).encode()
