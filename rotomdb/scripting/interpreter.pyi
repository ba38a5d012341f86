from collections.abc import Callable

from rotomdb.commands.dispatch import Context
from rotomdb.scripting.script_run import ScriptRun

class Interpreter:
    run: ScriptRun
    used_memory: int
    memory_limit: int
    def __init__(self, run: ScriptRun, limit: int, functions: bool = False) -> None: ...
    def compile(self, code: bytes, name: bytes) -> int: ...
    def forget(self, reference: int) -> None: ...
    def load_library(
        self, reference: int, register: Callable[[bytes, bytes | None, list[bytes], int], None], timeout_ms: int
    ) -> None: ...
    def call_function(
        self, reference: int, name: str, caller: Context, words: tuple[bytes, ...], keys: int, read_only: bool, allow_oom: bool
    ) -> object: ...
    def evaluate(
        self, reference: int, name: str, caller: Context, words: tuple[bytes, ...], keys: int, first: int, read_only: bool, allow_oom: bool
    ) -> object: ...
