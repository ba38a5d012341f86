"""Reading around the damage of an RDB: behind what cannot be read, look for where records follow again.

Values have no length in front, so a damaged one hides where the next begins. A place counts as a beginning when several
records in a row can be read from it (or all up to the end of the file), with types that the file's version has and keys that look
like those before. What is found so is sound in structure; whether its bytes are the right ones only the checksum could tell,
which covers the whole file and no longer matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rotomdb.engine.rdb_sink import highest_type
from rotomdb.engine.rdb_sinks import CheckSink
from rotomdb.errors import RdbValueError
from rotomdb.storage.rdb_reader import HIGHEST_TYPE, End, Event, KeyRecord, Opcode, RdbReader, ResizeDb

CHAIN = 5  # records in a row that make a beginning credible


@dataclass(frozen=True)
class Loss:
    """Bytes that could not be read.

    Attributes:
        start, end: The range that is left out.
        offset: Where it failed.
        key: Whose value it is, as far as that is known; others may be lost with it.
    """

    start: int
    end: int
    offset: int
    reason: str
    key: bytes | None
    database: int


class Salvage:
    """One pass over a file that may be damaged anywhere.

    Attributes:
        losses: What could not be read, in the order of the file.
        expected_keys: As the size hints of the databases say; 0: there are none.
        checksum_matches: None: the file has none, or its end is lost.
    """

    def __init__(self, reader: RdbReader, on_progress: Callable[[int], None] = lambda offset: None) -> None:
        self.reader = reader
        self.on_progress = on_progress
        self.losses: list[Loss] = []
        self.keys = 0
        self.expected_keys = 0
        self.checksum_matches: bool | None = None
        self.sink = CheckSink()

    def records(self) -> Iterator[Event | KeyRecord]:
        """Every item that can be read; `reader.visit` works for the record in hand."""
        walker = self.reader.walker
        while True:
            start = walker.position
            try:
                code = walker.next_record()
                if code <= HIGHEST_TYPE:
                    walker.revisit(self.sink)
                    self.keys += 1
                    record = KeyRecord(
                        walker.database, walker.key, code, walker.expires_at, walker.start, walker.value_start
                    )
                    end = walker.position
                    yield record
                    walker.position = end
                    if self.keys % 10_000 == 0:
                        self.on_progress(end)
                    continue
                event: Event = self.end() if code == Opcode.EOF else self.reader.read_opcode(walker, code)
            except RdbValueError as error:
                if not self.go_on_behind(start, error):
                    return
                continue
            if isinstance(event, ResizeDb):
                self.expected_keys += event.keys
            yield event
            if isinstance(event, End):
                return

    def end(self) -> Event:
        """The trailer. A checksum that does not match is noted and is no reason to stop."""
        try:
            event = self.reader.read_opcode(self.reader.walker, Opcode.EOF)
        except RdbValueError as error:
            if not error.reason.startswith("checksum"):
                raise
            self.checksum_matches = False
            self.losses.append(Loss(error.offset, error.offset, error.offset, error.reason, None, self.reader.database))
            return End(self.reader.walker.position, None)
        assert isinstance(event, End)
        self.checksum_matches = True if event.checksum_stored else None
        return event

    def go_on_behind(self, start: int, error: RdbValueError) -> bool:
        """Note a loss and stand where records follow; False: none do."""
        walker, reader = self.reader.walker, self.reader
        key = walker.reading_key
        database = walker.database
        found = walker.resynchronise(
            start + 1,
            highest_type(reader.version, reader.valkey),
            CHAIN,
            lambda opcode: reader.read_opcode(walker, opcode),
        )
        end = found if found >= 0 else len(reader.data)
        self.losses.append(Loss(start, end, error.offset, error.reason, key, database))
        return found >= 0
