"""The server's log, in the shape of Redis's: `pid:role date level message`, one line for each.

Control characters are escaped here, whatever a message carries: a line is one line, and does nothing to a terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

from rotomdb.formats.quoting import one_line

LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
MARKS = {"debug": ".", "verbose": "-", "notice": "*", "warning": "#"}


class Logger:
    """Writes lines to a file that is opened for each of them, so that log rotation needs no signal.

    Attributes:
        role: M of a server that takes writes, S of a replica, X of a sentinel.
        pid: Of the server; another process is a child of it, or its beginnings, and shows C.
        also: Called with the level and the message of each line, for the system's log.
    """

    def __init__(self, level: str = "notice", path: str = "") -> None:
        self.level = level
        self.path = path
        self.role = "M"
        self.pid = os.getpid()
        self.also: Callable[[str, str], None] | None = None

    def __call__(self, level: str, message: str) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        message = one_line(message)
        self.write(self.line(level, message) + "\n")
        if self.also is not None:
            self.also(level, message)

    def trace(self, level: str, heading: str, text: str) -> None:
        """A heading and many lines, such as a traceback, each with its own stamp."""
        self(level, heading)
        for line in text.rstrip("\n").split("\n"):
            self(level, f"    {line}")

    def line(self, level: str, message: str) -> str:
        """The message as it stands in the log, without the end of the line."""
        now = time.time()
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(now))
        role = self.role if os.getpid() == self.pid else "C"
        return f"{os.getpid()}:{role} {stamp}.{int(now * 1000) % 1000:03d} {MARKS[level]} {message}"

    def write(self, text: str) -> None:
        """Append lines as they are. A log that cannot be written (full disk, closed pipe) ends nobody."""
        with contextlib.suppress(OSError, ValueError):
            if not self.path:
                sys.stdout.write(text)
                sys.stdout.flush()
                return
            with open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123 - a log, not a data file
                file.write(text)
