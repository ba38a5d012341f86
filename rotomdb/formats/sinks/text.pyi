from collections.abc import Callable

from rotomdb.formats.rdb.stream_tail import Id
from rotomdb.formats.sinks.sink import ValueSink

Write = Callable[[bytes], object]

class TextSink(ValueSink):
    rdb_version: int
    def __init__(self, write: Write) -> None: ...
    def flush(self) -> None: ...
    def put(self, data: bytes) -> None: ...

def id_text(entry_id: Id) -> str: ...
