"""Listening sockets: TCP on every bound address, and a unix socket."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable

from rotomdb.errors import ConfigError
from rotomdb.server.logger import Logger
from rotomdb.server.reactor import Handler, Reactor

ACCEPTS_PER_EVENT = 1000
REST_MS = 100  # until the next try, when no connection can be accepted
COMPLAIN_EVERY_S = 1.0
# accept(2) passes on what had happened to the connection before; the next one may be sound.
OF_ONE_CONNECTION = frozenset({
    errno.ECONNABORTED, errno.ECONNRESET, errno.ENOTCONN, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT,
})  # fmt: skip
NO_SUCH_FAMILY = frozenset({  # the machine has no IPv6, or no IPv4
    errno.ENOPROTOOPT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPFNOSUPPORT, errno.EAFNOSUPPORT,
})  # fmt: skip
Address = object  # as accept() gives it: (host, port, ...) or the path of a unix socket
Accept = Callable[[socket.socket, Address], None]
SO_MARK = 36  # of Linux


class Listener(Handler):
    """One listening socket.

    While descriptors or memory are short the connections wait in the backlog. Their event would come again and again, so
    the socket is not watched for a moment.
    """

    def __init__(
        self,
        listening: socket.socket,
        accept: Accept,
        reactor: Reactor,
        log: Logger,
        *,
        secure: bool = False,
        at_once: Callable[[], int] = lambda: ACCEPTS_PER_EVENT,
    ) -> None:
        """Listen.

        Args:
            secure: Who connects here speaks TLS.
            at_once: How many connections to accept in one turn, at the most.
        """
        super().__init__(listening.fileno())
        self.socket = listening
        self.secure = secure
        self.at_once = at_once
        self.accept = accept
        self.reactor = reactor
        self.log = log
        self.complained: dict[int | None, float] = {}  # errno -> when the log was told of it
        self.closed = False
        reactor.add(self)

    def readable(self) -> None:
        for _ in range(self.at_once()):
            try:
                connection, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.complain(error)
                if error.errno in OF_ONE_CONNECTION:
                    continue
                self.reactor.remove(self)
                self.reactor.call_later(REST_MS, self.watch, retry_ms=REST_MS)
                return
            self.accept(connection, address)

    def watch(self) -> None:
        """Accept again."""
        if not self.closed:
            self.reactor.add(self)

    def complain(self, error: OSError) -> None:
        """Once a second is enough for a trouble that lasts."""
        now = time.monotonic()
        if now - self.complained.get(error.errno, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self.complained[error.errno] = now
            self.log("warning", f"Accepting client connection: {error.strerror}")

    def close(self) -> None:
        self.closed = True
        self.reactor.remove(self)
        self.socket.close()


def listen_tcp(addresses: tuple[str, ...], port: int, backlog: int, mark: int = 0) -> list[socket.socket]:
    """Bind every address; one with a leading `-` may be none of this machine's. Raises ConfigError.

    Args:
        mark: SO_MARK of the sockets.
    """
    sockets: list[socket.socket] = []
    for entry in addresses:
        optional = entry.startswith("-")
        address = entry.removeprefix("-")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        host = {"*": "0.0.0.0", "::*": "::"}.get(address, address)
        listening: socket.socket | None = None
        try:
            listening = socket.socket(family, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if mark:
                listening.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            listening.bind((host, port))
            listening.listen(backlog)
        except (OSError, ValueError, TypeError) as error:
            if listening is not None:
                listening.close()
            code = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
            if code in NO_SUCH_FAMILY or (optional and code == errno.EADDRNOTAVAIL):
                continue
            for bound in sockets:
                bound.close()
            raise ConfigError(
                f"Could not create server TCP listening socket {address}:{port}: bind: {reason_of(error)}"
            ) from None
        listening.setblocking(False)
        sockets.append(listening)
    if addresses and not sockets:
        raise ConfigError(f"Could not listen on port {port}: none of the addresses to bind is one of this machine")
    return sockets


def listen_unix(path: str, permissions: int, group: str, backlog: int) -> socket.socket:
    """Bind a unix socket, replacing a dead one, and nothing else that has its name. Raises ConfigError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
        listening.bind(path)
        if permissions:
            os.chmod(path, permissions)
        if group:
            shutil.chown(path, group=int(group) if group.isdigit() else group)
        listening.listen(backlog)
    except (OSError, ValueError, LookupError) as error:
        listening.close()
        raise ConfigError(f"Opening Unix socket {path}: bind: {reason_of(error)}") from None
    listening.setblocking(False)
    return listening


def reason_of(error: Exception) -> str:
    """Why an address cannot be used; names with strange bytes fail before the system sees them."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def address_text(family: int, address: Address) -> str:
    """`ip:port` of an end of a connection, as CLIENT LIST shows it; `path:0` of a unix socket."""
    if family == socket.AF_UNIX:
        path = address.decode("utf-8", "surrogateescape") if isinstance(address, bytes) else address
        return f"{path}:0"
    if not isinstance(address, tuple) or len(address) < 2:
        return "?:0"  # the peer was gone before it was accepted
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address(connection: socket.socket) -> Address:
    """The address that the peer connected to; None when it cannot be told any more."""
    try:
        return connection.getsockname()
    except OSError:
        return None


def is_local(family: int, address: Address) -> bool:
    """Whether the peer is this machine; one whose address is unknown is not."""
    if family == socket.AF_UNIX:
        return True
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    return host == "::1" or host.startswith("127.")
