"""`rotomdb.connect(path)`: a redis-py client whose server is the engine in this very process.

No socket and no other process: commands are function calls, the data is kept in `path` with an append-only file. What needs
a connection of its own (pub/sub, CLIENT, MONITOR) or other clients (blocking commands wait for nobody) is not for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rotomdb.commands.dispatch import Context
from rotomdb.errors import CommandError, RotomError
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.server.encoder import plain_reply
from rotomdb.server.logger import Logger
from rotomdb.server.server import Server
from rotomdb.storage.inheritance import known

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.connection import AbstractConnection, ConnectionPool
    from redis.retry import Retry
except ImportError as error:  # pragma: no cover - the extra is not installed
    raise ImportError("rotomdb.connect needs the redis package: pip install 'rotomdb[client]'") from error

CRON_INTERVAL_S = 0.1


class Database:
    """The engine with its persistence, shared by all connections of one client."""

    def __init__(self, path: Path, directives: dict[str, object]) -> None:
        path.mkdir(parents=True, exist_ok=True)
        config = Config()
        words = ["--dir", str(path.resolve()), "--port", "0"]
        for name, value in {"loglevel": "warning", "save": "", "appendonly": "yes", **directives}.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        load_words(config, words)
        self.parts = Server(config, log=Logger(config["loglevel"], config["logfile"]))
        self.dispatcher = self.parts.dispatcher
        self.dispatcher.on_block = self.dispatcher.on_block_until = None  # nobody else could end the wait
        self.parts.store.open()
        self.lock = threading.Lock()
        self.stream = self.dispatcher.stream
        self.aof = self.parts.persistence.aof
        self.next_cron = 0.0
        self.process = os.getpid()
        self.inherited = False  # this is another process than the one that opened it
        self.open = True
        known.add(self)

    def leave_to_parent(self) -> None:
        """In a process made by fork: it is not open here. What it consists of lets go by itself."""
        self.inherited = True
        self.open = False
        self.lock = threading.Lock()  # another thread may have held the old one, and is not here to give it back

    def refuse(self) -> redis.exceptions.ConnectionError:
        """Why nothing can be asked of it."""
        if not self.inherited:
            return redis.exceptions.ConnectionError("the database is closed")
        return redis.exceptions.ConnectionError(
            f"the database was opened by process {self.process}, and this one was forked from it: it cannot use what its parent "
            "writes to. Open a directory of its own here, or run a server for both"
        )

    def execute(self, context: Context, request: list[bytes]) -> Any:
        """Run one command and write down what it did; a CommandError is returned, not raised."""
        with self.lock:
            if not self.open:
                raise self.refuse()
            now = time.monotonic()
            if now >= self.next_cron:
                self.next_cron = now + CRON_INTERVAL_S
                self.dispatcher.update_clock()
                self.parts.cron()
            value = self.dispatcher.execute(context, request)
            if len(self.stream):
                self.parts.store.flush_log()
                if context.write_offset > self.aof.acknowledged_offset:
                    self.wait_for_disk()
            return plain_reply(value)

    def wait_for_disk(self) -> None:
        """`always`: nobody gets an answer before what it tells is safe, or learns why it is not."""
        try:
            self.aof.sync_now()
        except OSError as error:
            raise redis.exceptions.ConnectionError(f"the log could not be brought to the disk: {error}") from error
        if self.aof.buffered_bytes:
            raise redis.exceptions.ConnectionError(f"the log could not be written: {self.aof.write_error}")

    def close(self) -> None:
        """Write and sync everything; the client cannot be used afterwards. Raises ConnectionError in a forked process."""
        with self.lock:
            if self.inherited:
                raise self.refuse()
            if self.open:
                self.open = False
                with contextlib.suppress(RotomError):
                    self.parts.shutdown("force")


def exception_for(error: CommandError) -> Exception:
    """The exception that redis-py raises for this error reply."""
    code, _, rest = str(error).partition(" ")
    known: dict[str, type[Exception]] = {
        "OOM": redis.exceptions.OutOfMemoryError, "NOSCRIPT": redis.exceptions.NoScriptError,
        "EXECABORT": redis.exceptions.ExecAbortError, "READONLY": redis.exceptions.ReadOnlyError,
        "LOADING": redis.exceptions.BusyLoadingError, "NOPERM": redis.exceptions.NoPermissionError,
        "NOAUTH": redis.exceptions.AuthenticationError,
    }  # fmt: skip
    if code in known:
        return known[code](rest)
    return redis.exceptions.ResponseError(rest if code == "ERR" else str(error))


def with_exceptions(reply: Any) -> Any:
    if isinstance(reply, CommandError):
        return exception_for(reply)
    if isinstance(reply, list):
        return [with_exceptions(part) for part in reply]
    return reply


class EngineConnection(AbstractConnection):
    """What redis-py takes for a connection: requests run when they are sent, replies wait to be read."""

    def __init__(self, database: Database, **options: Any) -> None:
        super().__init__(**options)
        self.database = database
        self.context = Context(database.dispatcher)
        self.context.select(int(options.get("db") or 0))
        self.replies: deque[Any] = deque()

    def repr_pieces(self) -> list[tuple[str, Any]]:
        return [("database", self.database.parts.config["dir"])]

    def _connect(self) -> None:
        """There is nothing to connect to."""

    def _host_error(self) -> str:
        return str(self.database.parts.config["dir"])

    def connect(self) -> None:
        """There is nothing to connect to."""

    def disconnect(self, *args: object) -> None:
        self.replies.clear()
        self.context.discard()

    @property
    def is_connected(self) -> bool:
        return True

    def can_read(self, timeout: float = 0) -> bool:
        return bool(self.replies)

    def pack_command(self, *args: Any) -> list[list[bytes]]:
        return [words_of(self.encoder, args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[list[bytes]]:
        return [words_of(self.encoder, tuple(command)) for command in commands]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        for request in command:
            self.replies.append(self.database.execute(self.context, request))

    def send_command(self, *args: Any, **options: Any) -> None:
        self.send_packed_command(self.pack_command(*args))

    def read_response(self, disable_decoding: bool = False, **options: Any) -> Any:
        reply = with_exceptions(self.replies.popleft())
        if isinstance(reply, Exception):
            raise reply
        return reply if disable_decoding else decoded(self.encoder, reply)


def words_of(encoder: Any, arguments: tuple[Any, ...]) -> list[bytes]:
    """The request's words as bytes; a command name such as `CONFIG GET` is two of them."""
    words = [argument if type(argument) is bytes else encoder.encode(argument) for argument in arguments]
    return [*words[0].split(), *words[1:]] if b" " in words[0] else words


def decoded(encoder: Any, reply: Any) -> Any:
    if not encoder.decode_responses:
        return reply
    if isinstance(reply, list):
        return [decoded(encoder, part) for part in reply]
    return encoder.decode(reply) if isinstance(reply, bytes) else reply


class EmbeddedRedis(redis.Redis):
    """redis.Redis over an engine in this process. Single commands skip the connection machinery.

    Args:
        owner: Whether closing it closes the database.
    """

    def __init__(self, database: Database, *, owner: bool = True, **options: Any) -> None:
        never = Retry(NoBackoff(), 0, supported_errors=())  # what is closed stays closed
        pool = ConnectionPool(connection_class=EngineConnection, database=database, protocol=2, retry=never, **options)
        super().__init__(connection_pool=pool)
        self.database = database
        self.owner = owner
        self.options = options
        self.context = Context(database.dispatcher)
        self.context.select(int(options.get("db") or 0))
        self.encoder = pool.get_encoder()
        self.callbacks: dict[str, Any] = self.response_callbacks
        self.decodes = bool(self.encoder.decode_responses)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        reply = self.database.execute(self.context, words_of(self.encoder, args))
        if isinstance(reply, CommandError):
            raise exception_for(reply)
        name = args[0]
        if type(reply) is list:
            reply = with_exceptions(reply)
        if self.decodes and "NEVER_DECODE" not in options:
            reply = decoded(self.encoder, reply)
        callback = self.callbacks.get(name)
        if callback is None:
            return reply
        options.pop("keys", None)
        return callback(reply, **options)

    def client(self) -> EmbeddedRedis:
        """Another connection to the same data: WATCH, MULTI and SELECT are its own. Closing it ends the connection only."""
        return EmbeddedRedis(self.database, owner=False, **self.options)

    def close(self) -> None:
        """Write everything down and end; also the end of a `with` block. Raises ConnectionError in a forked process."""
        if self.owner:
            self.database.close()
        else:
            self.context.discard()

    def shutdown(self, *args: Any, **options: Any) -> None:
        """As in redis-py, which takes a ConnectionError for success."""
        if self.database.inherited:
            raise self.database.refuse()
        super().shutdown(*args, **options)

    def __exit__(self, *exception: object) -> None:
        if not self.database.inherited:  # a child that leaves the block has nothing to end, and no reason to fail
            self.close()


def connect(path: Path | str, *, db: int = 0, decode_responses: bool = False, **directives: object) -> EmbeddedRedis:
    """Open the data in `path`, made when it is not there, and return a client for it.

    Args:
        db: Number of the database.
        decode_responses: Replies as str, as in redis-py.
        directives: Configuration, with underscores for dashes: `appendfsync="always"`.

    Raises:
        ConfigError: a directive that does not exist or a value that it does not take.
        FileFormatError: the data cannot be loaded.
    """
    database = Database(Path(path), directives)
    return EmbeddedRedis(database, db=db, decode_responses=decode_responses)
