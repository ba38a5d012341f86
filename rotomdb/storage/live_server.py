"""A connection to a live server, for the tools and MIGRATE: what little RESP they need, in both directions."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from rotomdb.errors import SourceError
from rotomdb.storage.propagation import encode_command
from rotomdb.storage.tls_client import TlsOptions, tls_reason

SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")
SECURE_SCHEMES = ("rediss", "valkeys")
CONNECT_S = 5.0  # for the connection, TLS and the first replies
TIMEOUT_S = 60.0
PASSWORD_VARIABLE = "REDISCLI_AUTH"
DEFAULT_TLS = TlsOptions()
Reply = bytes | int | None | list["Reply"]


def is_live(spec: str) -> bool:
    return spec.partition("://")[0] in SCHEMES and "://" in spec


def without_password(spec: str) -> str:
    """For messages."""
    if not is_live(spec):
        return spec
    password = urlsplit(spec).password
    return spec.replace(f":{password}@", ":***@") if password else spec


def length_in(line: bytes) -> int:
    """The number behind the first byte of a reply. Raises ConnectionError where there is none: that is no server."""
    if not line[1:].strip().isdigit():
        raise ConnectionError(f"no reply of a server: {line[:40]!r}")
    return int(line[1:])


class LiveServer:
    """Requests and their simple replies. Every method may raise OSError; ConnectionError once the server has closed."""

    def __init__(self, connection: socket.socket, name: str, database: int | None = None) -> None:
        self.database = database  # that the address names
        self.connection = connection
        self.stream = connection.makefile("rwb")
        self.name = name

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was to be sent, after an error
            self.stream.close()
        self.connection.close()

    def write(self, *words: bytes) -> None:
        """A request that may wait for others."""
        self.stream.write(encode_command(*words))

    def send(self, *words: bytes) -> None:
        self.write(*words)
        self.stream.flush()

    def reply_line(self) -> bytes:
        """A simple reply, an error or a number, with its first byte."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return line[:-2]

    def ask(self, *words: bytes) -> bytes:
        self.send(*words)
        return self.reply_line()

    def reply(self) -> Reply:
        """Any reply of RESP2; an error comes with its first byte."""
        line = self.reply_line()
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind in (b"$", b"*") and rest == b"-1":
            return None
        if kind == b"*":
            return [self.reply() for _ in range(length_in(line))]
        if kind != b"$":
            return line if kind == b"-" else rest
        data = self.stream.read(length_in(line) + 2)
        if not data.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return data[:-2]

    def need(self, *words: bytes) -> None:
        """Raises SourceError when the reply is an error."""
        reply = self.ask(*words)
        if reply.startswith(b"-"):
            raise SourceError(f"{self.name}: {words[0].decode()}: {reply[1:].decode('utf-8', 'replace')}")


@contextlib.contextmanager
def connected(url: str, tls: TlsOptions = DEFAULT_TLS) -> Iterator[LiveServer]:
    """A server, authenticated, with the database of the address: `redis://[user:password@]host[:port][/database]`, or
    `unix://[user:password@]/path[?db=database]`. A password that is not in it comes from REDISCLI_AUTH or, on a terminal, is asked for.

    Raises:
        SourceError: it cannot be reached, refuses, or is silent.
    """
    name = without_password(url)
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "127.0.0.1", parts.port or 6379)
        database = database_of(parts)
    except ValueError as error:
        raise SourceError(f"{name}: {error}") from None
    try:
        connection = secured(parts, address, tls)
    except TimeoutError:
        raise SourceError(f"{name}: no answer within {CONNECT_S:.0f} s") from None
    except OSError as error:
        raise SourceError(f"{name}: {tls_reason(error)}") from None
    try:
        with contextlib.closing(LiveServer(connection, name, database)) as server:
            with left_alone(name, parts, tls):
                authenticate(server, parts)
            if database is not None:
                server.need(b"SELECT", b"%d" % database)
            connection.settimeout(TIMEOUT_S)
            yield server
    except ssl.SSLError as error:
        raise SourceError(f"{name}: {tls_reason(error)}") from None
    except TimeoutError:
        raise SourceError(f"{name}: the server was silent for {connection.gettimeout() or TIMEOUT_S:.0f} s") from None
    except BrokenPipeError as error:
        if error.filename is not None:
            raise  # not the server's: the reader of our output has gone
        raise SourceError(f"{name}: the server closed the connection") from None
    except ConnectionError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from None


@contextlib.contextmanager
def left_alone(name: str, parts: SplitResult, tls: TlsOptions) -> Iterator[None]:
    """Behind the handshake, where a server tells what it thinks of our certificate, or only goes before that can be read."""
    try:
        yield
    except (ssl.SSLEOFError, ConnectionError):
        if parts.scheme not in SECURE_SCHEMES:
            raise
        wanted = "another certificate" if tls.cert else "a certificate"
        raise SourceError(
            f"{name}: the server closed the connection right behind the handshake: it may want {wanted} of ours (--cert, --key)"
        ) from None


def database_of(parts: SplitResult) -> int | None:
    """The number of the database that an address names. Raises ValueError for what is none."""
    text = parse_qs(parts.query).get("db", [""])[-1] if parts.scheme == "unix" or parts.query else parts.path.strip("/")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{text!r} is no number of a database")
    return int(text)


def authenticate(server: LiveServer, parts: SplitResult) -> None:
    """Say who we are, where the address, the environment or a person says it."""
    user = [unquote(parts.username).encode()] if parts.username else []
    password = unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE, "")
    if password:
        server.need(b"AUTH", *user, password.encode("utf-8", "surrogateescape"))
    elif server.ask(b"PING").startswith(b"-NOAUTH"):
        if sys.stdin is None or not sys.stdin.isatty():
            raise SourceError(f"{server.name}: it wants a password: set {PASSWORD_VARIABLE}")
        server.need(b"AUTH", *user, getpass.getpass(f"Password for {server.name}: ").encode())


def secured(parts: SplitResult, address: tuple[str, int], tls: TlsOptions) -> socket.socket:
    """A socket connected to the address, inside TLS where the scheme says so."""
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CONNECT_S)
        try:
            connection.connect(unquote(parts.path))
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection(address, CONNECT_S)
    if parts.scheme not in SECURE_SCHEMES:
        return connection
    try:
        return tls.wrap(connection, address[0])
    except BaseException:
        connection.close()
        raise
