"""One server per data directory: a lock file that its owner holds for as long as the process lives.

The lock is flock's, so a crash releases it; the text inside only says who to look for.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import time
from pathlib import Path

from rotomdb.errors import StartupError
from rotomdb.storage.disk import Disk, DiskFile

LOCK_NAME = "rotomdb.lock"


class DirectoryOwner:
    """The lock on one directory."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.file: DiskFile | None = None
        self.directory: Path | None = None

    def take(self, directory: Path, port: int) -> None:
        """Become the owner of `directory`. One takes one directory; nothing happens when that is done.

        Raises:
            StartupError: another process owns it; the text says which.
            OSError: the lock file cannot be made.
        """
        if self.file is not None:
            return
        place = directory.resolve()
        file = self.disk.open_lock(place / LOCK_NAME)
        try:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file.descriptor, 4096, 0).decode("utf-8", "replace").strip()
            file.close()
            raise StartupError(
                f"{place} belongs to another server: {describe(owner)}. Two servers must not write to one directory; "
                "stop that one or choose another --dir."
            ) from None
        except OSError:
            file.close()
            raise
        content = {"pid": os.getpid(), "host": platform.node(), "port": port, "since": int(time.time())}
        with contextlib.suppress(OSError):  # no room: the lock is held, and only does not say by whom
            file.truncate(0)
            file.write_all(json.dumps(content).encode() + b"\n")
        self.file, self.directory = file, place

    def leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's alone, and ends with it."""
        if self.file is not None:
            self.file.leave_to_parent()

    def release(self) -> None:
        """Give the directory up. The file stays: to remove it would race with the next owner."""
        if self.file is not None:
            self.file.close()
            self.file = self.directory = None


def describe(owner: str) -> str:
    try:
        said = json.loads(owner)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(said["since"]))
        return f"process {said['pid']} on {said['host']}, port {said['port']}, since {since}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"
