"""BGREWRITEAOF: replace the log by the shortest one that gives the same data set, while writes go on.

Writes that arrive meanwhile go to a rewrite buffer. In the multi-part layout the new increment file is that buffer, on
disk from the first byte; in the single-file layout it is blocks in memory that are appended to the new file at the end.

    multi-part                                          a crash right after leaves
    1  fsync the increment n, create n+1, manifest      two valid increments
    2  fork; the child writes temp-rewriteaof-PID.aof   a temporary file, removed at the next start
    3  rename it to base m+1 in the directory, fsync    a base that no manifest names, overwritten later
    4  manifest: base m+1, increments before n+1 retire the new set, complete
    5  unlink what retired, manifest without it         the same

Two cases differ in step 1 and 4. When the log was just turned on, a temporary increment collects what is written, and is
renamed to its name between 3 and 4. When the log could not be synced, nothing is written meanwhile, and the manifest of
step 4 names a fresh increment and nothing of what was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.formats.rdb.encoder import KeyspaceEncoder
from rotomdb.formats.rdb.format import OPCODE_EOF
from rotomdb.formats.rdb.walker import RdbWalker
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.storage.aof import AppendOnlyFile
from rotomdb.storage.aof_options import Log
from rotomdb.storage.child import Reporter
from rotomdb.storage.disk import SNAPSHOT_MODE, Disk
from rotomdb.storage.manifest_file import save_manifest
from rotomdb.storage.rdb import CHUNK_BYTES, SYNC_EVERY_BYTES, VERSION_WRITTEN, SnapshotOptions, save_snapshot

BACKOFF_AFTER_FAILURES = 3
BACKOFF_MAX_MINUTES = 60
RETRY_WHILE_REFUSING_S = 5
RETRY_FIRST_BASE_MAX_S = 60


def temporary_name(pid: int) -> str:
    return f"temp-rewriteaof-{pid}.aof"


def finished_name(pid: int) -> str:
    return f"temp-rewriteaof-bg-{pid}.aof"


def write_commands(
    disk: Disk,
    engine: Engine,
    path: Path,
    *,
    incremental_sync: bool,
    timestamp: float | None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write the data set as commands; returns the number of keys. The file is removed on failure.

    With a `timestamp` it begins with the annotation of it. Keys are encoded as records, and a walk over these hands them to the sink that writes the commands: the same as for any RDB.
    """
    file = disk.create(path, SNAPSHOT_MODE)
    keys = unsynced = 0

    def write(data: bytes) -> None:
        nonlocal unsynced
        file.write_all(data)
        unsynced += len(data)
        if incremental_sync and unsynced >= SYNC_EVERY_BYTES:
            file.sync()
            unsynced = 0

    try:
        if timestamp is not None:
            file.write_all(b"#TS:%d\r\n" % timestamp)
        sink = CommandSink(write)
        sink.rdb_version = VERSION_WRITTEN
        for source in engine.function_libraries:
            sink.command(b"FUNCTION", b"LOAD", source)
        for database in engine.databases:
            encoder = KeyspaceEncoder(database, False, VERSION_WRITTEN)
            while (chunk := encoder.next_chunk(CHUNK_BYTES)) is not None:
                walker = RdbWalker(chunk + bytes([OPCODE_EOF]))
                walker.database = database.index
                walker.walk(sink, None, len(chunk), len(chunk))
                if on_progress is not None:
                    on_progress(keys + encoder.keys)
            keys += encoder.keys
        if keys == 0 and not engine.function_libraries:
            # A log without a byte would pass for one that never held anything, and an older snapshot for the data.
            sink.command(b"SELECT", b"0")
        sink.flush()
        file.sync()
        file.close()
    except OSError:
        file.close()
        disk.discard(path)
        raise
    return keys


class Rewriter:
    """The steps of a rewrite in parent and child, and when automatic ones may run."""

    def __init__(self, disk: Disk, aof: AppendOnlyFile, engine: Engine, log: Log) -> None:
        self.disk = disk
        self.aof = aof
        self.engine = engine
        self.log = log
        self.use_preamble = True
        self.incremental_sync = True
        self.compress = True
        self.checksum = True
        self.verify = False
        self.replacing = False  # the log that is being rewritten is not trusted
        self.failures = 0
        self.last_failure = 0.0

    # In the parent, before the fork

    def begin(self) -> None:
        """Flush, and start to collect what arrives from now on. Raises OSError."""
        aof = self.aof
        if aof.waiting:
            aof.begin_waiting()
            return
        aof.flush(force=True)
        self.replacing = aof.failed_sync is not None
        if self.replacing:
            aof.drop_buffered()
        elif aof.options.single_file:
            aof.rewrite_buffer = []
            aof.stream.begin_file()
        else:
            aof.rotate()

    # In the child

    def write(self, reporter: Reporter, disk: Disk) -> int:
        directory, pid = self.aof.options.directory, reporter.pid
        temporary = directory / temporary_name(pid)
        if self.use_preamble:
            options = SnapshotOptions(
                self.compress, self.checksum, self.incremental_sync, aof_base=True, verify=self.verify
            )
            keys = save_snapshot(disk, self.engine, temporary, None, options, reporter.report)
        else:
            keys = write_commands(
                disk, self.engine, temporary,
                incremental_sync=self.incremental_sync, timestamp=self.aof.machine.time() if self.aof.stream.timestamps else None, on_progress=reporter.report,
            )  # fmt: skip
        disk.rename(temporary, directory / finished_name(pid))
        return keys

    # In the parent, when the child has ended

    def finish(self, pid: int) -> None:
        """Put the child's file in place; on OSError the old set of files stays valid and in use."""
        written = self.aof.options.directory / finished_name(pid)
        if self.aof.options.single_file:
            self.finish_single(written)
        else:
            self.finish_multi_part(written)
        self.forget_failures()
        self.log("notice", "Background AOF rewrite finished successfully")

    def finish_multi_part(self, written: Path) -> None:
        aof, directory = self.aof, self.aof.options.log_directory
        base = aof.manifest.next_base(aof.options.file_name, self.use_preamble)
        self.disk.step("aof.rewrite:before-rename")
        self.disk.rename(written, directory / base.name)
        self.disk.step("aof.rewrite:after-rename")
        self.disk.sync_directory(directory)
        # When this fails the new base stays: the manifest that names it may already be in place, and both load.
        if aof.waiting:
            aof.adopt_waiting(base)
        elif self.replacing:
            aof.replace_increment(base)
        else:
            manifest = aof.manifest.copy()
            manifest.retire_all_but_last_increment(base)
            save_manifest(manifest, self.disk, directory, aof.manifest_name)
            aof.manifest = manifest
        self.disk.step("aof.rewrite:after-manifest")
        assert aof.file is not None
        aof.size = aof.base_size = self.disk.size(directory / base.name) + aof.file.written
        aof.delete_history()

    def finish_single(self, written: Path) -> None:
        aof = self.aof
        target = aof.options.directory / aof.options.file_name
        aof.flush(force=True)
        aof.keep_files_of_others([target])
        if aof.file is not None and aof.failed_sync is None:
            aof.sync_now()  # until the directory is synced, a crash may bring the old file back
        fresh = self.disk.append(written)
        try:
            blocks = aof.rewrite_buffer or []
            for block in blocks:
                fresh.write_all(block)
            fresh.sync()
            self.disk.step("aof.rewrite:before-rename")
            self.disk.rename(written, target)
        except OSError:
            fresh.close()
            raise
        self.log(
            "notice",
            f"Residual parent diff successfully flushed to the rewritten AOF ({sum(map(len, blocks))} bytes)",
        )
        aof.rewrite_buffer = None
        fresh.path = target
        try:
            self.disk.step("aof.rewrite:after-rename")
            self.disk.sync_directory(target.parent)
        except OSError as error:
            aof.replace_file(fresh)
            # A crash may bring the old file back, without what goes into this one from now on.
            aof.failed_sync = error
            raise
        aof.replace_file(fresh)

    def abandon(self, pid: int) -> None:
        """The child failed: remove what it left. The increment in use stays in use."""
        self.remove_files(pid)
        self.aof.rewrite_buffer = None

    def remove_files(self, pid: int) -> None:
        directory = self.aof.options.directory
        self.disk.discard(directory / temporary_name(pid))
        self.disk.discard(directory / finished_name(pid))

    def failed(self) -> None:
        self.failures += 1
        self.last_failure = self.aof.machine.time()
        delay = self.delay_s
        if self.failures >= BACKOFF_AFTER_FAILURES:
            when = f"{delay // 60} minutes" if delay > 60 else f"{delay} seconds"
            self.log(
                "warning",
                f"Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {when}",
            )

    @property
    def delay_s(self) -> int:
        """How long an automatic attempt waits after the failure before it."""
        if self.failures == 0:
            return 0
        if self.aof.failed_sync is not None:
            return RETRY_WHILE_REFUSING_S  # writes are refused until one succeeds
        if self.aof.waiting:  # nothing is safe in a log without a base: at once, and then less and less often
            return 0 if self.failures == 1 else min(1 << min(self.failures - 2, 30), RETRY_FIRST_BASE_MAX_S)
        if self.failures < BACKOFF_AFTER_FAILURES:
            return 0
        return 60 * min(1 << min(self.failures - BACKOFF_AFTER_FAILURES, 30), BACKOFF_MAX_MINUTES)

    @property
    def held_back(self) -> bool:
        """Whether an automatic attempt has to wait after a failure."""
        return self.failures > 0 and self.aof.machine.time() < self.last_failure + self.delay_s

    def forget_failures(self) -> None:
        """Somebody asked for a rewrite: the wait is over."""
        self.failures = 0
        self.last_failure = 0.0

    def grown_enough(self, percentage: int, minimum_size: int) -> bool:
        """Whether the log has grown so much since the last rewrite that an automatic one is due."""
        if percentage == 0 or self.aof.file is None or self.aof.size <= minimum_size:
            return False
        base = self.aof.base_size or 1
        return self.aof.size * 100 // base - 100 >= percentage
