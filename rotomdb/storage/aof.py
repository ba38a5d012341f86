"""The append-only file: appending, syncing, and which files it consists of.

    policy     process killed   power lost
    always     nothing acked    nothing acked
    everysec   nothing acked    up to about 2 s of acked writes (1 s timer, one fsync late)
    no         nothing acked    whatever the kernel had not written back yet

"Acked" means that the client holds the reply. `always` replies after the fsync, the others after write(2).

Layouts: multi-part (Redis 7: a directory with base, increments and a manifest) or single (Redis <= 6: one file).
"""

from __future__ import annotations

import enum
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import ManifestError
from rotomdb.storage.checksum import crc64
from rotomdb.storage.disk import Disk, DiskFile
from rotomdb.storage.manifest import MANIFEST_SUFFIX, LogFile, Manifest, read_manifest
from rotomdb.storage.propagation import PropagationStream

CHECKSUM_BLOCK_BYTES = 4096  # an annotation covers at least so much, unless a second passes
POSTPONE_MS = 2000
SYNC_INTERVAL_MS = 1000
MARKS_KEPT = 10_000  # writes between two syncs that are told apart
ERROR_LOG_INTERVAL_MS = 30_000
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

    @property
    def log_directory(self) -> Path:
        return self.directory if self.single_file else self.directory / self.append_directory


class SyncThread:
    """Runs at most one background fsync at a time; the event loop only ever looks at `busy`."""

    def __init__(self) -> None:
        self.busy = False
        self.error: OSError | None = None
        self.completed = 0  # bytes of the file that are known to be on disk
        self.wakeup = threading.Semaphore(0)
        self.job: tuple[DiskFile, int, bool] | None = None
        self.thread: threading.Thread | None = None

    def start(self, file: DiskFile, upto: int, *, close: bool = False) -> None:
        """Sync `file`; afterwards `completed` is `upto`. With `close` the file is closed too."""
        if self.thread is None:
            self.thread = threading.Thread(target=self.work, name="aof-fsync", daemon=True)
            self.thread.start()
        self.busy = True
        self.job = (file, upto, close)
        self.wakeup.release()

    def work(self) -> None:
        while True:
            self.wakeup.acquire()
            assert self.job is not None
            file, upto, close = self.job
            try:
                file.sync()
                self.error = None
                if not close:
                    self.completed = upto
            except OSError as error:
                # EBADF and EINVAL: not a file that can be synced (a test pipe); no reason to stop writes.
                self.error = None if error.errno in (errno.EBADF, errno.EINVAL) else error
            if close:
                file.close()
            self.busy = False

    def wait(self) -> None:
        while self.busy:
            time.sleep(0.0005)

    def forget_thread(self) -> None:
        """In a forked child: the thread did not come along."""
        self.thread = None
        self.busy = False


class AppendOnlyFile:
    """Appends the propagation stream to the current log file under a sync policy."""

    def __init__(self, disk: Disk, options: AofOptions, stream: PropagationStream, log: Log) -> None:
        self.disk = disk
        self.options = options
        self.stream = stream
        self.log = log
        self.manifest = Manifest()
        self.file: DiskFile | None = None
        self.unwritten = b""
        self.sync_thread = SyncThread()
        self.last_sync_ms = 0
        self.postponed_since_ms = 0
        self.delayed_fsyncs = 0
        self.size = 0  # of all files
        self.base_size = 0  # when the last rewrite ended
        self.write_error: OSError | None = None
        self.last_error_log_ms = -ERROR_LOG_INTERVAL_MS
        self.block_checksum = 0
        self.block_bytes = 0
        self.block_started_ms = 0
        self.rewrite_buffer: list[bytes] | None = None  # single layout: writes since the rewrite's fork
        self.child_active: Callable[[], bool] = lambda: False
        # Which stream offset each length of the file stands for, and the highest that is on disk (WAITAOF).
        self.marks: deque[tuple[int, int]] = deque()
        self.synced_offset = 0

    # Files

    @property
    def manifest_name(self) -> str:
        return self.options.file_name + MANIFEST_SUFFIX

    @property
    def manifest_path(self) -> Path:
        return self.options.log_directory / self.manifest_name

    def read_manifest(self) -> None:
        """Learn what files there are; an old single file is adopted into the directory (docs/formats.md, 6.6)."""
        if self.options.single_file:
            return
        self.manifest = read_manifest(self.disk, self.manifest_path)
        old = self.options.directory / self.options.file_name
        if not self.disk.exists(old):
            return
        base = self.manifest.base
        interrupted = (
            base is not None
            and not self.manifest.increments
            and base.name == self.options.file_name
            and not self.disk.exists(self.options.log_directory / base.name)
        )
        if not interrupted and self.manifest.files:
            return
        self.disk.make_directory(self.options.log_directory)
        self.manifest = Manifest(base=LogFile(self.options.file_name, 1, "b"))
        self.manifest.save(self.disk, self.options.log_directory, self.manifest_name)
        self.disk.rename(old, self.options.log_directory / self.options.file_name)
        self.disk.sync_directory(self.options.log_directory)
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

    def open(self, write_base: Callable[[Path], None], *, start_over: bool = False) -> None:
        """Open for appending.

        Args:
            write_base: Called to write the data set as it is, where there is no base yet.
            start_over: Begin a new log whatever files there are; they are older than the data set.
        """
        directory = self.options.log_directory
        self.disk.make_directory(directory)
        if self.options.single_file:
            path = directory / self.options.file_name
            if start_over or not self.disk.exists(path):
                write_base(path)
            self.file = self.disk.append(path)
            self.disk.sync_directory(directory)
            self.size = self.base_size = self.file.written
        else:
            self.open_increment(directory, write_base, start_over)
        self.sync_thread.completed = self.file.written if self.file else 0
        self.marks.clear()
        self.synced_offset = self.stream.offset
        self.last_sync_ms = now_ms()
        self.begin_block()
        self.stream.forget_selected()
        self.stream.active = True

    def open_increment(self, directory: Path, write_base: Callable[[Path], None], start_over: bool) -> None:
        manifest = self.manifest
        if start_over or not manifest.files:
            base = manifest.next_base(self.options.file_name, rdb=True)
            increment = manifest.next_increment(self.options.file_name)
            write_base(directory / base.name)
            manifest.retire_all()
            manifest.base = base
            manifest.increments = [increment]
            self.log("notice", f"Creating AOF base file {base.name} on server start")
        elif not manifest.increments:
            manifest.increments.append(manifest.next_increment(self.options.file_name))
        if not self.disk.exists(directory / manifest.increments[-1].name):
            self.log("notice", f"Creating AOF incr file {manifest.increments[-1].name} on server start")
        self.file = self.disk.append(directory / manifest.increments[-1].name)
        self.disk.sync_directory(directory)  # M1: the name is durable before the manifest says it
        manifest.save(self.disk, directory, self.manifest_name)
        self.delete_history()
        self.size = sum(self.disk.size(directory / file.name) for file in manifest.files)
        self.base_size = self.disk.size(directory / manifest.base.name) if manifest.base else 0

    def begin_block(self) -> None:
        self.block_checksum = 0
        self.block_bytes = 0

    def delete_history(self) -> None:
        """Unlink what the manifest retired (M3), then forget it."""
        if not self.manifest.history or self.options.keep_history:
            return
        directory = self.options.log_directory
        for file in self.manifest.history:
            self.disk.remove_if_there(directory / file.name)
        self.manifest.history.clear()
        self.manifest.save(self.disk, directory, self.manifest_name)

    def rotate(self) -> None:
        """Begin a new increment: what is written from now on is the rewrite buffer of the multi-part layout."""
        directory = self.options.log_directory
        assert self.file is not None
        if self.unwritten:
            # Written to the next increment instead, it would be replayed on top of a base that holds its effect.
            raise self.write_error or OSError(errno.EIO, "the log could not be written")
        # Synced before the next file exists: a cut of the old one in a power loss would be fatal once it is not last.
        self.sync_thread.wait()
        self.file.sync()
        manifest = self.manifest.copy()
        increment = manifest.next_increment(self.options.file_name)
        fresh = self.disk.create(directory / increment.name)
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
        self.file = fresh
        self.mark_all_durable()
        self.sync_thread.completed = 0
        self.begin_block()
        self.stream.forget_selected()
        self.log("notice", f"Creating AOF incr file {increment.name} on background rewrite")

    def replace_file(self, fresh: DiskFile) -> None:
        """Go on in a synced file that already holds everything, also what could not be written to the old one."""
        assert self.file is not None
        self.sync_thread.wait()
        self.file.close()
        self.file = fresh
        self.unwritten = b""
        self.mark_all_durable()
        self.write_error = None
        self.sync_thread.completed = fresh.written
        self.size = self.base_size = fresh.written

    # Appending

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
        while self.marks and self.marks[0][0] <= self.sync_thread.completed:
            self.synced_offset = self.marks.popleft()[1]
        return self.synced_offset

    def mark_all_durable(self) -> None:
        """What was written to the file until now is on disk, and another file follows."""
        if self.marks:
            self.synced_offset = self.marks[-1][1]
        self.marks.clear()

    def request_sync(self) -> None:
        """Somebody waits for the disk: under `no`, which never syncs by itself, begin a sync."""
        if (
            self.options.policy is FsyncPolicy.NO
            and self.file is not None
            and not self.sync_thread.busy
            and not self.synced
        ):
            self.sync_thread.start(self.file, self.file.written)

    def collect(self, now: int, end_block: bool) -> None:
        """Move the stream's bytes into the write buffer, with a checksum annotation where a block is full."""
        if len(self.stream):
            data = self.stream.take()
            if self.rewrite_buffer is not None:
                self.rewrite_buffer.append(data)
            if self.block_bytes == 0:
                self.block_started_ms = now
            if self.options.checksum and not self.options.single_file:
                self.block_checksum = crc64(data, self.block_checksum)
                self.block_bytes += len(data)
            self.unwritten = self.unwritten + data if self.unwritten else data
        if self.block_bytes and (
            end_block or self.block_bytes >= CHECKSUM_BLOCK_BYTES or now - self.block_started_ms >= SYNC_INTERVAL_MS
        ):
            self.unwritten += b"#CRC64:%d:%016x\r\n" % (self.block_bytes, self.block_checksum)
            self.begin_block()

    def flush(self, *, force: bool = False) -> None:
        """Write what is buffered and sync as the policy says; called before every sleep and by the timer.

        With `always` an OSError is raised when the bytes are not on disk: no reply may leave then. With the other
        policies a failed write is kept in `write_error`, and the bytes are tried again.
        """
        if self.file is None:
            return
        now = now_ms()
        policy = self.options.policy
        if not self.unwritten and not len(self.stream):
            if self.block_bytes and now - self.block_started_ms >= SYNC_INTERVAL_MS:
                self.collect(now, end_block=True)
            else:
                self.sync_idle(now)
                return
        if policy is FsyncPolicy.EVERYSEC and self.sync_thread.busy and not force:
            # A write would block behind the fsync of the same file: put it off, but not for ever.
            if self.postponed_since_ms == 0:
                self.postponed_since_ms = now
                return
            if now - self.postponed_since_ms < POSTPONE_MS:
                return
            self.delayed_fsyncs += 1
            self.log(
                "notice",
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting "
                "for fsync to complete, this may slow down Redis.",
            )
        self.postponed_since_ms = 0
        self.collect(now, end_block=force)
        self.write_out(now)
        self.sync_written(now)

    def write_out(self, now: int) -> None:
        file = self.file
        assert file is not None
        before = file.written
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
        self.marks.append((file.written, self.stream.offset - len(self.stream)))
        if len(self.marks) > MARKS_KEPT:
            del self.marks[1]  # a coarser answer costs a waiter one more sync at the most
        if self.write_error is not None:
            self.log("warning", "AOF write error looks solved. The server can write again.")
            self.write_error = None

    def write_failed(self, file: DiskFile, before: int, error: OSError, now: int) -> None:
        """Take back a partial write, or account for it, and keep the rest to try again."""
        if now - self.last_error_log_ms >= ERROR_LOG_INTERVAL_MS:
            self.last_error_log_ms = now
            self.log("warning", f"Error writing to the AOF file: {error.strerror}")
        partial = file.written - before
        if partial:
            try:
                file.truncate(before)
            except OSError:
                self.size += partial
                self.unwritten = self.unwritten[partial:]
        if self.options.policy is FsyncPolicy.ALWAYS:
            raise error
        self.write_error = error

    def sync_written(self, now: int) -> None:
        file = self.file
        assert file is not None
        if self.write_error is not None or (self.options.no_sync_on_rewrite and self.child_active()):
            return
        if self.options.policy is FsyncPolicy.ALWAYS:
            file.sync()
            self.sync_thread.completed = file.written
            self.last_sync_ms = now
        elif self.options.policy is FsyncPolicy.EVERYSEC and now - self.last_sync_ms >= SYNC_INTERVAL_MS:
            if not self.sync_thread.busy:
                self.sync_thread.start(file, file.written)
            self.last_sync_ms = now

    def sync_idle(self, now: int) -> None:
        """Nothing new to write: see that what was written reaches the disk."""
        if self.synced or self.sync_thread.busy:
            return
        if self.options.policy is FsyncPolicy.ALWAYS or (
            self.options.policy is FsyncPolicy.EVERYSEC and now - self.last_sync_ms >= SYNC_INTERVAL_MS
        ):
            self.sync_written(now)

    @property
    def status_error(self) -> OSError | None:
        """Why writes are refused: the last write or the last background fsync failed."""
        return self.write_error or self.sync_thread.error

    def close(self) -> None:
        """Write and sync everything; called at shutdown and when the AOF is turned off."""
        if self.file is None:
            return
        self.flush(force=True)
        self.sync_thread.wait()
        try:
            self.file.sync()
        except OSError as error:
            self.log("warning", f"Fail to fsync the AOF file: {error.strerror}")
        self.file.close()
        self.file = None
        self.stream.active = False


def now_ms() -> int:
    """Monotonic milliseconds."""
    return time.monotonic_ns() // 1_000_000
