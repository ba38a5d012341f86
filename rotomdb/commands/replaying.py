"""Executing the commands of a log."""

from __future__ import annotations

from collections.abc import Callable

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.errors import CommandError, UnknownCommandError
from rotomdb.storage.quoting import quoted

Execute = Callable[[list[bytes]], None]


def replayer(dispatcher: Dispatcher, on_failure: Callable[[list[bytes], CommandError], None]) -> Execute:
    """A function that executes a command; an unknown one raises, as nobody can tell what it did.

    Args:
        on_failure: Called with a command that fails though it once succeeded, and its error.
    """
    context = Context(dispatcher)
    context.replaying = True
    execute = dispatcher.execute

    def replay_command(arguments: list[bytes]) -> None:
        value = execute(context, arguments)
        if isinstance(value, CommandError):
            if str(value).startswith("ERR unknown command"):
                raise UnknownCommandError(f"Unknown command {quoted(arguments[0])} reading the append only file")
            on_failure(arguments, value)

    return replay_command
