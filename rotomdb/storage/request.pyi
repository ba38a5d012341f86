from collections.abc import Callable

class RequestParser:
    max_bulk_bytes: int
    authenticated: bool
    error: bytes
    def __init__(
        self, max_bulk_bytes: int = ..., authenticated: bool = True, from_log: bool = False
    ) -> None: ...

class ZerosError(ValueError): ...

class LogReader:
    offset: int
    def __init__(
        self,
        data: bytes | memoryview,
        offset: int = 0,
        end: int = -1,
        on_progress: Callable[[int], object] | None = None,
    ) -> None: ...
    def close(self) -> None: ...
    def seek(self, offset: int) -> None: ...
    def skip_item(self) -> tuple[bytes, ...] | bytes | None: ...
    def next_item(self) -> list[bytes] | bytes | None: ...

def split_arguments(line: bytes) -> list[bytes] | None: ...
