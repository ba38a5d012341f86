from rotomdb.formats.rdb.records import RdbRecords
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.sinks.sink import ValueSink

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
    def finish_record(self) -> None: ...
    def walk(self, sink: ValueSink | None, selection: Selection | None, limit: int, byte_limit: int) -> int: ...
