"""Reactor: file events and time events on one thread, in the manner of Redis's ae.

One turn: `before_sleep` (write replies, flush the log), wait for events, `after_sleep` (read the clocks), handle the
events, run the timers that are due.
"""

from heapq import heapify, heappop, heappush

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.limits cimport INT_MAX
from libc.stdint cimport int64_t

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
        """Handling an event raised `error`."""
        raise error


cdef class Reactor:
    def __cinit__(self):
        if rotom_poller_open(&self.poller) < 0:
            PyErr_SetFromErrno(OSError)
        self.handlers = []
        self.timers = []
        self.before_sleep = None
        self.after_sleep = None

    def __dealloc__(self):
        rotom_poller_close(&self.poller)

    cdef int watch(self, int fd, int before, int mask) except -1:
        if rotom_poller_set(&self.poller, fd, before, mask) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    def add(self, Handler handler not None):
        """Deliver read events of the handler's descriptor."""
        while len(self.handlers) <= handler.fd:
            self.handlers.append(None)
        self.handlers[handler.fd] = handler
        self.watch(handler.fd, 0, ROTOM_READABLE)

    def remove(self, Handler handler not None):
        if self.handlers[handler.fd] is handler:
            self.handlers[handler.fd] = None
            self.watch(handler.fd, ROTOM_READABLE, 0)

    def want_write(self, Handler handler not None, bint wanted):
        """Deliver write events too, or no longer."""
        if handler.wants_write != wanted:
            handler.wants_write = wanted
            self.watch(handler.fd, ROTOM_READABLE, ROTOM_READABLE | ROTOM_WRITABLE if wanted else ROTOM_READABLE)

    def call_later(self, int64_t milliseconds, callback):
        """Call back once the time has passed; it returns the ms to its next call, or None for never.

        Returns a token for `cancel`.
        """
        self.timer_count += 1
        timer = [rotom_monotonic_ns() // 1000000 + milliseconds, self.timer_count, callback]
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

    def turn(self, int64_t limit_ms):
        """One turn, waiting at most `limit_ms` (negative: until the next timer)."""
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
            self.before_sleep()
        if self.stopping:
            return
        if self.timers:
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
        if self.timers:
            self.run_timers()

    cdef int checked(self, int count) except -1:
        """What the poller returned; a signal counts as no events."""
        if count < 0:
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)
            PyErr_CheckSignals()
            return 0
        return count

    cdef int handle(self, rotom_event* events, int count) except -1:
        cdef Handler handler
        cdef int i
        for i in range(count):
            handler = self.handlers[events[i].fd]
            if handler is None:
                continue                       # closed by an event before it
            try:
                if events[i].mask & ROTOM_READABLE:
                    handler.on_readable()
                if events[i].mask & ROTOM_WRITABLE and self.handlers[events[i].fd] is handler:
                    handler.on_writable()
            except Exception as error:
                # A bug in one handler must not end the others, nor lose what the log still has to write.
                handler.failed(error)
        return 0

    def run_timers(self):
        cdef int64_t now = rotom_monotonic_ns() // 1000000
        while self.timers and self.timers[0][0] <= now:
            callback = heappop(self.timers)[2]
            if callback is None:
                self.cancelled -= 1
                continue
            again = callback()
            if again is not None:
                self.call_later(again, callback)

    def close(self):
        rotom_poller_close(&self.poller)
