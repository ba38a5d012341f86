"""The one stream of effects: a write becomes bytes once, whoever reads them (the AOF today, replicas next)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release
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
    """

    def __cinit__(self):
        self.cuts = []
        self.selected = -1
        self.active = False

    def __dealloc__(self):
        buffer_release(&self.buffer)

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
        cdef int digits
        cdef size_t before = self.buffer.length
        if self.timestamps and now_ms // 1000 > self.last_timestamp:
            self.last_timestamp = now_ms // 1000
            buffer_append(&self.buffer, b"#TS:", 4)
            digits = format_int64(line, self.last_timestamp)
            buffer_append(&self.buffer, line, <size_t>digits)
            buffer_append(&self.buffer, b"\r\n", 2)
        if database != self.selected and database >= 0:
            digits = format_int64(line, database)
            buffer_append(&self.buffer, b"*2\r\n$6\r\nSELECT\r\n$", 17)
            buffer_append_byte(&self.buffer, <unsigned char>(c'0' + digits))     # at most 9: databases is limited
            buffer_append(&self.buffer, b"\r\n", 2)
            buffer_append(&self.buffer, line, <size_t>digits)
            buffer_append(&self.buffer, b"\r\n", 2)
            self.selected = database
            if database:
                self.other_database = True
        self.offset += <int64_t>(self.buffer.length - before)

    cdef int feed(self, int database, PyObject** arguments, int count, int64_t now_ms) except -1:
        """Append one command; database -1: it needs none selected (MULTI, EXEC)."""
        cdef size_t before
        if not self.active:
            return 0
        self.consider_cut()
        self.prepare(database, now_ms)
        before = self.buffer.length
        put_command(&self.buffer, arguments, count)
        self.offset += <int64_t>(self.buffer.length - before)
        if database < 0:
            self.in_transaction = PyBytes_AS_STRING(<object>arguments[0])[0] == c'M'
        return 0

    def feed_command(self, int database, arguments, int64_t now_ms):
        """As `feed`, from a sequence of bytes."""
        cdef bytes encoded
        if not self.active:
            return
        self.consider_cut()
        self.prepare(database, now_ms)
        encoded = encode_command(*arguments)
        buffer_append(&self.buffer, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))
        self.offset += len(encoded)
        if database < 0:
            self.in_transaction = arguments[0][:1] == b"M"

    def __len__(self):
        return self.buffer.length

    @property
    def buffer_bytes(self):
        """Memory that the bytes take."""
        return self.buffer.capacity

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
