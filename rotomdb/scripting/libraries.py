"""The libraries of functions that a server runs: loaded from their sources, called by the names that they register.

All or nothing: what cannot be loaded leaves the libraries as they were, be it one of FUNCTION LOAD or the third of a payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.engine.libraries import CarriedLibraries
from rotomdb.errors import CommandError
from rotomdb.formats.rdb.library_format import BAD_NAME, NAME, read_header, sources_in
from rotomdb.scripting.interpreter import Interpreter
from rotomdb.scripting.script_run import ScriptRun
from rotomdb.scripting.shebang import FLAGS

CHUNK_NAME = b"@user_function"
LOAD_TIMEOUT_MS = 500
LIBRARY_BYTES = 120  # of a library beside its source
FUNCTION_BYTES = 120  # of a function beside its name
ALREADY_THERE = "already exists"


@dataclass(slots=True)
class Function:
    """Attributes:
    reference: Of the Lua function in the interpreter.
    """

    name: bytes
    description: bytes | None
    flags: frozenset[bytes]
    reference: int

    def listed_flags(self) -> list[bytes]:
        return [flag for flag in FLAGS if flag in self.flags]


@dataclass(slots=True)
class Library:
    name: bytes
    source: bytes
    functions: dict[bytes, Function] = field(default_factory=dict)  # by name, case and all

    def register(self, name: bytes, description: bytes | None, flags: list[bytes], reference: int) -> None:
        """redis.register_function. Raises CommandError."""
        known = frozenset(flag.lower() for flag in flags)
        if not known <= set(FLAGS):
            raise CommandError("ERR unknown flag given")
        if not NAME.fullmatch(name):
            raise CommandError(BAD_NAME)
        if name in self.functions:
            raise CommandError("ERR Function already exists in the library")
        self.functions[name] = Function(name, description, known, reference)

    @property
    def memory(self) -> int:
        names = sum(FUNCTION_BYTES + len(function.name) for function in self.functions.values())
        return LIBRARY_BYTES + len(self.name) + len(self.source) + names


@dataclass
class Held:
    """What there is at one time: the libraries, their functions, and the interpreter that both live in."""

    libraries: dict[bytes, Library] = field(default_factory=dict)
    functions: dict[bytes, Function] = field(default_factory=dict)  # by name in lower case
    interpreter: Interpreter | None = None

    def put(self, library: Library) -> None:
        self.libraries[library.name] = library
        for name, function in library.functions.items():
            self.functions.setdefault(name.lower(), function)

    def remove(self, library: Library) -> None:
        del self.libraries[library.name]
        for name, function in library.functions.items():
            if self.functions.get(name.lower()) is function:
                del self.functions[name.lower()]

    def without(self, library: Library) -> Held:
        others = Held(dict(self.libraries), dict(self.functions), self.interpreter)
        others.remove(library)
        return others

    def check_names(self, library: Library) -> None:
        """Raises CommandError where another library has a function of the same name."""
        for name in library.functions:
            if name.lower() in self.functions:
                raise CommandError(f"ERR Function {name.decode()} {ALREADY_THERE}")

    def joined(self, coming: Held, *, replace: bool) -> Held:
        """These libraries and those. Raises CommandError where names clash."""
        both = Held(dict(self.libraries), dict(self.functions), coming.interpreter)
        for name in coming.libraries:
            old = both.libraries.get(name)
            if old is not None:
                if not replace:
                    raise CommandError(f"ERR Library {name.decode()} {ALREADY_THERE}")
                both.remove(old)
        for library in coming.libraries.values():
            both.check_names(library)
        for library in coming.libraries.values():
            both.put(library)
        return both


class Libraries(CarriedLibraries):
    """Args:
    run: Through which functions reach the server.
    memory_limit: Bytes that Lua may take.
    """

    runs = True

    def __init__(self, dispatcher: Dispatcher, run: ScriptRun, memory_limit: int) -> None:
        self.dispatcher = dispatcher
        self.run = run
        self.memory_limit = memory_limit
        self.replaces = False
        self.held = Held()

    def limit_memory(self, limit: int) -> None:
        self.memory_limit = limit
        if self.held.interpreter is not None:
            self.held.interpreter.memory_limit = limit

    # As a part of the data set

    def __iter__(self) -> Iterator[bytes]:
        return (library.source for library in self.held.libraries.values())

    def __len__(self) -> int:
        return len(self.held.libraries)

    def add(self, source: bytes, *, limited: bool = False) -> None:
        try:
            self.load(source, replace=self.replaces, timeout_ms=LOAD_TIMEOUT_MS if limited else 0)
        except CommandError as error:
            raise CommandError(f"Failed loading library: {str(error).removeprefix('ERR ')}") from None

    def clear(self) -> None:
        self.put_aside()

    def put_aside(self) -> object:
        aside, self.held = self.held, Held()
        return aside

    def put_back(self, aside: object) -> None:
        assert isinstance(aside, Held)
        self.held = aside

    # Changing

    def machine(self) -> Interpreter:
        if self.held.interpreter is None:
            self.held.interpreter = Interpreter(self.run, self.memory_limit, functions=True)
        return self.held.interpreter

    def load(self, source: bytes, *, replace: bool = False, timeout_ms: int = LOAD_TIMEOUT_MS) -> bytes:
        """FUNCTION LOAD: the library's name. Raises CommandError; nothing is changed then."""
        header = read_header(source)
        if header.engine.lower() != b"lua":
            raise CommandError(f"ERR Engine '{header.engine.decode('latin-1')}' not found")
        old = self.held.libraries.get(header.name)
        if old is not None and not replace:
            raise CommandError(f"ERR Library '{header.name.decode()}' {ALREADY_THERE}")
        library = Library(header.name, source)
        others = self.held if old is None else self.held.without(old)
        try:
            self.run_chunk(library, header.code, timeout_ms)
            others.check_names(library)
        except CommandError:
            self.forget(library)
            raise
        others.put(library)
        self.held = others
        if old is not None:
            self.forget(old)
        return library.name

    def run_chunk(self, library: Library, code: bytes, timeout_ms: int) -> None:
        """Let the library register its functions. Raises CommandError."""
        machine = self.machine()
        try:
            chunk = machine.compile(code, CHUNK_NAME)
        except CommandError as error:
            raise CommandError(f"ERR Error compiling function: {error}") from None
        try:
            machine.load_library(chunk, library.register, timeout_ms)
        except CommandError as error:
            raise CommandError(f"ERR Error registering functions: {error}") from None
        finally:
            machine.forget(chunk)
        if not library.functions:
            raise CommandError("ERR No functions registered")

    def forget(self, library: Library) -> None:
        """Let Lua free its functions."""
        for function in library.functions.values():
            self.machine().forget(function.reference)

    def delete(self, name: bytes) -> None:
        """FUNCTION DELETE. Raises CommandError."""
        library = self.held.libraries.get(name)
        if library is None:
            raise CommandError("ERR Library not found")
        self.held.remove(library)
        self.forget(library)

    def restore(self, payload: bytes, policy: bytes) -> None:
        """FUNCTION RESTORE. Raises CommandError; the libraries are what they were then."""
        sources = sources_in(payload)
        before = self.held
        flush = policy == b"FLUSH"
        coming = Held() if flush else Held(interpreter=before.interpreter)
        self.held = coming
        try:
            for source in sources:
                self.load(source)
            both = coming if flush else before.joined(coming, replace=policy == b"REPLACE")
        except CommandError:
            for library in coming.libraries.values():
                self.forget(library)
            self.held = before
            raise
        self.held = both
        if not flush:
            for name in before.libraries.keys() & coming.libraries.keys():
                self.forget(before.libraries[name])

    # Running

    def call(self, ctx: Context, function: Function, keys: int, words: tuple[bytes, ...], *, read_only: bool) -> object:
        """FCALL."""
        self.run.permit(function.flags, ctx, read_only)
        if self.dispatcher.on_script is not None:
            self.dispatcher.on_script(ctx, ctx.request())
        return self.machine().call_function(
            function.reference, function.name.decode(), ctx, words, keys, read_only or b"no-writes" in function.flags,
            b"allow-oom" in function.flags,
        )  # fmt: skip

    # What INFO tells

    @property
    def used_memory(self) -> int:
        """Bytes that Lua holds."""
        return 0 if self.held.interpreter is None else self.held.interpreter.used_memory

    @property
    def libraries_memory(self) -> int:
        return sum(library.memory for library in self.held.libraries.values())
