"""Persistence of one data set: start-up load, snapshots, the log, its rewrites, and shutdown.

One child at a time writes a snapshot or a rewrite. Rules: docs/formats.md sections 6.6, 8 and 9.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rotomdb.engine import Engine
from rotomdb.errors import SaveError
from rotomdb.storage.aof import AofOptions, AppendOnlyFile, Log
from rotomdb.storage.aof_reader import Execute, replay, truncated_error
from rotomdb.storage.child import DELIBERATE_KILL, ForkedChild, Outcome, fork_child
from rotomdb.storage.disk import Disk
from rotomdb.storage.propagation import PropagationStream
from rotomdb.storage.rdb import RdbReader, SnapshotOptions, save_snapshot
from rotomdb.storage.rewrite import Rewriter

RETRY_AFTER_FAILURE_S = 5
SNAPSHOT, REWRITE = "rdb", "aof"


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
    load_truncated: bool = True


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
    ) -> None:
        self.disk = disk
        self.engine = engine
        self.counter = counter
        self.settings = settings
        self.log = log
        self.aof = AppendOnlyFile(disk, aof_options, stream, log)
        self.aof.child_active = lambda: self.child is not None
        self.rewriter = Rewriter(disk, self.aof, engine, log)
        self.status = SaveStatus(last_save=time.time())
        self.child: ForkedChild | None = None
        self.dirty_at_fork = 0
        self.save_scheduled = False
        self.rewrite_scheduled = False
        self.in_child: Callable[[], None] = lambda: None

    @property
    def directory(self) -> Path:
        return self.aof.options.directory

    @property
    def snapshot_path(self) -> Path:
        return self.directory / self.settings.file_name

    # Start

    def load(self, use_aof: bool, execute: Execute) -> str:
        """Load what is on disk; returns what was loaded, for the log.

        With the AOF on, its files rule. Where there is no AOF at all but a snapshot, the snapshot is loaded: Redis
        would start empty here and overwrite it at the next save.

        Raises:
            FileFormatError, ManifestError, OSError: nothing on disk was changed.
        """
        start = time.monotonic()
        self.remove_leftovers()
        source = "nothing"
        if use_aof:
            self.aof.read_manifest()
            paths = self.aof.data_files()
            if paths:
                self.load_log(paths, execute)
                source = "append only file"
        if source == "nothing" and self.disk.exists(self.snapshot_path):
            self.load_snapshot()
            source = "disk"
            if use_aof:
                self.log(
                    "warning", f"No append only file found: loaded {self.settings.file_name} and going on from it."
                )
        return f"DB loaded from {source}: {time.monotonic() - start:.3f} seconds" if source != "nothing" else ""

    def load_snapshot(self) -> None:
        with self.disk.mapped(self.snapshot_path) as data:
            reader = RdbReader(data, str(self.snapshot_path))
            try:
                report = reader.load_into(self.engine, expire_before_ms=int(time.time() * 1000))
            finally:
                reader.close()
        self.status.last_load_keys, self.status.last_load_expired = report.keys, report.expired
        if report.empty:
            self.log("notice", f"Done loading RDB, keys loaded: {report.keys}, keys expired: {report.expired}, 'empty keys skipped': {report.empty}.")  # fmt: skip
        else:
            self.log("notice", f"Done loading RDB, keys loaded: {report.keys}, keys expired: {report.expired}.")

    def load_log(self, paths: list[Path], execute: Execute) -> None:
        self.engine.expire_on_access = False
        try:
            for path in paths:
                start = time.monotonic()
                with self.disk.mapped(path) as data:
                    report = replay(data, str(path), self.engine, execute)
                    cut = bytes(data[report.valid_bytes :]) if report.truncated else b""
                if report.truncated is not None:
                    if path != paths[-1] or not self.settings.load_truncated:
                        raise truncated_error(str(path), report)
                    self.cut_tail(path, report.valid_bytes, cut)
                kind = "base" if path is paths[0] and len(paths) > 1 else "incr"
                self.log("notice", f"DB loaded from {kind} file {path.name}: {time.monotonic() - start:.3f} seconds")
        finally:
            self.engine.expire_on_access = True

    def cut_tail(self, path: Path, valid_bytes: int, cut: bytes) -> None:
        """Heal the torn end of the last file; what is cut is kept beside."""
        self.log("warning", "!!! Warning: short read while loading the AOF file !!!")
        self.log(
            "warning",
            f"AOF loaded anyway because aof-load-truncated is enabled: {path.name} truncated to {valid_bytes} bytes",
        )
        if cut:
            kept = path.with_name(f"{path.name}.cut-at-{valid_bytes}")
            file = self.disk.create(kept)
            try:
                file.write_all(cut)
                file.sync()
            finally:
                file.close()
            self.log("warning", f"The {len(cut)} bytes cut from {path.name} are kept in {kept.name}")
        self.disk.truncate(path, valid_bytes)

    def remove_leftovers(self) -> None:
        """Temporary files of children that died with an earlier server."""
        for pattern in ("temp-rewriteaof-*.aof", "temp-[0-9]*.rdb"):
            for path in self.directory.glob(pattern):
                self.log("notice", f"Removing leftover temporary file {path.name}")
                self.disk.remove_if_there(path)

    def start_log(self) -> None:
        """Open the AOF for appending; without a base one is written from the data set."""
        self.aof.open(self.write_base)

    def write_base(self, path: Path) -> None:
        options = SnapshotOptions(self.settings.compress, self.settings.checksum, True, aof_base=True)
        save_snapshot(self.disk, self.engine, path.with_name(f"temp-{path.name}"), path, options)

    def enable_log(self) -> None:
        """Turn the AOF on at run time: a new base is written from the data set, older files are retired."""
        self.kill_child(REWRITE)
        self.aof.read_manifest()
        self.aof.open(self.write_base, start_over=True)

    def disable_log(self) -> None:
        self.kill_child(REWRITE)
        self.aof.close()

    # Snapshots

    def snapshot_options(self) -> SnapshotOptions:
        settings = self.settings
        return SnapshotOptions(
            settings.compress,
            settings.checksum,
            settings.incremental_sync,
            key_save_delay_us=settings.key_save_delay_us,
        )

    def save(self) -> None:
        """SAVE: write the snapshot in the foreground. Raises SaveError."""
        if self.child is not None and self.child.kind == SNAPSHOT:
            raise SaveError("Background save already in progress")
        self.status.last_attempt = time.time()
        temporary = self.directory / f"temp-{os.getpid()}.rdb"
        try:
            save_snapshot(self.disk, self.engine, temporary, self.snapshot_path, self.snapshot_options())
        except OSError as error:
            self.log("warning", f"Error writing the snapshot to disk: {error}")
            self.status.last_save_ok = False
            raise SaveError(str(error)) from error
        self.log("notice", "DB saved on disk")
        self.counter.dirty = 0
        self.status.last_save = time.time()
        self.status.last_save_ok = True
        self.status.saves += 1

    def start_background_save(self) -> None:
        """BGSAVE. Raises SaveError when no child could be made."""
        if self.child is not None:
            raise SaveError("a child is active")
        self.status.last_attempt = time.time()
        self.aof.flush(force=False)

        def work(reporter: object) -> int:
            temporary = self.directory / f"temp-{os.getpid()}.rdb"
            report = reporter.report  # type: ignore[attr-defined]
            return save_snapshot(self.disk, self.engine, temporary, self.snapshot_path, self.snapshot_options(), report)

        try:
            self.fork(SNAPSHOT, work)
        except OSError as error:
            self.status.last_save_ok = False
            self.log("warning", f"Can't save in background: fork: {error.strerror}")
            raise SaveError(str(error)) from error
        self.save_scheduled = False
        assert self.child is not None
        self.log("notice", f"Background saving started by pid {self.child.pid}")

    def fork(self, kind: str, work: Callable[..., int]) -> None:
        self.dirty_at_fork = self.counter.dirty

        def in_child() -> None:
            self.aof.sync_thread.forget_thread()
            self.in_child()

        self.child = fork_child(kind, work, in_child)
        self.status.last_fork_us = self.child.fork_us
        self.status.forks += 1
        self.engine.avoid_resize(True)

    def start_rewrite(self) -> None:
        """BGREWRITEAOF. Raises SaveError when it cannot start."""
        if self.child is not None:
            raise SaveError("a child is active")
        try:
            if self.aof.file is not None:
                self.rewriter.begin()
            self.fork(REWRITE, self.rewriter.write)
        except OSError as error:
            self.status.last_rewrite_ok = False
            self.aof.rewrite_buffer = None
            self.rewriter.failed()
            self.log("warning", f"Can't rewrite append only file in background: {error}")
            raise SaveError(str(error)) from error
        self.rewrite_scheduled = False
        assert self.child is not None
        self.log("notice", f"Background append only file rewriting started by pid {self.child.pid}")

    def kill_child(self, kind: str | None = None) -> None:
        """End a running child (of that kind) and remove what it wrote."""
        child = self.child
        if child is None or (kind is not None and child.kind != kind):
            return
        self.log(
            "notice", f"Killing running {'snapshot' if child.kind == SNAPSHOT else 'AOF rewrite'} child: {child.pid}"
        )
        child.kill()
        self.child_gone()
        if child.kind == SNAPSHOT:
            self.disk.remove_if_there(self.directory / f"temp-{child.pid}.rdb")
        else:
            self.rewriter.abandon(child.pid)

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
        seconds = int(time.time() - child.started)
        if child.kind == SNAPSHOT:
            self.snapshot_ended(child, outcome, seconds)
        else:
            self.rewrite_ended(child, outcome, seconds)

    def snapshot_ended(self, child: ForkedChild, outcome: Outcome, seconds: int) -> None:
        status = self.status
        status.last_save_s = seconds
        if outcome.status == 0:
            status.last_cow_bytes = child.progress.cow_bytes
            self.log("notice", f"Fork CoW for RDB: current {child.progress.cow_bytes >> 20} MB, peak {child.progress.cow_bytes >> 20} MB, average {child.progress.cow_bytes >> 20} MB")  # fmt: skip
            self.log("notice", "Background saving terminated with success")
            self.counter.dirty -= self.dirty_at_fork
            status.last_save = time.time()
            status.last_save_ok = True
            status.saves += 1
            return
        self.disk.remove_if_there(self.directory / f"temp-{child.pid}.rdb")
        if outcome.signal == DELIBERATE_KILL:
            return
        status.last_save_ok = False
        reason = f"terminated by signal {outcome.signal}" if outcome.signal else "error"
        self.log("warning", f"Background saving {reason}")

    def rewrite_ended(self, child: ForkedChild, outcome: Outcome, seconds: int) -> None:
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
        if outcome.signal != DELIBERATE_KILL:
            status.last_rewrite_ok = False
            self.rewriter.failed()

    def rewrite_done(self, pid: int) -> None:
        if self.aof.file is not None:
            self.rewriter.finish(pid)
            return
        # The log is off: what BGREWRITEAOF wrote has no place in a data set, as in Redis only the temp file goes.
        self.rewriter.abandon(pid)

    # Timer

    def cron(self) -> None:
        """Ten times a second: reap the child, start what is due, flush what was put off."""
        self.check_child()
        if self.child is None:
            self.start_what_is_due()
        else:
            self.child.read_progress()
        self.aof.flush()

    def start_what_is_due(self) -> None:
        try:
            if self.rewrite_scheduled and not self.rewriter.held_back:
                self.start_rewrite()
                return
            if self.save_scheduled and self.may_retry_save():
                self.start_background_save()
                return
            now = time.time()
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
        return self.status.last_save_ok or time.time() - self.status.last_attempt > RETRY_AFTER_FAILURE_S

    @property
    def write_refusal(self) -> str | None:
        """Why writes must be refused now, as the error reply's text."""
        error = self.aof.status_error
        if error is not None:
            return f"MISCONF Errors writing to the AOF file: {error.strerror}"
        return None

    @property
    def snapshot_failing(self) -> bool:
        return bool(self.settings.save_points) and not self.status.last_save_ok
