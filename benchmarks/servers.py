"""The two servers under measurement, started in the same way on the same machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

TICKS = os.sysconf("SC_CLK_TCK")


class Peer:
    """A running server of one kind. `name` is `redis` or `rotomdb`."""

    def __init__(self, name: str, *options: str, directory: Path | None = None) -> None:
        self.name = name
        self.options = options
        self.own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    def start(self) -> float:
        """Start; seconds until it answered, loading included."""
        program = ["redis-server"] if self.name == "redis" else [sys.executable, "-m", "rotomdb"]
        begin = time.perf_counter()
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *program, "--port", str(self.port), "--bind", "127.0.0.1", "--enable-debug-command", "yes",
                    *self.options,
                ],
                cwd=self.directory, stdout=log, stderr=log,
            )  # fmt: skip
        self.client = redis.Redis(port=self.port, socket_timeout=600)
        while True:
            try:
                self.client.ping()
                return time.perf_counter() - begin
            except redis.exceptions.ConnectionError:
                if self.process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text(errors="replace")) from None
                time.sleep(0.002)
            except redis.exceptions.BusyLoadingError:
                time.sleep(0.002)

    def loading_seconds(self) -> float:
        """What the log says that loading took."""
        text = (self.directory / "log").read_text()
        line = [line for line in text.splitlines() if "DB loaded from" in line and "seconds" in line][-1]
        return float(line.rsplit(":", 1)[1].split()[0])

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def send(self, commands: bytes, count: int) -> None:
        """Pipe raw RESP in and read `count` replies, as fast as both sides can."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setblocking(False)
            self.pump(connection, memoryview(commands), count)

    @staticmethod
    def pump(connection: socket.socket, data: memoryview, count: int) -> None:
        import select

        lines = 0
        while lines < count:
            readable, writable, _ = select.select([connection], [connection] if data else [], [])
            if readable:
                lines += connection.recv(1 << 20).count(b"\n")
            if writable:
                data = data[connection.send(data[: 1 << 18]) :]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def pair(*options: str) -> tuple[Peer, Peer]:
    """Redis and rotomdb with the same options; logging to disk only where asked for."""
    given = {option for option in options if option.startswith("--")}
    defaults = [] if "--appendonly" in given else ["--appendonly", "no"]
    defaults += [] if "--save" in given else ["--save", ""]
    return Peer("redis", *defaults, *options), Peer("rotomdb", *defaults, *options)
