"""One server per data directory: a lock file that its owner holds for as long as the process lives.

The lock is flock's, so a crash releases it; the text inside only says who to look for.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from pathlib import Path

from rotomdb.errors import StartupError

LOCK_NAME = "rotomdb.lock"


class DirectoryOwner:
    """The lock on one directory."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.path: Path | None = None

    def take(self, directory: Path, port: int) -> None:
        """Become the owner of `directory`, and give up the one before.

        Raises:
            StartupError: another process owns it; the text says which.
            OSError: the lock file cannot be made.
        """
        path = directory.resolve() / LOCK_NAME
        if path == self.path:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 4096, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise StartupError(
                f"{path.parent} belongs to another server: {describe(owner)}. Two servers must not write to one directory; "
                "stop that one or choose another --dir."
            ) from None
        content = {"pid": os.getpid(), "host": platform.node(), "port": port, "since": int(time.time())}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(content).encode() + b"\n", 0)
        self.release()
        self.descriptor, self.path = descriptor, path

    def leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's alone, and ends with it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def release(self) -> None:
        """Give the directory up. The file stays: to remove it would race with the next owner."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor, self.path = -1, None


def describe(owner: str) -> str:
    try:
        said = json.loads(owner)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(said["since"]))
        return f"process {said['pid']} on {said['host']}, port {said['port']}, since {since}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"
