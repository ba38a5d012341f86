"""The one stream of effects: a write becomes bytes once, whoever reads them, the log and the replicas.

Both get the same commands. What the log has between them (annotations) replicas never see, and `offset` counts commands only.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.engine.number cimport format_int64
from rotomdb.formats.resp.resp cimport put_bulk, put_number


cdef void put_command(Buffer* out, PyObject** arguments, int count) noexcept:
    """Append a command in RESP; the arguments are bytes objects."""
    cdef int i
    put_number(out, c'*', count)
    for i in range(count):
        put_bulk(out, PyBytes_AS_STRING(<object>arguments[i]), <size_t>PyBytes_GET_SIZE(<object>arguments[i]))


def encode_command(*arguments):
    """RESP bytes of a command; integers and floats as text."""
    cdef list items = [as_argument(argument) for argument in arguments]
    cdef Buffer out
    cdef PyObject* pointers[64]
    cdef list head
    out.data = NULL
    out.length = 0
    out.capacity = 0
    if len(items) <= 64:
        for i in range(len(items)):
            pointers[<int>i] = <PyObject*>items[i]
        put_command(&out, pointers, <int>len(items))
        result = PyBytes_FromStringAndSize(out.data, <Py_ssize_t>out.length)
        buffer_release(&out)
        return result
    head = [b"*%d\r\n" % len(items)]
    for item in items:
        head.append(b"$%d\r\n%b\r\n" % (len(item), item))
    return b"".join(head)


def as_argument(value):
    """Bytes of a command argument."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"no command argument: {value!r}")


cdef class PropagationStream:
    """Bytes of all effects since the last `take()`, with the SELECTs that the databases need.

    `cut_every`: Note about every so many bytes where a block may end (docs/durability.md): between commands, outside
    transactions. What follows names its database again, so that it can stand alone.
    `active`: The log reads the stream: `take`. `replicating`: Replicas do: `take_for_replicas`. `muted`: What is written
    now is for neither.
    """

    def __cinit__(self):
        self.cuts = []
        self.selected = -1
        self.logged = self.replicated = self.silent = self.wanted = False

    def __dealloc__(self):
        buffer_release(&self.buffer)
        buffer_release(&self.for_replicas)

    cdef void settle(self) noexcept:
        self.wanted = (self.logged or self.replicated) and not self.silent

    @property
    def active(self):
        return self.logged

    @active.setter
    def active(self, bint value):
        self.logged = value
        self.settle()

    @property
    def replicating(self):
        return self.replicated

    @replicating.setter
    def replicating(self, bint value):
        self.replicated = value
        self.settle()

    @property
    def muted(self):
        return self.silent

    @muted.setter
    def muted(self, bint value):
        self.silent = value
        self.settle()

    cdef void append(self, const char* data, size_t length) noexcept:
        """Bytes for whoever reads."""
        if self.logged:
            buffer_append(&self.buffer, data, length)
        if self.replicated:
            buffer_append(&self.for_replicas, data, length)
            self.replica_offset += <int64_t>length
        self.offset += <int64_t>length

    cdef int consider_cut(self) except -1:
        """Before a command: end the block when it is long enough."""
        if self.cut_every and not self.in_transaction and <int64_t>self.buffer.length - self.last_cut >= self.cut_every:
            self.last_cut = <int64_t>self.buffer.length
            self.cuts.append(self.last_cut)
            self.begin_block()
        return 0

    cdef void prepare(self, int database, int64_t now_ms) noexcept:
        """The annotation and the SELECT that the next command needs."""
        cdef char line[64]
        cdef char digits[24]
        cdef int count
        if self.timestamps and self.logged and now_ms // 1000 > self.last_timestamp:
            self.last_timestamp = now_ms // 1000
            buffer_append(&self.buffer, b"#TS:", 4)
            count = format_int64(line, self.last_timestamp)
            buffer_append(&self.buffer, line, <size_t>count)
            buffer_append(&self.buffer, b"\r\n", 2)
        if database != self.selected and database >= 0:
            count = format_int64(digits, database)
            memcpy(line, b"*2\r\n$6\r\nSELECT\r\n$", 17)
            line[17] = <char>(c'0' + count)     # at most 9: databases is limited
            memcpy(line + 18, b"\r\n", 2)
            memcpy(line + 20, digits, <size_t>count)
            memcpy(line + 20 + count, b"\r\n", 2)
            self.append(line, <size_t>(22 + count))
            self.selected = database
            if database:
                self.other_database = True

    cdef int feed(self, int database, PyObject** arguments, int count, int64_t now_ms) except -1:
        """Append one command; database -1: it needs none selected (MULTI, EXEC)."""
        cdef size_t before
        cdef Buffer* first = &self.buffer if self.logged else &self.for_replicas
        if not self.wanted:
            return 0
        self.consider_cut()
        self.prepare(database, now_ms)
        before = first.length
        put_command(first, arguments, count)
        self.offset += <int64_t>(first.length - before)
        if self.replicated:
            self.replica_offset += <int64_t>(first.length - before)
            if self.logged:
                buffer_append(&self.for_replicas, first.data + before, first.length - before)
        if database < 0:
            self.in_transaction = PyBytes_AS_STRING(<object>arguments[0])[0] == c'M'
        return 0

    def feed_command(self, int database, arguments, int64_t now_ms):
        """As `feed`, from a sequence of bytes."""
        cdef bytes encoded
        if not self.wanted:
            return
        self.consider_cut()
        self.prepare(database, now_ms)
        encoded = encode_command(*arguments)
        self.append(PyBytes_AS_STRING(encoded), <size_t>PyBytes_GET_SIZE(encoded))
        if database < 0:
            self.in_transaction = arguments[0][:1] == b"M"

    def feed_replicas(self, *arguments):
        """A command that changes no data: no log has it."""
        cdef bytes encoded = encode_command(*arguments)
        if self.replicated and not self.silent:
            buffer_append(&self.for_replicas, PyBytes_AS_STRING(encoded), <size_t>PyBytes_GET_SIZE(encoded))
            self.replica_offset += len(encoded)

    def take_for_replicas(self):
        """The bytes for them since the last call."""
        cdef bytes taken = PyBytes_FromStringAndSize(self.for_replicas.data, <Py_ssize_t>self.for_replicas.length)
        self.for_replicas.length = 0
        if self.for_replicas.capacity > 1 << 20:
            buffer_release(&self.for_replicas)
        return taken

    def __len__(self):
        return self.buffer.length

    @property
    def buffer_bytes(self):
        """Memory that the bytes take."""
        return self.buffer.capacity + self.for_replicas.capacity

    def take(self):
        """The bytes since the last call."""
        cdef bytes taken = PyBytes_FromStringAndSize(self.buffer.data, <Py_ssize_t>self.buffer.length)
        self.buffer.length = 0
        self.last_cut = 0
        if self.buffer.capacity > 1 << 20:
            buffer_release(&self.buffer)
        return taken

    def take_cuts(self):
        """Where blocks may end in what `take` gave."""
        cuts, self.cuts = self.cuts, []
        return cuts

    def begin_file(self):
        """The next command names its database again, and databases other than 0 have not been used yet."""
        self.selected = -1
        if self.buffer.length == 0:          # else they will stand in the file, too
            self.other_database = False

    def begin_block(self):
        """In a log that uses several databases each block names its own, so that it can stand alone."""
        if self.other_database:
            self.selected = -1
