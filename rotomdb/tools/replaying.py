"""Replaying a log into an engine of the tool's own, to see what data set it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.log_commands import LogCommands
from rotomdb.commands.registry import REGISTRY
from rotomdb.commands.replaying import callable_commands, replayer
from rotomdb.engine import Engine
from rotomdb.errors import DATABASES_MAX, AofError, CommandRefusedError
from rotomdb.formats.aof.examination import Examination
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.replay import SELECT_FIRST, Judge, ReplayReport, refuse_damage, replay
from rotomdb.scripting.scripts import Scripting
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import find_log


@dataclass
class Replayed:
    """What a log gives.

    Attributes:
        files: Each file with what was found in it.
        failures: Commands that failed, with their errors; their effect is not in the engine.
    """

    engine: Engine
    files: list[tuple[Path, ReplayReport]] = field(default_factory=list)
    failures: list[tuple[list[bytes], str]] = field(default_factory=list)


@dataclass
class Refusals:
    """The commands of a file that a server refuses to replay, as far as that can be told without executing them.

    Attributes:
        found: Offset and reason, of all that a walk met.
    """

    commands: LogCommands
    found: list[tuple[int, CommandRefusedError]] = field(default_factory=list)

    def judge(self, items: LogItems) -> bool:
        """For LogItems: notes a command that is refused; true: what its other words are does not matter."""
        name, count = items.name, items.count
        has_more = self.commands.has_subcommands(name) or name.lower() == b"select"
        refused = self.commands.refusal(name, items.second if has_more else b"", count)
        if refused is not None:
            self.found.append((items.at, refused))
        return refused is None and not has_more

    def outside(self, examination: Examination) -> list[tuple[int, CommandRefusedError]]:
        """Those that a server would come to."""
        damages = [(damage.start, damage.end) for damage in examination.damages]
        return [
            (at, refused)
            for at, refused in self.found
            if at < examination.usable and not any(start <= at < end for start, end in damages)
        ]


def known_commands() -> LogCommands:
    """What a server of this version takes from a log, whatever its number of databases."""
    return LogCommands(callable_commands(new_dispatcher(Engine(1))), DATABASES_MAX)


def new_dispatcher(engine: Engine, *, functions: bool = False) -> Dispatcher:
    """Args:
    functions: Libraries are run as by a server, and not only carried.
    """
    load_all()
    dispatcher = Dispatcher(engine, REGISTRY.values())
    dispatcher.loading = True
    Scripting(dispatcher, lambda level, text: None, functions=functions)
    return dispatcher


def new_replayer(
    engine: Engine, failures: list[tuple[list[bytes], str]], *, functions: bool = False
) -> Callable[[list[bytes]], None]:
    """Executes commands on the engine.

    Args:
        functions: Function libraries are run as by a server, and not only carried.
    """
    dispatcher = new_dispatcher(engine, functions=functions)
    return replayer(dispatcher, lambda words, error: failures.append((words, str(error))))


def replay_log(
    disk: Disk,
    path: Path,
    *,
    judge: Judge | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    functions: bool = False,
) -> Replayed:
    """Replay what `path` names: a file, a manifest, an append directory or a data directory.

    Args:
        judge: What to let pass; by default a torn end of the last file.
        on_progress: Called with the file's name, the offset reached and its size.
        functions: Libraries are run as by a server, and not only carried.

    Raises:
        FileFormatError, RestoreError, ManifestError, OSError.
    """
    log = find_log(disk, path)
    engine = Engine(DATABASES_MAX)  # the log does not say how many its server has
    engine.expire_on_access = False
    result = Replayed(engine)
    execute = new_replayer(engine, result.failures, functions=functions)
    for number, file in enumerate(log.paths):
        with disk.mapped(file) as data:
            size = len(data)

            def advance(offset: int, name: str = file.name, size: int = size) -> None:
                if on_progress is not None:
                    on_progress(name, offset, size)

            execute(SELECT_FIRST)
            allowed = judge or whole_unless_last(file, number == len(log.paths) - 1)
            report = replay(data, str(file), engine, execute, judge=allowed, on_progress=advance)
            result.files.append((file, report))
    return result


def whole_unless_last(path: Path, last: bool) -> Judge:
    """Refuses damage, and a torn end in a file that others follow."""
    strict = refuse_damage(str(path))

    def judge(found: Examination) -> None:
        strict(found)
        if found.torn and not last:
            raise AofError(str(path), found.usable, found.torn)

    return judge
