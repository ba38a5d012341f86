# cython: boundscheck=True, wraparound=False
"""Reactor: file events and time events on one thread, in the manner of Redis's ae.

One turn: `before_sleep` (write replies, flush the log), wait for events, `after_sleep` (read the clocks), handle the
events, run the timers that are due.

Nothing that one handler, timer or hook raises leaves the reactor: a connection that fails must end neither the others nor
lose what the log still has to write. `report` is told, and the loop goes on.
"""

import time
import traceback
from heapq import heapify, heappop, heappush

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.limits cimport INT_MAX
from libc.stdint cimport int64_t
from libc.string cimport strerror

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()

cdef extern from "poller.h" nogil:
    enum:
        ROTOM_READABLE
        ROTOM_WRITABLE
    int rotom_poller_open(rotom_poller* poller)
    void rotom_poller_close(rotom_poller* poller)
    int rotom_poller_set(rotom_poller* poller, int fd, int before, int mask)
    int rotom_poller_wait(rotom_poller* poller, rotom_event* out, int room, int timeout_ms)


cdef enum:
    EVENTS = 256                       # taken from the poller at a time
    GATHERING_ROUNDS = 16              # more requests to take in before a turn ends, where its end is dear

cdef int64_t FOREVER_MS = 1 << 61       # a time that never comes, with room to add the clock to it
NAP_S = 0.01                           # when the poller itself fails, so that the loop does not spin


cdef class Handler:
    """Whoever is told about events of one descriptor. Python subclasses override `readable` and `writable`."""

    def __init__(self, int fd):
        self.fd = fd
        self.wants_write = False

    cdef int on_readable(self) except -1:
        self.readable()
        return 0

    cdef int on_writable(self) except -1:
        self.writable()
        return 0

    def readable(self):
        """Data or connections wait."""

    def writable(self):
        """The descriptor takes bytes again."""

    def failed(self, error):
        """Handling an event raised `error`: end what the descriptor stands for, or raise it for the report."""
        raise error


def print_report(str what, error):
    traceback.print_exception(error)


cdef class Reactor:
    def __cinit__(self):
        if rotom_poller_open(&self.poller) < 0:
            PyErr_SetFromErrno(OSError)
        self.handlers = []
        self.timers = []
        self.before_sleep = None
        self.after_sleep = None
        self.report = print_report

    def __dealloc__(self):
        rotom_poller_close(&self.poller)

    cdef int watch(self, int fd, int before, int mask) except -1:
        if rotom_poller_set(&self.poller, fd, before, mask) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    cdef Handler handler_of(self, int fd):
        """Who is told about the descriptor, or None: for a number outside the table, too."""
        return self.handlers[fd] if 0 <= fd < len(self.handlers) else None

    cdef object complain(self, str what, error):
        try:
            self.report(what, error)
        except Exception as failure:
            traceback.print_exception(failure)

    def add(self, Handler handler not None):
        """Deliver read events of the handler's descriptor. Raises OSError; nothing is watched then."""
        if handler.fd < 0:
            raise ValueError(f"{handler.fd} is no descriptor")
        self.watch(handler.fd, 0, ROTOM_READABLE)
        while len(self.handlers) <= handler.fd:
            self.handlers.append(None)
        self.handlers[handler.fd] = handler
        handler.wants_write = False

    def remove(self, Handler handler not None):
        """Deliver no more events of it; one that was never added is left alone."""
        if self.handler_of(handler.fd) is not handler:
            return
        self.handlers[handler.fd] = None
        if rotom_poller_set(&self.poller, handler.fd, ROTOM_READABLE, 0) < 0:
            # Closing the descriptor, which comes next, makes the kernel forget it as well.
            self.complain("forgetting a descriptor", OSError(errno, strerror(errno).decode("utf-8", "replace")))

    def want_write(self, Handler handler not None, bint wanted):
        """Deliver write events too, or no longer. Raises OSError."""
        if handler.wants_write != wanted and self.handler_of(handler.fd) is handler:
            self.watch(handler.fd, ROTOM_READABLE, ROTOM_READABLE | ROTOM_WRITABLE if wanted else ROTOM_READABLE)
            handler.wants_write = wanted

    def call_later(self, int64_t milliseconds, callback, retry_ms=None):
        """Call back once the time has passed; it returns the ms to its next call, or None for never.

        Args:
            retry_ms: When it is called again after it has raised; None: never.

        Returns a token for `cancel`.
        """
        self.timer_count += 1
        milliseconds = min(milliseconds, FOREVER_MS)
        timer = [rotom_monotonic_ns() // 1000000 + milliseconds, self.timer_count, callback, retry_ms]
        heappush(self.timers, timer)
        return timer

    def cancel(self, timer):
        """Forget a timer that is not due yet. Cancelled ones leave the heap once they are half of it."""
        timer[2] = None
        self.cancelled += 1
        if self.cancelled > 64 and self.cancelled * 2 > len(self.timers):
            self.timers = [kept for kept in self.timers if kept[2] is not None]
            heapify(self.timers)
            self.cancelled = 0

    def run(self):
        """Turn until `stopping`."""
        while not self.stopping:
            self.turn(-1)

    def turn(self, int64_t limit_ms, bint timers=True):
        """One turn, waiting at most `limit_ms` (negative: until the next timer).

        Args:
            timers: False: only descriptors are served, in the middle of something that timers must not see.
        """
        cdef int64_t wait_ms = limit_ms
        cdef int64_t now
        cdef int count
        cdef rotom_event events[EVENTS]
        if self.gathering:
            for _ in range(GATHERING_ROUNDS):
                count = self.checked(rotom_poller_wait(&self.poller, events, EVENTS, 0))
                if count == 0 or self.stopping:
                    break
                self.handle(events, count)
        if self.before_sleep is not None:
            try:
                self.before_sleep()
            except Exception as error:
                self.complain("the end of a turn", error)
        if self.stopping:
            return
        if timers and self.timers:
            now = rotom_monotonic_ns() // 1000000
            wait_ms = self.timers[0][0] - now
            if wait_ms < 0:
                wait_ms = 0
        if limit_ms >= 0 and wait_ms > limit_ms:
            wait_ms = limit_ms
        if wait_ms > INT_MAX:
            wait_ms = INT_MAX
        with nogil:
            count = rotom_poller_wait(&self.poller, events, EVENTS, <int>wait_ms)
        count = self.checked(count)
        if self.after_sleep is not None:
            self.after_sleep()
        self.handle(events, count)
        if timers and self.timers and not self.stopping:
            self.run_timers()

    cdef int checked(self, int count) except -1:
        """What the poller returned; a signal, and a failure, count as no events."""
        if count < 0:
            if errno != EINTR:
                self.complain("waiting for events", OSError(errno, strerror(errno).decode("utf-8", "replace")))
                time.sleep(NAP_S)
            PyErr_CheckSignals()
            return 0
        return count

    cdef int handle(self, rotom_event* events, int count) except -1:
        cdef Handler handler
        cdef int i
        for i in range(count):
            handler = self.handler_of(events[i].fd)
            if handler is None:
                continue                       # closed by an event before it
            try:
                if events[i].mask & ROTOM_READABLE:
                    handler.on_readable()
                if events[i].mask & ROTOM_WRITABLE and self.handler_of(events[i].fd) is handler:
                    handler.on_writable()
            except Exception as error:
                self.end_failed(handler, error)
        return 0

    cdef object end_failed(self, Handler handler, error):
        try:
            handler.failed(error)
        except Exception as failure:
            self.complain("an event", failure)

    def run_timers(self):
        cdef int64_t now = rotom_monotonic_ns() // 1000000
        while self.timers and self.timers[0][0] <= now:
            _, _, callback, retry_ms = heappop(self.timers)
            if callback is None:
                self.cancelled -= 1
                continue
            try:
                again = callback()
            except Exception as error:
                self.complain("a timer", error)
                again = retry_ms
            if again is not None:
                self.call_later(again, callback, retry_ms)

    def close(self):
        rotom_poller_close(&self.poller)
