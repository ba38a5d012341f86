"""A crash leaves a report in the log, in Redis's layout, and the process still dies of what it crashed by."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.processes import RotomServer

Start = Callable[..., RotomServer]
SECTIONS = (
    "=== ROTOMDB BUG REPORT START", "------ STACK TRACE ------", "------ PYTHON STACK ------", "------ INFO OUTPUT ------",
    "------ CLIENT LIST OUTPUT ------", "------ CURRENT CLIENT INFO ------", "------ CONFIG DEBUG OUTPUT ------",
    "=== ROTOMDB BUG REPORT END",
)  # fmt: skip


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Start]:
    """Start servers that are meant to crash."""
    started: list[RotomServer] = []

    def start(*arguments: str) -> RotomServer:
        server = RotomServer(tmp_path / f"doomed{len(started)}", "--save", "", *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


def end_by(server: RotomServer, number: signal.Signals) -> str:
    """Send the signal; the log once the server has died of it."""
    assert server.process is not None
    server.process.send_signal(number)
    assert server.wait() == -number
    return server.log()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT])
def test_every_signal_of_a_fault_is_reported_and_is_what_the_process_dies_of(
    doomed: Start, number: signal.Signals
) -> None:
    server = doomed()
    log = end_by(server, number)
    assert f"crashed by signal: {int(number)}, si_code: 0" in log
    assert f"Killed by PID: {os.getpid()}" in log
    at = [log.index(section) for section in SECTIONS]
    assert at == sorted(at)
    assert re.search(
        r"^\d+:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} # rotomdb \S+ crashed by", log, re.MULTILINE
    )
    assert "------ REGISTERS ------" in log
    assert "redis_version:" in log


@pytest.mark.parametrize(
    ("what", "number", "said"),
    [
        ("SEGFAULT", signal.SIGSEGV, "Accessing address: 0x"),
        ("PANIC", signal.SIGABRT, "Guru Meditation: DEBUG PANIC called"),
        ("ASSERT", signal.SIGABRT, "'1 == 2' is not true"),
        ("OOM", signal.SIGABRT, "Out Of Memory allocating 9223372036854775807 bytes!"),
    ],
)
def test_a_crash_inside_a_command_names_the_client_and_its_words(
    doomed: Start, what: str, number: signal.Signals, said: str
) -> None:
    server = doomed()
    with server.client(client_name="the-one") as client:
        client.ping()
        with pytest.raises(redis.ConnectionError):
            client.execute_command("DEBUG", what)
    assert server.wait() == -number
    log = server.log()
    assert said in log
    current = log.partition("------ CURRENT CLIENT INFO ------")[2]
    assert "name=the-one" in current
    assert f"argv[1]: '\"{what}\"'" in current
    assert "debug.py" in log.partition("------ PYTHON STACK ------")[2]
    assert log.count("BUG REPORT START") == 1


def test_the_report_can_be_turned_off_at_run_time(doomed: Start) -> None:
    server = doomed()
    with server.client() as client:
        assert client.config_set("crash-log-enabled", "no")
    assert "BUG REPORT" not in end_by(server, signal.SIGSEGV)


def test_what_was_acknowledged_before_a_crash_is_there_after_it(doomed: Start) -> None:
    server = doomed()
    with server.client() as client:
        client.set("a", "1")
    end_by(server, signal.SIGSEGV)
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"


def test_a_child_that_crashes_is_reported_as_one_and_the_server_goes_on(doomed: Start) -> None:
    server = doomed("--rdb-key-save-delay", "5000000")
    with server.client() as client:
        client.set("a", "1")
        client.bgsave()
        child = int(re.findall(r"Background saving started by pid (\d+)", server.log())[0])
        end = time.monotonic() + 20
        while "BUG REPORT END" not in server.log():
            os.kill(child, signal.SIGSEGV)
            assert time.monotonic() < end
            time.sleep(0.1)
        server.wait_for("rdb_last_bgsave_status", "err")
    assert re.search(rf"^{child}:C .* crashed by signal: 11", server.log(), re.MULTILINE)
    assert "Background saving terminated by signal 11" in server.log()
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("lambda fd: crash_signals.segfault()", "A second crash, while the report was written"),
        ("lambda fd: time.sleep(60)", "The rest of the report took too long"),
        ("lambda fd: 1 / 0", "The rest of the report failed: ZeroDivisionError"),
    ],
)
def test_a_report_that_fails_ends_there_and_the_process_dies_all_the_same(rest: str, said: str) -> None:
    program = (
        "import time\nfrom rotomdb.server import crash_signals\n"
        f"crash_signals.configure('', 'rotomdb', 0, {rest}, 1)\n"
        "crash_signals.enable(True)\ncrash_signals.segfault()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGSEGV
    assert said in done.stdout
    assert "BUG REPORT END" in done.stdout
