from collections.abc import Callable, Collection
from dataclasses import dataclass

from rotomdb.formats.rdb.records import RdbRecords

Id = tuple[int, int]

@dataclass
class StreamConsumer:
    name: bytes
    seen_ms: int
    active_ms: int
    pending: list[Id]

@dataclass
class StreamGroup:
    name: bytes
    last_id: Id
    entries_read: int | None
    pending: dict[Id, tuple[int, int]]
    consumers: list[StreamConsumer]
    owners: dict[Id, bytes]

@dataclass
class StreamTail:
    length: int
    last_id: Id
    first_id: Id
    max_deleted_id: Id
    entries_added: int
    groups: list[StreamGroup]

class ValueSink: ...

class Selection:
    databases: Collection[int] | None
    kinds: Collection[str] | None
    glob: bytes | None
    matches: Callable[[bytes], bool] | None
    expires_from: int
    expires_to: int
    size_from: int
    size_to: int
    sample: int
    exclude: bool
    functions: bool

class RdbWalker(RdbRecords):
    database: int
    dragonfly: bool
    keys: int
    expires: int
    expired: int
    now_ms: int
    selected: int
    start: int
    value_start: int
    previous_start: int
    key: bytes
    expires_at: int | None
    def next_record(self, selection: Selection | None = None) -> int: ...
    def revisit(self, sink: ValueSink) -> None: ...
    def resynchronise(
        self, offset: int, highest_type: int, chain: int, keys_expected: int, read_opcode: Callable[[int], object]
    ) -> int: ...
    def finish_record(self) -> None: ...
    def walk(self, sink: ValueSink | None, selection: Selection | None, limit: int, byte_limit: int) -> int: ...
