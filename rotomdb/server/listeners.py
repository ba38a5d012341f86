"""Listening sockets: TCP on every bound address, and a unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from rotomdb.errors import ConfigError
from rotomdb.server.reactor import Handler, Reactor

ACCEPTS_PER_EVENT = 1000
Accept = Callable[[socket.socket], None]


class Listener(Handler):
    """One listening socket."""

    def __init__(self, listening: socket.socket, accept: Accept, reactor: Reactor) -> None:
        super().__init__(listening.fileno())
        self.socket = listening
        self.accept = accept
        self.reactor = reactor
        reactor.add(self)

    def readable(self) -> None:
        for _ in range(ACCEPTS_PER_EVENT):
            try:
                connection, _ = self.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                return  # out of descriptors: the connection waits in the backlog
            self.accept(connection)

    def close(self) -> None:
        self.reactor.remove(self)
        self.socket.close()


def listen_tcp(addresses: tuple[str, ...], port: int, backlog: int) -> list[socket.socket]:
    """Bind every address; one with a leading `-` may fail. Raises ConfigError."""
    sockets: list[socket.socket] = []
    for entry in addresses:
        optional = entry.startswith("-")
        address = entry.removeprefix("-")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        host = {"*": "0.0.0.0", "::*": "::"}.get(address, address)
        try:
            listening = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            if optional:
                continue
            raise ConfigError(
                f"Could not create server TCP listening socket {address}:{port}: {error.strerror}"
            ) from None
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((host, port))
            listening.listen(backlog)
        except OSError as error:
            listening.close()
            if optional:
                continue
            for bound in sockets:
                bound.close()
            raise ConfigError(
                f"Could not create server TCP listening socket {address}:{port}: bind: {error.strerror}"
            ) from None
        listening.setblocking(False)
        sockets.append(listening)
    return sockets


def listen_unix(path: str, permissions: int, backlog: int) -> socket.socket:
    """Bind a unix socket, replacing a dead one. Raises ConfigError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        if permissions:
            os.chmod(path, permissions)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise ConfigError(f"Opening Unix socket {path}: bind: {error.strerror}") from None
    listening.setblocking(False)
    return listening


def address_of(connection: socket.socket, *, peer: bool) -> str:
    """`ip:port` of an end of a connection, as CLIENT LIST shows it."""
    try:
        address = connection.getpeername() if peer else connection.getsockname()
    except OSError:
        return "?:0"
    if connection.family == socket.AF_UNIX:
        return f"{connection.getsockname()}:0"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_local(connection: socket.socket) -> bool:
    """Whether the peer is this machine."""
    if connection.family == socket.AF_UNIX:
        return True
    host = str(connection.getpeername()[0])
    return host in ("127.0.0.1", "::1") or host.startswith("127.")
