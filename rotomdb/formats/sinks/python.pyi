from rotomdb.formats.sinks.json import JsonSink
from rotomdb.formats.sinks.text import Write

class PythonSink(JsonSink):
    def __init__(self, write: Write) -> None: ...
