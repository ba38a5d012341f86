"""Sinks that turn values into commands: those that rebuild them (as a rewritten log has them), and RESTORE.

Of the tools, of a rewrite with `aof-use-rdb-preamble no`, of a restore. Nothing is ever held whole.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport strlen

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.number cimport format_double, format_int64, format_uint64
from rotomdb.formats.rdb.format cimport RDB_HASH, RDB_TEMPLATE_ARRAY_REF, RDB_TEMPLATE_LISTPACK_REF
from rotomdb.formats.rdb.encoder cimport put_length, put_string
from rotomdb.formats.sinks.text cimport TextSink
from rotomdb.formats.rdb.record cimport record_key
from rotomdb.formats.sinks.sink cimport (
    KIND_ARRAY, KIND_HASH, KIND_LIST, KIND_MODULE, KIND_ZSET, NO_FIELD_TIME,
)
from rotomdb.formats.resp.resp cimport put_bulk, put_number

from rotomdb.formats.sinks.text import id_text
from rotomdb.formats.rdb.dump_payload import seal

cdef enum:
    ITEMS_PER_COMMAND = 64
    BATCH_BYTES = 1 << 16

cdef const char* HEX_DIGITS = "0123456789abcdef"


cdef void put_quoted(Buffer* out, const char* data, size_t size) noexcept:
    """A word as redis-cli reads it: bare where that is unambiguous, else in double quotes with escapes."""
    cdef size_t i
    cdef uint8_t c
    cdef char* room
    cdef bint bare = size > 0
    for i in range(size):
        c = <uint8_t>data[i]
        if not (c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9' or c == c':' or c == c'_' or c == c'-'
                or c == c'.' or c == c'{' or c == c'}' or c == c'/' or c == c'+'):
            bare = False
            break
    if bare:
        buffer_append(out, data, size)
        return
    buffer_append_byte(out, c'"')
    for i in range(size):
        c = <uint8_t>data[i]
        if c == c'"' or c == c'\\':
            buffer_append_byte(out, c'\\')
            buffer_append_byte(out, c)
        elif c == c'\n':
            buffer_append(out, b"\\n", 2)
        elif c == c'\r':
            buffer_append(out, b"\\r", 2)
        elif c == c'\t':
            buffer_append(out, b"\\t", 2)
        elif 0x20 <= c < 0x7f:
            buffer_append_byte(out, c)
        else:
            buffer_append(out, b"\\x", 2)
            room = buffer_reserve(out, 2)
            room[0] = HEX_DIGITS[c >> 4]
            room[1] = HEX_DIGITS[c & 15]
            out.length += 2
    buffer_append_byte(out, c'"')


cdef class CommandSink(TextSink):
    """The commands that rebuild each value, then PEXPIREAT where it expires.

    Args:
        write: Takes bytes, in pieces of about 64 KB.
        text: Lines as a person types them instead of RESP.
        replace: DEL each key first.
    """

    cdef bint text, replace
    cdef int64_t database                 # that is selected; -1: none yet
    cdef Buffer batch                     # items of the command in hand
    cdef int64_t items                    # in it
    cdef int kind
    cdef list times                       # (name, ms)
    cdef bint empty
    cdef set missing                      # IDs of pending entries of the stream that have not been seen among its entries
    cdef readonly int64_t commands

    def __cinit__(self, write, bint text=False, bint replace=False):
        self.text = text
        self.replace = replace
        self.database = -1
        self.looks_ahead = True

    def __dealloc__(self):
        buffer_release(&self.batch)

    # Words

    cdef void open_command(self, Buffer* out, int64_t words) noexcept:
        self.commands += 1
        if not self.text:
            put_number(out, c'*', words)

    cdef void word(self, Buffer* out, const char* data, size_t size) noexcept:
        if self.text:
            if out.length and out.data[out.length - 1] != c'\n':
                buffer_append_byte(out, c' ')
            put_quoted(out, data, size)
        else:
            put_bulk(out, data, size)

    cdef void close_command(self) noexcept:
        if self.text:
            buffer_append_byte(&self.out, c'\n')

    cdef void literal(self, const char* text) noexcept:
        self.word(&self.out, text, strlen(text))

    cdef void integer(self, Buffer* out, int64_t value) noexcept:
        cdef char digits[24]
        self.word(out, digits, <size_t>format_int64(digits, value))

    cdef void key(self) noexcept:
        self.word(&self.out, self.record.key, self.record.key_length)

    def command(self, *words):
        """One whole command, of bytes."""
        self.open_command(&self.out, len(words))
        for word in words:
            self.word(&self.out, <const char*>(<bytes>word), <size_t>len(word))
        self.close_command()

    cdef int select(self) except -1:
        if self.database != <int64_t>self.record.database:
            self.database = <int64_t>self.record.database
            self.command(b"SELECT", b"%d" % self.database)
        return 0

    # Keys

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

    cdef int abandon_key(self) except -1:
        self.database = -1
        return TextSink.abandon_key(self)

    cdef int end_key(self) except -1:
        if self.items:
            self.end_batch()
        for name, when in self.times:
            self.command(b"HPEXPIREAT", record_key(self.record), b"%d" % when, b"FIELDS", b"1", name)
        if self.kind == KIND_MODULE or self.kind == KIND_ARRAY:
            # Nobody but the server that wrote it knows commands for it; it takes its own bytes back.
            self.command(b"RESTORE", record_key(self.record), b"0", dump_payload(self))
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
        if self.text:
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
            self.command(b"RESTORE", key, b"0", dump_payload(self), b"REPLACE")
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


cdef bytes dump_payload(TextSink sink):
    """The value that was just walked over, as DUMP gives it."""
    cdef size_t start = sink.record.value_start
    return seal(bytes([sink.record.type]) + PyBytes_FromStringAndSize(
        <const char*>sink.record.base + start, <Py_ssize_t>(sink.record.end - start)
    ), sink.rdb_version)


cdef class RestoreSink(CommandSink):
    """One RESTORE for each key, with the bytes of the file: encodings, times and access information stay as they are."""

    cdef bint plain                       # the bytes of the file are for files only: the value goes as a plain hash

    cdef int begin_key(self) except -1:
        TextSink.begin_key(self)
        self.plain = self.record.type in (RDB_TEMPLATE_LISTPACK_REF, RDB_TEMPLATE_ARRAY_REF)
        self.batch.length = 0
        return self.select()

    cdef int begin(self, int kind, int64_t count) except -1:
        if self.plain:
            buffer_append_byte(&self.batch, RDB_HASH)
            put_length(&self.batch, <uint64_t>count)
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
            return dump_payload(self)
        return seal(PyBytes_FromStringAndSize(self.batch.data, <Py_ssize_t>self.batch.length), self.rdb_version)

    cdef int string(self, const char* data, size_t size) except -1:
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        if self.plain:
            put_string(&self.batch, name, name_size, True)
            put_string(&self.batch, data, size, True)
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        return 0

    cdef int end_entry(self) except -1:
        return 0

    cdef int stream_tail(self, tail) except -1:
        return 0
