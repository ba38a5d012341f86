"""The items of a log, front to back, and the transactions that they stand in.

An item is a command or an annotation (a line that begins with `#`). MULTI and EXEC make a unit of what stands between them:
it is applied, kept or cut as a whole. Replay, examination, salvage, point in time and the tools all walk with the one
class here, so that they cannot differ about where a log may be cut.

No server writes a MULTI inside a transaction, nor an EXEC that ends none: what holds one is damaged. An end inside a
transaction is an end inside an item.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcmp, memcpy

from rotomdb.engine.number cimport parse_int64
from rotomdb.formats.resp.request cimport PARSE_COMPLETE, PARSE_MORE, RequestParser

from rotomdb.formats.quoting import quoted

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()

cdef enum:
    LINE_MAX = 64 * 1024              # bytes of a header line
    ARGUMENTS_MAX = 2147483647
    NAME_LENGTH_MAX = 64              # longer first words are no command's name
    FORMS = 32                        # of commands that are remembered; a power of two
    ITEMS_PER_LOOK = 16               # or so many bytes, between two looks at the clock
    BYTES_PER_LOOK = 4096
    PROGRESS_NS = 10000000            # between two calls of on_progress, or so many bytes
    PROGRESS_BYTES = 8388608


cdef struct Form:
    # A name and a number of words that need not be looked at again.
    int64_t count                     # 0: the place is free
    int64_t length
    char[NAME_LENGTH_MAX] name


class ZerosError(ValueError):
    """A command whose last bytes are zeros: what a power loss leaves of a write."""


class TransactionError(ValueError):
    """A MULTI or EXEC where none can be."""


cdef class LogItems:
    """A walk over a buffer that the caller keeps.

    `offset` is the end of the last whole item, and so where the one that cannot be read begins. Of the last whole item,
    `at` is where it begins and `unit` where its transaction does (else the same); `sound` is the end of the last item that
    is part of no open transaction. `behind` is the end of an item that a TransactionError is about. `transactions` counts
    the MULTIs since the walk began or was sent elsewhere.
    """

    cdef RequestParser parser
    cdef const char* data
    cdef Py_ssize_t size
    cdef object owner, on_progress, judge
    cdef Form[FORMS] forms            # that the judge has let pass
    cdef Py_ssize_t looked, told
    cdef int items, items_per_look
    cdef int64_t told_ns
    cdef Py_ssize_t name_at
    cdef int64_t name_length
    cdef readonly Py_ssize_t offset, at, unit, sound, behind
    cdef readonly bint in_transaction
    cdef readonly int64_t count           # words of the last item; 0: an annotation
    cdef readonly int64_t transactions

    def __cinit__(
        self, const unsigned char[::1] data, Py_ssize_t offset=0, Py_ssize_t end=-1, on_progress=None, judge=None
    ):
        """Walk from `offset` to `end`, by default over all there is.

        Args:
            judge: Called by `skip` with this walk at each command; true: no need to ask again about the name with so many words.
            on_progress: Called with the offset before an item, every 10 ms or 8 MB; true: call again before the next item.
        """
        self.owner = data
        self.size = data.shape[0] if end < 0 else min(end, data.shape[0])
        self.data = <const char*>&data[0] if self.size else NULL
        self.parser = RequestParser(from_log=True)
        self.on_progress = on_progress
        self.judge = judge
        self.looked = self.told = offset
        self.seek(offset)

    cdef int tell_progress(self) except -1:
        """Look at the clock now and then, and tell how far the reading has come."""
        cdef int64_t now
        self.items += 1
        if self.items < self.items_per_look and self.offset - self.looked < BYTES_PER_LOOK:
            return 0
        self.items, self.looked = 0, self.offset
        now = rotom_monotonic_ns()
        if self.items_per_look > 1 and now - self.told_ns < PROGRESS_NS and self.offset - self.told < PROGRESS_BYTES:
            return 0
        self.items_per_look = 1 if self.on_progress(self.offset) else ITEMS_PER_LOOK
        self.told_ns = rotom_monotonic_ns()
        self.told = self.offset
        return 0

    def close(self):
        """Let go of the buffer, so that a mapping can be closed."""
        self.owner = None
        self.size = 0

    def seek(self, Py_ssize_t offset):
        """Go on at another place, outside of any transaction."""
        self.offset = self.at = self.unit = self.sound = self.behind = offset
        self.in_transaction = False
        self.transactions = 0

    @property
    def name(self):
        """The first word of the last command, as it is written; of one that is too long for a name, its beginning."""
        return PyBytes_FromStringAndSize(self.data + self.name_at, <Py_ssize_t>min(self.name_length, NAME_LENGTH_MAX))

    @property
    def second(self):
        """The second word of the last command; empty where it has none."""
        cdef Py_ssize_t at = self.name_at + <Py_ssize_t>self.name_length + 2
        if self.count < 2:
            return b""
        length = self.header(at, c'$', &at)
        return PyBytes_FromStringAndSize(self.data + at, <Py_ssize_t>length)

    cdef int64_t header(self, Py_ssize_t at, char mark, Py_ssize_t* behind) except -1:
        """The number of a line such as `*3`; *behind is where the next line begins."""
        cdef const char* end
        cdef Py_ssize_t line
        cdef int64_t number
        if at >= self.size:
            raise EOFError("unexpected end of file inside a command")
        end = <const char*>memchr(self.data + at, c'\n', <size_t>min(self.size - at, LINE_MAX))
        if self.data[at] != mark:
            raise ValueError("expected '%c', got %s" % (<unsigned char>mark, quoted(self.data[at:at + 1])))
        if end == NULL:
            if self.size - at <= LINE_MAX:
                raise EOFError("unexpected end of file inside a command")
            raise ValueError("expected '%c' and a number" % <unsigned char>mark)
        line = end - self.data
        behind[0] = line + 1
        if line > at and self.data[line - 1] == c'\r':
            line -= 1
        if not parse_int64(self.data + at + 1, line - at - 1, &number) or number < 0 or number > self.parser.max_bulk_bytes:
            raise ValueError("invalid length")
        return number

    cdef bytes annotation(self, Py_ssize_t* behind):
        """The line of the annotation at `offset`, without its LF."""
        cdef const char* start = self.data + self.offset
        cdef const char* end = <const char*>memchr(start, c'\n', <size_t>(self.size - self.offset))
        if end == NULL:
            raise EOFError("annotation without line end")
        behind[0] = end - self.data + 1
        return PyBytes_FromStringAndSize(start, end - start)

    cdef int finish(self, Py_ssize_t behind, int64_t count) except -1:
        """The item that ends there is whole; raises TransactionError, and stays before it, where it cannot be."""
        cdef bytes word = None
        cdef bint was_in = self.in_transaction
        self.behind = behind
        if count == 1 and (self.name_length == 5 or self.name_length == 4):
            word = PyBytes_FromStringAndSize(self.data + self.name_at, <Py_ssize_t>self.name_length).upper()
            if word == b"MULTI":
                if was_in:
                    raise TransactionError("MULTI inside a transaction")
                self.in_transaction = True
                self.transactions += 1
            elif word == b"EXEC":
                if not was_in:
                    raise TransactionError("EXEC without MULTI")
                self.in_transaction = False
        self.count = count
        self.at = self.offset
        self.offset = behind
        if not was_in:
            self.unit = self.at
        if not self.in_transaction:
            self.sound = behind
        return 0

    cdef bint at_end(self) except -1:
        if self.offset < self.size:
            if self.on_progress is not None:
                self.tell_progress()
            return False
        if self.in_transaction:
            raise EOFError("end of file inside a transaction")
        return True

    def skip(self):
        """Walk over the next item without building it; errors as for `take`.

        Returns:
            None at the end; the line of an annotation; True for a command, whose `name` and `count` then tell something.
        """
        cdef Py_ssize_t at
        cdef int64_t count, length = 0, i
        if self.at_end():
            return None
        if self.data[self.offset] == c'#':
            line = self.annotation(&at)
            if 0 in line:
                raise ZerosError("zeros in an annotation")
            self.finish(at, 0)
            return line
        count = self.header(self.offset, c'*', &at)
        if count == 0 or count > ARGUMENTS_MAX:
            raise ValueError("invalid multibulk length")
        for i in range(count):
            length = self.header(at, c'$', &at)
            if self.size - at < length + 2:
                raise EOFError("unexpected end of file inside a command")
            if i == 0:
                self.name_at, self.name_length = at, length
            at += <Py_ssize_t>length + 2
            # What stands there is not checked, as other loaders do not; but zeros are what a power loss leaves.
            if self.data[at - 1] == 0:
                raise ZerosError("zeros where an argument ends")
        self.finish(at, count)
        if self.judge is not None:
            self.ask_judge()
        return True

    cdef int ask_judge(self) except -1:
        cdef int64_t length = self.name_length
        cdef const char* name = self.data + self.name_at
        cdef size_t place = 0
        if 0 < length <= NAME_LENGTH_MAX:
            place = (<size_t><unsigned char>name[0] + 3 * <size_t>length + 7 * <size_t>self.count) & (FORMS - 1)
            if (
                self.forms[place].count == self.count and self.forms[place].length == length
                and memcmp(self.forms[place].name, name, <size_t>length) == 0
            ):
                return 0
        if self.judge(self) and 0 < length <= NAME_LENGTH_MAX:
            self.forms[place].count, self.forms[place].length = self.count, length
            memcpy(self.forms[place].name, name, <size_t>length)
        return 0

    def take(self):
        """The next command (a list), annotation (its line, bytes), or None at a clean end.

        Raises:
            EOFError: the data end inside an item or a transaction.
            ValueError: the bytes at `offset` are no command, or one that cannot stand there.
        """
        cdef Py_ssize_t consumed
        cdef int result
        if self.at_end():
            return None
        if self.data[self.offset] == c'#':
            line = self.annotation(&consumed)
            self.finish(consumed, 0)
            return line
        result = self.parser.parse(self.data + self.offset, self.size - self.offset, &consumed)
        if result == PARSE_COMPLETE:
            words = self.parser.take()
            self.name_at = self.name_of(<bytes>words[0], self.offset)
            self.finish(self.offset + consumed, len(words))
            return words
        self.parser.clear()
        self.parser.remaining = 0
        if result == PARSE_MORE:
            raise EOFError("unexpected end of file inside a command")
        raise ValueError(self.parser.error.decode("latin-1"))

    cdef Py_ssize_t name_of(self, bytes word, Py_ssize_t at):
        """Where the first word of the command that begins at `at` stands: behind two header lines."""
        cdef int _
        cdef const char* found
        for _ in range(2):
            found = <const char*>memchr(self.data + at, c'\n', <size_t>(self.size - at))
            at = found - self.data + 1
        self.name_length = PyBytes_GET_SIZE(word)
        return at
