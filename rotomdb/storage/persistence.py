"""Persistence of one data set: snapshots, the log, its rewrites, start and shutdown.

One child at a time writes a snapshot or a rewrite. Rules: docs/formats.md sections 6.6, 8 and 9.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rotomdb.engine import Engine
from rotomdb.errors import RdbError, SaveError
from rotomdb.formats.aof.replay import Execute
from rotomdb.storage.aof import AppendOnlyFile
from rotomdb.storage.aof_options import AofOptions, Log
from rotomdb.storage.child import DELIBERATE_KILL, Child, Job, Outcome, Reporter, Work
from rotomdb.storage.disk import Disk
from rotomdb.storage.freshness import Source, choose, settle
from rotomdb.storage.loading import LoadedLog, Loader, LoadOptions, LoadResult
from rotomdb.storage.lost_manifest import settle_unnamed_files
from rotomdb.storage.machine import Machine
from rotomdb.storage.propagation import PropagationStream
from rotomdb.storage.rdb import SnapshotOptions, save_snapshot
from rotomdb.storage.reloading import make_way, replacing
from rotomdb.storage.rewrite import Rewriter

RETRY_AFTER_FAILURE_S = 5
LOOKS_AT_KILLED_CHILD, BETWEEN_LOOKS_S = 20, 0.0005
CHILD_NAMES = {Job.SNAPSHOT: "snapshot", Job.REWRITE: "AOF rewrite", Job.COPY: "copy"}


class LogState(enum.Enum):
    """Where the append-only file is in its life.

                  turned on    base in place   turned off, closed   server ends   end refused
    OFF           FIRST_BASE
    FIRST_BASE                 ON              OFF                  OFF
    ON                                         OFF                  ENDED
    ENDED                                                                         ON
    """

    OFF = enum.auto()
    FIRST_BASE = enum.auto()  # turned on at run time: it counts once its base is in place
    ON = enum.auto()
    ENDED = enum.auto()  # all of it is on disk, and it gets nothing more


class ChangeCounter(Protocol):
    """Whoever counts the changes since the last save."""

    dirty: int


@dataclass
class SnapshotSettings:
    """What the configuration says of snapshots; changed in place by CONFIG SET."""

    file_name: str = "dump.rdb"
    save_points: list[tuple[int, int]] = field(default_factory=lambda: [(3600, 1), (300, 100), (60, 10000)])
    compress: bool = True
    checksum: bool = True
    incremental_sync: bool = True
    key_save_delay_us: int = 0
    rewrite_percentage: int = 100
    rewrite_minimum_size: int = 64 << 20
    verify: bool = False
    load_from: str = "auto"


@dataclass
class SaveStatus:
    """What INFO persistence tells of snapshots and rewrites."""

    last_save: float = 0.0
    last_save_ok: bool = True
    last_attempt: float = 0.0
    last_save_s: int = -1
    last_cow_bytes: int = 0
    saves: int = 0
    last_rewrite_ok: bool = True
    last_rewrite_s: int = -1
    last_rewrite_cow_bytes: int = 0
    rewrites: int = 0
    last_fork_us: int = 0
    forks: int = 0
    last_load_keys: int = 0
    last_load_expired: int = 0


class Persistence:
    def __init__(
        self,
        disk: Disk,
        engine: Engine,
        counter: ChangeCounter,
        stream: PropagationStream,
        aof_options: AofOptions,
        settings: SnapshotSettings,
        log: Log,
        machine: Machine | None = None,
    ) -> None:
        self.disk = disk
        self.machine = machine or Machine()
        self.engine = engine
        self.counter = counter
        self.settings = settings
        self.log = log
        self.aof = AppendOnlyFile(disk, aof_options, stream, log, self.machine)
        self.aof.child_active = lambda: self.child is not None
        self.rewriter = Rewriter(disk, self.aof, engine, log)
        self.loader = Loader(disk, engine, self.aof, LoadOptions(), log)
        self.status = SaveStatus(last_save=self.machine.time())
        self.child: Child | None = None
        self.dying: list[Child] = []  # killed, and not seen to end yet
        self.log_ended = False
        self.log_end = "off"  # where the log ended when it was turned off or closed, as snapshots note it
        self.dirty_at_fork = 0
        self.due: set[Job] = set()  # to be started as soon as nothing else runs
        self.in_child: Callable[[Job], None] = lambda kind: None
        self.on_copy_end: Callable[[Child, Outcome], None] = lambda child, outcome: None
        self.read_only = False  # the directory could not be taken at the start, as it cannot be written
        self.own_directory: Callable[[], None] = lambda: None  # before something is written there; raises SaveError
        self.fingerprint: Callable[[], bytes] = lambda: b""  # of the whole data set

    @property
    def directory(self) -> Path:
        return self.aof.options.directory

    @property
    def snapshot_path(self) -> Path:
        return self.directory / self.settings.file_name

    @property
    def log_state(self) -> LogState:
        if self.aof.waiting:
            return LogState.FIRST_BASE
        if self.aof.file is None:
            return LogState.OFF
        return LogState.ENDED if self.log_ended else LogState.ON

    # Start

    def load(self, use_aof: bool, execute: Execute) -> LoadResult:
        """Load the data set that provably holds the most.

        Raises:
            FileFormatError, ManifestError, StartupError, OSError: nothing was lost. Of what is on disk only a torn end of
                the log may have been cut, with a copy kept.
        """
        start = self.machine.monotonic_ms()
        source, log_files = self.choose_source(use_aof, execute)
        log = LoadedLog()
        if source is Source.LOG:
            log = self.loader.load_log(log_files, execute, heal=use_aof)
        elif source is Source.SNAPSHOT:
            self.load_snapshot()
        if not use_aof and log_files:
            self.log_end = f"off {log_files[-1].name}:{self.disk.size(log_files[-1])}"
        if source is Source.NOTHING:
            for name in self.loader.leftovers():
                self.log("warning", f"There is no data set but a temporary file of an earlier server: {name} is kept.")
            return LoadResult(source)
        if not self.read_only:
            if self.disk.exists(self.snapshot_path):
                # Its rename may not be on disk yet, and is relied upon from now on.
                self.disk.sync_directory(self.directory)
            self.loader.remove_leftovers()
        message = f"DB loaded from {source.value}: {(self.machine.monotonic_ms() - start) / 1000:.3f} seconds"
        return LoadResult(source, message, log, log_is_older=source is Source.SNAPSHOT and bool(log_files))

    def choose_source(self, use_aof: bool, execute: Execute) -> tuple[Source, list[Path]]:
        """Which data set to load, and the files of the log. Raises StartupError where nobody can tell."""
        if use_aof or self.disk.exists(self.aof.manifest_path):
            self.aof.read_manifest(adopt=use_aof)
        if use_aof:
            settle_unnamed_files(self.disk, self.aof, self.snapshot_path, self.fingerprint_of)
        log_files = self.aof.data_files()
        holding = log_files if any(self.disk.size(path) for path in log_files) else []
        elsewhere = self.loader.progress.elsewhere
        found = choose(self.disk, self.aof, self.snapshot_path, holding, use_aof, elsewhere)
        choice = settle(found, self.settings.load_from, lambda: self.same_content(holding, execute), use_aof)
        if choice.reason:
            self.log("warning", choice.reason)
        return choice.source, log_files if choice.source is Source.LOG else holding

    def same_content(self, log_files: list[Path], execute: Execute) -> bool:
        """Whether log and snapshot hold the same keys and values, apart from what has expired."""
        self.log("notice", "Comparing the snapshot with the append only file: neither is provably newer.")
        self.loader.load_log(log_files, execute, heal=False)
        expected = self.fingerprint()
        self.forget_data()
        return self.fingerprint_of(self.snapshot_path) == expected

    def fingerprint_of(self, path: Path) -> bytes:
        """Of what is in an RDB; an absent one holds nothing. The engine is empty before and afterwards."""
        try:
            if self.disk.exists(path):
                self.loader.load_snapshot(path)
            return self.fingerprint()
        finally:
            self.forget_data()

    def forget_data(self) -> None:
        """Empty the engine before it is loaded again: also of libraries, which would be there twice."""
        for database in self.engine.databases:
            database.clear()
        self.engine.function_libraries.clear()

    def reload_snapshot(self, *, saved: bool, emptied: bool, merged: bool) -> None:
        """DEBUG RELOAD. Raises RdbError, OSError; the data is what it was then.

        Args:
            saved: Whether the snapshot holds what the engine holds.
            emptied: Whether it is loaded in place of that; else into it.
            merged: Whether its keys replace those that are there.
        """
        libraries = self.engine.function_libraries
        # With the log on, a key that went here without a word would be there again at the next start.
        if emptied:
            with replacing(self.engine):
                self.load_snapshot(keep_expired=True)
        else:
            make_way(self.disk, self.engine, self.snapshot_path, replace=merged)
            libraries.replaces = merged
            try:
                self.load_snapshot(keep_expired=True)
            finally:
                libraries.replaces = False
        if self.aof.on and not (saved and emptied):
            self.due.add(Job.REWRITE)  # the log does not lead to what the engine holds now

    def reload_log(self, execute: Execute) -> None:
        """DEBUG LOADAOF: the log in place of what the engine holds. Raises RotomError, OSError; the data is what it was then."""
        if self.aof.waiting:
            raise SaveError("the first base of the log is being written")
        if self.aof.on:
            self.aof.flush(force=True)
            if self.aof.status_error is not None or self.aof.buffered_bytes:
                raise SaveError("the log does not hold everything, as it could not be written")
        else:
            self.aof.read_manifest(adopt=False)
        files = self.aof.data_files()
        if not files:
            raise SaveError("there are no files of a log")
        with replacing(self.engine):
            self.loader.load_log(files, execute, heal=False)

    def take_over(self, copy: Path, *, keep_old: bool) -> None:
        """A copy of another server's data set in place of ours, and the log starts over with it.

        Args:
            copy: An RDB file, synced.
            keep_old: Hold what was there until the copy is loaded; else it is dropped before.

        Raises:
            RdbError: the copy cannot be loaded. The data is what it was, or (without `keep_old`) none.
            OSError: the log could not start over; it takes no writes until it is written anew.
        """
        self.kill_child()
        if keep_old:
            with replacing(self.engine):
                self.loader.load_snapshot(copy, keep_expired=True)
        else:
            self.forget_data()
            self.loader.load_snapshot(copy, keep_expired=True)
        if self.aof.waiting:
            self.aof.begin_waiting()
        elif self.aof.on:
            try:
                self.aof.start_over_on(copy)
            except OSError as error:
                self.aof.failed_sync = error
                self.rewrite_scheduled = True
                raise

    def load_snapshot(self, *, keep_expired: bool = False) -> None:
        report = self.loader.load_snapshot(self.snapshot_path, keep_expired=keep_expired)
        self.status.last_load_keys, self.status.last_load_expired = report.keys, report.expired
        if report.empty:
            self.log("notice", f"Done loading RDB, keys loaded: {report.keys}, keys expired: {report.expired}, 'empty keys skipped': {report.empty}.")  # fmt: skip
        else:
            self.log("notice", f"Done loading RDB, keys loaded: {report.keys}, keys expired: {report.expired}.")

    def start_log(self, loaded: LoadResult) -> None:
        """Open the AOF for appending behind what was loaded; without a base one is written from the data set."""
        self.aof.open(self.write_base, start_over=loaded.log_is_older, uncovered=loaded.log.uncovered)
        if loaded.log.quarantined:
            self.log("warning", "The log is rewritten, so that the damage is not met again.")
            self.due.add(Job.REWRITE)

    def write_base(self, path: Path) -> None:
        options = SnapshotOptions(self.settings.compress, self.settings.checksum, True, aof_base=True)
        on_progress = self.loader.progress.elsewhere  # at the start: clients are told that it is still loading
        save_snapshot(self.disk, self.engine, path.with_name(f"temp-{path.name}"), path, options, on_progress)

    def enable_log(self) -> None:
        """Turn the AOF on at run time: a child writes the base, and the log counts once that is in place."""
        if self.aof.on:
            return
        self.own_directory()
        self.aof.read_manifest()
        self.aof.keep_superseded(self.aof.unnamed_files())
        self.aof.open_waiting()
        if self.child is None:
            try:
                self.start_rewrite()
            except SaveError:
                self.aof.forget_waiting()
                raise
        else:
            self.kill_child(Job.REWRITE)
            self.due.add(Job.REWRITE)
            self.log("notice", "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible.")  # fmt: skip

    def disable_log(self) -> None:
        """Turn it off: what is logged is brought to the disk, and the files stay. Raises OSError."""
        self.kill_child(Job.REWRITE)
        self.due.discard(Job.REWRITE)
        if self.aof.waiting:
            self.aof.forget_waiting()
            return
        position = self.close_log()
        self.log_end = f"off {position}" if position else "off"

    def close_log(self) -> str:
        """Bring what is logged to the disk and close it; returns where it ends. Raises OSError; it stays open then."""
        if self.aof.waiting:
            self.aof.forget_waiting()
            return ""
        self.aof.close()
        position = self.aof.closed_at
        if position:
            self.log_end = f"closed {position}"
        return position

    def finish_log(self) -> None:
        """At the end of the server: bring the log to the disk, for good. Raises OSError.

        It stays open, so that the server can go on with it where the end is refused: `resume_log`.
        """
        if self.aof.waiting:
            self.aof.forget_waiting()
            return
        self.aof.bring_to_disk()
        if self.aof.closed_at:
            self.log_end = f"closed {self.aof.closed_at}"
        self.log_ended = True

    def resume_log(self) -> None:
        """The end of the server was refused after all."""
        self.log_ended = False

    def log_position(self) -> str:
        """Where the log stands, as a snapshot notes it."""
        if self.log_state is LogState.ON:
            return f"on {self.aof.position}"
        return self.log_end

    # Snapshots

    def snapshot_options(self) -> SnapshotOptions:
        settings = self.settings
        return SnapshotOptions(
            settings.compress,
            settings.checksum,
            settings.incremental_sync,
            key_save_delay_us=settings.key_save_delay_us,
            verify=settings.verify,
            saved_at=self.machine.time(),
            log_position=self.log_position(),
        )

    def save(self) -> None:
        """SAVE: write the snapshot in the foreground. Raises SaveError."""
        if self.child is not None and self.child.kind is Job.SNAPSHOT:
            raise SaveError("Background save already in progress")
        self.status.last_attempt = self.machine.time()
        temporary = self.snapshot_temporary(self.machine.pid())
        try:
            self.own_directory()
            self.aof.flush()
            save_snapshot(self.disk, self.engine, temporary, self.snapshot_path, self.snapshot_options())
        except (OSError, RdbError, SaveError) as error:
            self.log("warning", f"Error writing the snapshot to disk: {error}")
            self.status.last_save_ok = False
            raise SaveError(str(error)) from error
        self.log("notice", "DB saved on disk")
        self.counter.dirty = 0
        self.status.last_save = self.machine.time()
        self.status.last_save_ok = True
        self.status.saves += 1

    def start_background_save(self) -> None:
        """BGSAVE. Raises SaveError when no child could be made."""
        if self.child is not None:
            raise SaveError("a child is active")
        if any(child.kind is Job.SNAPSHOT for child in self.dying):
            raise SaveError("a child that was killed has not ended yet")  # its rename could come after the new one's
        self.status.last_attempt = self.machine.time()
        try:
            self.own_directory()
        except SaveError as error:
            self.status.last_save_ok = False
            self.log("warning", f"Can't save in background: {error}")
            raise
        try:
            self.aof.flush()
            options = self.snapshot_options()
            self.fork(
                Job.SNAPSHOT,
                lambda reporter, disk: save_snapshot(
                    disk,
                    self.engine,
                    self.snapshot_temporary(reporter.pid),
                    self.snapshot_path,
                    options,
                    reporter.report,
                ),
            )
        except OSError as error:
            self.status.last_save_ok = False
            self.log("warning", f"Can't save in background: fork: {error.strerror}")
            raise SaveError(str(error)) from error
        self.due.discard(Job.SNAPSHOT)
        assert self.child is not None
        self.log("notice", f"Background saving started by pid {self.child.pid}")

    def snapshot_temporary(self, pid: int) -> Path:
        return self.directory / f"temp-{pid}.rdb"

    def leave_to_parent(self) -> None:
        """In a process made by fork that is no child of ours: close copies of descriptors, and change nothing."""
        if self.aof.file is not None:
            self.aof.file.leave_to_parent()
        self.aof.sync_thread.forget_thread()

    def fork(self, kind: Job, work: Callable[[Reporter, Disk], int]) -> None:
        self.dirty_at_fork = self.counter.dirty

        def in_child() -> None:
            self.aof.sync_thread.forget_thread()
            self.in_child(kind)

        self.child = self.machine.fork(kind, self.disk, work, in_child)
        self.status.last_fork_us = self.child.fork_us
        self.status.forks += 1
        self.engine.avoid_resize(True)

    def start_rewrite(self) -> None:
        """BGREWRITEAOF. Raises SaveError when it cannot start."""
        if self.child is not None:
            raise SaveError("a child is active")
        self.own_directory()
        try:
            if self.aof.on:
                self.rewriter.begin()
            self.fork(Job.REWRITE, self.rewriter.write)
        except OSError as error:
            self.status.last_rewrite_ok = False
            self.aof.rewrite_buffer = None
            self.rewriter.failed()
            self.log("warning", f"Can't rewrite append only file in background: {error}")
            raise SaveError(str(error)) from error
        self.due.discard(Job.REWRITE)
        assert self.child is not None
        self.log("notice", f"Background append only file rewriting started by pid {self.child.pid}")

    def moved(self) -> None:
        """The directory is another one now, with files that this server has neither written nor loaded."""
        self.log_end = "off"
        self.aof.of_others = True

    def start_copy(self, work: Work) -> Child:
        """A child that sends the data set somewhere. Raises OSError when it cannot be made."""
        self.aof.flush()  # what is sent must not know more than the log
        self.fork(Job.COPY, work)
        assert self.child is not None
        return self.child

    def kill_child(self, kind: Job | None = None) -> None:
        """End a running child (of that kind) and remove what it wrote."""
        child = self.child
        if child is None or (kind is not None and child.kind != kind):
            return
        self.log("notice", f"Killing running {CHILD_NAMES[child.kind]} child: {child.pid}")
        child.kill()
        self.child_gone()
        if child.kind is Job.REWRITE:
            self.aof.rewrite_buffer = None
        elif child.kind is Job.COPY:
            self.on_copy_end(child, Outcome(-1, DELIBERATE_KILL))
        self.dying.append(child)
        # As a rule it is gone in a millisecond; one that hangs in the kernel is left to the timer.
        self.reap_killed()
        for _ in range(LOOKS_AT_KILLED_CHILD):
            if child not in self.dying:
                break
            self.machine.sleep(BETWEEN_LOOKS_S)
            self.reap_killed()
        if child in self.dying:
            self.remove_files_of(child)  # it runs no more; what a last call still makes goes when it is reaped

    def reap_killed(self) -> None:
        """Forget the killed children that have ended, and remove what they wrote."""
        for child in list(self.dying):
            if child.poll() is not None:
                self.dying.remove(child)
                self.remove_files_of(child)

    def remove_files_of(self, child: Child) -> None:
        if child.kind is Job.SNAPSHOT:
            self.disk.discard(self.snapshot_temporary(child.pid))
        elif child.kind is Job.REWRITE:
            self.rewriter.remove_files(child.pid)

    def child_gone(self) -> None:
        self.child = None
        self.engine.avoid_resize(False)

    def check_child(self) -> None:
        """Finish what a child has ended."""
        child = self.child
        if child is None:
            return
        outcome = child.poll()
        if outcome is None:
            return
        self.child_gone()
        seconds = int(self.machine.time() - child.started)
        if child.kind is Job.SNAPSHOT:
            self.snapshot_ended(child, outcome, seconds)
        elif child.kind is Job.REWRITE:
            self.rewrite_ended(child, outcome, seconds)
        else:
            self.on_copy_end(child, outcome)

    def snapshot_ended(self, child: Child, outcome: Outcome, seconds: int) -> None:
        status = self.status
        status.last_save_s = seconds
        if outcome.status == 0:
            status.last_cow_bytes = child.progress.cow_bytes
            self.log("notice", f"Fork CoW for RDB: current {child.progress.cow_bytes >> 20} MB, peak {child.progress.cow_bytes >> 20} MB, average {child.progress.cow_bytes >> 20} MB")  # fmt: skip
            self.log("notice", "Background saving terminated with success")
            self.counter.dirty -= self.dirty_at_fork
            status.last_save = self.machine.time()
            status.last_save_ok = True
            status.saves += 1
            return
        self.disk.discard(self.snapshot_temporary(child.pid))
        if outcome.signal == DELIBERATE_KILL:
            return
        status.last_save_ok = False
        reason = f"terminated by signal {outcome.signal}" if outcome.signal else "error"
        self.log("warning", f"Background saving {reason}")

    def rewrite_ended(self, child: Child, outcome: Outcome, seconds: int) -> None:
        status = self.status
        status.last_rewrite_s = seconds
        if outcome.status == 0:
            status.last_rewrite_cow_bytes = child.progress.cow_bytes
            self.log("notice", "Background AOF rewrite terminated with success")
            try:
                self.rewrite_done(child.pid)
            except OSError as error:
                self.log("warning", f"Error trying to put the rewritten AOF in place: {error}")
            else:
                status.last_rewrite_ok = True
                status.rewrites += 1
                return
        elif outcome.signal:
            self.log("warning", f"Background AOF rewrite terminated by signal {outcome.signal}")
        else:
            self.log("warning", "Background AOF rewrite terminated with error")
        self.rewriter.abandon(child.pid)
        if self.aof.waiting:
            self.due.add(Job.REWRITE)
        if outcome.signal != DELIBERATE_KILL:
            status.last_rewrite_ok = False
            self.rewriter.failed()

    def rewrite_done(self, pid: int) -> None:
        if self.aof.on:
            self.rewriter.finish(pid)
            return
        # The log is off: what BGREWRITEAOF wrote has no place in a data set, as in Redis only the temp file goes.
        self.rewriter.abandon(pid)

    # Timer

    def cron(self) -> None:
        """Ten times a second: reap the child, start what is due. The log is flushed by the caller."""
        try:
            self.reap_killed()
            self.check_child()
            if self.child is None:
                self.start_what_is_due()
            else:
                self.child.read_progress()
        except OSError as error:
            # Nothing of this may end the server. What could not be done is due again at the next tick.
            self.log("warning", f"A periodic task of persistence failed: {error}")

    def start_what_is_due(self) -> None:
        try:
            if self.aof.failed_sync is not None or self.aof.waiting:
                self.due.add(Job.REWRITE)  # until it has succeeded: nothing else makes the log whole
            if Job.REWRITE in self.due and not self.rewriter.held_back:
                self.start_rewrite()
                return
            if Job.SNAPSHOT in self.due and self.may_retry_save():
                self.start_background_save()
                return
            now = self.machine.time()
            for seconds, changes in self.settings.save_points:
                if self.counter.dirty >= changes and now - self.status.last_save > seconds and self.may_retry_save():
                    self.log("notice", f"{changes} changes in {seconds} seconds. Saving...")
                    self.start_background_save()
                    return
            if not self.rewriter.held_back and self.rewriter.grown_enough(
                self.settings.rewrite_percentage, self.settings.rewrite_minimum_size
            ):
                growth = self.aof.size * 100 // (self.aof.base_size or 1) - 100
                self.log("notice", f"Starting automatic rewriting of AOF on {growth}% growth")
                self.start_rewrite()
        except SaveError:
            return  # logged where it happened; the next tick tries again under the back-off rules

    def may_retry_save(self) -> bool:
        return self.status.last_save_ok or self.machine.time() - self.status.last_attempt > RETRY_AFTER_FAILURE_S

    @property
    def write_refusal(self) -> str | None:
        """Why writes must be refused now, as the error reply's text."""
        error = self.aof.status_error
        if error is not None:
            return f"MISCONF Errors writing to the AOF file: {os.strerror(error.errno or 0)}"
        return None

    @property
    def snapshot_failing(self) -> bool:
        return bool(self.settings.save_points) and not self.status.last_save_ok
