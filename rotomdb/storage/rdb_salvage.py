"""Reading around the damage of an RDB: behind what cannot be read, look for where records follow again.

Values have no length in front, so a damaged one hides where the next begins. A place counts as a beginning when several
records in a row can be read from it (or all up to the end of the file), with types that the file's version has and keys that look
like those before. It is looked for from inside the last record that could be read on: a wrong length makes that one swallow
what follows, and only then something fails.

A key that stands in the file twice, or in a database that no server has, makes servers refuse it: the first of them stays.

What is found so is sound in structure; whether its bytes are the right ones only the checksum could tell, which covers the
whole file. When a single burst of up to three bytes is wrong in all of the file, the checksum locates it (`put_right`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rotomdb.errors import DATABASES_MAX, CommandError, DuplicateKeyError, Fault, RdbError, RdbValueError
from rotomdb.formats.checksum import crc64
from rotomdb.formats.crc_repair import find_burst
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.format import HEADER_BYTES, OPCODE_EOF, RDB_TYPE_LAST
from rotomdb.formats.rdb.reader import (
    BATCH_BYTES,
    BATCH_RECORDS,
    Aux,
    End,
    Event,
    Function,
    KeyRecord,
    RdbReader,
    ResizeDb,
    SelectDb,
    parse_header,
)
from rotomdb.formats.rdb.resync import resynchronise
from rotomdb.formats.rdb.value_types import highest_type
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.storage.rdb_source import RdbSource, mapped, spooled

CHAIN = 5  # records in a row that make a beginning credible
BURST_MAX = 3  # bytes
TRAILER_BYTES = 8
SUM_BYTES = 64 << 20
COPY_BYTES = 1 << 20
ASSUMED_VERSION = 12  # of a file whose header is damaged: read nearly as all before it


@dataclass(frozen=True)
class Loss:
    """Bytes that could not be read.

    Attributes:
        start, end: The range that is left out.
        offset: Where it failed.
        key: Whose value it is, as far as that is known; others may be lost with it.
        suspect: The key right before, which could be read: its value may end at the wrong place.
    """

    start: int
    end: int
    offset: int
    reason: str
    key: bytes | None
    database: int
    suspect: bytes | None = None


@dataclass(frozen=True)
class Segment:
    """A range of whole items, and the database that it begins in."""

    start: int
    end: int
    database: int


def locate_burst(data: memoryview) -> tuple[int, bytes] | None:
    """Where up to three wrong bytes side by side are all that is wrong with a file, and what to XOR there."""
    covered = len(data) - TRAILER_BYTES
    if covered < HEADER_BYTES:
        return None
    recorded = int.from_bytes(data[covered:], "little")
    computed = 0
    for start in range(0, covered, SUM_BYTES):
        computed = crc64(data[start : min(start + SUM_BYTES, covered)], computed)
    return find_burst(covered, computed ^ recorded, BURST_MAX) if recorded else None


@dataclass(frozen=True)
class Mended:
    """A file as it was before a burst of wrong bytes.

    Attributes:
        at, error: Where they stand, and what to XOR there.
    """

    source: RdbSource
    at: int
    error: bytes


@contextlib.contextmanager
def put_right(data: memoryview, name: str) -> Iterator[Mended | None]:
    """The file as its checksum proves that it was, where one burst is all that is wrong with it."""
    found = locate_burst(data)
    if found is None:
        yield None
        return
    at, error = found
    with spooled(without_burst(data, at, error), None) as file, mapped(file, name) as patched:
        try:
            check_rdb(patched.data, name, release=patched.release)
        except RdbError:
            yield None  # it only looked like one
        else:
            yield Mended(patched, at, error)


def without_burst(data: memoryview, at: int, error: bytes) -> Iterator[bytes]:
    """The data in pieces, put right."""
    end = at + len(error)
    for start in range(0, at, COPY_BYTES):
        yield bytes(data[start : min(start + COPY_BYTES, at)])
    yield bytes(a ^ b for a, b in zip(data[at:end], error, strict=True))
    for start in range(end, len(data), COPY_BYTES):
        yield bytes(data[start : start + COPY_BYTES])


def reader_of_damaged(data: memoryview, name: str, release: Callable[[int, int], None] | None = None) -> RdbReader:
    """A reader even where the header is damaged. Raises RdbError where this is something else than an RDB."""
    try:
        return RdbReader(data, name, release)
    except RdbError as error:
        if error.fault is not Fault.DAMAGED:
            raise
        return RdbReader(data, name, release, ASSUMED_VERSION)


class Salvage:
    """Looks for what can be read, once; then `records` goes over it.

    Args:
        as_snapshot: What comes of it will be loaded as a snapshot, and not as the base of a log (`check_rdb`).
        take_library: Raises CommandError for a function library that a server refuses: it is left out.

    Attributes:
        losses: What could not be read, in the order of the file.
        expected_keys: As the size hints of the databases say; 0: there are none.
        checksum_matches: None: the file has none, or its end is lost.
        end: Offset behind the trailer; of the data, where the end is lost.
    """

    def __init__(
        self,
        reader: RdbReader,
        on_progress: Callable[[int], None] = lambda offset: None,
        *,
        as_snapshot: bool = False,
        take_library: Callable[[bytes], object] = len,
    ) -> None:
        self.reader = reader
        self.take_library = take_library
        now_ms = int(time.time() * 1000)
        self.reader.walker.now_ms = now_ms
        self.sink = CheckSink(unique_keys=True, expire_before_ms=now_ms if as_snapshot else -1)
        self.on_progress = on_progress
        self.losses: list[Loss] = []
        self.segments: list[Segment] = []
        self.keys = 0
        self.expected_keys = 0
        self.checksum_matches: bool | None = None
        self.end = len(reader.data)
        self.scan()

    def scan(self) -> None:
        walker = self.reader.walker
        start, database = walker.position, walker.database
        try:
            parse_header(self.reader.data, self.reader.path)
        except RdbError as error:
            self.losses.append(Loss(0, HEADER_BYTES, error.offset, error.reason, None, database))
        while True:
            try:
                code = walker.walk(self.sink, None, BATCH_RECORDS, BATCH_BYTES)
                if code == -1:
                    self.reader.sum_to(walker.position)
                    self.on_progress(walker.position)
                    continue
                at = walker.start  # with attributes that no key follows
                event = self.take_end() if code == OPCODE_EOF else self.reader.read_opcode(walker, code)
            except DuplicateKeyError as error:
                self.keep(start, walker.start, database)
                self.lose(walker.start, walker.position, error, walker.reading_key)
                start, database = walker.position, walker.database
                continue
            except RdbValueError as error:
                resumed = self.go_on_behind(start, database, error)
                if resumed < 0:
                    return
                start, database = resumed, walker.database
                continue
            if isinstance(event, ResizeDb):
                self.expected_keys += min(event.keys, len(self.reader.data))  # a hint, which may be damaged, too
            elif isinstance(event, Function):
                if not self.takes(event, at):
                    self.keep(start, at, database)
                    start, database = walker.position, walker.database
            elif isinstance(event, SelectDb) and max(event.index, database) >= DATABASES_MAX:
                self.keep(start, event.offset, database)
                start, database = event.offset, event.index
            elif isinstance(event, End):
                self.keep(start, at, database)
                self.end = event.offset
                return

    def keep(self, start: int, end: int, database: int) -> None:
        """A range that can be read; it goes nowhere where its database is none."""
        if database < DATABASES_MAX:
            self.segments.append(Segment(start, end, database))
        else:
            reason = f"database {database}, which no server has"
            self.losses.append(Loss(start, end, start, reason, None, database))

    def takes(self, event: Function, at: int) -> bool:
        """Whether a function library is kept; what is wrong with it is noted."""
        try:
            self.take_library(event.code)
        except CommandError as error:
            self.lose(at, self.reader.walker.position, RdbValueError(at, str(error)))
            return False
        if not event.released:
            reason = "a function library in a form that servers refuse; it is written in the one that they take"
            self.lose(at, at, RdbValueError(at, reason))
        return True

    def lose(self, start: int, end: int, error: RdbValueError, key: bytes | None = None) -> None:
        self.losses.append(Loss(start, end, error.offset, error.reason, key, self.reader.database))

    def take_end(self) -> Event:
        """The trailer. A checksum that does not match is noted and is no reason to stop.

        Raises RdbValueError where the end stands in the middle: a damaged byte that looks like it, when records follow.
        """
        walker = self.reader.walker
        try:
            at = walker.position
            event = self.reader.read_opcode(walker, OPCODE_EOF)
        except RdbValueError as error:
            if not error.reason.startswith("checksum"):
                raise
            end = walker.position
            if end < len(self.reader.data):
                if self.find(at) >= 0:
                    raise RdbValueError(at - 1, "end of the RDB, and records behind it") from None
                walker.position = end
            self.checksum_matches = False
            self.lose(error.offset, error.offset, error)
            return End(self.reader.walker.position, None)
        assert isinstance(event, End)
        self.checksum_matches = True if event.checksum_stored else None
        return event

    def go_on_behind(self, begun: int, database: int, error: RdbValueError) -> int:
        """Note a segment and a loss; returns where records follow, and stands there; -1: none do."""
        walker = self.reader.walker
        failed, before, key = walker.start, max(walker.previous_start, begun), walker.reading_key
        where = walker.database
        suspect = None
        found = self.find(before + 1)
        end = found if found >= 0 else len(self.reader.data)
        if before < failed and 0 <= found < failed:
            key, failed = self.key_at(before, found), before  # it had swallowed what follows
        elif before < failed:
            suspect = self.key_at(before, found)
        if failed > begun:
            self.keep(begun, failed, database)
        self.losses.append(Loss(failed, end, error.offset, error.reason, key, where, suspect))
        return found

    def find(self, offset: int) -> int:
        """The next place from `offset` on where records follow, and stand there; -1: none do."""
        walker, reader = self.reader.walker, self.reader
        highest = highest_type(reader.version, reader.valkey)
        expected = max(self.expected_keys, walker.keys)

        def read_opcode(opcode: int) -> None:
            event = reader.read_opcode(walker, opcode)
            if isinstance(event, Aux) and not event.name.isascii():
                raise RdbValueError(event.offset, "no name of a field")

        return resynchronise(walker, offset, highest, CHAIN, expected, read_opcode)

    def key_at(self, offset: int, resume: int) -> bytes | None:
        """The key of the record there; the walker stands at `resume` afterwards."""
        walker = self.reader.walker
        database, keys = walker.database, None
        try:
            walker.position = offset
            if walker.next_record() <= RDB_TYPE_LAST:
                keys = walker.key
        except RdbValueError:
            pass
        walker.position = resume if resume >= 0 else len(self.reader.data)
        walker.database = database
        return keys

    def records(self) -> Iterator[Event | KeyRecord]:
        """Every item that can be read, without the trailer; `reader.visit` works for the record in hand."""
        walker = self.reader.walker
        self.keys = 0
        for segment in self.segments:
            walker.position, walker.database = segment.start, segment.database
            released = segment.start
            while walker.position < segment.end:
                code = walker.next_record()
                if code > RDB_TYPE_LAST:
                    yield self.reader.read_opcode(walker, code)
                    continue
                self.keys += 1
                yield KeyRecord(walker.database, walker.key, code, walker.expires_at, walker.start, walker.value_start)
                walker.finish_record()
                if walker.position - released > BATCH_BYTES:
                    self.reader.release(released, walker.position)
                    released = walker.position
                    self.on_progress(walker.position)
