"""A connection to a live server, for the tools and MIGRATE: what little RESP they need, in both directions."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

from rotomdb.errors import SourceError
from rotomdb.storage.propagation import encode_command

SCHEMES = ("redis", "rediss", "valkey", "valkeys")
SECURE_SCHEMES = ("rediss", "valkeys")
TIMEOUT_S = 60.0


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

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.connection = connection
        self.stream = connection.makefile("rwb")
        self.name = name

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was to be sent, after an error
            self.stream.close()
        self.connection.close()

    def send(self, *words: bytes) -> None:
        self.stream.write(encode_command(*words))
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

    def need(self, *words: bytes) -> None:
        """Raises SourceError when the reply is an error."""
        reply = self.ask(*words)
        if reply.startswith(b"-"):
            raise SourceError(f"{self.name}: {words[0].decode()}: {reply[1:].decode('utf-8', 'replace')}")


@contextlib.contextmanager
def connected(url: str) -> Iterator[LiveServer]:
    """A server, authenticated as the URL says: `redis://[user:password@]host[:port]`.

    Raises:
        SourceError: it cannot be reached, refuses, or is silent for a minute.
    """
    name = without_password(url)
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "127.0.0.1", parts.port or 6379)
    except ValueError as error:
        raise SourceError(f"{name}: {error}") from None
    try:
        connection = secured(parts, address)
    except TimeoutError:
        raise SourceError(f"{name}: no answer within {TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from None
    try:
        with contextlib.closing(LiveServer(connection, name)) as server:
            if parts.password:
                user = [unquote(parts.username).encode()] if parts.username else []
                server.need(b"AUTH", *user, unquote(parts.password).encode())
            yield server
    except TimeoutError:
        raise SourceError(f"{name}: the server was silent for {TIMEOUT_S:.0f} s") from None
    except BrokenPipeError:
        raise SourceError(f"{name}: the server closed the connection") from None
    except ConnectionError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from None


def secured(parts: SplitResult, address: tuple[str, int]) -> socket.socket:
    """A socket connected to the address, inside TLS where the scheme says so."""
    connection = socket.create_connection(address, TIMEOUT_S)
    if parts.scheme not in SECURE_SCHEMES:
        return connection
    import ssl

    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=address[0])
    except BaseException:
        connection.close()
        raise
