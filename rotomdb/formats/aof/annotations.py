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

import re
from dataclasses import dataclass

CHECKSUM_PREFIX = b"#CRC64:"
SYNCED_PREFIX = b"#SYNCED:"
ZEROS_LINE = b"#ZEROS\r\n"
TIMESTAMP_PREFIX = b"#TS:"
BLOCK_BYTES = 4096  # a block is at least so long, unless one of the other rules ends it
SECTOR_BYTES = 512  # what a disk writes whole or not at all
BLOCK_MS = 1000
ZERO_SECTOR = bytes(SECTOR_BYTES)
CHECKSUM = re.compile(rb"[0-9a-f]{16}")
DIGITS_MAX = 18
TIMESTAMP_MAX = 253402300799  # the last second that a calendar with four digits knows


def synced_line(offset: int) -> bytes:
    return b"#SYNCED:%d\r\n" % offset


def checksum_line(size: int, checksum: int) -> bytes:
    return b"#CRC64:%d:%016x\r\n" % (size, checksum)


@dataclass(frozen=True)
class Checksum:
    """What a checksum annotation says."""

    size: int
    value: int


def number_in(digits: bytes) -> int | None:
    """A number of an annotation: decimal digits, and no more of them than 64 bits hold."""
    return int(digits) if digits.isdigit() and len(digits) <= DIGITS_MAX else None


def parse_checksum(line: bytes) -> Checksum | None:
    """Read a `#CRC64` line, without its LF; None when it is not exactly as it is written: a flipped bit must show."""
    digits, _, value = line[len(CHECKSUM_PREFIX) : -1].partition(b":")
    size = number_in(digits)
    if size is None or CHECKSUM.fullmatch(value) is None:
        return None
    checksum = Checksum(size, int(value, 16))
    return checksum if line + b"\n" == checksum_line(checksum.size, checksum.value) else None


def parse_synced(line: bytes) -> int | None:
    """Read a `#SYNCED` line; None when it is malformed."""
    return number_in(line[len(SYNCED_PREFIX) :].strip())


def parse_timestamp(line: bytes) -> int | None:
    """The Unix seconds of a `#TS` line; None for any other annotation, and for one that names no time of this era."""
    if not line.startswith(TIMESTAMP_PREFIX):
        return None
    seconds = number_in(line[len(TIMESTAMP_PREFIX) :].strip())
    return seconds if seconds is not None and seconds <= TIMESTAMP_MAX else None
