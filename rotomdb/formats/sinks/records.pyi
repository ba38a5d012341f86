from rotomdb.formats.sinks.text import TextSink, Write

class RdbSink(TextSink):
    keys: int
    recoded: int
    lost: dict[str, tuple[int, list[bytes]]]
    def __init__(
        self,
        write: Write,
        version: int,
        valkey: bool = False,
        plain: bool = False,
        compress: bool = True,
        modules: bool = True,
    ) -> None: ...
    def begin_database(self, database: int) -> None: ...
