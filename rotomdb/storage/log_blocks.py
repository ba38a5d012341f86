"""Annotations that make a log verify itself: blocks with a checksum, and how much was known to be on disk.

Other servers and redis-check-aof skip lines that begin with `#`.

    #CRC64:<bytes>:<crc, 16 hexadecimal digits>    covers so many bytes right before the line: a block
    #SYNCED:<offset>                               bytes of this file that were on disk when the line was written

ON DISK: never change their meaning. Rules that readers rely on
    B1  A block is whole commands and whole transactions; it ends with the write that filled it.
    B2  A block follows every write under `always`, and every write of at least a sector: what no block covers is small
        writes at the end of the file, so that a sector of zeros in it cannot pass for a value.
    B3  The first block of a file begins with #SYNCED. A later one does when more is known to be on disk. The line is
        inside the block, so that it is verified with it.
    B4  Once a file has selected a database other than 0, every block begins with SELECT: what follows a damaged block
        can be replayed without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotomdb.storage.checksum import crc64

CHECKSUM_PREFIX = b"#CRC64:"
SYNCED_PREFIX = b"#SYNCED:"
TIMESTAMP_PREFIX = b"#TS:"
BLOCK_BYTES = 4096  # a block is at least so long, unless one of the other rules ends it
SECTOR_BYTES = 512  # what a disk writes whole or not at all
BLOCK_MS = 1000


def synced_line(offset: int) -> bytes:
    return b"#SYNCED:%d\r\n" % offset


def checksum_line(size: int, checksum: int) -> bytes:
    return b"#CRC64:%d:%016x\r\n" % (size, checksum)


@dataclass(frozen=True)
class Checksum:
    """What a checksum annotation says."""

    size: int
    value: int


def parse_checksum(line: bytes) -> Checksum | None:
    """Read a `#CRC64` line; None when it is malformed."""
    size, separator, value = line[len(CHECKSUM_PREFIX) :].strip().partition(b":")
    if not (separator and size.isdigit() and len(value) == 16):
        return None
    try:
        return Checksum(int(size), int(value, 16))
    except ValueError:
        return None


def parse_synced(line: bytes) -> int | None:
    """Read a `#SYNCED` line; None when it is malformed."""
    digits = line[len(SYNCED_PREFIX) :].strip()
    return int(digits) if digits.isdigit() else None


class BlockWriter:
    """Puts annotations between the writes of one log file."""

    def __init__(self) -> None:
        self.begin_file()

    def begin_file(self) -> None:
        """Another file is written from now on."""
        self.synced_written = -1
        self.begin_block()

    def begin_block(self) -> None:
        self.checksum = 0
        self.size = 0
        self.started_ms = 0

    def head(self, synced: int, now_ms: int) -> bytes:
        """What has to stand before the next bytes of the log."""
        if self.size:
            return b""
        self.started_ms = now_ms
        if self.synced_written < 0 or synced - self.synced_written >= BLOCK_BYTES:
            self.synced_written = synced
            return synced_line(synced)
        return b""

    def add(self, data: bytes) -> None:
        """These bytes are part of the block."""
        self.checksum = crc64(data, self.checksum)
        self.size += len(data)

    def due(self, now_ms: int) -> bool:
        """Whether an open block has waited long enough for its end."""
        return self.size > 0 and now_ms - self.started_ms >= BLOCK_MS

    def full(self, written: int) -> bool:
        """Whether the block ends with a write of so many bytes (B2)."""
        return self.size >= BLOCK_BYTES or written >= SECTOR_BYTES

    def end(self) -> bytes:
        """The annotation that closes the block."""
        line = checksum_line(self.size, self.checksum)
        self.begin_block()
        return line
