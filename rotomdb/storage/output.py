"""Where tools and the library write: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from rotomdb.storage.disk import SNAPSHOT_MODE, Disk, DiskFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DISK = Disk()


class NamedFile(io.FileIO):
    """An open file whose errors say its name."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=True)
        self.named = name

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.named) from None


class DiskStream(io.RawIOBase):
    """A file of a Disk as Python's streams are; its errors say its name."""

    def __init__(self, file: DiskFile) -> None:
        super().__init__()
        self.file = file

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.written

    def write(self, data: ReadableBuffer) -> int:
        try:
            return self.file.write(memoryview(data))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.file.path)) from None

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                self.file.close()


def opened_pipe(path: Path) -> IO[bytes]:
    """What is no regular file, to be written to as it is."""
    return io.BufferedWriter(NamedFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC), str(path)))


class Output:
    """Bytes for one destination."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.write = file.write
        self.flush = file.flush
        self.kept = False

    def keep(self) -> None:
        """What is written stays, though the program is about to end with a status other than 0."""
        self.kept = True


@contextlib.contextmanager
def writing(path: str | Path | None, *, discard: bool = False, disk: Disk = DISK) -> Iterator[Output]:
    """`path`, or standard output when it is None or `-`; with `discard` nothing at all.

    A file is written beside and renamed when all of it is on disk; after an error or Ctrl-C nothing of it stays. What is no
    regular file (a pipe, /dev/null) is written to as it is, and of a symbolic link the file that it names.
    """
    if discard:
        with Path(os.devnull).open("wb") as nowhere:
            yield Output(nowhere)
        return
    if path is None or str(path) == "-":
        sys.stdout.flush()
        out = Output(sys.stdout.buffer)
        yield out
        out.flush()
        return
    target = Path(path)
    if target.exists() and not target.is_file():
        with opened_pipe(target) as pipe:
            yield Output(pipe)
        return
    target = disk.resolved(target)
    beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    file = disk.create(beside, SNAPSHOT_MODE)
    with io.BufferedWriter(DiskStream(file)) as stream:
        out = Output(stream)
        try:
            yield out
        except BaseException:
            if not out.kept:
                disk.discard(beside)
                raise
            settle(disk, file, stream, target)
            raise
        settle(disk, file, stream, target)


class WholeFile:
    """Base of the library's writers: as a context manager the file is there whole or, after an exception, not at all."""

    def __init__(self, path: str | Path) -> None:
        self._output = writing(path)
        self._file = self._output.__enter__()

    def _finish(self) -> None:
        """Write what is still held back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._output.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._output.__exit__(kind, error, trace)


def settle(disk: Disk, file: DiskFile, stream: IO[bytes], target: Path) -> None:
    """The file is whole: on disk, and then under its name."""
    stream.flush()
    file.sync()
    disk.put_in_place(file.path, target)
