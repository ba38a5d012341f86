"""A full copy on its way from the master: into a file, in either framing.

$LENGTH CRLF, the RDB
$EOF:MARK CRLF, the RDB, MARK      nothing comes behind the mark before we have said that it was found
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rotomdb.server.reactor import Handler

if TYPE_CHECKING:
    from rotomdb.server.replication.link import Link

MARK_BYTES = 40
READ_BYTES = 1 << 18
SYNC_EVERY_BYTES = 8 << 20  # so that the last one is short
HEADER_MAX = 100


class Transfer(Handler):
    """
    Attributes:
        length: Of the copy; 0 while it is not known, or where a mark ends it.
    """

    def __init__(self, link: Link, connection: socket.socket, history: str, position: int) -> None:
        super().__init__(connection.fileno())
        self.link = link
        self.server = link.server
        self.connection = connection
        self.history, self.position = history, position
        persistence = self.server.persistence
        self.disk = persistence.disk
        self.path: Path = persistence.directory / f"temp-{int(time.time())}.{persistence.machine.pid()}.rdb"
        persistence.own_directory()
        self.file = self.disk.create(self.path)
        self.header = b""
        self.mark = b""
        self.length = 0
        self.tail = b""  # the last bytes, which may be a part of the mark
        self.unsynced = 0
        self.rest = b""  # of the history, which came with the end of the copy
        self.done = False
        self.server.reactor.add(self)

    @property
    def received(self) -> int:
        return self.file.written

    def close(self) -> None:
        """Give up."""
        if not self.done:
            self.server.reactor.remove(self)
        self.connection.close()
        self.file.close()
        self.discard()

    def discard(self) -> None:
        self.disk.discard(self.path)

    def failed(self, error: Exception) -> None:
        self.link.failed(f"I/O error trying to sync with MASTER: {error}")

    def readable(self) -> None:
        try:
            # Never beyond a length that is known: what follows is the history.
            data = self.connection.recv(min(READ_BYTES, self.length - self.received) if self.length else READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.link.failed(f"I/O error trying to sync with MASTER: {error.strerror}")
            return
        if not data:
            self.link.failed("I/O error trying to sync with MASTER: connection lost")
            return
        self.link.heard_at = time.monotonic()
        self.take(data)

    def take(self, data: bytes) -> None:
        """Some of what the master sends."""
        if not self.length and not self.mark:
            self.header = (self.header + data).lstrip(b"\n")
            line, ended, data = self.header.partition(b"\r\n")
            if not ended:
                if len(line) > HEADER_MAX:
                    self.link.failed(f"Bad protocol from MASTER, the first byte is not '$': {line[:HEADER_MAX]!r}")
                return
            if not self.read_header(line):
                self.link.failed(f"Bad protocol from MASTER: {line[:HEADER_MAX]!r}")
                return
        try:
            whole = self.take_until_mark(data) if self.mark else self.take_length(data)
            if whole:
                self.finish()
        except OSError as error:
            self.link.failed(f"Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA "
                             f"synchronization: {error.strerror or error}")  # fmt: skip

    def read_header(self, line: bytes) -> bool:
        if line.startswith(b"$EOF:") and len(line) == 5 + MARK_BYTES:
            self.mark = line[5:]
            self.server.log("notice", "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk")
            return True
        if line[:1] == b"$" and line[1:].isdigit() and int(line[1:]):
            self.length = int(line[1:])
            self.server.log("notice", f"MASTER <-> REPLICA sync: receiving {self.length} bytes from master to disk")
            return True
        return False

    def take_length(self, data: bytes) -> bool:
        left = self.length - self.file.written
        self.rest = data[left:]
        self.write(data[:left])
        return self.file.written >= self.length

    def take_until_mark(self, data: bytes) -> bool:
        data = self.tail + data
        if data.endswith(self.mark):
            self.write(data[:-MARK_BYTES])
            return True
        self.tail = data[-MARK_BYTES:]
        self.write(data[:-MARK_BYTES])
        return False

    def write(self, data: bytes) -> None:
        self.file.write_all(data)
        self.unsynced += len(data)
        if self.unsynced >= SYNC_EVERY_BYTES:
            self.file.sync()
            self.unsynced = 0

    def finish(self) -> None:
        self.file.sync()
        self.file.close()
        self.done = True
        self.server.reactor.remove(self)
        self.server.reactor.call_later(0, self.hand_over)

    def hand_over(self) -> None:
        if not self.link.ended and self.link.transfer is self:
            self.link.received(self)

    def keep_alive(self) -> None:
        """Tell the master that we are still there, while the copy is loaded."""
        try:
            self.connection.send(b"\n")
        except OSError:
            return  # found out once the history is read
