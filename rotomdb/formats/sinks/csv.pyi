from rotomdb.formats.sinks.json import JsonSink

class CsvSink(JsonSink):
    def header(self) -> None: ...
