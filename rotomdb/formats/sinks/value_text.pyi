from rotomdb.formats.sinks.json import JsonSink

class ValueText(JsonSink):
    limit: int
    module_name: str | None
    def __init__(self) -> None: ...
    def take(self) -> bytes: ...
