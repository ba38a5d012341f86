"""The files that a command reads and writes, declared once: how they complete in a shell, and what must not be overwritten.

An output is looked at before any work is done. It is refused when it is one of the inputs, by whatever name (a link, another
spelling, a file of the log that is read), and when it is there already, unless `--force` is given. A directory that is in the
way is never removed: it is put aside, and comes back when the command fails.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX
from rotomdb.storage.disk import Disk
from rotomdb.storage.live_server import is_live
from rotomdb.tools.aof_check import free_name
from rotomdb.tools.terminal import fail

Command = TypeVar("Command", bound=Callable[..., Any])
Identity = tuple[int, int]  # device and inode: what all names of a file have in common
STANDARD_OUTPUT = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
DEPTH_MAX = 3  # of a data directory: append directory, and what backups keep below it


class DataPath(click.ParamType[str]):
    """Anything that can be opened as a data set; the shell completes it as the name of a file."""

    name = "path"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(incomplete, type="file")]


class ExistingPath(click.ParamType[Path]):
    """A file or directory that is there. What is not is no wrong usage, but cannot be read."""

    name = "path"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        path = Path(value)
        if context is None or not context.resilient_parsing:
            try:
                path.stat()
            except (OSError, ValueError) as error:
                fail(f"{path}: {getattr(error, 'strerror', None) or error}")
        return path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(incomplete, type="file")]


class OutputPath(DataPath):
    """What a command makes."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        return "-" if value in STANDARD_OUTPUT else str(value)


DATA = DataPath()
LOG = ExistingPath()


def output_option(
    help: str, *, required: bool = False, directory: bool | Callable[[dict[str, Any]], bool] = False
) -> Callable[[Command], Command]:
    """Adds `--output` and `--force`; the command is called once it is clear that it may write there.

    Args:
        directory: Whether it makes a directory; may depend on the other options.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def guarded(*args: Any, output: str | None, force: bool, **rest: Any) -> Any:
            makes_directory = directory(rest | {"output": output}) if callable(directory) else directory
            with claimed(output, inputs_of(click.get_current_context()), force=force, directory=makes_directory):
                return command(*args, output=output, **rest)

        declared = click.option("--output", "-o", type=OutputPath(), required=required, help=help)
        forced = click.option("--force", is_flag=True, help="Put the output in place of what is there already.")
        return declared(forced(guarded))  # type: ignore[return-value]

    return decorate


def inputs_of(context: click.Context) -> list[str]:
    """What the command was told to read."""
    found: list[str] = []
    for parameter in context.command.params:
        if isinstance(parameter.type, DataPath | ExistingPath) and not isinstance(parameter.type, OutputPath):
            value = context.params.get(parameter.name or "")
            found += [str(one) for one in (value if isinstance(value, tuple) else (value,)) if one is not None]
    return found


@contextlib.contextmanager
def claimed(output: str | None, inputs: list[str], *, force: bool, directory: bool) -> Iterator[None]:
    """Refuses an output that would destroy something, with a line on standard error and the exit status."""
    if output is None or output == "-":
        if output == "-" or not directory:
            refuse_own_input(identity_of(1), "standard output", inputs)
        yield
        return
    path = Path(output)
    there = status_of(path)
    if there is None:
        yield
        return
    if stat.S_ISDIR(there.st_mode):
        if not directory:
            fail(f"{path}: it is a directory")
        refuse_held_inputs(path, inputs)
        if not force:
            fail(f"{path}: it exists already; name a directory that is to be made, or put it aside with --force")
        with put_aside(path):
            yield
        return
    if directory:
        fail(f"{path}: it exists already, and is no directory")
    if stat.S_ISREG(there.st_mode):
        refuse_own_input((there.st_dev, there.st_ino), str(path), inputs)
        if not force:
            fail(f"{path}: it exists already; --force overwrites it")
    yield


def refuse_own_input(output: Identity | None, name: str, inputs: Iterable[str]) -> None:
    for spec in inputs:
        if output is not None and output in identities(spec):
            fail(f"{name}: it is what is read ({spec}); name another output")


def refuse_held_inputs(output: Path, inputs: Iterable[str]) -> None:
    """An input inside of the directory would go with it."""
    place = output.resolve()
    for spec in inputs:
        if spec != "-" and not is_live(spec) and Path(spec).resolve().is_relative_to(place):
            fail(f"{output}: what is read ({spec}) is in it; name another output")


def identities(spec: str) -> set[Identity]:
    """Every regular file that belongs to an input."""
    if spec == "-":
        found = identity_of(0)
        return set() if found is None else {found}
    if is_live(spec):
        return set()
    path = Path(spec)
    place = path if path.is_dir() else path.parent if path.name.endswith(MANIFEST_SUFFIX) else None
    held = [identity_of(path)]
    if place is not None:
        for directory, directories, names in os.walk(place):
            if len(Path(directory).relative_to(place).parts) >= DEPTH_MAX:
                directories.clear()
            held += [identity_of(Path(directory) / name) for name in names]
    return {one for one in held if one is not None}


def identity_of(file: Path | int) -> Identity | None:
    """Of a regular file that is there."""
    found = status_of(file)
    return (found.st_dev, found.st_ino) if found is not None and stat.S_ISREG(found.st_mode) else None


def status_of(file: Path | int) -> os.stat_result | None:
    try:
        return os.stat(file)  # noqa: PTH116 -- a descriptor, too
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def put_aside(directory: Path) -> Iterator[None]:
    """Move a directory out of the way for what is to be made in its place; it is back when nothing was."""
    aside = free_name(directory.with_name(f"{directory.name}.before-force"))
    disk = Disk()
    try:
        disk.put_in_place(directory, aside)
    except OSError as error:
        fail(f"{directory}: {error.strerror}")
    try:
        yield
    finally:
        if directory.exists():
            click.echo(f"What was in {directory} is kept in {aside}", err=True)
        else:
            disk.put_in_place(aside, directory)
