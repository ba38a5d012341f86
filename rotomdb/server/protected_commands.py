"""Commands and directives that are served only where the configuration allows it: DEBUG, loading of modules, protected configs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from rotomdb.commands.dispatch import Context
from rotomdb.commands.registry import CommandSpec
from rotomdb.errors import CommandError
from rotomdb.server.client import Client
from rotomdb.server.config import Config
from rotomdb.server.listeners import is_local

MODULE_COMMANDS = ("module|load", "module|loadex", "module|unload")


def allowed(setting: str, context: Context) -> bool:
    """Whether `no`, `yes` or `local` lets this client."""
    return setting == "yes" or (setting == "local" and is_from_here(context))


def is_from_here(context: Context) -> bool:
    """Whether the client is on this machine; what has no socket is this very process."""
    if not isinstance(context, Client):
        return True
    try:
        return is_local(context.socket.family, context.socket.getpeername())
    except OSError:
        return False  # gone


def with_protection(specs: Iterable[CommandSpec], config: Config) -> list[CommandSpec]:
    """The commands, those of DEBUG and MODULE with a door in front that is shut unless the configuration opens it."""
    return [
        replace(spec, function=behind_door(spec.function, container_of(spec), config))
        if spec.function is not None and (container_of(spec) == "debug" or spec.name in MODULE_COMMANDS)
        else spec
        for spec in specs
    ]


def container_of(spec: CommandSpec) -> str:
    return spec.name.partition("|")[0]


def behind_door(function: Callable[..., Any], container: str, config: Config) -> Callable[..., Any]:
    def guarded(context: Context, *arguments: Any) -> Any:
        if not context.replaying and not allowed(config[f"enable-{container}-command"], context):
            raise CommandError(
                f"ERR {container.upper()} command not allowed. If the enable-{container}-command option is set to "
                '"local", you can run it from a local connection, otherwise you need to set this option in the '
                "configuration file, and then restart the server."
            )
        return function(context, *arguments)

    return guarded
