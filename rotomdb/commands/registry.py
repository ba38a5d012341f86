"""The `command` decorator: a function whose signature is its specification.

Arity, key positions, argument parsing, COMMAND INFO and COMMAND DOCS all come from the one declaration:

    @command("GETRANGE", since="2.4.0", flags=READONLY)
    def getrange(ctx: Context, key: Key, start: Int, end: Int) -> bytes:
        \"\"\"Return the substring of the string stored at `key`, both ends inclusive.\"\"\"

What a signature cannot say stands beside it: what happens to the keys (`key_specs`), options (`syntax`), tips, categories.
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from rotomdb.commands.key_specs import PLACE, KeySpec, find_keys, parse_key_specs
from rotomdb.commands.properties import NO_PROPERTIES, Property
from rotomdb.commands.syntax import Argument, parse_syntax


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
    ALLOW_BUSY = 131072
    ASKING = 262144
    NO_MANDATORY_KEYS = 524288


NO_FLAGS = Flag(0)
WRITE, READONLY, DENYOOM, ADMIN = Flag.WRITE, Flag.READONLY, Flag.DENYOOM, Flag.ADMIN
NOSCRIPT, LOADING, STALE, FAST = Flag.NOSCRIPT, Flag.LOADING, Flag.STALE, Flag.FAST
NO_AUTH, NO_MULTI, MOVABLEKEYS = Flag.NO_AUTH, Flag.NO_MULTI, Flag.MOVABLEKEYS
TOUCHES_ARBITRARY_KEYS, SKIP_SLOWLOG, BLOCKING = Flag.TOUCHES_ARBITRARY_KEYS, Flag.SKIP_SLOWLOG, Flag.BLOCKING
PUBSUB, ALLOW_BUSY, NO_ASYNC_LOADING = Flag.PUBSUB, Flag.ALLOW_BUSY, Flag.NO_ASYNC_LOADING
SKIP_MONITOR, NO_MANDATORY_KEYS = Flag.SKIP_MONITOR, Flag.NO_MANDATORY_KEYS


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
    keys: tuple[KeySpec, ...]
    converters: str  # a Kind letter per positional parameter
    rest: str  # the letter of the variable part, or ""
    max_arguments: int  # including the name; -1: no limit
    syntax: tuple[Argument, ...] = field(default=())
    tips: tuple[str, ...] = field(default=())
    categories: tuple[str, ...] | None = field(default=None)  # None: those that the group stands for
    channels: tuple[KeySpec, ...] = ()  # where channels stand, and what happens: publish, subscribe, pattern
    properties: Property = NO_PROPERTIES

    def keys_of(self, arguments: Sequence[bytes]) -> list[bytes] | None:
        """The keys in a request, the command's name included in it; None when they cannot be told."""
        found = find_keys(self.name, self.keys, arguments)
        return None if found is None else [arguments[position] for position, _ in found]

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
    keys: str = "",
    syntax: str | None = None,
    tips: str = "",
    categories: str | None = None,
    channels: str = "",
    properties: Property = NO_PROPERTIES,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as a command.

    Args:
        name: As clients send it; `"CLIENT|ID"` for a subcommand.
        group: Group of COMMAND DOCS; by default the module's last name.
        arity: Only where the signature cannot say it; negative: at least so many words, the name included.
        keys: Key specifications in the notation of `key_specs`. Without a place, the annotations say where the keys
            are; without any, keys are `RW update` in a command that writes and `RO access` in others.
        syntax: The arguments in the notation of the module `syntax`, where names and types of the parameters do not
            say it; empty: none that a client need know of.
        tips: Tips of COMMAND INFO for clients and proxies, in its words.
        categories: ACL categories in place of the group's.
        channels: Places of channels in the notation of `key_specs`, with `publish`, or `subscribe` and `pattern`.
        properties: What the server has to know besides the flags, such as `Property.MAY_EMPTY`.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        spec = declare(
            name, function, since=since, flags=flags, group=group, complexity=complexity, arity=arity, keys=keys,
            syntax=syntax, tips=tips, categories=categories, channels=channels, properties=properties,
        )  # fmt: skip
        if spec.name in REGISTRY:
            raise ValueError(f"command {name} is registered twice")
        REGISTRY[spec.name] = spec
        return function

    return register


def container(
    name: str,
    *,
    since: str,
    group: str,
    summary: str,
    flags: Flag = NO_FLAGS,
    properties: Property = NO_PROPERTIES,
) -> None:
    """Register a name that only has subcommands, which have its properties besides their own."""
    REGISTRY[name.lower()] = CommandSpec(
        name=name.lower(), function=None, arity=-2, flags=flags, since=since, group=group,
        complexity="Depends on subcommand.", summary=summary, keys=(), converters="", rest="", max_arguments=-1, categories=(), properties=properties,
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
    keys: str = "",
    syntax: str | None = None,
    tips: str = "",
    categories: str | None = None,
    channels: str = "",
    properties: Property = NO_PROPERTIES,
) -> CommandSpec:
    """Derive the specification from the function's signature and docstring."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]  # without ctx
    converters, rest, optional = "", "", False
    described: list[Argument] = []
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
        described.append(described_parameter(parameter, kind))
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
        keys=declared_keys(keys, f"{first_key}..{last_key}" if first_key else "", flags),
        converters=converters,
        rest=rest,
        max_arguments=-1 if rest else len(converters) + words,
        syntax=tuple(described) if syntax is None else parse_syntax(syntax),
        tips=tuple(tips.split()),
        categories=None if categories is None else tuple(categories.split()),
        channels=parse_key_specs(channels) if channels else (),
        properties=properties,
    )


def declared_keys(text: str, place: str, flags: Flag) -> tuple[KeySpec, ...]:
    """The key specifications of a declaration; `place` is where the annotations say that the keys are."""
    if not text:
        text = "RW update" if flags & Flag.WRITE else "RO access"
        if not place:
            return ()
    first = text.split()[0]
    stands = first == "?" or PLACE.fullmatch(first) is not None
    return parse_key_specs(text if stands else f"{place} {text}")


KINDS_SHOWN = {Kind.BYTES: "string", Kind.KEY: "key", Kind.INT: "integer", Kind.FLOAT: "double"}


def described_parameter(parameter: inspect.Parameter, kind: Kind) -> Argument:
    """What COMMAND DOCS tells of a parameter."""
    variable = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    return Argument(
        parameter.name.strip("_").replace("_", "-"),
        KINDS_SHOWN[kind],
        key_index=0 if kind is Kind.KEY else None,
        optional=variable or parameter.default is not inspect.Parameter.empty,
        multiple=variable,
    )


def kind_of(hint: Any) -> Kind:
    """The Kind in an annotation such as `Int` or `Int | None`."""
    for candidate in (hint, *typing.get_args(hint)):
        for part in getattr(candidate, "__metadata__", ()):
            if isinstance(part, Kind):
                return part
    raise TypeError(f"command parameter needs a Kind annotation, not {hint!r}")
