"""Puts annotations between the writes of one log file. What they mean and the rules B1 to B5: annotations.py.

Native, since under `always` it runs before every fsync, with caches that the kernel has just emptied.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from rotomdb.formats.aof import annotations
from rotomdb.formats.checksum import crc64
from rotomdb.formats.aof.annotations import checksum_line, synced_line

cdef bytes ZEROS_LINE = annotations.ZEROS_LINE
cdef bytes ZERO_SECTOR = annotations.ZERO_SECTOR
cdef Py_ssize_t SECTOR_BYTES = annotations.SECTOR_BYTES
cdef int64_t BLOCK_BYTES = annotations.BLOCK_BYTES
cdef int64_t BLOCK_MS = annotations.BLOCK_MS


cdef bint holds_zero_sector(bytes data) except -1:
    """Whether there are so many zeros in a row: they cover one of the bytes that are a sector apart."""
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef Py_ssize_t at
    for at in range(SECTOR_BYTES - 1, PyBytes_GET_SIZE(data), SECTOR_BYTES):
        if start[at] == 0:
            return ZERO_SECTOR in data
    return False


cdef class BlockWriter:
    def __init__(self):
        self.begin_file()

    def begin_file(self, int64_t uncovered=0, checksum=0):
        """Another file is written from now on; so many bytes at its end, with that CRC64, are in no block yet."""
        self.synced_written = -1
        self.begin_block()
        self.size, self.checksum = uncovered, checksum

    cpdef begin_block(self):
        self.checksum = 0
        self.size = 0
        self.started_ms = 0

    cpdef bint stands_alone(self, bytes data):
        """Whether the open block has to end before this write (B5)."""
        return self.size > 0 and holds_zero_sector(data)

    cpdef bytes add(self, bytes data, int64_t synced, int64_t now_ms):
        """Make a write part of the block; returns it with the annotations that it needs.

        `synced`: Bytes of the file that are known to be on disk.
        """
        if holds_zero_sector(data):
            data = ZEROS_LINE + data + ZEROS_LINE
        if self.size == 0:
            self.started_ms = now_ms
        if self.synced_written < 0 or (self.size == 0 and synced - self.synced_written >= BLOCK_BYTES):
            self.synced_written = synced
            data = <bytes>synced_line(synced) + data
        self.count(data)
        return data

    cpdef bytes add_all(self, bytes data, list cuts, int64_t synced, int64_t now_ms):
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

    cpdef count(self, bytes data):
        """These bytes are part of the block as they are."""
        self.checksum = crc64(data, self.checksum)
        self.size += PyBytes_GET_SIZE(data)

    cpdef bint due(self, int64_t now_ms):
        """Whether an open block has waited long enough for its end."""
        return self.size > 0 and now_ms - self.started_ms >= BLOCK_MS

    cpdef bint full(self, Py_ssize_t written):
        """Whether the block ends with a write of so many bytes (B2)."""
        return self.size >= BLOCK_BYTES or written >= SECTOR_BYTES

    cpdef bytes end(self):
        """The annotation that closes the block."""
        line = checksum_line(self.size, self.checksum)
        self.begin_block()
        return line
