"""A connection to a live server, for the tools: what little RESP they need, in both directions."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from rotomdb.errors import SourceError

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


class LiveServer:
    """Requests and their simple replies."""

    def __init__(self, stream: io.BufferedRWPair, name: str) -> None:
        self.stream = stream
        self.name = name

    def send(self, *words: bytes) -> None:
        self.stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        self.stream.flush()

    def reply_line(self) -> bytes:
        """A simple reply, an error or a number, with its first byte. Raises SourceError at the end of the connection."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise SourceError(f"{self.name}: the server closed the connection")
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
        with contextlib.closing(socket.create_connection(address, TIMEOUT_S)) as plain:
            connection: socket.socket = plain
            if parts.scheme in SECURE_SCHEMES:
                import ssl

                connection = ssl.create_default_context().wrap_socket(plain, server_hostname=address[0])
            with connection.makefile("rwb") as stream:
                server = LiveServer(stream, name)
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
    except socket.gaierror as error:
        raise SourceError(f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise SourceError(f"{name}: {error}") from None
