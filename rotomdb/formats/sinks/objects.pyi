from dataclasses import dataclass
from typing import Any

from rotomdb.formats.rdb.stream_tail import Id, StreamTail
from rotomdb.formats.sinks.sink import ValueSink

@dataclass
class StreamValue:
    entries: list[tuple[Id, list[tuple[bytes, bytes]]]]
    tail: StreamTail

class ObjectSink(ValueSink):
    value: Any
    field_times: dict[bytes, int]
    module_name: str | None
