"""The connection to the master, once it sends the history: requests that are run and not answered.

What was run is handed on byte for byte, whole commands and whole transactions at a time: the history's position never stands
inside a transaction, as nothing of one that was cut off has happened.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from rotomdb.commands.dispatch cimport Context
from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.server.client cimport Client
from rotomdb.formats.resp.request cimport PARSE_ERROR, PARSE_MORE, RequestParser

from rotomdb.errors import CommandError

cdef enum:
    REPLY_OFF = 1                          # as in client.pyx


cdef class MasterClient(Client):
    """
    Attributes:
        on_applied: Called with the bytes of the history that have been applied.
        on_failure: Called with the words of a command that failed, and its error.
    """
    cdef public object on_applied, on_failure
    cdef Buffer taken                      # bytes that were parsed and are not applied yet

    def __init__(self, dispatcher, hub, socket, id, on_applied, on_failure):
        Client.__init__(self, dispatcher, hub, socket, id)
        self.on_applied, self.on_failure = on_applied, on_failure
        self.is_master = self.replaying = True
        self.reply_mode = REPLY_OFF
        self.user = None

    def __dealloc__(self):
        buffer_release(&self.taken)

    def in_parts(self, kind, int64_t count, parts, *, bint all_taken=False):
        """Nobody is answered: there is no reply in the making."""
        return Context.in_parts(self, kind, count, parts, all_taken=all_taken)

    cdef int process(self, const char* data, Py_ssize_t size, Py_ssize_t* used) except -1:
        cdef RequestParser parser = self.parser
        cdef Py_ssize_t consumed, whole = -1
        cdef int result, i
        cdef object value
        cdef list words
        used[0] = 0
        while used[0] < size and not self.closing:
            result = parser.parse(data + used[0], size - used[0], &consumed)
            used[0] += consumed
            if result == PARSE_MORE:
                break
            if result == PARSE_ERROR:
                self.hub.protocol_error(self, parser.error)
                self.close_soon()
                break
            if parser.count:
                self.running = True
                if self.dispatcher.real_commands is None:
                    value = self.dispatcher.call(self, parser.items, parser.count)
                else:
                    value = self.dispatcher.execute_from_log(self, [<object>parser.items[i] for i in range(parser.count)])
                self.running = False
                if isinstance(value, CommandError):
                    words = [<object>parser.items[i] for i in range(parser.count)]
                    self.on_failure(words, value)
                parser.clear()
            if not self.in_multi:
                whole = used[0]
        self.hand_on(data, used[0], whole)
        return 0

    cdef int hand_on(self, const char* data, Py_ssize_t used, Py_ssize_t whole) except -1:
        """Of these bytes the first `whole` end what was applied; the rest is the beginning of something."""
        cdef bytes applied
        cdef Py_ssize_t rest = 0
        if whole >= 0:
            if self.taken.length:
                buffer_append(&self.taken, data, <size_t>whole)
                applied = PyBytes_FromStringAndSize(self.taken.data, <Py_ssize_t>self.taken.length)
                buffer_release(&self.taken)
            else:
                applied = PyBytes_FromStringAndSize(data, whole)
            self.on_applied(applied)
            rest = whole
        buffer_append(&self.taken, data + rest, <size_t>(used - rest))
        return 0

    def take(self, bytes data not None):
        """Bytes that had come before the connection was one of these."""
        buffer_append(&self.input, PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))
        self.consume_input()

    @property
    def received_bytes(self):
        """Of the history, beyond what has been applied."""
        return <Py_ssize_t>self.taken.length + <Py_ssize_t>self.input.length
