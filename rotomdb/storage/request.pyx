"""Requests in RESP: the one parser for sockets and for append-only files.

A parser keeps what it has of an unfinished request, so that a request of a hundred thousand arguments, arriving in
pieces, is read once.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr

from rotomdb.engine.number cimport parse_int64

from rotomdb.storage.quoting import one_line

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()

cdef extern from "Python.h":
    void Py_XDECREF(PyObject* object)
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* data, Py_ssize_t size)

cdef enum:
    INLINE_MAX = 64 * 1024            # bytes of a line
    STRANGER_ARGUMENTS = 10           # what a client may send before it has authenticated
    STRANGER_BULK_BYTES = 16384
    ITEMS_PER_LOOK = 16               # of a log, or so many bytes, between two looks at the clock
    BYTES_PER_LOOK = 4096
    PROGRESS_NS = 5000000


cdef class RequestParser:
    def __cinit__(self, int64_t max_bulk_bytes=512 * 1024 * 1024, bint authenticated=True, bint from_log=False):
        self.max_bulk_bytes = max_bulk_bytes
        self.authenticated = authenticated
        self.from_log = from_log
        self.bulk_length = -1

    def __dealloc__(self):
        self.clear()
        free(self.items)

    cdef void clear(self) noexcept:
        """Drop the arguments; ready for the next request."""
        cdef int i
        for i in range(self.count):
            Py_XDECREF(self.items[i])
        self.count = 0

    cdef list take(self):
        """The arguments as a list; ready for the next request."""
        cdef list arguments = PyList_New(self.count)
        cdef int i
        for i in range(self.count):
            PyList_SET_ITEM(arguments, i, <object>self.items[i])    # steals our reference
        self.count = 0
        return arguments

    cdef int push(self, const char* data, Py_ssize_t size) except -1:
        cdef PyObject* item
        cdef PyObject** items
        cdef int64_t capacity
        if self.count == self.capacity:
            capacity = <int64_t>self.capacity * 2 if self.capacity else 8
            if capacity > 2147483647:
                raise MemoryError()
            items = <PyObject**>realloc(self.items, <size_t>capacity * sizeof(PyObject*))
            if items == NULL:
                raise MemoryError()         # what is held stays, for `clear`
            self.items = items
            self.capacity = <int>capacity
        item = new_bytes(data, size)
        if item == NULL:
            raise MemoryError()
        self.items[self.count] = item
        self.count += 1
        return 0

    cdef int fail(self, bytes reason):
        self.error = reason
        return PARSE_ERROR

    cdef int parse(self, const char* data, Py_ssize_t size, Py_ssize_t* consumed) except -1:
        """Read one request from `data`; *consumed says how many bytes were used, whatever the result."""
        cdef Py_ssize_t at = 0, line
        cdef const char* end
        cdef int64_t number
        consumed[0] = 0
        if self.remaining == 0:
            if size == 0:
                return PARSE_MORE
            if data[0] != c'*':
                if self.from_log:
                    return self.fail(b"expected '*'")
                return self.parse_inline(data, size, consumed)
            end = <const char*>memchr(data, c'\n' if self.from_log else c'\r', <size_t>size)
            if end == NULL or (not self.from_log and end + 1 == data + size):
                if size > INLINE_MAX:
                    return self.fail(b"too big mbulk count string")
                return PARSE_MORE
            line = end - data
            at = line + (1 if self.from_log else 2)
            if self.from_log and line > 1 and data[line - 1] == c'\r':
                line -= 1
            if not parse_int64(data + 1, line - 1, &number) or number > 2147483647:
                return self.fail(b"invalid multibulk length")
            if number > STRANGER_ARGUMENTS and not self.authenticated:
                return self.fail(b"unauthenticated multibulk length")
            consumed[0] = at
            if number <= 0:
                return PARSE_COMPLETE if not self.from_log else self.fail(b"invalid multibulk length")
            self.remaining = number
            self.bulk_length = -1
        while self.remaining:
            if self.bulk_length < 0:
                if at >= size:
                    return PARSE_MORE
                end = <const char*>memchr(data + at, c'\n' if self.from_log else c'\r', <size_t>(size - at))
                if end == NULL or (not self.from_log and end + 1 == data + size):
                    if size - at > INLINE_MAX:
                        return self.fail(b"too big bulk count string")
                    return PARSE_MORE
                if data[at] != c'$':
                    return self.fail(b"expected '$', got '%c'" % <unsigned char>data[at])
                line = end - data
                if self.from_log and line > at and data[line - 1] == c'\r':
                    line -= 1
                if (not parse_int64(data + at + 1, line - at - 1, &number) or number < 0
                        or number > self.max_bulk_bytes):
                    return self.fail(b"invalid bulk length")
                if number > STRANGER_BULK_BYTES and not self.authenticated:
                    return self.fail(b"unauthenticated bulk length")
                at = end - data + (1 if self.from_log else 2)
                self.bulk_length = number
                consumed[0] = at
            if size - at < self.bulk_length + 2:
                return PARSE_MORE
            self.push(data + at, <Py_ssize_t>self.bulk_length)
            at += <Py_ssize_t>self.bulk_length + 2
            self.bulk_length = -1
            self.remaining -= 1
            consumed[0] = at
        return PARSE_COMPLETE

    cdef int parse_inline(self, const char* data, Py_ssize_t size, Py_ssize_t* consumed) except -1:
        """A line of words, as typed into telnet; no words: complete with no arguments."""
        cdef const char* end = <const char*>memchr(data, c'\n', <size_t>size)
        cdef Py_ssize_t line
        if end == NULL:
            if size > INLINE_MAX:
                return self.fail(b"too big inline request")
            return PARSE_MORE
        line = end - data
        consumed[0] = line + 1
        if line and data[line - 1] == c'\r':
            line -= 1
        words = split_arguments(PyBytes_FromStringAndSize(data, line))
        if words is None:
            return self.fail(b"unbalanced quotes in request")
        for word in words:
            self.push(PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word))
        return PARSE_COMPLETE


ESCAPES = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
SPACES = b" \t\n\v\f\r\0"


def split_arguments(bytes line):
    """Words of a line as redis.conf, the manifest and inline requests quote them; None when quotes are unbalanced.

    Double quotes know backslash escapes and \\xHH, single quotes only \\'; a closing quote ends the word.
    """
    cdef list words = []
    cdef Py_ssize_t i = 0, size = len(line)
    cdef bytearray word
    cdef int c
    while True:
        while i < size and line[i] in SPACES:
            i += 1
        if i == size:
            return words
        word = bytearray()
        while i < size and line[i] not in SPACES:
            c = line[i]
            if c == ord('"'):
                i += 1
                while True:
                    if i >= size:
                        return None
                    c = line[i]
                    if c == ord("\\") and i + 3 < size and line[i + 1] == ord("x") and is_hex(line[i + 2:i + 4]):
                        word.append(int(line[i + 2:i + 4], 16))
                        i += 4
                    elif c == ord("\\") and i + 1 < size:
                        word += ESCAPES.get(line[i + 1], line[i + 1:i + 2])
                        i += 2
                    elif c == ord('"'):
                        i += 1
                        if i < size and line[i] not in SPACES:
                            return None
                        break
                    else:
                        word.append(c)
                        i += 1
                break
            if c == ord("'"):
                i += 1
                while True:
                    if i >= size:
                        return None
                    if line[i] == ord("\\") and line[i + 1:i + 2] == b"'":
                        word.append(ord("'"))
                        i += 2
                    elif line[i] == ord("'"):
                        i += 1
                        if i < size and line[i] not in SPACES:
                            return None
                        break
                    else:
                        word.append(line[i])
                        i += 1
                break
            word.append(c)
            i += 1
        words.append(bytes(word))


def is_hex(bytes digits):
    return all(digit in b"0123456789abcdefABCDEF" for digit in digits)


class ZerosError(ValueError):
    """A command whose last bytes are zeros: what a power loss leaves of a write."""


cdef class LogReader:
    """Commands of an append-only file, front to back, from a buffer that the caller keeps.

    `offset` is the end of the last whole command; `line_offset` of the item being read.
    """

    cdef RequestParser parser
    cdef const char* data
    cdef Py_ssize_t size
    cdef object owner, on_progress
    cdef readonly Py_ssize_t offset
    cdef Py_ssize_t looked
    cdef int items, items_per_look
    cdef int64_t told_ns

    def __cinit__(self, const unsigned char[::1] data, Py_ssize_t offset=0, Py_ssize_t end=-1, on_progress=None):
        """Read from `offset` to `end`, by default all there is.

        Args:
            on_progress: Called with the offset before an item, every few ms; true: call again before the next item.
        """
        self.owner = data
        self.size = data.shape[0] if end < 0 else min(end, data.shape[0])
        self.data = <const char*>&data[0] if self.size else NULL
        self.offset = self.looked = offset
        self.parser = RequestParser(from_log=True)
        self.on_progress = on_progress

    cdef int tell_progress(self) except -1:
        """Look at the clock now and then, and tell how far the reading has come."""
        cdef int64_t now
        self.items += 1
        if self.items < self.items_per_look and self.offset - self.looked < BYTES_PER_LOOK:
            return 0
        self.items, self.looked = 0, self.offset
        now = rotom_monotonic_ns()
        if self.items_per_look > 1 and now - self.told_ns < PROGRESS_NS:
            return 0
        self.items_per_look = 1 if self.on_progress(self.offset) else ITEMS_PER_LOOK
        self.told_ns = rotom_monotonic_ns()
        return 0

    def close(self):
        """Let go of the buffer, so that a mapping can be closed."""
        self.owner = None
        self.size = 0

    def seek(self, Py_ssize_t offset):
        """Go on reading at another place."""
        self.offset = offset

    cdef int64_t header(self, Py_ssize_t at, char mark, Py_ssize_t* behind) except -1:
        """The number of a line such as `*3`; *behind is where the next line begins."""
        cdef const char* end
        cdef Py_ssize_t line
        cdef int64_t number
        if at >= self.size:
            raise EOFError("unexpected end of file inside a command")
        end = <const char*>memchr(self.data + at, c'\n', <size_t>min(self.size - at, INLINE_MAX))
        if end == NULL:
            if self.size - at <= INLINE_MAX and self.data[at] == mark:
                raise EOFError("unexpected end of file inside a command")
            raise ValueError("expected '%c'" % <unsigned char>mark)
        if self.data[at] != mark:
            raise ValueError("expected '%c', got '%s'" % (<unsigned char>mark, one_line(chr(<unsigned char>self.data[at]))))
        line = end - self.data
        behind[0] = line + 1
        if line > at and self.data[line - 1] == c'\r':
            line -= 1
        if not parse_int64(self.data + at + 1, line - at - 1, &number) or number < 0 or number > self.parser.max_bulk_bytes:
            raise ValueError("invalid length")
        return number

    def skip_item(self):
        """Walk over the next item without building it; errors as for `next_item`.

        Returns:
            None at the end; the line of an annotation; for a command its one word when it is a single one (MULTI, EXEC),
            else the empty tuple.
        """
        cdef Py_ssize_t at
        cdef int64_t count, length = 0
        if self.offset >= self.size:
            return None
        if self.on_progress is not None:
            self.tell_progress()
        if self.data[self.offset] == c'#':
            at = self.offset
            line = self.next_item()
            if 0 in line:
                self.offset = at
                raise ZerosError("zeros in an annotation")
            return line
        count = self.header(self.offset, c'*', &at)
        if count == 0 or count > 2147483647:
            raise ValueError("invalid multibulk length")
        for _ in range(count):
            length = self.header(at, c'$', &at)
            if self.size - at < length + 2:
                raise EOFError("unexpected end of file inside a command")
            at += <Py_ssize_t>length + 2
            # What stands there is not checked, as other loaders do not; but zeros are what a power loss leaves.
            if self.data[at - 1] == 0:
                raise ZerosError("zeros where an argument ends")
        self.offset = at
        if count == 1:
            return (PyBytes_FromStringAndSize(self.data + at - length - 2, <Py_ssize_t>length).upper(),)
        return ()

    def next_item(self):
        """The next command (a list), annotation (its line, bytes), or None at a clean end.

        Raises:
            EOFError: the data end inside an item.
            ValueError: the bytes at `offset` are no command.
        """
        cdef Py_ssize_t consumed
        cdef const char* end
        cdef int result
        if self.offset >= self.size:
            return None
        if self.on_progress is not None:
            self.tell_progress()
        if self.data[self.offset] == c'#':
            end = <const char*>memchr(self.data + self.offset, c'\n', <size_t>(self.size - self.offset))
            if end == NULL:
                raise EOFError("annotation without line end")
            line = PyBytes_FromStringAndSize(self.data + self.offset, end - (self.data + self.offset))
            self.offset = end - self.data + 1
            return line
        result = self.parser.parse(self.data + self.offset, self.size - self.offset, &consumed)
        if result == PARSE_COMPLETE:
            self.offset += consumed
            return self.parser.take()
        self.parser.clear()
        self.parser.remaining = 0
        if result == PARSE_MORE:
            raise EOFError("unexpected end of file inside a command")
        raise ValueError(self.parser.error.decode("latin-1"))
