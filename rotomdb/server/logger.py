"""The server's log, in the shape of Redis's: `pid:role date level message`."""

from __future__ import annotations

import contextlib
import os
import sys
import time

LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
MARKS = {"debug": ".", "verbose": "-", "notice": "*", "warning": "#"}


class Logger:
    """Writes lines to a file that is opened for each of them, so that log rotation needs no signal."""

    def __init__(self, level: str = "notice", path: str = "") -> None:
        self.level = level
        self.path = path
        self.role = "M"

    def __call__(self, level: str, message: str) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        now = time.time()
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(now))
        line = f"{os.getpid()}:{self.role} {stamp}.{int(now * 1000) % 1000:03d} {MARKS[level]} {message}\n"
        self.write(line)

    def write(self, line: str) -> None:
        """Append a line. A log that cannot be written (full disk, closed pipe) must not end what wants to write it."""
        with contextlib.suppress(OSError):
            if not self.path:
                sys.stdout.write(line)
                sys.stdout.flush()
                return
            with open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123 - a log, not a data file
                file.write(line)
