"""A full copy of the data set over connections (SYNC), as a forked child sends it, in the framing that each reader knows:

    $EOF:MARK CRLF, the RDB, MARK      a reader that said `capa eof`
    $LENGTH CRLF, the RDB              one that did not: the RDB is encoded once more before, only to learn its length

The child writes to the sockets itself and nothing goes to the disk. A reader that takes no byte for a minute is given up; with
several the slowest sets the pace. Line feeds in front of the header keep the connection alive.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.errors import SaveError
from rotomdb.storage.disk import DiskFile
from rotomdb.storage.rdb import SnapshotOptions, SnapshotWriter

STALL_S = 60
KEEP_ALIVE_S = 1.0


@dataclass(frozen=True)
class Reader:
    """A connection that wants a copy.

    Attributes:
        greeting: What goes in front of the header.
        write: As os.write without the descriptor; where the connection is encrypted, that is done in there.
        finish: Called behind the last byte.
    """

    descriptor: int
    knows_mark: bool
    greeting: bytes
    write: Callable[[bytes | memoryview], int]
    finish: Callable[[], None] = lambda: None


class Counter(DiskFile):
    """Takes everything and keeps only its length."""

    def __init__(self) -> None:
        super().__init__(-1, Path("copy"), 0)

    def write_all(self, data: bytes | memoryview) -> None:
        self.written += len(data)

    def sync(self) -> None:
        """There is nothing to bring to a disk."""


class Connections(Counter):
    """Sends everything to all readers that are still there."""

    def __init__(self, readers: list[Reader]) -> None:
        super().__init__()
        self.readers = readers

    def write_all(self, data: bytes | memoryview) -> None:
        super().write_all(data)
        for reader in list(self.readers):
            self.send(reader, data)

    def send(self, reader: Reader, data: bytes | memoryview) -> None:
        """Send to one; one that has gone or stands still is forgotten. Raises SaveError once nobody is left."""
        try:
            send_all(reader, data)
        except OSError:
            self.readers.remove(reader)
            if not self.readers:
                raise SaveError("every reader has gone") from None


def send_all(reader: Reader, data: bytes | memoryview) -> None:
    """Write to a socket that does not block. Raises OSError, TimeoutError where nothing is taken for a minute."""
    view = memoryview(data)
    while view:
        try:
            view = view[reader.write(view) :]
        except BlockingIOError:
            if not takes_more(reader, STALL_S * 1000):
                raise TimeoutError from None


def takes_more(reader: Reader, wait_ms: int) -> bool:
    writable = select.poll()
    writable.register(reader.descriptor, select.POLLOUT)
    return bool(writable.poll(wait_ms))


def send_copy(
    engine: Engine, readers: list[Reader], options: SnapshotOptions, on_progress: Callable[[int], None]
) -> int:
    """Send the data set; returns the number of keys. Raises SaveError when a reader did not get all of it."""
    connections = Connections(list(readers))
    length = 0
    if not all(reader.knows_mark for reader in readers):
        length = measured(engine, connections, options, on_progress)
    mark = secrets.token_hex(20).encode()
    for reader in list(connections.readers):
        header = b"$EOF:%b\r\n" % mark if reader.knows_mark else b"$%d\r\n" % length
        connections.send(reader, reader.greeting + header)
    connections.written = 0
    keys = SnapshotWriter(connections, options, on_progress).write(engine)
    if length and connections.written != length:
        raise SaveError(f"{connections.written} bytes were sent, {length} were announced")
    for reader in list(connections.readers):
        if reader.knows_mark:
            connections.send(reader, mark)
    for reader in connections.readers:
        reader.finish()
    if len(connections.readers) < len(readers):
        raise SaveError(
            f"{len(readers) - len(connections.readers)} of {len(readers)} readers did not take the whole copy"
        )
    return keys


def measured(
    engine: Engine, connections: Connections, options: SnapshotOptions, on_progress: Callable[[int], None]
) -> int:
    """How long the copy will be."""
    counter = Counter()
    told = time.monotonic()

    def keep_alive(keys: int) -> None:
        nonlocal told
        on_progress(keys)
        if time.monotonic() - told > KEEP_ALIVE_S:
            told = time.monotonic()
            for reader in connections.readers:
                if takes_more(reader, 0):  # one that does not is kept alive by what it has still to read
                    with contextlib.suppress(OSError):  # one that has gone is noticed when the copy is sent
                        reader.write(b"\n")

    SnapshotWriter(counter, options, keep_alive).write(engine)
    return counter.written
