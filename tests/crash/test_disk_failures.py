"""No failing system call ends a server, or makes it forget or answer wrongly: a sample of the matrix in disk_failures.py."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.crash.disk_failures import OPERATIONS, Case, Failure, Matrix
from tests.crash.failing_disk import CHANGING, FailingServer

NAMED = {operation.name: operation for operation in OPERATIONS}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    if shutil.which("cc") is None:
        missing("a C compiler")
    matrix = Matrix(tmp_path_factory.mktemp("matrix"))
    yield matrix
    matrix.close()


@pytest.mark.parametrize("name", [name for name in NAMED if not NAMED[name].slow])
def test_whatever_call_fails_the_server_serves_and_keeps_what_it_acknowledged(matrix: Matrix, name: str) -> None:
    before = len(matrix.report.problems)
    matrix.try_few(NAMED[name], list(NAMED).index(name), 2)
    assert matrix.report.problems[before:] == []


@pytest.mark.parametrize("name", ["write, always", "BGREWRITEAOF", "BGSAVE", "FLUSHALL with save points"])
def test_a_file_system_that_turned_read_only_refuses_writes_and_serves_reads_until_it_is_writable(
    matrix: Matrix, name: str
) -> None:
    before = len(matrix.report.problems)
    matrix.try_on_one_server(NAMED[name], [Failure(CHANGING, errno.EROFS)])
    assert matrix.report.problems[before:] == []


@pytest.mark.parametrize("words", ["FLUSHALL", "CONFIG SET appendonly no", "SHUTDOWN NOSAVE"])
def test_a_child_that_is_stopped_holds_nobody_up(matrix: Matrix, tmp_path: Path, words: str) -> None:
    child = "BGSAVE" if words == "FLUSHALL" else "BGREWRITEAOF"
    server = FailingServer(matrix.nursery, tmp_path, "--save", "", "--rdb-key-save-delay", "1000000")
    server.start()
    case = Case(server)
    case.expected.write(case.link, 5)
    case.ask("BGREWRITEAOF" if child == "BGREWRITEAOF" else "BGSAVE")
    pids = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
    for pid in pids:
        server.signal_to(pid, signal.SIGSTOP)
    link = server.link()
    link.send(*words.split())
    if words.startswith("SHUTDOWN"):
        assert server.wait() == 0, server.log()
    else:
        assert link.reply() == b"OK"
        assert case.ask("PING") == b"PONG"
        assert server.until(case.childless), server.log()
    server.kill()
