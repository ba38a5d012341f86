"""The keys of a data set in parts on the disk, so that data sets of any size can be compared key by key."""

from __future__ import annotations

import bisect
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from rotomdb.formats.rdb.reader import Event, SelectDb
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.sinks.key_index import PARTS, IndexSink
from rotomdb.formats.sinks.objects import ObjectSink
from rotomdb.tools.sources import Opened

LOOK_UPS_HELD = 64  # before pages are given back: the system maps up to 2 MB around each


@dataclass(frozen=True)
class Found:
    """A key that was looked up."""

    db: int
    key: bytes
    type: int
    expire_ms: int | None


class KeyParts:
    """Where the keys of a data set stand, as an IndexSink notes it in a temporary file without a name."""

    def __init__(self, source: Opened) -> None:
        self.source = source
        self.reader = source.reader()
        self.file = tempfile.TemporaryFile(prefix="rotomdb-")  # noqa: SIM115 -- closed with the reader
        self.looked_up = 0
        self.end = 0
        self.ranges: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]  # of the file, for each part
        self.selected: list[tuple[int, int]] = []  # from which offset on in which database

    def close(self) -> None:
        self.reader.close()
        self.file.close()

    def write(self, part: int, content: bytes) -> None:
        self.file.write(content)
        self.ranges[part].append((self.end, len(content)))
        self.end += len(content)

    def fill(self, selection: Selection | None) -> Iterator[Event]:
        """Note the keys that are selected; yields what is no key."""
        sink = IndexSink(self.write)
        for event in self.reader.walk(sink, selection, self.source.advance):
            if isinstance(event, SelectDb):
                self.selected.append((event.offset, event.index))
            yield event
        sink.flush()
        self.file.flush()

    def part(self, number: int) -> bytes:
        return b"".join(os.pread(self.file.fileno(), size, at) for at, size in self.ranges[number])

    def look_up(self, offset: int, sink: ObjectSink | None = None) -> Found:
        """The key at an offset; its value goes to the sink."""
        walker = self.reader.walker
        number = bisect.bisect(self.selected, (offset, 0)) - 1
        walker.database = self.selected[number][1] if number >= 0 else 0
        walker.position = offset
        kind = walker.next_record()
        found = Found(walker.database, walker.key, kind, walker.expires_at)
        if sink is not None:
            self.reader.visit(sink)
        self.looked_up += 1
        if self.looked_up % LOOK_UPS_HELD == 0:
            self.source.source.release(0, len(self.reader.data))
        return found
