from dataclasses import dataclass

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

def entries_read_of(tail: StreamTail, last_id: Id) -> int | None: ...
