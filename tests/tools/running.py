"""Running the tools as their users do."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
ALL_KINDS = DATA / "rdb-redis-7.0.15-allkinds.rdb"
STRINGS = DATA / "rdb-redis-7.0.15-strings.rdb"


def run(*words: str | Path, tool: str = "rdb", stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """`rotomdb-rdb` (or `-aof`) with these words; never with a traceback."""
    done = run_raw(*words, tool=tool, stdin=stdin)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")
    )


def run_raw(*words: str | Path, tool: str = "rdb", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    status, output, errors = run_forked(tool, words, directory=ROOT, stdin=stdin)
    assert b"Traceback" not in errors, errors.decode()
    return subprocess.CompletedProcess([tool, *words], status, output, errors)


def aof(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    return run(*words, tool="aof", stdin=stdin)


def forked(tool: str, *words: str | Path, stdout: int | None = None, closed: Sequence[int] = ()) -> Ended:
    """How a tool ends; see `run_forked`."""
    status, output, errors = run_forked(tool, words, stdout=stdout, closed=closed)
    return Ended(status, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def run_forked(
    tool: str,
    words: Sequence[str | Path],
    *,
    directory: Path | None = None,
    stdin: bytes = b"",
    stdout: int | None = None,
    closed: Sequence[int] = (),
) -> tuple[int, bytes, bytes]:
    """A tool in a forked child: what a process of its own would do, without the time that it takes to start one.

    Args:
        directory: That it runs in.
        stdout: Descriptor of its standard output; by default it is caught.
        closed: Standard descriptors that it is started without.

    Returns:
        Its exit status, and what it wrote to standard output and standard error.
    """
    module = importlib.import_module(f"rotomdb.tools.{tool}")
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as caught, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        pid = os.fork()
        if not pid:
            status = 70
            try:
                os.dup2(given.fileno(), 0)
                os.dup2(caught.fileno() if stdout is None else stdout, 1)
                os.dup2(errors.fileno(), 2)
                for descriptor in closed:
                    os.close(descriptor)
                if directory is not None:
                    os.chdir(directory)
                sys.argv = [f"rotomdb-{tool.replace('_', '-')}", *map(str, words)]
                sys.stdin = None if 0 in closed else open(0, closefd=False)  # noqa: SIM115
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
                module.main()
            except SystemExit as ending:
                status = ending.code if isinstance(ending.code, int) else 71
            except BaseException:
                os.write(errors.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        caught.seek(0)
        errors.seek(0)
        return status, caught.read(), errors.read()


@dataclass(frozen=True)
class Ended:
    """How a tool ended."""

    status: int
    output: str
    errors: str
