"""The `command` decorator: a function whose signature is its specification.

Arity, key positions, argument parsing, COMMAND INFO and COMMAND DOCS all come from the one declaration:

    @command("GETRANGE", since="2.4.0", flags=READONLY)
    def getrange(ctx: Context, key: Key, start: Int, end: Int) -> bytes:
        \"\"\"Return the substring of the string stored at `key`, both ends inclusive.\"\"\"
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any


class Kind(enum.Enum):
    """How an argument's bytes become a Python value, and the letter that the dispatcher knows it by."""

    BYTES = "B"
    KEY = "K"
    INT = "I"
    FLOAT = "F"


Key = Annotated[bytes, Kind.KEY]
Bytes = Annotated[bytes, Kind.BYTES]
Int = Annotated[int, Kind.INT]
Float = Annotated[float, Kind.FLOAT]


class Flag(enum.IntFlag):
    """Command flags, named as COMMAND INFO prints them."""

    WRITE = 1
    READONLY = 2
    DENYOOM = 4
    ADMIN = 8
    NOSCRIPT = 16
    LOADING = 32
    STALE = 64
    FAST = 128
    NO_AUTH = 256
    NO_MULTI = 512
    MOVABLEKEYS = 1024
    TOUCHES_ARBITRARY_KEYS = 2048
    SKIP_SLOWLOG = 4096
    BLOCKING = 8192
    PUBSUB = 16384
    SKIP_MONITOR = 32768
    NO_ASYNC_LOADING = 65536


NO_FLAGS = Flag(0)
WRITE, READONLY, DENYOOM, ADMIN = Flag.WRITE, Flag.READONLY, Flag.DENYOOM, Flag.ADMIN
NOSCRIPT, LOADING, STALE, FAST = Flag.NOSCRIPT, Flag.LOADING, Flag.STALE, Flag.FAST
NO_AUTH, NO_MULTI, MOVABLEKEYS = Flag.NO_AUTH, Flag.NO_MULTI, Flag.MOVABLEKEYS
TOUCHES_ARBITRARY_KEYS, SKIP_SLOWLOG, BLOCKING = Flag.TOUCHES_ARBITRARY_KEYS, Flag.SKIP_SLOWLOG, Flag.BLOCKING
PUBSUB = Flag.PUBSUB


@dataclass(frozen=True)
class KeyRange:
    """Key positions in the request, the command name being 0: from `first` to `last` (negative: from the end)."""

    first: int
    last: int
    step: int = 1


@dataclass(frozen=True)
class CountedKeys:
    """Keys whose number stands in the argument at `count`, followed by that many keys."""

    count: int
    store: int = 0  # position of a destination key; 0: none
    step: int = 1  # arguments from one key to the next


@dataclass(frozen=True)
class KeysAfter:
    """Keys behind a word of their own, followed by as many other arguments (XREAD's IDs)."""

    keyword: bytes


KeyPositions = KeyRange | CountedKeys | KeysAfter


@dataclass(frozen=True)
class CommandSpec:
    """Everything that is known of a command before any server runs it."""

    name: str  # lower case; "client|id" for a subcommand
    function: Callable[..., Any] | None  # None: a container without a default action
    arity: int
    flags: Flag
    since: str
    group: str
    complexity: str
    summary: str
    keys: KeyPositions | None
    converters: str  # a Kind letter per positional parameter
    rest: str  # the letter of the variable part, or ""
    max_arguments: int  # including the name; -1: no limit
    parameters: tuple[str, ...] = field(default=())

    def keys_of(self, arguments: Sequence[bytes]) -> list[bytes] | None:
        """The keys in a request, the command's name included in it; None when they cannot be told."""
        if self.keys is None:
            return []
        if isinstance(self.keys, KeyRange):
            last = self.keys.last if self.keys.last >= 0 else len(arguments) + self.keys.last
            return list(arguments[self.keys.first : last + 1 : self.keys.step])
        if isinstance(self.keys, KeysAfter):
            for at, word in enumerate(arguments):
                if at and word.upper() == self.keys.keyword:
                    each = (len(arguments) - at - 1) // 2
                    return list(arguments[at + 1 : at + 1 + each]) or None
            return None
        try:
            count = int(arguments[self.keys.count])
        except ValueError:
            return None
        found = list(arguments[self.keys.count + 1 :: self.keys.step][: max(count, 0)])
        if count < 1 or len(found) != count:
            return None
        return ([arguments[self.keys.store]] if self.keys.store else []) + found

    @property
    def display_name(self) -> str:
        return self.name.upper().replace("|", " ")


REGISTRY: dict[str, CommandSpec] = {}


def command(
    name: str,
    *,
    since: str,
    flags: Flag = NO_FLAGS,
    group: str | None = None,
    complexity: str = "O(1)",
    arity: int | None = None,
    keys: KeyPositions | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as a command.

    Args:
        name: As clients send it; `"CLIENT|ID"` for a subcommand.
        group: Group of COMMAND DOCS; by default the module's last name.
        arity: Only where the signature cannot say it; negative: at least so many words, the name included.
        keys: Only where the annotations cannot say it.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        spec = declare(
            name, function, since=since, flags=flags, group=group, complexity=complexity, arity=arity, keys=keys
        )
        if spec.name in REGISTRY:
            raise ValueError(f"command {name} is registered twice")
        REGISTRY[spec.name] = spec
        return function

    return register


def container(name: str, *, since: str, group: str, summary: str, flags: Flag = NO_FLAGS) -> None:
    """Register a name that only has subcommands."""
    REGISTRY[name.lower()] = CommandSpec(
        name=name.lower(), function=None, arity=-2, flags=flags, since=since, group=group,
        complexity="Depends on subcommand.", summary=summary, keys=None, converters="", rest="", max_arguments=-1,
    )  # fmt: skip


def declare(
    name: str,
    function: Callable[..., Any],
    *,
    since: str,
    flags: Flag = NO_FLAGS,
    group: str | None = None,
    complexity: str = "O(1)",
    arity: int | None = None,
    keys: KeyPositions | None = None,
) -> CommandSpec:
    """Derive the specification from the function's signature and docstring."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]  # without ctx
    converters, rest, optional = "", "", False
    words = name.count("|") + 1
    first_key, last_key = 0, 0
    for position, parameter in enumerate(parameters, start=words):
        kind = kind_of(hints[parameter.name])
        variable = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        if variable:
            rest = kind.value
        else:
            converters += kind.value
            optional = optional or parameter.default is not inspect.Parameter.empty
        if kind is Kind.KEY:
            first_key = first_key or position
            last_key = -1 if variable else position
    if keys is None and first_key:
        keys = KeyRange(first_key, last_key)
    required = sum(
        1 for p in parameters if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_POSITIONAL
    )
    if arity is None:
        arity = required + words
        if rest or optional:
            arity = -arity
    doc = inspect.getdoc(function) or ""
    return CommandSpec(
        name=name.lower(),
        function=function,
        arity=arity,
        flags=flags,
        since=since,
        group=group or function.__module__.rpartition(".")[2].replace("_", "-"),
        complexity=complexity,
        summary=doc.split("\n\n")[0].replace("\n", " ").rstrip("."),
        keys=keys,
        converters=converters,
        rest=rest,
        max_arguments=-1 if rest else len(converters) + words,
        parameters=tuple(p.name.strip("_") for p in parameters),
    )


def kind_of(hint: Any) -> Kind:
    """The Kind in an annotation such as `Int` or `Int | None`."""
    for candidate in (hint, *typing.get_args(hint)):
        for part in getattr(candidate, "__metadata__", ()):
            if isinstance(part, Kind):
                return part
    raise TypeError(f"command parameter needs a Kind annotation, not {hint!r}")
