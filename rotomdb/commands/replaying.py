"""Executing the commands of a log."""

from __future__ import annotations

from collections.abc import Callable

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.errors import DB_INDEX_OUT_OF_RANGE
from rotomdb.commands.log_commands import LogCommands, carry_library, databases_named, out_of_range, wrong_arity
from rotomdb.commands.registry import CommandSpec
from rotomdb.errors import CommandError, CommandRefusedError
from rotomdb.formats.quoting import quoted

Execute = Callable[[list[bytes]], None]
# A library that was one when it was logged, and is none here: without it, calls of its functions would fail.
NO_LIBRARY = (
    "ERR Error compiling function",
    "ERR Error registering functions",
    "ERR No functions registered",
    "ERR DUMP payload",
)


def replayer(dispatcher: Dispatcher, on_failure: Callable[[list[bytes], CommandError], None]) -> Execute:
    """A function that executes a command of a log.

    It raises CommandRefusedError where nobody can tell what the command did: one that is not known, of another form than
    this server's, for a database that it does not have, or that meets an error of this program.

    Args:
        on_failure: Called with a command that fails though it once succeeded, and its error.
    """
    context = Context(dispatcher)
    context.replaying = True
    execute = dispatcher.execute_from_log
    engine = dispatcher.engine
    commands = LogCommands(callable_commands(dispatcher), len(engine.databases))
    plain: set[bytes] = set()  # names that are executed, whatever follows

    def replay_command(arguments: list[bytes]) -> None:
        name = arguments[0]
        if name not in plain:
            second = arguments[1] if len(arguments) > 1 else b""
            refusal = commands.refusal(name, second, len(arguments))
            if refusal is not None:
                raise refusal
            treatment = commands.treatment(name, second)
            if treatment.libraries and not engine.function_libraries.runs:
                try:
                    carry_library(engine.function_libraries, arguments)
                except CommandError as error:
                    raise CommandRefusedError(f"FUNCTION: {str(error).removeprefix('ERR ')}") from None
                return
            if not treatment.execute:
                return
            if name.lower() != b"select" and not commands.has_subcommands(name):
                plain.add(name)
        value = execute(context, arguments)
        if isinstance(value, CommandError):
            text = str(value)
            if text.startswith("ERR wrong number of arguments"):
                raise wrong_arity(name)
            if text.startswith("NOSCRIPT"):
                raise CommandRefusedError(f"{quoted(name)} of a script that the log has not shown before")
            if text.startswith(NO_LIBRARY):
                raise CommandRefusedError(f"FUNCTION: {text.removeprefix('ERR ')}")
            if text == DB_INDEX_OUT_OF_RANGE:
                raise out_of_range(max(databases_named(arguments), default=-1), len(engine.databases))
            if text.startswith("ERR internal error"):
                raise CommandRefusedError(f"{name.decode('latin-1').upper()}: {text.removeprefix('ERR ')}")
            on_failure(arguments, value)

    return replay_command


def callable_commands(dispatcher: Dispatcher) -> dict[str, CommandSpec]:
    """By the names under which a log calls them."""
    specs = {}
    for word, command in dispatcher.named_in_log().items():
        name = word.decode("latin-1")
        specs[name] = command.spec
        for subcommand in (command.subcommands or {}).values():
            specs[f"{name}|{subcommand.name.partition('|')[2]}"] = subcommand.spec
    return specs
