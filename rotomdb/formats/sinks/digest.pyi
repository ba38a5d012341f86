from rotomdb.formats.sinks.sink import ValueSink

class DigestSink(ValueSink):
    digest: int
    elements: int
