"""Where tools and the library write: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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


def opened_for_writing(path: Path) -> IO[bytes]:
    return io.BufferedWriter(
        NamedFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666), str(path))
    )


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
def writing(path: str | Path | None, *, discard: bool = False) -> Iterator[Output]:
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
        with opened_for_writing(target) as pipe:
            yield Output(pipe)
        return
    target = target.resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with opened_for_writing(beside) as file:
        out = Output(file)
        try:
            yield out
        except BaseException:
            if not out.kept:
                beside.unlink()
                raise
            settle(file, beside, target)
            raise
        settle(file, beside, target)


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


def settle(file: IO[bytes], beside: Path, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    beside.replace(target)


@contextlib.contextmanager
def directory_beside(path: Path) -> Iterator[Path]:
    """A new directory that gets the name `path` once all is in it. Raises FileExistsError when that is taken."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "it exists already; name a directory that is to be made", str(path))
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.mkdir()
    try:
        yield beside
        beside.rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
