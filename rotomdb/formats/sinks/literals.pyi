from rotomdb.formats.sinks.values import JsonSink, Write

class ValueText(JsonSink):
    limit: int
    module_name: str | None
    def __init__(self) -> None: ...
    def take(self) -> bytes: ...

class PythonSink(JsonSink):
    def __init__(self, write: Write) -> None: ...
