from collections.abc import Callable, Collection

class Selection:
    databases: Collection[int] | None
    kinds: Collection[str] | None
    glob: bytes | None
    matches: Callable[[bytes], bool] | None
    expires_from: int
    expires_to: int
    size_from: int
    size_to: int
    sample: int
    exclude: bool
    functions: bool
