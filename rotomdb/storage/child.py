"""A forked child that writes a snapshot of memory while the parent goes on serving.

The child tells its progress and its copied pages through a pipe; the parent reads it without blocking. Reference counts
of Python objects are touched by the child, but keys and values are native memory, so what the kernel copies is small.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rotomdb.errors import RotomError
from rotomdb.storage.disk import Disk
from rotomdb.storage.inheritance import own_child

REPORT_INTERVAL_S = 0.2
DELIBERATE_KILL = signal.SIGUSR1  # from outside: tells an intended kill from a crash
LOST = 255 << 8  # status of a child whose own nobody can learn: as of exit(255)


def private_dirty_bytes(pid: int | str = "self") -> int:
    """Pages that this process has for itself alone, where the system tells (Linux); else 0."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty"))


class Job(enum.StrEnum):
    """What a child is for."""

    SNAPSHOT = "rdb"
    REWRITE = "aof"
    COPY = "copy"  # of the data set, to sockets


@dataclass
class Progress:
    keys: int = 0
    cow_bytes: int = 0


class Reporter:
    """The child's end of the pipe. `pid` names its temporary files."""

    def __init__(self, descriptor: int, pid: int) -> None:
        self.descriptor = descriptor
        self.pid = pid
        self.last = time.monotonic()

    def report(self, keys: int, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last < REPORT_INTERVAL_S:
            return
        self.last = now
        line = json.dumps({"keys": keys, "cow_bytes": private_dirty_bytes()}) + "\n"
        with contextlib.suppress(OSError):
            os.write(self.descriptor, line.encode())


@dataclass
class Outcome:
    """How the child ended: `status` 0 is success; `signal` is set when it was killed."""

    status: int
    signal: int


Work = Callable[[Reporter, Disk], int]  # what a child does; its result is the number of keys


class Child(Protocol):
    """A running child, seen from the parent."""

    pid: int
    kind: Job
    fork_us: int
    started: float
    progress: Progress

    def read_progress(self) -> None:
        """Take what the child has told since."""

    def poll(self) -> Outcome | None:
        """The outcome once the child has ended."""

    def kill(self) -> None:
        """End it on purpose; `poll` tells when it has."""


class ForkedChild:
    """A child that is a process."""

    def __init__(self, pid: int, kind: Job, descriptor: int, fork_us: int) -> None:
        self.pid = pid
        self.kind = kind
        self.descriptor = descriptor
        self.fork_us = fork_us
        self.started = time.time()
        self.progress = Progress()

    def read_progress(self) -> None:
        with contextlib.suppress(OSError):  # nothing more for now
            while data := os.read(self.descriptor, 65536):
                for line in data.decode().splitlines():
                    with contextlib.suppress(ValueError):
                        self.progress = Progress(**json.loads(line))

    def poll(self) -> Outcome | None:
        """The outcome once the child has ended."""
        self.read_progress()
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, LOST  # somebody else in this process has waited for it
        if pid == 0:
            return None
        self.read_progress()
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        return Outcome(
            os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        )

    def kill(self) -> None:
        """End it on purpose; `poll` tells when it has. SIGKILL: one that is stopped would take no other."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def die_with_parent(parent: int) -> None:
    """A child whose server was killed must not go on and replace files under the next server's feet."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def fork_child(kind: Job, disk: Disk, work: Work, in_child: Callable[[], None]) -> ForkedChild:
    """Fork; in the child run `in_child()` and then `work`.

    Raises:
        OSError: no process could be made.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    start = time.perf_counter_ns()
    parent = os.getpid()
    # The kernel takes the forking thread for the parent: one that ends sooner than the process must not end the child.
    from_main_thread = threading.current_thread() is threading.main_thread()
    try:
        with own_child():
            pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        status = 1
        try:
            gc.disable()
            for number in (signal.SIGTERM, signal.SIGINT, DELIBERATE_KILL):
                signal.signal(number, signal.SIG_DFL if number == DELIBERATE_KILL else signal.SIG_IGN)
            if from_main_thread:
                die_with_parent(parent)
            in_child()
            reporter = Reporter(writing, os.getpid())
            keys = work(reporter, disk)
            reporter.report(keys, force=True)
            status = 0
        except (OSError, RotomError) as error:
            with contextlib.suppress(OSError):
                os.write(2, f"{os.getpid()}:C child failed: {error}\n".encode())
        finally:
            # Never return into the parent's event loop, whatever happened.
            os._exit(status)
    os.close(writing)
    return ForkedChild(pid, kind, reading, (time.perf_counter_ns() - start) // 1000)
