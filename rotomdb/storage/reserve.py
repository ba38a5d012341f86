"""A reserve on the disk, so that a full disk does not cut the log in the middle of a write.

A file of the configured size lies beside the data. When a write of the log finds no room, the file is given up, the write
is done with its room, and writes are refused from then on. Once the file can be made again, they are accepted again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rotomdb.storage.disk import Disk

RESERVE_NAME = "rotomdb.reserve"
CHUNK = bytes(1 << 20)


class Placed(Protocol):
    """Whoever knows the directory of the data."""

    directory: Path


class DiskReserve:
    """The reserve and the watch over what the disk has left.

    Attributes:
        size: Bytes to keep; 0: none.
        warn_below: Free bytes from which on the log and INFO warn.
        missing: Why writes are refused: the reserve was needed and there is no room for a new one yet.
    """

    def __init__(self, disk: Disk, place: Placed, log: Callable[[str, str], None]) -> None:
        self.disk = disk
        self.place = place
        self.log = log
        self.size = 0
        self.warn_below = 0
        self.missing: OSError | None = None
        self.free = -1
        self.low = False

    @property
    def path(self) -> Path:
        return self.place.directory / RESERVE_NAME

    @property
    def held(self) -> int:
        """Bytes of the reserve that are there now."""
        try:
            return self.disk.size(self.path)
        except OSError:
            return 0  # it is not there, or nobody can tell: then it is nothing to rely on

    def prepare(self) -> None:
        """Make the reserve at the start; a disk that has no room for it is worth a warning, not a refusal."""
        try:
            self.build()
        except OSError as error:
            self.log("warning", f"The disk reserve of {self.size} bytes could not be made: {error.strerror}")

    def build(self) -> None:
        """Bring the file to its size. Raises OSError, and leaves no part of it."""
        if not self.size:
            self.disk.remove_if_there(self.path)
            return
        if self.held == self.size:
            return
        file = self.disk.create(self.path)
        try:
            left = self.size
            while left:
                file.write_all(memoryview(CHUNK)[: min(left, len(CHUNK))])
                left -= min(left, len(CHUNK))
            file.sync()
        except OSError:
            file.close()
            self.disk.discard(self.path)
            raise
        file.close()

    def release(self) -> bool:
        """Give the reserve up for the log; False when there was none."""
        if not self.held:
            return False
        try:
            self.disk.unlink(self.path)
        except OSError:
            return False  # no room is gained by it
        self.missing = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.log("warning", "The disk is full: the reserve is used to end the log cleanly, and writes are refused.")
        return True

    def measure(self) -> int:
        """Bytes that are left now; -1 where the file system does not tell."""
        try:
            self.free = self.disk.free_bytes(self.place.directory)
        except OSError:
            self.free = -1
        return self.free

    def watch(self) -> None:
        """Once a second: look at the room that is left, and make the reserve again once it fits."""
        if self.missing is not None:
            try:
                self.build()
            except OSError:
                pass  # still full; tried again in a second
            else:
                self.missing = None
                self.log("warning", "There is room on the disk again: the reserve is back, and writes are accepted.")
        if self.measure() < 0:
            return
        low = self.free < self.warn_below
        if low != self.low:
            self.low = low
            if low:
                self.log("warning", f"The disk is filling up: {self.free >> 20} MB are left.")
            else:
                self.log("notice", f"The disk has room again: {self.free >> 20} MB are left.")
