"""The last bytes of the history: one buffer that all replicas are sent from, each from its own position.

It is kept in blocks. What nobody needs any more and is beyond the size that is wanted goes block by block.
"""

from __future__ import annotations

from bisect import bisect_right

BLOCK_BYTES = 16 << 10


class Backlog:
    def __init__(self, size: int, position: int) -> None:
        self.size = size
        self.starts = [position]
        self.blocks = [bytearray()]
        self.end = position

    @property
    def first(self) -> int:
        """The position of the oldest byte that is kept for who comes back."""
        return max(self.starts[0], self.end - self.size)

    @property
    def bytes_held(self) -> int:
        return self.end - self.starts[0]

    def append(self, data: bytes) -> None:
        last = self.blocks[-1]
        if last and len(last) + len(data) > BLOCK_BYTES:
            self.starts.append(self.end)
            self.blocks.append(bytearray(data))
        else:
            last += data
        self.end += len(data)

    def holds(self, position: int) -> bool:
        """Whether the history can be continued from there."""
        return self.first <= position <= self.end

    def part(self, position: int, limit: int) -> bytes:
        """Some of the bytes from `position` on: up to `limit`, none at the end."""
        number = bisect_right(self.starts, position) - 1
        begin = position - self.starts[number]
        return bytes(self.blocks[number][begin : begin + limit])

    def trim(self, needed: int) -> None:
        """Drop what is older than the size and than the position that somebody still needs."""
        keep = min(needed, self.end - self.size)
        gone = bisect_right(self.starts, keep) - 1
        if gone > 0:
            del self.starts[:gone], self.blocks[:gone]
