"""How the tools behave: help, completion, interruption, closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import rotomdb.rdb
from rotomdb.tools.aof import cli as aof_cli
from rotomdb.tools.aof_check import cli as check_cli
from rotomdb.tools.rdb import cli as rdb_cli
from tests.tools.running import ALL_KINDS, ROOT, forked, run

TOOLS = {"rdb": rdb_cli, "aof": aof_cli}
NO_FILES = {"server", "key"}  # arguments that are an address, or the name of a key
COMMANDS = [("rdb", name) for name in sorted(rdb_cli.commands)] + [("aof", name) for name in sorted(aof_cli.commands)]


@pytest.mark.parametrize(("tool", "name"), COMMANDS, ids=lambda value: value)
def test_every_command_explains_itself_with_examples(tool: str, name: str) -> None:
    done = forked(tool, name, "--help")
    assert (done.status, done.errors) == (0, "")
    assert "Examples:" in done.output
    assert f"rotomdb-{tool} {name}" in done.output or f"rotomdb-rdb {name}" in done.output
    unexplained = [
        one.opts for one in TOOLS[tool].commands[name].params if isinstance(one, click.Option) and not one.help
    ]
    assert unexplained == []


@pytest.mark.parametrize(("tool", "name"), COMMANDS, ids=lambda value: value)
def test_a_wrong_option_is_status_2(tool: str, name: str) -> None:
    done = forked(tool, name, "--no-such-option")
    assert (done.status, done.output) == (2, "")
    assert done.errors.splitlines()[-1].startswith("Error: No such option")


def test_what_names_a_file_completes_as_one() -> None:
    """A shell's own completion of file names is off once a tool's is loaded: each parameter has to ask for it."""
    tools: list[click.Command] = [check_cli, *TOOLS.values(), *rdb_cli.commands.values(), *aof_cli.commands.values()]
    for command in tools:
        with click.Context(command, info_name=command.name) as context:
            for one in command.params:
                named = isinstance(one, click.Argument) and one.name not in NO_FILES
                if named or one.metavar in ("FILE", "DIRECTORY") or one.name in ("output", "state", "nodes"):
                    kinds = {item.type for item in one.shell_complete(context, "/tm")}
                    assert kinds <= {"file", "dir"} and kinds, f"{command.name} {one.name}"


@pytest.mark.parametrize("name", ["check", "dump", "info", "memory", "salvage"])
def test_what_is_no_rdb_is_an_error_with_a_reason(tmp_path: Path, name: str) -> None:
    path = tmp_path / "no.rdb"
    path.write_bytes(b"nothing of the kind, but long enough")
    done = run(name, path)
    assert done.returncode == 1
    assert "wrong signature" in done.stderr + done.stdout


def test_a_directory_that_cannot_be_written_is_status_3() -> None:
    done = run("dump", ALL_KINDS, "-o", "/proc/nowhere/out.json")
    assert done.returncode == 3


def test_completion_knows_commands_and_options() -> None:
    environment = {
        **os.environ,
        "_ROTOMDB_RDB_COMPLETE": "bash_complete",
        "COMP_WORDS": "rotomdb-rdb sal",
        "COMP_CWORD": "1",
    }
    code = "from rotomdb.tools.rdb import cli; cli(prog_name='rotomdb-rdb')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert "salvage" in done.stdout


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.rdb"
    with rotomdb.rdb.create(path, target="redis-7.0") as writer:
        pieces = b"".join(b"\x00\x08k%07d\x20%032d" % (number, number) for number in range(20_000))
        for _ in range(100):
            writer._writer.copy(pieces)
            writer._writer.sink.flush()
    return path


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminated")],
)
def test_a_command_that_is_stopped_leaves_no_half_written_output(
    large: Path, tmp_path: Path, number: int, status: int, said: str
) -> None:
    target = tmp_path / "out.ndjson"
    command = [sys.executable, "-m", "rotomdb.tools.rdb", "dump", "-f", "ndjson", str(large), "-o", str(target)]
    for _ in range(10):  # on a busy machine it may be done before this test comes to look
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None and not any(path.stat().st_size for path in tmp_path.iterdir()):
                time.sleep(0.005)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        if process.returncode != 0:
            break
        target.unlink()
    assert process.returncode == status
    assert errors.strip() == said
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error(large: Path) -> None:
    command = f"{sys.executable} -m rotomdb.tools.rdb dump -f ndjson {large} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_bar_is_drawn_on_a_terminal_only(large: Path) -> None:
    done = subprocess.run(
        ["script", "-qec", f"{sys.executable} -m rotomdb.tools.rdb check {large}", "/dev/null"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "checking" in done.stdout
    assert "\x1b[" in done.stdout
    assert "checking" not in run("check", large).stderr
