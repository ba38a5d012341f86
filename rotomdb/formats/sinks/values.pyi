from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rotomdb.formats.rdb.walker import Id, StreamTail, ValueSink

Write = Callable[[bytes], object]

@dataclass
class StreamValue:
    entries: list[tuple[Id, list[tuple[bytes, bytes]]]]
    tail: StreamTail

class CheckSink(ValueSink):
    empty: int
    def __init__(self, unique_keys: bool = False, with_expired: bool = True) -> None: ...

class TextSink(ValueSink):
    rdb_version: int
    def __init__(self, write: Write) -> None: ...
    def flush(self) -> None: ...
    def put(self, data: bytes) -> None: ...

class JsonSink(TextSink):
    unsupported: int
    written: bool
    def __init__(self, write: Write, key_form: int = 0, value_form: int = 0, separator: bytes = b"\n") -> None: ...

    def function(self, code: bytes) -> None: ...

class CsvSink(JsonSink):
    def header(self) -> None: ...

class ObjectSink(ValueSink):
    value: Any
    field_times: dict[bytes, int]
    module_name: str | None

class DigestSink(ValueSink):
    digest: int
    elements: int

def id_text(entry_id: Id) -> str: ...
