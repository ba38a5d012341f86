"""The scripts that a server knows: compiled once, found by SHA1, and forgotten again when there are too many."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.scripting import BUSY_FUNCTION, BUSY_SCRIPT, NO_SCRIPT
from rotomdb.errors import CommandError
from rotomdb.scripting.interpreter import Interpreter
from rotomdb.scripting.libraries import Libraries
from rotomdb.scripting.script_run import ScriptRun
from rotomdb.scripting.shebang import Shebang, read_shebang

CHUNK_NAME = b"@user_script"
KEPT_EVAL_SCRIPTS = 500
MEMORY_SHARE = 4  # one part in so many of the machine's memory is what Lua may take
SCRIPT_BYTES = 200  # of a script beside its text
NO_SCRIPTS_RUNNING = "NOTBUSY No scripts in execution right now."
HAS_WRITTEN = (
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
KILLED_BY_USER = b"ERR Script killed by user with SCRIPT KILL..."


@dataclass(slots=True)
class Script:
    """Attributes:
    reference: Of the compiled function in the interpreter.
    passing: It came by EVAL and may be forgotten; SCRIPT LOAD keeps it.
    """

    digest: str
    code: bytes
    shebang: Shebang
    reference: int
    passing: bool


def default_limit() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEMORY_SHARE


class Scripting:
    """Args:
    log: Called with (level, text).
    functions: Whether libraries are run; else the data set carries their sources, as one without scripts does.
    """

    def __init__(self, dispatcher: Dispatcher, log: Callable[[str, str], object], *, functions: bool = True) -> None:
        self.dispatcher = dispatcher
        dispatcher.scripting = self
        self.log = log
        self.memory_limit = default_limit()
        self.run = ScriptRun(dispatcher, log)
        self.libraries = Libraries(dispatcher, self.run, self.memory_limit)
        if functions:
            dispatcher.engine.function_libraries = self.libraries
        self.interpreter: Interpreter | None = None  # made when the first script comes
        self.scripts: dict[bytes, Script] = {}  # by digest
        self.by_code: dict[bytes, Script] = {}
        self.passing: OrderedDict[bytes, None] = OrderedDict()  # codes of EVAL, the one not used for longest first
        self.evicted = 0

    def limit_memory(self, limit: int) -> None:
        """Bytes that Lua may take; 0: what suits the machine."""
        self.memory_limit = limit or default_limit()
        if self.interpreter is not None:
            self.interpreter.memory_limit = self.memory_limit
        self.libraries.limit_memory(self.memory_limit)

    # Knowing

    def machine(self) -> Interpreter:
        if self.interpreter is None:
            self.interpreter = Interpreter(self.run, self.memory_limit)
        return self.interpreter

    def compile(self, code: bytes, *, passing: bool) -> Script:
        """A script that is not known yet. Raises CommandError."""
        shebang = read_shebang(code)
        try:
            reference = self.machine().compile(shebang.code, CHUNK_NAME)
        except CommandError as error:
            raise CommandError(f"ERR Error compiling script (new function): {error}") from None
        digest = hashlib.sha1(code).hexdigest()
        script = Script(digest, code, shebang, reference, passing)
        self.scripts[digest.encode()] = self.by_code[code] = script
        if passing:
            self.passing[code] = None
            if len(self.passing) > KEPT_EVAL_SCRIPTS:
                self.forget(self.by_code[next(iter(self.passing))])
                self.evicted += 1
        return script

    def forget(self, script: Script) -> None:
        del self.scripts[script.digest.encode()], self.by_code[script.code]
        self.passing.pop(script.code, None)
        self.machine().forget(script.reference)

    def load(self, code: bytes) -> bytes:
        """SCRIPT LOAD: the digest."""
        script = self.by_code.get(code) or self.compile(code, passing=False)
        if script.passing:
            script.passing = False
            del self.passing[code]
        return script.digest.encode()

    def find(self, digest: bytes) -> Script | None:
        return self.scripts.get(digest) or self.scripts.get(digest.lower())

    def source(self, digest: bytes) -> bytes | None:
        script = self.find(digest)
        return None if script is None else script.code

    def flush(self) -> None:
        """Forget everything, with the Lua state that holds it."""
        self.scripts.clear()
        self.by_code.clear()
        self.passing.clear()
        self.interpreter = None

    # Running

    def evaluate(self, ctx: Context, code: bytes, keys: int, words: tuple[bytes, ...], *, read_only: bool) -> object:
        """EVAL."""
        script = self.by_code.get(code) or self.compile(code, passing=True)
        return self.execute(ctx, script, keys, words, read_only)

    def evaluate_known(
        self, ctx: Context, digest: bytes, keys: int, words: tuple[bytes, ...], *, read_only: bool
    ) -> object:
        """EVALSHA."""
        script = self.find(digest)
        if script is None:
            raise CommandError(NO_SCRIPT)
        return self.execute(ctx, script, keys, words, read_only)

    def execute(self, ctx: Context, script: Script, keys: int, words: tuple[bytes, ...], read_only: bool) -> object:
        shebang = script.shebang
        if shebang.flags is not None:
            self.run.permit(shebang.flags, ctx, read_only)
            read_only = read_only or shebang.has(b"no-writes")
        if script.passing:
            self.passing.move_to_end(script.code)
        if self.dispatcher.on_script is not None:
            self.dispatcher.on_script(ctx, ctx.request())
        return self.machine().evaluate(
            script.reference, script.digest, ctx, words, keys, 0, read_only, shebang.has(b"allow-oom")
        )

    def never_writes(self, command: str, text: bytes) -> bool:
        """Whether the flags of a script say that it writes nothing.

        Args:
            text: The word that the command runs: code, the digest of a script, or the name of a function.
        """
        if command == "evalsha":
            script = self.find(text)
            return script is not None and script.shebang.has(b"no-writes")
        if command == "fcall":
            function = self.libraries.held.functions.get(text.lower())
            return function is not None and b"no-writes" in function.flags
        try:
            return command == "eval" and read_shebang(text).has(b"no-writes")
        except CommandError:
            return False

    def kill(self, *, function: bool) -> None:
        """SCRIPT KILL and FUNCTION KILL."""
        if not self.run.running:
            raise CommandError(NO_SCRIPTS_RUNNING)
        if self.run.wrote:
            raise CommandError(HAS_WRITTEN)
        if function != self.run.function:
            raise CommandError(self.busy_refusal)
        self.log("notice", "Lua script killed by user with SCRIPT KILL.")
        self.run.kill(KILLED_BY_USER)

    @property
    def busy_refusal(self) -> str:
        """What others are told while the running script is busy."""
        return BUSY_FUNCTION if self.run.function else BUSY_SCRIPT

    def running_function(self) -> tuple[str, list[bytes], int] | None:
        """Name, command and milliseconds so far. Raises CommandError while a script of EVAL runs."""
        run = self.run
        if not run.running:
            return None
        if not run.function:
            raise CommandError(BUSY_SCRIPT)
        assert run.context.caller is not None
        return run.name, run.context.caller.request(), run.elapsed_ms

    # What INFO tells

    @property
    def used_memory(self) -> int:
        """Bytes that Lua holds."""
        return 0 if self.interpreter is None else self.interpreter.used_memory

    @property
    def scripts_memory(self) -> int:
        return sum(len(code) + SCRIPT_BYTES for code in self.by_code)
