from rotomdb.formats.sinks.sink import ValueSink

class CheckSink(ValueSink):
    empty: int
    def __init__(self, unique_keys: bool = False, expire_before_ms: int = -1) -> None: ...
