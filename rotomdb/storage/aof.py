"""The append-only file: which files it consists of, and how one follows another. Appending itself: log_appender.pyx.

Layouts: multi-part (Redis 7: a directory with base, increments and a manifest) or single (Redis <= 6: one file).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path

from rotomdb.errors import ManifestError
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, LogFile, Manifest
from rotomdb.storage.aof_options import AofOptions, Log
from rotomdb.storage.disk import Disk, DiskFile
from rotomdb.storage.log_appender import LogAppender
from rotomdb.storage.log_location import refuse_unnamed_increments, unnamed_increments
from rotomdb.storage.machine import Machine
from rotomdb.storage.manifest_file import read_manifest, save_manifest
from rotomdb.storage.propagation import PropagationStream


class AppendOnlyFile(LogAppender):
    """The files of the log, the last of which is appended to."""

    def __init__(
        self, disk: Disk, options: AofOptions, stream: PropagationStream, log: Log, machine: Machine | None = None
    ) -> None:
        super().__init__(disk, options, stream, log, machine or Machine())
        self.manifest = Manifest()
        self.closed_at = ""  # its end when it was closed
        self.of_others = False  # the files that are there came about without this server, and are to be kept

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
        save_manifest(self.manifest, self.disk, self.options.log_directory, self.manifest_name)
        self.disk.unlink(old)
        self.disk.sync_directory(self.options.directory)
        self.log("notice", "Successfully migrated an old-style AOF configuration into the AOF directory.")

    def unnamed_files(self) -> list[Path]:
        """Base and increments in the log's directory, where no manifest says what they are, or it has lost their lines."""
        directory = self.options.log_directory
        if self.options.single_file:
            return []
        if self.disk.exists(self.manifest_path):
            return [directory / name for name in unnamed_increments(self.disk, self.manifest_path, self.manifest)]
        data_file = re.compile(re.escape(self.options.file_name) + r"\.\d+\.(base\.(rdb|aof)|incr\.aof)")
        return [directory / name for name in self.disk.names(directory) if data_file.fullmatch(name)]

    def data_files(self) -> list[Path]:
        """The files to load, in order.

        Raises:
            ManifestError: a file that the manifest names is not there, or one is there that it should name.
        """
        if self.options.single_file:
            path = self.options.directory / self.options.file_name
            return [path] if self.disk.exists(path) else []
        paths = [self.options.log_directory / file.name for file in self.manifest.files]
        if self.disk.exists(self.manifest_path):
            refuse_unnamed_increments(self.disk, self.manifest_path, self.manifest)
        for path in paths:
            if not self.disk.exists(path):
                raise ManifestError(
                    str(self.manifest_path), f"The AOF file {path.name} doesn't exist", missing=path.name
                )
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
        if manifest.increments == self.manifest.increments:
            self.file = self.disk.append(path)
        else:
            self.log("notice", f"Creating AOF incr file {path.name} on server start")
            self.file = self.create_increment(path)
        self.disk.sync_directory(directory)  # M1: the name is durable before the manifest says it
        save_manifest(manifest, self.disk, directory, self.manifest_name)
        self.manifest = manifest
        self.keep_superseded(superseded)
        self.delete_history()
        self.size = sum(self.disk.size(directory / file.name) for file in manifest.files)
        self.base_size = self.disk.size(directory / manifest.base.name) if manifest.base else 0

    def create_increment(self, path: Path) -> DiskFile:
        """A new empty file that a manifest may name once the directory is synced."""
        # One of that name may be left of a crash. Removed, not emptied: what it held cannot come back under the name once
        # the directory is synced, and if it has another name it is still there.
        self.disk.remove_if_there(path)
        return self.disk.create(path)

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
        manifest = self.manifest.copy()
        manifest.history.clear()
        try:
            for file in self.manifest.history:
                self.disk.remove_if_there(directory / file.name)
            save_manifest(manifest, self.disk, directory, self.manifest_name)
        except OSError as error:
            # They stay in the manifest, so that the next rewrite or start removes them. What came before is done.
            self.log("warning", f"Files of the log that are not needed any more could not be removed: {error}")
            return
        self.manifest = manifest

    def keep_files_of_others(self, paths: list[Path]) -> None:
        """Second names for files that are about to be replaced, where this server has not made them. Raises OSError."""
        if self.of_others:
            for path in filter(self.disk.exists, paths):
                kept = path.with_name(f"{path.name}.superseded")
                self.disk.remove_if_there(kept)
                self.disk.link(path, kept)
                self.log("warning", f"{path.name} is superseded; it is kept as {kept.name}")
            self.disk.sync_directory(self.options.log_directory)
            self.of_others = False

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
            save_manifest(manifest, self.disk, directory, self.manifest_name)
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

    def start_over_on(self, copy: Path) -> None:
        """The data set is another one now, which this synced file holds: it is the base of a log without anything of before.

        Raises OSError; the log is what it was then, and must not go on.
        """
        self.drop_buffered()
        directory = self.options.log_directory
        if self.options.single_file:
            target = directory / self.options.file_name
            self.disk.rename(copy, target)
            self.disk.sync_directory(directory)
            self.replace_file(self.disk.append(target))
            return
        base = self.manifest.next_base(self.options.file_name, rdb=True)
        self.disk.remove_if_there(directory / base.name)
        try:
            self.disk.link(copy, directory / base.name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.disk.copy(copy, directory / base.name)  # the directory is on another file system
        self.replace_increment(base)
        self.size = self.base_size = self.disk.size(directory / base.name)
        self.delete_history()

    def name_as_log(self, base: LogFile, increment: LogFile) -> None:
        """These two, which are on disk, are the log from now on, and nothing of what was before."""
        directory = self.options.log_directory
        self.disk.sync_directory(directory)  # M1
        manifest = self.manifest.copy()
        manifest.retire_all()
        manifest.base, manifest.increments = base, [increment]
        save_manifest(manifest, self.disk, directory, self.manifest_name)
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
        # Another file: a manifest that could not be confirmed may already know the one before under its other name.
        file = self.create_increment(self.waiting_path)
        self.disk.sync_directory(self.options.log_directory)  # it tells what the files beside it are: lost_manifest.py
        self.file = file
        self.forget_marks()
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
        self.keep_files_of_others([directory / file.name for file in self.manifest.files])
        self.name_as_log(base, increment)
        self.file.path = directory / increment.name
        self.waiting = False
        self.disk.discard(self.waiting_path)

    def forget_waiting(self) -> None:
        """Turned off again before the base was in place."""
        self.waiting = False
        self.rewrite_buffer = None
        if self.file is not None:
            self.file.close()
            self.file = None
            self.disk.discard(self.waiting_path)
        self.stream.active = False

    # The end

    def bring_to_disk(self) -> None:
        """Write and sync everything. Raises OSError; something acknowledged, or still to be, is not on disk then."""
        if self.file is None:
            return
        self.flush(force=True)
        if self.unwritten:
            raise self.write_error or OSError(errno.EIO, "the log could not be written")
        self.sync_now()
        self.closed_at = self.position

    def close(self) -> None:
        """Write and sync everything, and close it. Raises OSError; the log stays open then."""
        if self.file is not None:
            self.bring_to_disk()
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
