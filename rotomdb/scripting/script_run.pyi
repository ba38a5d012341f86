from collections.abc import Callable

from rotomdb.commands.dispatch import Context, Dispatcher

class ScriptContext(Context):
    caller: Context | None
    address: str

class ScriptRun:
    dispatcher: Dispatcher
    context: ScriptContext
    running: bool
    read_only: bool
    wrote: bool
    replication: int
    name: str
    function: bool
    number: int
    busy_after_ms: int
    give_turn: Callable[[ScriptRun], None] | None
    killed_by: bytes | None
    elapsed_ms: int
    def __init__(self, dispatcher: Dispatcher, log: Callable[[str, str], object]) -> None: ...
    def kill(self, reason: bytes) -> None: ...
    def memory_is_short(self) -> bool: ...
    def permit(self, flags: frozenset[bytes], caller: Context, read_only: bool) -> None: ...
    def replicate_to(self, flags: int) -> None: ...
    def permits(self, words: list[bytes]) -> bool | None: ...
