class RequestParser:
    max_bulk_bytes: int
    authenticated: bool
    error: bytes
    def __init__(
        self, max_bulk_bytes: int = ..., authenticated: bool = True, from_log: bool = False
    ) -> None: ...

def split_arguments(line: bytes) -> list[bytes] | None: ...
