from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.formats.sinks.sink import ValueSink

@dataclass(frozen=True)
class MemoryModel:
    dict_bytes: int
    entry_bytes: int
    set_entry_bytes: int
    packed_lists: bool
    packed_sets: bool
    hash_entries: int = 512
    hash_value: int = 64
    zset_entries: int = 128
    zset_value: int = 64
    set_entries: int = 128
    set_value: int = 64
    intset_entries: int = 512

MODELS: dict[str, MemoryModel]

class MemorySink(ValueSink):
    total: int
    keys: int
    def __init__(
        self,
        model: MemoryModel,
        quantum: int = 16,
        live: bool = True,
        now_ms: int = 0,
        top: int = 0,
        separator: bytes = b":",
        depth: int = 0,
        patterns: bool = False,
        prefixes_max: int = 100000,
        on_key: Callable[[int, bytes, int, int, int, int | None], object] | None = None,
    ) -> None: ...
    def by_type(self) -> dict[str, list[int]]: ...
    def by_database(self) -> dict[int, list[int]]: ...
    def by_prefix(self) -> dict[bytes | None, list[int]]: ...
    def by_ttl(self) -> dict[str, list[int]]: ...
    def largest_keys(self) -> list[tuple[int, int, bytes, str, int]]: ...
