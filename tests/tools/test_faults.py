"""Every command under every fault of its surroundings: one line that says what is wrong, and the status that the table has for it.

The commands come from the tools themselves: one that is added has to be given an example here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import rotomdb.aof
from rotomdb.tools.aof import cli as aof_cli
from rotomdb.tools.paths import OutputPath
from rotomdb.tools.rdb import cli as rdb_cli
from tests.tools.running import ALL_KINDS, Ended, forked

TOOLS = {"rdb": rdb_cli, "aof": aof_cli}
COMMANDS = [(tool, name) for tool, cli in TOOLS.items() for name in sorted(cli.commands)]
SERVER = "redis://127.0.0.1:1"  # nobody listens there

# Words that make each command do something; IN, LOG and OUT stand for its input and its output.
EXAMPLES = {
    ("rdb", "check"): "IN",
    ("rdb", "convert"): "IN -o OUT",
    ("rdb", "diff"): "IN IN",
    ("rdb", "dump"): "IN -o OUT",
    ("rdb", "filter"): "IN --type string -o OUT",
    ("rdb", "info"): "IN",
    ("rdb", "memory"): "IN --per-key -o OUT",
    ("rdb", "merge"): "IN -o OUT",
    ("rdb", "report"): "IN -o OUT",
    ("rdb", "restore"): f"IN {SERVER}",
    ("rdb", "salvage"): "IN -o OUT",
    ("rdb", "split"): "IN --by db -o OUT",
    ("aof", "check"): "LOG",
    ("aof", "convert"): "LOG -o OUT",
    ("aof", "fix"): "LOG",
    ("aof", "follow"): "LOG --once",
    ("aof", "history"): "LOG key:1",
    ("aof", "rebuild-manifest"): "LOGDIR --dry-run",
    ("aof", "restore"): "LOG -o OUT",
    ("aof", "salvage"): "LOG -o OUT",
    ("aof", "stat"): "LOG",
    ("aof", "undo"): "LOG --last SET -o OUT",
}
WRITES = [one for one in COMMANDS if "OUT" in EXAMPLES[one]]
MAKE_DIRECTORIES = {("rdb", "split"), ("aof", "restore"), ("aof", "salvage"), ("aof", "undo")}
IDS = "-".join


@dataclass(frozen=True)
class Scene:
    """A directory with an input of each kind."""

    place: Path

    @property
    def snapshot(self) -> Path:
        return self.place / "in.rdb"

    @property
    def log(self) -> Path:
        return self.place / "in.aof"

    @property
    def output(self) -> Path:
        return self.place / "out"

    def words(self, command: tuple[str, str], output: Path | str | None = None, given: Path | None = None) -> list[str]:
        named = {
            "IN": given or self.snapshot,
            "LOG": given or self.log,
            "LOGDIR": given or self.place / "appendonlydir",
            "OUT": output or self.output,
        }
        return [command[1], *(str(named.get(word, word)) for word in EXAMPLES[command].split())]

    def run(self, command: tuple[str, str], *, output: Path | str | None = None, given: Path | None = None) -> Ended:
        return forked(command[0], *self.words(command, output, given))

    def names(self) -> set[str]:
        return {path.name for path in self.place.iterdir()}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    shutil.copy(ALL_KINDS, tmp_path / "in.rdb")
    with rotomdb.aof.create(tmp_path / "in.aof") as log:
        for number in range(20):
            log.command("SET", f"key:{number}", number)
    directory = tmp_path / "appendonlydir"
    directory.mkdir()
    shutil.copy(tmp_path / "in.aof", directory / "appendonly.aof.1.incr.aof")
    return Scene(tmp_path)


def one_line(ended: Ended) -> str:
    """The line that an error is, without the hint behind it."""
    lines = [line for line in ended.errors.splitlines() if not line.startswith("hint: ")]
    assert len(lines) == 1, ended.errors
    return lines[0]


def test_every_command_has_an_example_and_no_other() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_it_works_when_nothing_is_wrong(scene: Scene, command: tuple[str, str]) -> None:
    ended = scene.run(command)
    assert "Traceback" not in ended.errors
    assert ended.status == (3 if command[1] == "restore" and command[0] == "rdb" else 0), ended.errors


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_an_input_that_is_not_there_is_status_3_and_named(scene: Scene, command: tuple[str, str]) -> None:
    missing = scene.place / "missing"
    ended = scene.run(command, given=missing)
    assert (ended.status, one_line(ended)) == (3, f"Error: {missing}: No such file or directory")
    assert "out" not in scene.names()


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_a_standard_output_that_takes_nothing_is_status_3(scene: Scene, command: tuple[str, str], full: int) -> None:
    words = scene.words(command, "-" if command in WRITES and command not in MAKE_DIRECTORIES else None)
    said = forked(command[0], *words).output
    for fault in ({"stdout": full}, {"closed": [1]}):
        shutil.rmtree(scene.output, ignore_errors=True)
        ended = forked(command[0], *words, **fault)  # type: ignore[arg-type]
        if said:
            assert ended.status == 3
            assert "Error: standard output: " in ended.errors
        assert "Traceback" not in ended.errors
        assert "Exception" not in ended.errors


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_a_reader_that_has_gone_is_quiet(scene: Scene, command: tuple[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = scene.words(command, "-" if command in WRITES and command not in MAKE_DIRECTORIES else None)
    ended = forked(command[0], *words, stdout=writer)
    os.close(writer)
    assert ended.status in (0, 1, 3)
    assert "Broken pipe" not in ended.errors
    assert "Traceback" not in ended.errors
    assert "Exception" not in ended.errors


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_without_any_standard_stream_it_ends_with_a_status(scene: Scene, command: tuple[str, str]) -> None:
    assert forked(command[0], *scene.words(command), closed=[0, 1, 2]).status in (0, 1, 3)
    assert scene.snapshot.read_bytes() == ALL_KINDS.read_bytes()


@pytest.mark.parametrize("command", WRITES, ids=IDS)
def test_an_output_that_is_there_stays_without_force(scene: Scene, command: tuple[str, str]) -> None:
    scene.output.write_bytes(b"precious")
    ended = scene.run(command)
    assert ended.status == 3
    assert one_line(ended).startswith(f"Error: {scene.output}: it exists already")
    assert scene.output.read_bytes() == b"precious"


@pytest.mark.parametrize("command", WRITES, ids=IDS)
def test_with_force_the_output_takes_its_place(scene: Scene, command: tuple[str, str]) -> None:
    directory = command in MAKE_DIRECTORIES
    if directory:
        scene.output.mkdir()
        (scene.output / "precious").touch()
    else:
        scene.output.write_bytes(b"precious")
    ended = forked(command[0], *scene.words(command), "--force")
    assert ended.status == 0, ended.errors
    assert scene.output.is_dir() == directory
    if directory:
        assert (scene.place / "out.before-force" / "precious").exists()
    else:
        assert scene.output.read_bytes() != b"precious"


@pytest.mark.parametrize("command", WRITES, ids=IDS)
@pytest.mark.parametrize("kind", ["itself", "symbolic", "hard"])
def test_an_input_is_never_the_output_not_even_by_force(scene: Scene, command: tuple[str, str], kind: str) -> None:
    given = scene.log if "LOG" in EXAMPLES[command] else scene.snapshot
    before = given.read_bytes()
    output = given if kind == "itself" else scene.place / "another-name"
    if kind == "symbolic":
        output.symlink_to(given.name)
    elif kind == "hard":
        output.hardlink_to(given)
    ended = forked(command[0], *scene.words(command, output), "--force")
    assert ended.status == 3
    assert one_line(ended).startswith(f"Error: {output}: ")
    assert given.read_bytes() == before


def test_a_file_of_the_log_that_is_read_is_an_input(scene: Scene) -> None:
    part = scene.place / "appendonlydir" / "appendonly.aof.1.incr.aof"
    assert forked("aof", "rebuild-manifest", part.parent).status == 0
    for given in (part.parent, part.parent / "appendonly.aof.manifest"):
        ended = forked("rdb", "dump", given, "-o", part, "--force")
        assert (ended.status, "it is what is read" in ended.errors) == (3, True)


def test_a_directory_around_the_input_is_not_replaced(scene: Scene) -> None:
    ended = forked("aof", "restore", scene.log, "-o", scene.place, "--force")
    assert (ended.status, "is in it" in ended.errors) == (3, True)


def test_a_directory_that_was_put_aside_is_back_when_the_command_fails(scene: Scene) -> None:
    scene.output.mkdir()
    (scene.output / "precious").touch()
    scene.snapshot.write_bytes(scene.snapshot.read_bytes()[:-30])
    assert forked("rdb", "split", scene.snapshot, "--by", "db", "-o", scene.output, "--force").status == 1
    assert (scene.output / "precious").exists()
    assert "out.before-force" not in scene.names()


@pytest.mark.parametrize("command", WRITES, ids=IDS)
def test_a_place_that_cannot_be_written_is_status_3_and_named(scene: Scene, command: tuple[str, str]) -> None:
    ended = scene.run(command, output=scene.place / "missing" / "out")
    assert ended.status == 3
    assert str(scene.place / "missing") in one_line(ended)


@pytest.mark.parametrize("command", sorted(set(WRITES) - MAKE_DIRECTORIES), ids=IDS)
def test_a_device_is_written_to_and_stays_what_it_is(scene: Scene, command: tuple[str, str]) -> None:
    pipe = scene.place / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ended = scene.run(command, output=pipe)
    assert ended.status == 0, ended.errors
    assert pipe.is_fifo()
    assert os.read(reader, 1)
    os.close(reader)
    assert {name for name in scene.names() if "partial" in name} == set()


@pytest.mark.parametrize("command", COMMANDS, ids=IDS)
def test_files_are_declared_as_files_so_that_a_shell_completes_them(command: tuple[str, str]) -> None:
    declared = TOOLS[command[0]].commands[command[1]]
    context = click.Context(declared)
    completed = [
        parameter.type.shell_complete(context, parameter, "x")[0].type
        for parameter in declared.params
        if parameter.name in ("file", "files", "log", "a", "b", "source", "directory", "output", "nodes", "state")
    ]
    assert completed
    assert set(completed) <= {"file", "dir"}
    assert ("OUT" in EXAMPLES[command]) == any(isinstance(one.type, OutputPath) for one in declared.params)
