"""Real servers whose system calls fail on command, by tests/shims/failing_disk.c, and what their clients were told.

Servers come from one process that has loaded everything and forks, so that a start takes a few hundredths of a second:
`python -m tests.crash.failing_disk` is that process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.processes import ROOT

SHIM = ROOT / "tests" / "shims" / "failing_disk.c"
CALLS = (
    "open", "read", "write", "fsync", "truncate", "allocate", "close", "rename", "unlink", "link", "mkdir", "rmdir", "stat",
    "fstat", "scan", "statvfs", "mode", "lock", "map", "fork", "pipe", "thread", "wait",
)  # fmt: skip
CHANGING = ("write", "truncate", "allocate", "rename", "unlink", "link", "mkdir", "rmdir", "mode")
HEAD = struct.Struct("Iiiii")
PREFIX_AT = HEAD.size + 4 * len(CALLS)
CONTROL_BYTES = PREFIX_AT + 256
REPLY_S = 20.0


class Control:
    """The block of memory that the shim looks at before every call."""

    def __init__(self, path: Path, prefix: Path) -> None:
        path.write_bytes(bytes(CONTROL_BYTES))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), CONTROL_BYTES)
        self.path = path
        self.watch(prefix)

    def watch(self, prefix: Path) -> None:
        """Only what is about this path, or below it, can fail from now on."""
        self.memory[PREFIX_AT : PREFIX_AT + 256] = os.fsencode(prefix).ljust(256, b"\0")

    def fail(self, calls: tuple[str, ...], error: int, *, skip: int = 0, times: int = -1) -> None:
        """Let these calls fail: the first `skip` of them not, then so many, or (-1) all until `lift`."""
        self.lift()
        mask = sum(1 << CALLS.index(call) for call in calls)
        self.memory[4 : HEAD.size] = HEAD.pack(0, error, skip, times, 0)[4:]
        self.memory[:4] = struct.pack("I", mask)

    def lift(self) -> int:
        """Everything works again; how many calls have failed."""
        self.memory[:4] = bytes(4)
        return self.failed

    @property
    def failed(self) -> int:
        return int(HEAD.unpack_from(self.memory)[4])

    def forget_seen(self) -> None:
        self.memory[HEAD.size : PREFIX_AT] = bytes(PREFIX_AT - HEAD.size)

    def seen(self) -> dict[str, int]:
        """How often each call was made since then."""
        counts = struct.unpack_from(f"{len(CALLS)}I", self.memory, HEAD.size)
        return dict(zip(CALLS, counts, strict=True))


def build_shim(place: Path) -> Path:
    library = place / "failing_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


class Nursery:
    """Starts servers that obey one control."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.control = Control(place / "control", place / "none")
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(build_shim(place)),
            "FAILING_DISK": str(self.control.path),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.failing_disk"], env=environment, cwd=ROOT, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, **request: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(REPLY_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Link:
    """A connection that keeps count of what is still to be answered."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(REPLY_S)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.data = b""

    def send(self, *words: object) -> None:
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))

    def reply(self, seconds: float = REPLY_S) -> object:
        """The next one: bytes, a number, a list, None; an error as an Exception. Raises TimeoutError, ConnectionError."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(IndexError, ValueError):
                value, used = parsed(self.data, 0)
                self.data = self.data[used:]
                return value
            self.socket.settimeout(max(end - time.monotonic(), 0.0001))
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError
            self.data += data

    def ask(self, *words: object, seconds: float = REPLY_S) -> object:
        self.send(*words)
        return self.reply(seconds)

    def close(self) -> None:
        """Leave."""
        self.socket.close()


def parsed(data: bytes, at: int) -> tuple[object, int]:
    """A value and where it ends. Raises IndexError or ValueError while it is not whole."""
    end = data.index(b"\r\n", at)
    kind, line = data[at : at + 1], data[at + 1 : end]
    end += 2
    if kind == b"$":
        length = int(line)
        if length < 0:
            return None, end
        if len(data) < end + length + 2:
            raise IndexError
        return data[end : end + length], end + length + 2
    if kind == b"*":
        values = []
        for _ in range(int(line)):
            value, end = parsed(data, end)
            values.append(value)
        return values, end
    if kind == b"-":
        return RuntimeError(line.decode()), end
    return (int(line) if kind == b":" else line), end


class FailingServer:
    """A server with its data in `place/data`, the log beside it."""

    def __init__(self, nursery: Nursery, place: Path, *arguments: str) -> None:
        self.nursery = nursery
        self.control = nursery.control
        self.place = place
        self.data = place / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.arguments = arguments
        self.pid = 0
        self.links: list[Link] = []

    def launch(self) -> None:
        (self.place / "socket").unlink(missing_ok=True)
        configuration = self.data / "server.conf"
        words = [
            *([str(configuration)] if configuration.exists() else []), "--port", "0", "--unixsocket", str(self.place / "socket"), "--dir", str(self.data), "--hz", "100",
            "--disk-reserve", "64kb", "--enable-debug-command", "yes", *self.arguments,
        ]  # fmt: skip
        self.pid = self.nursery.ask(start=words, log=str(self.place / "log"), place=str(self.place))

    def start(self) -> None:
        """Launch, and wait until it serves. Raises RuntimeError when it ends before."""
        self.launch()
        if (status := self.wait_for_start()) is not None:
            raise RuntimeError(f"it ended with {status}:\n{self.log()}")

    def wait_for_start(self) -> int | None:
        """None once it serves; the exit status when it has ended before."""
        end = time.monotonic() + REPLY_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                link = self.link()
                reply = link.ask("PING")
                if reply == b"PONG":
                    return None
            if (status := self.status()) is not None:
                return status
            time.sleep(0.003)
        raise TimeoutError(self.log())

    def status(self) -> int | None:
        """The exit status once it has ended; negative: of which signal."""
        if self.pid == 0:
            return 0
        found = self.nursery.ask(ended=self.pid)
        if found == 1 << 20:
            return None
        self.pid = 0
        return found

    def wait(self, seconds: float = REPLY_S) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (status := self.status()) is not None:
                return status
            time.sleep(0.003)
        raise TimeoutError(f"it does not end:\n{self.log()}")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @staticmethod
    def signal_to(child: int, number: int) -> None:
        os.kill(child, number)

    def kill(self) -> None:
        for link in self.links:
            link.close()
        self.links.clear()
        if self.pid and self.status() is None:
            self.signal(signal.SIGKILL)
            self.wait()

    def link(self) -> Link:
        link = Link(self.place / "socket")
        self.links.append(link)
        return link

    def forget_links(self, kept: Link) -> None:
        for link in self.links:
            if link is not kept:
                link.close()
        self.links = [kept]

    def log(self) -> str:
        path = self.place / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def persistence(self, link: Link) -> dict[str, str]:
        text = link.ask("INFO", "persistence")
        assert isinstance(text, bytes), text
        return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)

    def until(self, condition: Callable[[], object], seconds: float = REPLY_S) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.003)
        return True

    def copy_to(self, place: Path) -> FailingServer:
        """What is on disk now, for another server: what a SIGKILL at this moment would leave to the next start."""
        shutil.rmtree(place, ignore_errors=True)
        other = FailingServer(self.nursery, place, *self.arguments)
        for _ in range(20):
            try:
                shutil.copytree(self.data, other.data, dirs_exist_ok=True)
                break
            except (shutil.Error, FileNotFoundError):  # a file was renamed or removed meanwhile
                shutil.rmtree(other.data)
        return other


def serve_starts() -> None:
    """Fork servers as asked on standard input, a line each; answers with their process ids, or how they ended."""
    from rotomdb.server.config import Config
    from rotomdb.server.main import main
    from rotomdb.server.server import Server

    Server(Config())  # so that everything is loaded
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            found = os.waitid(os.P_PID, request["ended"], os.WEXITED | os.WNOHANG)
            status = 1 << 20 if found is None else found.si_status * (1 if found.si_code == os.CLD_EXITED else -1)
            print(status, flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            null = os.open(os.devnull, os.O_RDONLY)
            for target, source in enumerate((null, log, log)):
                os.dup2(source, target)
            os.chdir(request["place"])
            sys.argv = ["rotomdb-server", *request["start"]]
            status = 1
            try:
                main()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                os._exit(status)
        print(pid, flush=True)


if __name__ == "__main__":
    serve_starts()
