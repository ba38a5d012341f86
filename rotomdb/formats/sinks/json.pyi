from rotomdb.formats.sinks.text import TextSink, Write

FORM_NAMES: tuple[str, ...]

class JsonSink(TextSink):
    unsupported: int
    written: bool
    def __init__(self, write: Write, key_form: int = 0, value_form: int = 0, separator: bytes = b"\n") -> None: ...
    def function(self, code: bytes) -> None: ...
