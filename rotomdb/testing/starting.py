"""A server's start over a directory, and the tools, in forked children: what they say, without the time that a process takes to start.

A child runs what `rotomdb-server` runs, up to where it would serve; of a tool, all.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rotomdb.commands import load_all
from rotomdb.server.main import enter_directory, read_config, serve
from rotomdb.server.server import Server

HINT = "hint: "
CRASHED = 70  # exit status of a child that raised what it should not


@dataclass(frozen=True)
class Start:
    """How a start ended.

    Attributes:
        keys: Names by database, sorted; None: it was refused.
        digest: Of the whole data set.
        log: What the server wrote.
    """

    keys: dict[int, list[str]] | None
    digest: str
    log: str

    @property
    def loaded(self) -> bool:
        return self.keys is not None

    @property
    def hints(self) -> list[str]:
        """What a refusal advises, a line each."""
        return [line.partition(HINT)[2] for line in self.log.splitlines() if HINT in line]

    @property
    def refusal(self) -> str:
        """Why it was refused: the last line that is no hint; empty where it was not."""
        lines = [line for line in self.log.splitlines() if HINT not in line]
        return "" if self.loaded or not lines else lines[-1]


@dataclass(frozen=True)
class Ended:
    """How a tool ended."""

    status: int
    output: str
    errors: str


def start(directory: Path, *words: str) -> Start:
    """Start a server with these arguments over the directory, and end it at once, as a crash would.

    Raises:
        AssertionError: it ended in another way than by loading or refusing.
    """
    load_all()  # once, and not in each child
    with tempfile.TemporaryDirectory(prefix="rotomdb-start-") as place, tempfile.TemporaryFile() as log:
        found = Path(place) / "found"
        arguments = [*words, "--port", "0", "--unixsocket", f"{place}/socket"]
        status = in_child(lambda: load(directory, arguments, found), log, log)
        text = text_of(log)
        assert status in (0, 1), f"the start over {directory} ended with status {status}:\n{text}"
        if status:
            return Start(None, "", text)
        content = json.loads(found.read_text())
        return Start({int(index): names for index, names in content["keys"].items()}, content["digest"], text)


def load(directory: Path, words: list[str], found: Path) -> int:
    """In a child: start, and note what was loaded where it would begin to serve."""

    def report(server: Server) -> int:
        engine = server.engine
        names = {
            index: sorted(map(os.fsdecode, database.match(b"*"))) for index, database in enumerate(engine.databases)
        }
        keys = {index: held for index, held in names.items() if held}
        found.write_text(json.dumps({"keys": keys, "digest": server.persistence.fingerprint().hex()}))
        return 0

    Server.run = report  # type: ignore[method-assign, assignment]
    os.chdir(directory)
    config = read_config(words)
    enter_directory(config)
    return serve(config)


def tool(name: str, *words: str | Path) -> Ended:
    """`rotomdb-NAME` with these words."""
    module = importlib.import_module(f"rotomdb.tools.{name}")
    importlib.import_module("rotomdb.tools.replaying")
    load_all()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:

        def run() -> int:
            sys.argv = [f"rotomdb-{name.replace('_', '-')}", *map(str, words)]
            signal.signal(signal.SIGINT, signal.default_int_handler)
            module.main()
            return 0

        status = in_child(run, output, errors)
        return Ended(status, text_of(output), text_of(errors))


def text_of(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def in_child(work: Callable[[], int], output: BinaryIO, errors: BinaryIO) -> int:
    """The exit status of a forked child that does this, with these as standard output and error."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = CRASHED
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        status = work()
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else CRASHED
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
