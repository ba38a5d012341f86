"""A server without sockets on simulated time, over a MemoryDisk, whose every write is kept with what it made of the data.

The event loop's part is played by `turn`: flush the log, let time pass, let the fsync thread and the child get on, and note
which writes a client would now hold the reply to.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomdb.commands import load_all
from rotomdb.commands.digest import dataset_digest
from rotomdb.commands.dispatch import Context
from rotomdb.commands.registry import REGISTRY
from rotomdb.errors import CommandError, FileFormatError, ManifestError, RotomError, SaveError, StartupError
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.server.logger import Logger
from rotomdb.server.server import Server
from rotomdb.storage.child import Job, Outcome, Progress, Reporter, Work
from rotomdb.storage.disk import OWN_MODE, Disk, DiskFile
from rotomdb.storage.machine import Machine
from rotomdb.storage.sync_thread import NOT_SYNCABLE, SyncThread
from rotomdb.testing.memory_disk import MemoryDisk, MemoryFile
from rotomdb.testing.mutations import BACKGROUND, call_site

DATA = Path("/data")
FIRST_PID = 1000
LONGEST_SYNC_MS = 500
# What workloads run and logs hold: a search starts a server for each of a hundred thousand crash states, and to make the
# four hundred commands anew would be the larger part of a start.
COMMANDS = (
    "set", "incr", "del", "rpush", "hset", "hmset", "pexpireat", "select", "flushdb", "flushall", "multi", "exec",
)  # fmt: skip


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def monotonic_ms(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000


class SimulatedSyncThread(SyncThread):
    """An fsync that ends when the simulation lets it, and covers what was written before it began."""

    def __init__(self) -> None:
        super().__init__()
        self.covers = 0  # and `fast` stays as it is: every fsync is one that takes its time

    def start(self, file: DiskFile, upto: int) -> None:
        assert isinstance(file, MemoryFile)
        self.file, self.target = file, upto
        self.covers = file.inode.changes
        self.busy = True

    def finish(self) -> None:
        """The fsync that runs comes to its end."""
        if not self.busy:
            return
        assert isinstance(self.file, MemoryFile)
        file, covers = self.file, self.covers
        try:
            file.disk.acting_for(BACKGROUND, lambda: file.sync_up_to(covers))
            self.completed = self.target
        except OSError as error:
            if error.errno not in NOT_SYNCABLE:
                self.error = error
        self.busy = False

    def wait(self) -> None:
        self.finish()


class DeferredFile(DiskFile):
    """A file that a simulated child writes; what it does happens later."""

    def __init__(self, disk: DeferredDisk, path: Path, written: int) -> None:
        super().__init__(1 << 20, path, written)
        self.disk = disk
        self.real: DiskFile | None = None

    def later(self, action: Callable[[DiskFile], object]) -> None:
        def act() -> None:
            assert self.real is not None
            action(self.real)

        self.disk.queue.append(act)

    def write(self, data: bytes | memoryview) -> int:
        content = bytes(data)
        self.written += len(content)
        self.later(lambda real: real.write_all(content))
        return len(content)

    def sync(self) -> None:
        site = call_site(2)
        self.later(lambda real: self.disk.real.acting_for(site, real.sync))

    def close(self) -> None:
        self.later(lambda real: real.close())


class DeferredDisk(Disk):
    """Takes down what a child does to the disk, so that it can happen step by step beside what its parent does."""

    def __init__(self, real: MemoryDisk) -> None:
        self.real = real
        self.queue: deque[Callable[[], object]] = deque()

    def create(self, path: Path, mode: int = OWN_MODE) -> DiskFile:
        file = DeferredFile(self, path, 0)

        def act() -> None:
            file.real = self.real.create(path)

        self.queue.append(act)
        return file

    def rename(self, source: Path, target: Path) -> None:
        self.queue.append(lambda: self.real.rename(source, target))

    def sync_directory(self, path: Path) -> None:
        site = call_site(2)
        self.queue.append(lambda: self.real.acting_for(site, lambda: self.real.sync_directory(path)))

    def step(self, name: str) -> None:
        self.queue.append(lambda: self.real.step(name))


class SilentReporter(Reporter):
    def report(self, keys: int, *, force: bool = False) -> None:
        """Nobody reads it."""


class SimulatedChild:
    """A child whose work has been taken down and is done bit by bit."""

    def __init__(self, pid: int, kind: Job, queue: deque[Callable[[], object]], started: float) -> None:
        self.pid = pid
        self.kind = kind
        self.queue = queue
        self.fork_us = 0
        self.started = started
        self.progress = Progress()
        self.failed = False

    def read_progress(self) -> None:
        """It tells nothing."""

    def advance(self, steps: int) -> None:
        for _ in range(min(steps, len(self.queue))):
            try:
                self.queue.popleft()()
            except OSError:
                self.failed = True
                self.queue.clear()
                return

    def poll(self) -> Outcome | None:
        return None if self.queue else Outcome(1 if self.failed else 0, 0)

    def kill(self) -> None:
        self.queue.clear()


@dataclass
class Acknowledged:
    """How far the writes are that clients hold replies to."""

    times: list[tuple[int, int]] = field(default_factory=list)  # (ms, writes acknowledged by then)

    def note(self, now: int, count: int) -> None:
        if not self.times or self.times[-1][1] < count:
            self.times.append((now, count))

    def at(self, ms: int) -> int:
        """Writes acknowledged up to that moment."""
        return max((count for time, count in self.times if time <= ms), default=0)


class RememberingLogger(Logger):
    """Keeps warnings in a list."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("warning")
        self.lines = lines

    def write(self, line: str) -> None:
        self.lines.append(line)


class SimulatedServer:
    """Runs commands and remembers the history of the data.

    Attributes:
        history: Fingerprint of the data after each write; the first is that of the start.
        snapshot_holds, rewrite_holds: Writes that the last snapshot, and the last rewrite, holds for certain.
    """

    def __init__(self, disk: MemoryDisk, directives: dict[str, str], clock: Clock | None = None) -> None:
        self.disk = disk
        self.clock = clock or Clock()
        self.messages: list[str] = []
        self.next_pid = FIRST_PID
        self.fork_error: OSError | None = None
        disk.clock = self.clock.seconds
        config = Config()
        words = ["--dir", str(DATA), "--port", "0", "--loglevel", "warning", "--save", "", "--disk-reserve", "0"]
        for name, value in directives.items():
            words += [f"--{name}", value]
        load_words(config, words)
        log = RememberingLogger(self.messages)
        machine = Machine(
            self.clock.monotonic_ms, self.clock.seconds, lambda: FIRST_PID - 1, self.fork, SimulatedSyncThread
        )
        disk.make_directory(DATA)
        load_all()
        specs = [REGISTRY[name] for name in COMMANDS]
        self.server = Server(config, disk=disk, log=log, specs=specs, machine=machine)
        self.server.reactor.close()
        self.persistence = self.server.persistence
        self.context = Context(self.server.dispatcher)
        self.history: list[bytes] = []
        self.offsets: list[int] = []  # of the stream, after each write
        self.acknowledged = Acknowledged()
        self.snapshot_holds = self.rewrite_holds = 0
        self.held_at_fork = 0
        self.clean_end = False  # shut down in order, with everything in the log

    def fork(self, kind: Job, disk: Disk, work: Work, in_child: Callable[[], None]) -> SimulatedChild:
        if self.fork_error is not None:
            raise self.fork_error
        self.next_pid += 1
        deferred = DeferredDisk(self.disk)
        work(SilentReporter(-1, self.next_pid), deferred)
        self.held_at_fork = len(self.history) - 1
        return SimulatedChild(self.next_pid, kind, deferred.queue, self.clock.seconds())

    @property
    def sync_thread(self) -> SimulatedSyncThread:
        thread = self.persistence.aof.sync_thread
        assert isinstance(thread, SimulatedSyncThread)
        return thread

    def start(self) -> None:
        """Load what is on the disk. Raises what a server would refuse to start with."""
        self.server.load()
        self.history = [self.fingerprint()]
        self.offsets = [self.server.dispatcher.stream.offset]

    def fingerprint(self) -> bytes:
        return dataset_digest(self.server.engine.databases)

    def run(self, *words: object) -> Any:
        """Run a command; a write becomes part of the history. The error reply is returned, not raised."""
        dispatcher = self.server.dispatcher
        self.server.store.refresh_write_error()
        dirty = dispatcher.dirty
        try:
            value = self.context.execute(*words)
        except CommandError as error:
            assert not str(error).startswith("ERR unknown command"), f"{words[0]} is missing from COMMANDS"
            value = error
        if dispatcher.dirty != dirty:
            self.history.append(self.fingerprint())
            self.offsets.append(dispatcher.stream.offset)
        return value

    def turn(self, milliseconds: int, *, sync_ends: bool = False, child_steps: int = 0) -> None:
        """One turn of the event loop."""
        aof = self.persistence.aof
        aof.flush()
        self.note_acknowledged()
        self.clock.ms += milliseconds
        # The promise of everysec assumes a disk that answers within a second.
        if sync_ends or self.clock.ms - self.persistence.aof.last_sync_ms >= LONGEST_SYNC_MS:
            self.sync_thread.finish()
        child = self.persistence.child
        if isinstance(child, SimulatedChild):
            child.advance(child_steps)
            status, held = self.persistence.status, self.held_at_fork
            saved, rewritten = status.saves, status.rewrites
            self.persistence.check_child()
            if status.saves != saved:
                self.snapshot_holds = held
            if status.rewrites != rewritten and self.persistence.aof.on:
                self.rewrite_holds = held
        if self.persistence.child is None:
            self.persistence.start_what_is_due()
        self.note_acknowledged()

    def note_acknowledged(self) -> None:
        released = self.persistence.aof.acknowledged_offset
        count = len(self.offsets)
        while count > 1 and self.offsets[count - 1] > released:
            count -= 1
        self.acknowledged.note(self.clock.ms, count - 1)

    def vanish(self) -> None:
        """The process is gone, and with it what it had set for all engines of this real one while a child ran."""
        self.server.engine.avoid_resize(False)

    def stop(self) -> None:
        """A clean shutdown. Raises SaveError where a server would refuse to end."""
        if self.persistence.aof.waiting:
            raise SaveError("the first base of the log is being written")
        self.persistence.kill_child()
        logged = self.persistence.aof.on
        error = self.server.store.close_log()
        if error is not None:
            raise SaveError(str(error)) from error
        self.clean_end = logged


def refusal(error: BaseException) -> str | None:
    """The explanation that comes with a refused start, or None when the error is none of that kind."""
    if isinstance(error, (FileFormatError, ManifestError, StartupError)):
        return f"{type(error).__name__}: {error}"
    return None


def recover(disk: MemoryDisk, directives: dict[str, str], clock: Clock) -> SimulatedServer:
    """Start a server on what a crash left. Raises RotomError when it refuses."""
    server = SimulatedServer(disk, directives, clock)
    server.start()
    return server


def workload(server: SimulatedServer, source: random.Random, steps: int, options: dict[str, bool]) -> None:
    """Random writes, turns, rewrites, snapshots and shutdowns' worth of events."""
    for _ in range(steps):
        for _ in range(source.choice([1, 1, 1, 2, 5])):
            write_something(server, source)
        draw = source.random()
        if draw < 0.06 and server.persistence.child is None:
            attempt(server.persistence.start_rewrite)
        elif draw < 0.10 and server.persistence.child is None:
            attempt(server.persistence.start_background_save)
        elif draw < 0.12:
            saves = server.persistence.status.saves
            attempt(server.persistence.save)
            if server.persistence.status.saves != saves:
                server.snapshot_holds = len(server.history) - 1
        elif draw < 0.13 and options.get("toggle"):
            toggle_log(server, source)
        server.turn(
            source.choice([1, 10, 100, 400]), sync_ends=source.random() < 0.6, child_steps=source.choice([0, 1, 2, 5])
        )


def toggle_log(server: SimulatedServer, source: random.Random) -> None:
    if server.persistence.aof.on:
        server.persistence.disable_log()
    else:
        attempt(server.persistence.enable_log)


def attempt(action: Callable[[], None]) -> None:
    try:
        action()
    except RotomError:
        return  # what cannot be saved now is part of the simulation


def write_something(server: SimulatedServer, source: random.Random) -> None:
    key = f"k{source.randrange(8)}"
    number = len(server.history)
    draw = source.random()
    if draw < 0.45:
        server.run("SET", key, f"{number}:" + source.choice(["", "x" * 60, "y" * 700, "z" * 1800, "\0" * 900]))
    elif draw < 0.6:
        server.run("RPUSH", "list", number)
    elif draw < 0.7:
        server.run("HSET", "hash", f"f{source.randrange(4)}", number)
    elif draw < 0.8:
        server.run("MULTI")
        server.run("SET", key, f"multi {number}")
        server.run("INCR", "counter")
        server.run("EXEC")
    elif draw < 0.9:
        server.run("SELECT", source.choice([0, 0, 1, 3]))
        server.run("INCR", "counter")
    elif draw < 0.95:
        server.run("DEL", key)
    elif draw < 0.97:
        server.run("FLUSHDB")
    else:
        server.run("SET", key, number, "PX", 10_000_000)
