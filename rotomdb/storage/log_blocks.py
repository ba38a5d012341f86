"""Annotations that make a log verify itself: blocks with a checksum, and how much was known to be on disk.

Other servers and redis-check-aof skip lines that begin with `#`.

    #CRC64:<bytes>:<crc, 16 hexadecimal digits>    covers so many bytes right before the line: a block
    #SYNCED:<offset>                               bytes of this file that were on disk when the line was written
    #ZEROS                                         before and behind a write with zeros of a sector's length of its own

ON DISK: never change their meaning. Rules that readers rely on
    B1  A block is whole commands and whole transactions; it ends with the write that filled it. The next begins right
        behind its annotation: a server that goes on with a file covers what it found uncovered at the end.
    B2  A block follows every write under `always`, and every write of at least a sector: what no block covers is small
        writes at the end of the file, so that a sector of zeros in it cannot pass for a value.
    B3  The first block of a file begins with #SYNCED. A later one does when more is known to be on disk. The line is
        inside the block, so that it is verified with it.
    B4  Once a file has selected a database other than 0, every block begins with SELECT: what follows a damaged block
        can be replayed without it.
    B5  A sector of zeros in a block without #ZEROS is what a power loss left. A write with such zeros of its own is a
        block of its own. There are two of the line, so that damage to one does not change what the zeros mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotomdb.storage.checksum import crc64

CHECKSUM_PREFIX = b"#CRC64:"
SYNCED_PREFIX = b"#SYNCED:"
ZEROS_LINE = b"#ZEROS\r\n"
TIMESTAMP_PREFIX = b"#TS:"
BLOCK_BYTES = 4096  # a block is at least so long, unless one of the other rules ends it
SECTOR_BYTES = 512  # what a disk writes whole or not at all
BLOCK_MS = 1000
ZERO_SECTOR = bytes(SECTOR_BYTES)
FEW_ZEROS = bytes(4)


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
    """Read a `#CRC64` line, without its LF; None when it is not exactly as it is written: a flipped bit must show."""
    size, _, value = line[len(CHECKSUM_PREFIX) : -1].partition(b":")
    try:
        checksum = Checksum(int(size), int(value, 16))
    except ValueError:
        return None
    return checksum if line + b"\n" == checksum_line(checksum.size, checksum.value) else None


def parse_synced(line: bytes) -> int | None:
    """Read a `#SYNCED` line; None when it is malformed."""
    digits = line[len(SYNCED_PREFIX) :].strip()
    return int(digits) if digits.isdigit() else None


def parse_timestamp(line: bytes) -> int | None:
    """The Unix seconds of a `#TS` line; None for any other annotation, and for a malformed one."""
    digits = line[len(TIMESTAMP_PREFIX) :].strip()
    return int(digits) if line.startswith(TIMESTAMP_PREFIX) and digits.isdigit() else None


def holds_zero_sector(data: bytes) -> bool:
    """Whether there are so many zeros in a row; asked of every write, so that the usual answer has to be quick."""
    return len(data) >= SECTOR_BYTES and FEW_ZEROS in data and ZERO_SECTOR in data


class BlockWriter:
    """Puts annotations between the writes of one log file."""

    def __init__(self) -> None:
        self.begin_file()

    def begin_file(self, uncovered: int = 0, checksum: int = 0) -> None:
        """Another file is written from now on; so many bytes at its end, with that CRC64, are in no block yet."""
        self.synced_written = -1
        self.begin_block()
        self.size, self.checksum = uncovered, checksum

    def begin_block(self) -> None:
        self.checksum = 0
        self.size = 0
        self.started_ms = 0

    def stands_alone(self, data: bytes) -> bool:
        """Whether the open block has to end before this write (B5)."""
        return self.size > 0 and holds_zero_sector(data)

    def add(self, data: bytes, synced: int, now_ms: int) -> bytes:
        """Make a write part of the block; returns it with the annotations that it needs.

        Args:
            synced: Bytes of the file that are known to be on disk.
        """
        if holds_zero_sector(data):
            data = ZEROS_LINE + data + ZEROS_LINE
        if self.size == 0:
            self.started_ms = now_ms
        if self.synced_written < 0 or (self.size == 0 and synced - self.synced_written >= BLOCK_BYTES):
            self.synced_written = synced
            data = synced_line(synced) + data
        self.count(data)
        return data

    def add_all(self, data: bytes, cuts: list[int], synced: int, now_ms: int) -> bytes:
        """As `add`; blocks end at the cuts, so that damage costs one of them and not the whole write."""
        if not cuts or holds_zero_sector(data):  # B5: a write with zeros of its own is one block
            return self.add(data, synced, now_ms)
        parts = []
        start = 0
        for cut in cuts:
            parts += [self.add(data[start:cut], synced, now_ms), self.end()]
            start = cut
        parts.append(self.add(data[start:], synced, now_ms))
        return b"".join(parts)

    def count(self, data: bytes) -> None:
        """These bytes are part of the block as they are."""
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
