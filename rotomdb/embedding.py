"""A Redis-speaking server inside a program: own commands, own middleware, in a thread of its own.

server = Server("data", port=7000)

@server.command("HELLO.WORLD", since="1.0.0")
def hello_world(ctx: Context, name: Bytes) -> bytes:
    \"\"\"Greets.\"\"\"
    return b"Hello " + name

@server.middleware
def timing(ctx, request, proceed):
    start = time.perf_counter()
    try:
        return proceed()
    finally:
        print(request[0], time.perf_counter() - start)

with server:                             # or server.start() ... server.stop()
    ...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotomdb.commands import load_all
from rotomdb.commands.registry import REGISTRY, CommandSpec, declare
from rotomdb.errors import RotomError
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.server.logger import Logger
from rotomdb.server.reactor import Handler
from rotomdb.server.server import Server as ServerParts
from rotomdb.storage.inheritance import known

if TYPE_CHECKING:
    import redis

Layer = Callable[[Any, list[bytes], Callable[[], object]], object]
STOP_TIMEOUT_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server that lives inside this process.

    Args:
        directory: Where the data is kept; None: in a temporary directory that goes with the server.
        port: TCP port on the loopback interface; None: a free one.
        directives: Further configuration, with underscores for dashes: `appendfsync="always"`.

    Raises:
        ConfigError: a directive that does not exist or a value that it does not take.
    """

    def __init__(self, directory: Path | str | None = None, *, port: int | None = None, **directives: object) -> None:
        self.directory = None if directory is None else Path(directory).resolve()
        self.temporary: weakref.finalize[..., Server] | None = None  # removes the temporary directory
        self.port = free_port() if port is None else port
        self.directives = {"loglevel": "warning", "bind": "127.0.0.1", "save": "", "appendonly": "yes", **directives}
        self.specs: list[CommandSpec] = []
        self.layers: list[Layer] = []
        self.parts: ServerParts | None = None
        self.thread: threading.Thread | None = None
        self.stopping: socket.socket | None = None
        self.process = 0  # that started it
        self.owner = 0  # the same, where that is not this one
        known.add(self)

    # Declaring

    def command(self, name: str, **declaration: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As `rotomdb.command`, for this server alone. Commands are declared before the server starts."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.specs.append(declare(name, function, **declaration))
            return function

        return register

    def middleware(self, layer: Layer) -> Layer:
        """Put `layer(ctx, request, proceed)` around every command, inside the ones added before.

        It returns what `proceed()` returns, or something else, or raises CommandError to refuse.
        """
        self.layers.append(layer)
        return layer

    # Life

    def start(self) -> Server:
        """Load the data and serve from a thread. Raises what stands in the way."""
        self.refuse_if_inherited()
        if self.parts is not None:
            raise RuntimeError("the server runs already")
        config = Config()
        words = ["--port", str(self.port)]
        for name, value in self.directives.items():
            text = {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
        load_words(config, words)
        config.values["dir"] = str(self.data_directory())
        load_all()
        specs = {**REGISTRY, **{spec.name: spec for spec in self.specs}}
        parts = ServerParts(config, log=Logger(config["loglevel"], config["logfile"]), specs=specs.values())
        parts.dispatcher.layers = list(self.layers)
        if not parts.start():
            raise RotomError("a client ended the server while it was loading")
        reading, self.stopping = socket.socketpair()
        for end in (reading, self.stopping):
            end.setblocking(False)
        StopSignal(reading, parts)
        self.process = os.getpid()
        self.parts = parts
        self.thread = threading.Thread(target=parts.run, name=f"rotomdb-{self.port}", daemon=True)
        self.thread.start()
        return self

    def data_directory(self) -> Path:
        """The directory of the data, which now exists."""
        if self.directory is None:
            place = tempfile.mkdtemp(prefix="rotomdb-")
            self.temporary = weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
            return Path(place)
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory

    def stop(self) -> None:
        """Write everything down and stop; nothing happens when the server does not run."""
        self.refuse_if_inherited()
        if self.parts is None or self.thread is None or self.stopping is None:
            return
        with contextlib.suppress(OSError):
            self.stopping.send(b"x")
        self.thread.join(STOP_TIMEOUT_S)
        if self.thread.is_alive():
            raise RotomError(f"the server did not stop within {STOP_TIMEOUT_S} seconds")
        self.stopping.close()
        self.parts = self.thread = self.stopping = None
        if self.temporary is not None:
            self.temporary()
            self.temporary = None

    def leave_to_parent(self) -> None:
        """In a process made by fork: the server runs in the parent, and its directory is the parent's to remove."""
        if self.temporary is not None:
            self.temporary.detach()
        if self.parts is None or self.owner:
            return  # it does not run: then it can be started here
        self.owner = self.process
        if self.stopping is not None:
            self.stopping.close()

    def refuse_if_inherited(self) -> None:
        if self.owner:
            raise RotomError(
                f"the server was started by process {self.owner}, and this one was forked from it: it can be a client of the "
                "server, and neither start nor stop it"
            )

    def __enter__(self) -> Server:
        self.refuse_if_inherited()
        return self.start() if self.parts is None else self

    def __exit__(self, *exception: object) -> None:
        if not self.owner:  # a child that leaves the block has nothing to end, and no reason to fail
            self.stop()

    def client(self, **options: Any) -> redis.Redis:
        """A redis-py client of this server."""
        import redis

        return redis.Redis(port=self.port, **options)


class StopSignal(Handler):
    """The socket that `stop` writes to, so that the loop ends itself in its own thread."""

    def __init__(self, reading: socket.socket, parts: ServerParts) -> None:
        super().__init__(reading.fileno())
        self.socket = reading
        self.parts = parts
        parts.reactor.add(self)

    def readable(self) -> None:
        self.parts.reactor.remove(self)
        self.parts.shutdown("force")
        self.socket.close()
