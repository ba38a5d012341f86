"""The append-only file: appending, syncing, and which files it consists of.

    policy     process killed   power lost
    always     nothing acked    nothing acked
    everysec   nothing acked    up to about 2 s of acked writes (1 s timer, one fsync late)
    no         nothing acked    whatever the kernel had not written back yet

"Acked" means that the client holds the reply: `acknowledged_offset` says up to where replies may leave. With `always`
that is what is on disk; the fsync runs in its thread, one covers all who wait, and the others are served meanwhile. With
the other policies it is what write(2) has taken, so that it outlives the process.

After a failed fsync the file is not trusted any more (the kernel may have dropped what it could not write): nothing more
goes into it, and a rewrite into fresh files has to succeed first.

Layouts: multi-part (Redis 7: a directory with base, increments and a manifest) or single (Redis <= 6: one file).
"""

from __future__ import annotations

import enum
import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import ManifestError
from rotomdb.storage.disk import Disk, DiskFile
from rotomdb.storage.log_blocks import BLOCK_BYTES, BlockWriter
from rotomdb.storage.machine import Machine
from rotomdb.storage.manifest import MANIFEST_SUFFIX, LogFile, Manifest, read_manifest
from rotomdb.storage.propagation import PropagationStream, encode_command
from rotomdb.storage.reserve import DiskReserve

SLOW_SYNC_S = 2.0
ALLOCATED_AHEAD = 4 << 20  # bytes
SYNC_INTERVAL_MS = 1000
MARKS_KEPT = 10_000  # writes between two syncs that are told apart
ERROR_LOG_INTERVAL_MS = 30_000
ALL_OFFSETS = (1 << 63) - 1
Log = Callable[[str, str], None]  # level, message


class FsyncPolicy(enum.Enum):
    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


@dataclass
class AofOptions:
    """What the configuration says; changed in place by CONFIG SET."""

    directory: Path
    file_name: str = "appendonly.aof"
    append_directory: str = "appendonlydir"
    single_file: bool = False
    policy: FsyncPolicy = FsyncPolicy.EVERYSEC
    no_sync_on_rewrite: bool = False
    checksum: bool = True
    keep_history: bool = False
    exit_on_error: bool = False

    @property
    def log_directory(self) -> Path:
        return self.directory if self.single_file else self.directory / self.append_directory


class AppendOnlyFile:
    """Appends the propagation stream to the current log file under a sync policy.

    Attributes:
        waiting: The log was turned on at run time and its first base is being written: what is logged meanwhile goes
            to a temporary increment (in the single layout: to memory) and counts only when the base is in place.
        failed_sync: Why the file is not trusted any more.
    """

    def __init__(
        self, disk: Disk, options: AofOptions, stream: PropagationStream, log: Log, machine: Machine | None = None
    ) -> None:
        self.disk = disk
        self.options = options
        self.stream = stream
        self.log = log
        self.machine = machine or Machine()
        self.manifest = Manifest()
        self.file: DiskFile | None = None
        self.waiting = False
        self.closed_at = ""  # its end when it was closed
        self.unwritten = b""
        self.blocks = BlockWriter()
        self.database_before = 0  # that the last write left selected
        self.reserve = DiskReserve(disk, options, log)
        self.sync_thread = self.machine.sync_thread()
        self.last_sync_ms = 0
        self.slow_sync_noted = False
        self.delayed_fsyncs = 0
        self.size = 0  # of all files
        self.base_size = 0  # when the last rewrite ended
        self.write_error: OSError | None = None
        self.failed_sync: OSError | None = None
        self.last_error_log_ms = -ERROR_LOG_INTERVAL_MS
        self.rewrite_buffer: list[bytes] | None = None  # single layout: writes since the rewrite's fork
        self.child_active: Callable[[], bool] = lambda: False
        # Which stream offset each length of the file stands for, and the highest that is on disk.
        self.marks: deque[tuple[int, int]] = deque()
        self.synced_offset = 0
        self.written_offset = 0

    @property
    def on(self) -> bool:
        """Whether writes are logged."""
        return self.file is not None or self.waiting

    # Files

    @property
    def manifest_name(self) -> str:
        return self.options.file_name + MANIFEST_SUFFIX

    @property
    def manifest_path(self) -> Path:
        return self.options.log_directory / self.manifest_name

    @property
    def position(self) -> str:
        """The end of the log as snapshots note it, so that it can be told which of the two knows more.

        What could not be written yet counts: a snapshot holds it, and it will stand right there. A file that is not
        trusted gets no further, so a snapshot knows more than it from now on.
        """
        if self.file is None:
            return ""
        beyond = len(self.unwritten) + (self.failed_sync is not None)
        return f"{self.file.path.name}:{self.file.written + beyond}"

    def read_manifest(self, *, adopt: bool = True) -> None:
        """Learn what files there are; an old single file is adopted into the directory (docs/formats.md, 6.6)."""
        if self.options.single_file:
            return
        self.manifest = read_manifest(self.disk, self.manifest_path)
        old = self.options.directory / self.options.file_name
        if not adopt or not self.disk.exists(old):
            return
        base = self.manifest.base
        target = self.options.log_directory / self.options.file_name
        if self.manifest.files and not (base is not None and not self.manifest.increments and base.name == target.name):
            return  # a stranger to the files that the manifest names
        if self.manifest.files and self.disk.exists(target):
            return  # a crash came before its second name was removed, or it is another file: no reason to remove it
        self.disk.make_directory(self.options.log_directory)
        # A second name first, so that no crash can leave the file with none; M1: durable before the manifest says it.
        self.disk.remove_if_there(target)
        self.disk.link(old, target)
        self.disk.sync_directory(self.options.log_directory)
        self.manifest = Manifest(base=LogFile(self.options.file_name, 1, "b"))
        self.manifest.save(self.disk, self.options.log_directory, self.manifest_name)
        self.disk.unlink(old)
        self.disk.sync_directory(self.options.directory)
        self.log("notice", "Successfully migrated an old-style AOF configuration into the AOF directory.")

    def data_files(self) -> list[Path]:
        """The files to load, in order.

        Raises:
            ManifestError: a file that the manifest names is not there.
        """
        if self.options.single_file:
            path = self.options.directory / self.options.file_name
            return [path] if self.disk.exists(path) else []
        paths = [self.options.log_directory / file.name for file in self.manifest.files]
        for path in paths:
            if not self.disk.exists(path):
                raise ManifestError(str(self.manifest_path), f"The AOF file {path.name} doesn't exist")
        return paths

    def open(
        self, write_base: Callable[[Path], None], *, start_over: bool = False, uncovered: tuple[int, int] = (0, 0)
    ) -> None:
        """Open for appending.

        Args:
            write_base: Called to write the data set as it is, where there is no base yet.
            uncovered: Bytes at the end of the last file that are in no block, and their CRC64.
            start_over: Begin a new log whatever files there are; they are older than the data set, and are kept under
                another name.
        """
        directory = self.options.log_directory
        self.disk.make_directory(directory)
        if self.options.single_file:
            path = directory / self.options.file_name
            if start_over and self.disk.exists(path):
                self.keep_superseded([path])
            if not self.disk.exists(path):
                write_base(path)
            self.file = self.disk.append(path)
            self.size = self.base_size = self.file.written
        else:
            self.open_increment(directory, write_base, start_over)
        assert self.file is not None
        # What was loaded may be in the page cache alone (the last server was killed), and is served from now on.
        self.file.sync()
        self.disk.sync_directory(directory)
        self.begin_file(self.file, *(uncovered if self.file.written else (0, 0)))
        self.stream.active = True

    def begin_file(self, file: DiskFile, uncovered: int = 0, checksum: int = 0) -> None:
        """Go on in this file, of which everything is on disk; of its end so many bytes are in no block."""
        self.file = file
        self.sync_thread.restart_at(file.written)
        self.marks.clear()
        self.synced_offset = self.written_offset = self.stream.offset - len(self.stream)
        self.last_sync_ms = self.machine.monotonic_ms()
        self.failed_sync = self.write_error = None
        self.blocks.begin_file(uncovered, checksum)
        self.stream.begin_file()

    def open_increment(self, directory: Path, write_base: Callable[[Path], None], start_over: bool) -> None:
        manifest = self.manifest.copy()
        superseded: list[Path] = []
        if start_over or not manifest.files:
            base = manifest.next_base(self.options.file_name, rdb=True)
            increment = manifest.next_increment(self.options.file_name)
            write_base(directory / base.name)
            superseded = [directory / file.name for file in manifest.files]
            manifest = Manifest(base, manifest.history, [increment])
            self.log("notice", f"Creating AOF base file {base.name} on server start")
        elif not manifest.increments:
            manifest.increments.append(manifest.next_increment(self.options.file_name))
        path = directory / manifest.increments[-1].name
        if self.disk.exists(path) and not start_over:
            self.file = self.disk.append(path)
        else:
            self.log("notice", f"Creating AOF incr file {path.name} on server start")
            self.file = self.create_increment(path)
        self.disk.sync_directory(directory)  # M1: the name is durable before the manifest says it
        manifest.save(self.disk, directory, self.manifest_name)
        self.manifest = manifest
        self.keep_superseded(superseded)
        self.delete_history()
        self.size = sum(self.disk.size(directory / file.name) for file in manifest.files)
        self.base_size = self.disk.size(directory / manifest.base.name) if manifest.base else 0

    def create_increment(self, path: Path) -> DiskFile:
        """A new empty file that a manifest may name once the directory is synced."""
        file = self.disk.create(path)
        try:
            # A file of that name may be left of a crash: what it held must not come back behind a manifest that names it.
            file.sync()
        except OSError:
            file.close()
            raise
        return file

    def keep_superseded(self, paths: list[Path]) -> None:
        """Log files that hold less than the data set: out of the way, and not thrown away."""
        for path in paths:
            if self.disk.exists(path):
                kept = path.with_name(f"{path.name}.superseded")
                self.disk.rename(path, kept)
                self.log("warning", f"{path.name} is superseded; it is kept as {kept.name}")
        if paths:
            self.disk.sync_directory(paths[0].parent)

    def delete_history(self) -> None:
        """Unlink what the manifest retired (M3), then forget it."""
        if not self.manifest.history or self.options.keep_history:
            return
        directory = self.options.log_directory
        for file in self.manifest.history:
            self.disk.remove_if_there(directory / file.name)
        manifest = self.manifest.copy()
        manifest.history.clear()
        manifest.save(self.disk, directory, self.manifest_name)
        self.manifest = manifest

    def rotate(self, reason: str = "background rewrite") -> None:
        """Begin a new increment: what is written from now on is the rewrite buffer of the multi-part layout."""
        directory = self.options.log_directory
        assert self.file is not None
        if self.unwritten:
            # Written to the next increment instead, it would be replayed on top of a base that holds its effect.
            raise self.write_error or OSError(errno.EIO, "the log could not be written")
        # Synced before the next file exists: a cut of the old one in a power loss would be fatal once it is not last.
        self.sync_now()
        manifest = self.manifest.copy()
        increment = manifest.next_increment(self.options.file_name)
        fresh = self.create_increment(directory / increment.name)
        try:
            self.disk.step("aof.rotate:after-create")
            self.disk.sync_directory(directory)
            manifest.increments.append(increment)
            manifest.save(self.disk, directory, self.manifest_name)
        except OSError:
            fresh.close()
            raise
        self.manifest = manifest
        self.file.close()
        self.begin_file(fresh)
        self.log("notice", f"Creating AOF incr file {increment.name} on {reason}")

    def drop_buffered(self) -> None:
        """A base is about to be written from the data set: what is still to be logged is part of it."""
        self.sync_thread.wait()
        self.unwritten = b""
        self.stream.take()
        self.stream.take_cuts()
        self.stream.begin_file()
        if self.options.single_file:
            self.rewrite_buffer = []

    def replace_increment(self, base: LogFile) -> None:
        """Go on in a fresh increment behind a base that holds everything; the increments before are not trusted.

        On OSError everything stays as it was.
        """
        increment = self.manifest.next_increment(self.options.file_name)
        fresh = self.create_increment(self.options.log_directory / increment.name)
        try:
            self.name_as_log(base, increment)
        except OSError:
            fresh.close()
            raise
        if self.file is not None:
            self.file.close()
        self.begin_file(fresh)
        self.log("warning", f"The log goes on in {increment.name}, on a fresh base.")

    def name_as_log(self, base: LogFile, increment: LogFile) -> None:
        """These two, which are on disk, are the log from now on, and nothing of what was before."""
        directory = self.options.log_directory
        self.disk.sync_directory(directory)  # M1
        manifest = self.manifest.copy()
        manifest.retire_all()
        manifest.base, manifest.increments = base, [increment]
        manifest.save(self.disk, directory, self.manifest_name)
        self.manifest = manifest

    def replace_file(self, fresh: DiskFile) -> None:
        """Go on in a synced file that already holds everything, also what could not be written to the old one."""
        self.sync_thread.wait()
        if self.file is not None:
            self.file.close()
        self.unwritten = b""
        self.waiting = False
        self.begin_file(fresh)
        self.size = self.base_size = fresh.written

    # Turning it on at run time

    @property
    def waiting_path(self) -> Path:
        return self.options.log_directory / f"temp-{self.options.file_name}.incr"

    def open_waiting(self) -> None:
        """Log from now on into a temporary increment, until the base that a child writes is in place."""
        self.disk.make_directory(self.options.log_directory)
        self.write_error = self.failed_sync = None
        self.begin_waiting()
        self.waiting = True
        self.synced_offset = self.written_offset = self.stream.offset
        self.stream.active = True

    def begin_waiting(self) -> None:
        """Begin the temporary increment, also again: the base is written anew then."""
        self.drop_buffered()
        if self.options.single_file:
            return
        if self.file is not None:
            self.file.close()
        # Removed first: a manifest that could not be confirmed may already know this file under its other name.
        self.disk.remove_if_there(self.waiting_path)
        self.file = self.disk.create(self.waiting_path)
        self.sync_thread.restart_at(0)
        self.marks.clear()
        self.blocks.begin_file()

    def adopt_waiting(self, base: LogFile) -> None:
        """The base is in place: the temporary increment becomes a real one, and both are the log."""
        directory = self.options.log_directory
        assert self.file is not None
        self.flush(force=True)
        if self.unwritten:
            raise self.write_error or OSError(errno.EIO, "the log could not be written")
        self.sync_now()
        increment = self.manifest.next_increment(self.options.file_name)
        # A second name, so that a failure in the steps that follow leaves the first.
        self.disk.remove_if_there(directory / increment.name)
        self.disk.link(self.waiting_path, directory / increment.name)
        self.name_as_log(base, increment)
        self.file.path = directory / increment.name
        self.waiting = False
        self.disk.remove_if_there(self.waiting_path)

    def forget_waiting(self) -> None:
        """Turned off again before the base was in place."""
        self.waiting = False
        self.rewrite_buffer = None
        if self.file is not None:
            self.file.close()
            self.file = None
            self.disk.remove_if_there(self.waiting_path)
        self.stream.active = False

    # How far it is

    @property
    def buffered_bytes(self) -> int:
        return len(self.unwritten) + len(self.stream)

    @property
    def synced(self) -> bool:
        """Whether everything that was written is known to be on disk."""
        return self.file is None or self.sync_thread.completed >= self.file.written

    @property
    def durable_offset(self) -> int:
        """The stream offset up to which everything is known to be on disk."""
        if not self.waiting:  # else the files count for nothing yet
            while self.marks and self.marks[0][0] <= self.sync_thread.completed:
                self.synced_offset = self.marks.popleft()[1]
        return self.synced_offset

    @property
    def acknowledged_offset(self) -> int:
        """Replies to writes up to this stream offset may leave."""
        if self.file is None or self.waiting:
            return ALL_OFFSETS
        if self.options.policy is FsyncPolicy.ALWAYS and not self.sync_suspended:
            return self.durable_offset
        return self.written_offset

    @property
    def sync_target_offset(self) -> int:
        """The stream offset up to which the fsync that runs will have brought the file."""
        target = self.durable_offset
        if self.sync_thread.busy:
            for length, offset in self.marks:
                if length > self.sync_thread.target:
                    break
                target = offset
        return target

    @property
    def sync_suspended(self) -> bool:
        return self.options.no_sync_on_rewrite and self.child_active()

    def request_sync(self) -> None:
        """Somebody waits for the disk: under `no`, which never syncs by itself, begin a sync."""
        if self.options.policy is FsyncPolicy.NO:
            self.start_sync()

    # Appending

    def collect(self, now: int, end_block: bool) -> None:
        """Move the stream's bytes into the write buffer, with annotations around blocks."""
        annotated = self.options.checksum and not self.options.single_file
        self.stream.cut_every = BLOCK_BYTES if annotated else 0
        data = b""
        if len(self.stream):
            data, cuts = self.stream.take(), self.stream.take_cuts()
            if self.rewrite_buffer is not None:
                self.rewrite_buffer.append(data)
            if self.file is None:
                return  # there is no other place for it yet
            if annotated:
                if self.blocks.stands_alone(data):
                    self.unwritten += self.blocks.end()
                    data = encode_command(b"SELECT", self.database_before) + data
                data = self.blocks.add_all(data, cuts, self.sync_thread.completed, now)
                self.database_before = max(self.stream.selected, 0)
            else:
                self.blocks.count(data)  # annotations may be turned on before the file ends
        every_write = self.options.policy is FsyncPolicy.ALWAYS
        if (
            annotated
            and self.blocks.size
            and (every_write or end_block or self.blocks.full(len(data)) or self.blocks.due(now))
        ):
            data += self.blocks.end()
            self.stream.begin_block()
        self.unwritten = self.unwritten + data if self.unwritten else data

    def flush(self, *, force: bool = False) -> None:
        """Write what is buffered and see to it that the policy's fsync runs; before every sleep and by the timer.

        A failed write is kept in `write_error`, and the bytes are tried again. Raises OSError only where the
        configuration wants the server to end then.

        Args:
            force: End the block, whatever its size.
        """
        if not self.on:
            return
        self.notice_failed_sync()
        if self.failed_sync is not None:
            return
        now = self.machine.monotonic_ms()
        if len(self.stream) or (self.options.checksum and (self.blocks.due(now) or (force and self.blocks.size))):
            self.collect(now, end_block=force)
        if self.unwritten:
            self.write_out(now)
        self.sync_as_policy_says(now)

    def write_out(self, now: int) -> None:
        file = self.file
        assert file is not None
        before = file.written
        if self.options.policy is FsyncPolicy.ALWAYS and before + len(self.unwritten) > file.allocated:
            file.allocate_ahead(len(self.unwritten) + ALLOCATED_AHEAD)  # the fsync that follows takes half the time
        try:
            written = file.write(self.unwritten)
            while written < len(self.unwritten):
                # Partial progress is tried once more; the second answer tells why (usually ENOSPC).
                more = file.write(memoryview(self.unwritten)[written:])
                if more == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += more
        except OSError as error:
            self.write_failed(file, before, error, now)
            return
        self.size += len(self.unwritten)
        self.unwritten = b""
        self.written_offset = self.stream.offset - len(self.stream)
        self.marks.append((file.written, self.written_offset))
        if len(self.marks) > MARKS_KEPT:
            del self.marks[1]  # a coarser answer costs a waiter one more sync at the most
        if self.write_error is not None:
            self.log("warning", "AOF write error looks solved. The server can write again.")
            self.write_error = None

    def write_failed(self, file: DiskFile, before: int, error: OSError, now: int) -> None:
        """Take back a partial write, or account for it, and keep the rest to try again."""
        partial = file.written - before
        if partial:
            try:
                file.truncate(before)
            except OSError:
                self.size += partial
                self.unwritten = self.unwritten[partial:]
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and self.reserve.release():
            self.write_out(now)
            return
        if now - self.last_error_log_ms >= ERROR_LOG_INTERVAL_MS:
            self.last_error_log_ms = now
            self.log("warning", f"Error writing to the AOF file: {error.strerror}")
        self.write_error = error
        self.exit_if_configured(error)

    def exit_if_configured(self, error: OSError) -> None:
        if self.options.exit_on_error and self.options.policy is FsyncPolicy.ALWAYS:
            raise error

    # Syncing

    def sync_as_policy_says(self, now: int) -> None:
        if self.waiting or self.sync_suspended or self.options.policy is FsyncPolicy.NO:
            return
        if self.options.policy is FsyncPolicy.ALWAYS:
            if self.sync_thread.fast and not self.synced and not self.sync_thread.busy:
                assert self.file is not None
                self.sync_thread.run(self.file, self.file.written)
                self.notice_failed_sync()
            else:
                self.start_sync()
        elif now - self.last_sync_ms >= SYNC_INTERVAL_MS and not self.synced:
            self.note_slow_sync()
            if self.start_sync():
                self.last_sync_ms = now

    def start_sync(self) -> bool:
        """Sync what is written in the background, unless that is done or an fsync already runs."""
        if self.file is None or self.failed_sync is not None or self.sync_thread.busy or self.synced:
            return False
        self.slow_sync_noted = False
        self.sync_thread.start(self.file, self.file.written)
        return True

    def note_slow_sync(self) -> None:
        """The fsync of two seconds ago still runs: what a power loss can cost is growing."""
        thread = self.sync_thread
        if (
            thread.busy
            and not self.slow_sync_noted
            and self.machine.monotonic_ms() - self.last_sync_ms > 1000 * SLOW_SYNC_S
        ):
            self.slow_sync_noted = True
            self.delayed_fsyncs += 1
            self.log(
                "notice",
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting "
                "for fsync to complete, this may slow down Redis.",
            )

    def sync_now(self) -> None:
        """Sync what is written in the foreground. Raises OSError; the file is not trusted any more then."""
        assert self.file is not None
        self.sync_thread.wait()
        self.notice_failed_sync()
        if self.failed_sync is None and not self.synced:
            self.sync_thread.run(self.file, self.file.written)
            self.notice_failed_sync()
        if self.failed_sync is not None:
            raise self.failed_sync

    def notice_failed_sync(self) -> None:
        error = self.sync_thread.error
        if error is None or self.failed_sync is not None or self.sync_thread.busy:
            return
        self.failed_sync = error
        self.exit_if_configured(error)
        self.log(
            "warning",
            f"Can't fsync the AOF file: {error.strerror}. Writes are refused until the data set is in a fresh file.",
        )

    @property
    def status_error(self) -> OSError | None:
        """Why writes are refused."""
        return self.write_error or self.failed_sync or self.reserve.missing

    def close(self) -> None:
        """Write and sync everything; called at shutdown and when the AOF is turned off.

        Raises:
            OSError: something acknowledged or still to be acknowledged is not on disk. The log stays open.
        """
        if self.file is None:
            return
        self.flush(force=True)
        if self.unwritten:
            raise self.write_error or OSError(errno.EIO, "the log could not be written")
        self.sync_now()
        self.closed_at = self.position
        self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self.file is not None:
            self.sync_thread.wait()
            self.sync_thread.stop()
            self.file.close()
            self.file = None
        self.unwritten = b""
        self.stream.active = False
