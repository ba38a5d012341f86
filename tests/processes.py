"""Real server processes for tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 30
CRASHES = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A server in a directory, on a free port."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.arguments = arguments
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.internal_errors_expected = False  # by a test that provokes them

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start and wait until it answers; an exit before that raises with the log."""
        self.launch()
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}:\n{self.log()}")
            try:
                with contextlib.closing(self.client()) as client:
                    client.ping()
                return
            except redis.exceptions.AuthenticationError:
                return
            except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                time.sleep(0.02)
        raise RuntimeError(f"server does not answer:\n{self.log()}")

    def launch(self) -> None:
        self.directory.mkdir(exist_ok=True)
        log = (self.directory / "server.log").open("ab")
        self.process = subprocess.Popen(
            self.command(), cwd=self.directory, stdout=log, stderr=log, env=self.environment()
        )
        log.close()

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def wait(self, timeout: float = 20) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def crashed(self) -> bool:
        """Whether it ended by a signal that only a bug in native code sends."""
        return self.process is not None and self.process.poll() in CRASHES

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **options)  # type: ignore[arg-type]

    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")

    def digest(self) -> bytes:
        with contextlib.closing(self.client()) as client:
            return client.execute_command("DEBUG", "DIGEST")  # type: ignore[no-any-return]

    def wait_for(self, field: str, value: object, section: str = "persistence", timeout: float = 20) -> None:
        """Wait until INFO shows `field` with `value`."""
        end = time.monotonic() + timeout
        with contextlib.closing(self.client()) as client:
            while client.info(section)[field] != value:
                if time.monotonic() > end:
                    raise TimeoutError(f"{field} is {client.info(section)[field]}, not {value}\n{self.log()}")
                time.sleep(0.02)


class RotomServer(ServerProcess):
    def environment(self) -> dict[str, str]:
        # With the debugging allocator, native code that uses an object after it was freed falls over at once.
        return {**super().environment(), "PYTHONMALLOC": "debug", "PYTHONFAULTHANDLER": "1"}

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "rotomdb", "--port", str(self.port), "--bind", "127.0.0.1",
            "--enable-debug-command", "yes", *self.arguments,
        ]  # fmt: skip


class ControlledServer(RotomServer):
    """A server whose disk does what `control` says: see rotomdb/testing/server.py."""

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "rotomdb.testing.server", str(self.directory / "control"),
            "--port", str(self.port), "--bind", "127.0.0.1", "--enable-debug-command", "yes", *self.arguments,
        ]  # fmt: skip

    def control(self, words: str) -> None:
        """Tell the disk how to behave from now on; nothing: as it should."""
        (self.directory / "control").write_text(words)


class RedisServer(ServerProcess):
    def command(self) -> list[str]:
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--enable-debug-command", "yes",
            *self.arguments,
        ]  # fmt: skip
