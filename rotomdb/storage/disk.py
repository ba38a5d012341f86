"""The one door to the file system for data files.

Everything that writes, syncs, renames or unlinks a data file does it through a `Disk`, so that tests can record every
call, fail any of them, and rebuild what a power cut may leave. The real one is thin.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from rotomdb.formats.passing import LET_GO_BYTES, let_go
from rotomdb.storage.preallocation import allocate_ahead

OWN_MODE = 0o644  # what Redis gives the log and its manifest; the umask takes from it
SNAPSHOT_MODE = 0o666  # and what it makes with fopen(3): snapshots, bases, the PID file
ENDLESS = 1 << 62  # nothing can be set aside, so that nobody asks again
synchronise = getattr(os, "fdatasync", os.fsync)


def open_own(path: Path, flags: int, mode: int = OWN_MODE) -> int:
    """Open what is the server's own for writing; a descriptor. Only a regular file is one, under its own name.

    Whoever may write to the directory could else have the server empty a file elsewhere, or wait at a FIFO for ever.

    Raises:
        OSError: it cannot be opened, or is a symbolic link, a FIFO, a device or a directory.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed for writing", str(path)) from None
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is no regular file", str(path)) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def viewed(mapping: mmap.mmap) -> Iterator[memoryview]:
    """The bytes of a mapping, which is closed afterwards.

    An error on its way out still holds the pieces that its frames were looking at. They keep the mapping for as long as the
    error lives, and must not put "cannot close exported pointers exist" in its place.
    """
    view = memoryview(mapping)
    try:
        yield view
    except BaseException:
        with contextlib.suppress(BufferError):
            view.release()
            mapping.close()
        raise
    view.release()
    mapping.close()


class DiskFile:
    """A file open for writing. `written` is the offset behind the last byte that a write put there."""

    def __init__(self, descriptor: int, path: Path, written: int) -> None:
        self.descriptor = descriptor
        self.path = path
        self.written = written
        self.allocated = 0  # offset up to which blocks were set aside

    def allocate_ahead(self, length: int) -> None:
        """Set so many bytes of room aside behind the end, which stays where it is. Where that does not work, nothing happens."""
        room = allocate_ahead(self.descriptor, self.written, length)
        self.allocated = self.written + length if room else ENDLESS

    def write(self, data: bytes | memoryview) -> int:
        """One write(2); how many bytes it took. EINTR is retried by the interpreter."""
        count = os.write(self.descriptor, data)
        self.written += count
        return count

    def write_all(self, data: bytes | memoryview) -> None:
        """Write everything or raise OSError; a partial write may stay behind."""
        view = memoryview(data)
        while view:
            view = view[self.write(view) :]

    def sync(self) -> None:
        """Data and the metadata needed to read them are on disk after this (fdatasync)."""
        synchronise(self.descriptor)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self.written = size
        self.allocated = 0

    def close(self) -> None:
        """Let go of it. What has to be on disk was synced before: an error tells nothing that matters any more."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            if self.allocated not in (0, ENDLESS):
                with contextlib.suppress(OSError):  # to its own size: gives back what was set aside
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size)
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def leave_to_parent(self) -> None:
        """In a forked child: close the copy of the descriptor, and change nothing of the file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def no_preparation(file: DiskFile) -> None:
    """What a new file needs before it is written to: nothing."""


class Disk:
    """The real file system."""

    def create(self, path: Path, mode: int = OWN_MODE) -> DiskFile:
        """Open for writing, emptied. Every write goes to the end, also after a truncation."""
        return DiskFile(open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, mode), path, 0)

    def open_lock(self, path: Path) -> DiskFile:
        """Open for reading and writing as it is, made when absent: it may be another's, and is not to be emptied."""
        return DiskFile(open_own(path, os.O_RDWR | os.O_CREAT), path, 0)

    def append(self, path: Path) -> DiskFile:
        """Open for appending, made when absent."""
        descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            return DiskFile(descriptor, path, os.fstat(descriptor).st_size)
        except OSError:
            os.close(descriptor)
            raise

    def truncate(self, path: Path, size: int) -> None:
        """Cut a closed file and sync it."""
        descriptor = open_own(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for the same bytes; raises OSError where the file system has none."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def remove_if_there(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.unlink(path)

    def discard(self, path: Path) -> None:
        """Remove what nobody needs any more. Where that fails it stays: the next start removes it, or writes over it."""
        with contextlib.suppress(OSError):
            self.unlink(path)

    def make_directory(self, path: Path) -> None:
        """Made when absent; its name is durable afterwards, so that what is synced inside can be found."""
        if not self.exists(path):
            self.create_directory(path)
        self.sync_directory(path.parent)  # also when it was there: an earlier attempt may have failed right here

    def create_directory(self, path: Path) -> None:
        path.mkdir(mode=0o755, exist_ok=True)

    def remove_directory(self, path: Path) -> None:
        """Remove a directory and the files in it."""
        for name in self.names(path):
            if self.is_directory(path / name):
                self.remove_directory(path / name)
            else:
                self.unlink(path / name)
        path.rmdir()

    def sync_directory(self, path: Path) -> None:
        """Names made, renamed or removed in the directory are on disk after this."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def is_directory(self, path: Path) -> bool:
        return path.is_dir()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def modified(self, path: Path) -> float:
        """Unix time of the last change of the content."""
        return path.stat().st_mtime

    def resolved(self, path: Path) -> Path:
        """The path of what a symbolic link leads to."""
        return path.resolve()

    def names(self, directory: Path) -> list[str]:
        """What is in a directory, sorted; nothing when it is not there."""
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    def free_bytes(self, directory: Path) -> int:
        """Room that is left for this process on the file system of the directory."""
        space = os.statvfs(directory)
        return space.f_bavail * space.f_frsize

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    @contextlib.contextmanager
    def mapped(self, path: Path) -> Iterator[memoryview]:
        """The file's bytes as of now, mapped read-only; empty files give an empty view."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                yield memoryview(b"")
                return
            mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        if hasattr(mapping, "madvise"):
            mapping.madvise(mmap.MADV_SEQUENTIAL)
        with viewed(mapping) as view:
            yield view

    def copy(self, source: Path, target: Path, size: int | None = None) -> None:
        """A synced copy of the first `size` bytes (all by default)."""
        with self.mapped(source) as data:
            self.write_new(target, data if size is None else data[:size])

    def write_new(self, path: Path, content: bytes | memoryview) -> None:
        """A whole new file, on disk with its name when this returns."""
        file = self.create(path)
        try:
            for at in range(0, len(content), LET_GO_BYTES):
                file.write_all(content[at : at + LET_GO_BYTES])
                let_go(content, at, at + LET_GO_BYTES)
            file.sync()
        finally:
            file.close()
        self.sync_directory(path.parent)

    def put_in_place(self, finished: Path, target: Path, name: str = "") -> None:
        """Give a file or directory its last name, in the directory where it is; durable when this returns.

        All of it has to be on disk before. `name`: of the steps, by default the target's.
        """
        self.step(f"{name or target.name}:before-rename")
        self.rename(finished, target)
        self.step(f"{name or target.name}:after-rename")
        self.sync_directory(target.parent)

    @contextlib.contextmanager
    def directory_beside(self, path: Path) -> Iterator[Path]:
        """A new directory that gets the name `path` once all is in it, durably; after an error nothing of it stays.

        What is put into it has to be on disk by then: files that are synced, directories made with `make_directory`.

        Raises:
            FileExistsError: the name is taken.
        """
        if self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists already; name a directory that is to be made", str(path))
        beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        if self.exists(beside):  # of a process that had this number before
            self.remove_directory(beside)
        self.create_directory(beside)
        try:
            yield beside
            self.sync_directory(beside)
            self.put_in_place(beside, path)
        except BaseException:  # also Ctrl-C
            with contextlib.suppress(OSError):
                self.remove_directory(beside)
            raise

    def step(self, name: str) -> None:
        """A named point between two steps of a protocol, for tests that stop the world there."""

    def replace_atomically(
        self, path: Path, temporary: Path, content: bytes, prepare: Callable[[DiskFile], None] = no_preparation
    ) -> None:
        """Replace a small file: after a crash either the old or the new content is there, whole.

        `prepare` gets the new file while it is empty, to give it an owner and a mode.
        """
        file = self.create(temporary)
        try:
            prepare(file)
            file.write_all(content)
            file.sync()
        except OSError:
            file.close()
            self.discard(temporary)
            raise
        file.close()
        self.put_in_place(temporary, path)
