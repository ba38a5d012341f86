SCAN_END: int
SCAN_STOPPED: int
SCAN_FORMAT_ERROR: int
SCAN_TIMESTAMP: int
SCAN_BAD_TIMESTAMP: int
SCAN_PAUSED: int

class AofScanner:
    position: int
    good: int
    line: int
    error: str
    error_offset: int
    transaction: int
    at_end: bool
    def __init__(self, data: bytes | memoryview, path: str, position: int = 0, line: int = 1) -> None: ...
    def close(self) -> None: ...
    def run(self, to_timestamp: int = 0, pause_after: int = 0) -> int: ...
