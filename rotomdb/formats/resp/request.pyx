"""Requests in RESP: the one parser for sockets and for append-only files (formats/aof/items.pyx).

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


cdef extern from "Python.h":
    void Py_XDECREF(PyObject* object)
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* data, Py_ssize_t size)

cdef enum:
    INLINE_MAX = 64 * 1024            # bytes of a line
    STRANGER_ARGUMENTS = 10           # what a client may send before it has authenticated
    STRANGER_BULK_BYTES = 16384
    SPARE_ITEMS = 64                  # room for arguments that an idle parser keeps


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
        self.item_bytes = 0

    cdef void shrink(self) noexcept:
        """Between requests: give back the room that one of very many arguments took."""
        if self.count == 0 and self.capacity > SPARE_ITEMS:
            free(self.items)
            self.items = NULL
            self.capacity = 0

    cdef list take(self):
        """The arguments as a list; ready for the next request."""
        cdef list arguments = PyList_New(self.count)
        cdef int i
        for i in range(self.count):
            PyList_SET_ITEM(arguments, i, <object>self.items[i])    # steals our reference
        self.count = 0
        self.item_bytes = 0
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
        self.item_bytes += size
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
