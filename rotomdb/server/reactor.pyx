"""Reactor: file events and time events on one thread, in the manner of Redis's ae.

One turn: `before_sleep` (write replies, flush the log), wait for events, `after_sleep` (read the clocks), handle the
events, run the timers that are due. The poller is the standard library's: epoll on Linux, poll elsewhere.
"""

import select
from heapq import heapify, heappop, heappush

from libc.stdint cimport int64_t

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()


cdef enum:
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
    def __init__(self):
        if hasattr(select, "epoll"):
            self.poller = select.epoll()
            self.read_mask = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
            self.write_mask = select.EPOLLOUT
            self.ms_per_unit = 1000          # epoll takes seconds, poll milliseconds
        else:
            self.poller = select.poll()
            self.read_mask = select.POLLIN | select.POLLHUP | select.POLLERR
            self.write_mask = select.POLLOUT
            self.ms_per_unit = 1
        self.handlers = []
        self.timers = []
        self.before_sleep = None
        self.after_sleep = None

    def add(self, Handler handler not None):
        """Deliver read events of the handler's descriptor."""
        while len(self.handlers) <= handler.fd:
            self.handlers.append(None)
        self.handlers[handler.fd] = handler
        self.poller.register(handler.fd, self.read_mask)

    def remove(self, Handler handler not None):
        if self.handlers[handler.fd] is handler:
            self.handlers[handler.fd] = None
            self.poller.unregister(handler.fd)

    def want_write(self, Handler handler not None, bint wanted):
        """Deliver write events too, or no longer."""
        if handler.wants_write != wanted:
            handler.wants_write = wanted
            self.poller.modify(handler.fd, self.read_mask | self.write_mask if wanted else self.read_mask)

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
        cdef int i
        if self.gathering:
            for i in range(GATHERING_ROUNDS):
                events = self.poller.poll(0)
                if not events or self.stopping:
                    break
                self.handle(events)
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
        events = self.poller.poll(wait_ms / self.ms_per_unit if wait_ms > 0 else wait_ms)
        if self.after_sleep is not None:
            self.after_sleep()
        self.handle(events)
        if self.timers:
            self.run_timers()

    cdef object handle(self, list events):
        cdef int fd, mask
        cdef Handler handler
        for event in events:
            fd = event[0]
            mask = event[1]
            handler = self.handlers[fd]
            if handler is None:
                continue                       # closed by an event before it
            try:
                if mask & self.read_mask:
                    handler.on_readable()
                if mask & self.write_mask and self.handlers[fd] is handler:
                    handler.on_writable()
            except Exception as error:
                # A bug in one handler must not end the others, nor lose what the log still has to write.
                handler.failed(error)

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
        if hasattr(self.poller, "close"):
            self.poller.close()
