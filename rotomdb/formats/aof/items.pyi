from collections.abc import Callable
from typing import Literal

class ZerosError(ValueError): ...
class TransactionError(ValueError): ...

class LogItems:
    offset: int
    at: int
    unit: int
    sound: int
    behind: int
    transactions: int
    in_transaction: bool
    count: int
    name: bytes
    second: bytes
    def __init__(
        self,
        data: bytes | memoryview,
        offset: int = 0,
        end: int = -1,
        on_progress: Callable[[int], object] | None = None,
        judge: Callable[[LogItems], object] | None = None,
    ) -> None: ...
    def close(self) -> None: ...
    def seek(self, offset: int) -> None: ...
    def skip(self) -> bytes | Literal[True] | None: ...
    def take(self) -> list[bytes] | bytes | None: ...
