"""Admitting connections: who is turned away, and what becomes a client.

Nothing that goes wrong with one connection leaves `Accepting.accept`: that connection is closed, and the server goes on.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from rotomdb.errors import CommandError
from rotomdb.server.client import Client
from rotomdb.server.listeners import Address, address_text, is_local, own_address
from rotomdb.server.tls import HANDSHAKE_MS

if TYPE_CHECKING:
    from rotomdb.server.server import Server

PROTECTED_MODE_TEXT = (
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default "
    "user. In this mode connections are only accepted from the loopback interface. If you want to connect from external "
    "computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command "
    "'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is "
    "running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make "
    "this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration "
    "file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server "
    "manually just for testing, restart it with the '--protected-mode no' option. 4) Setup an authentication password for "
    "the default user. NOTE: You only need to do one of the above things in order for the server to start accepting "
    "connections from the outside."
)


class Accepting:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.config = server.config
        self.next_id = 1
        self.handshakes: dict[Client, object] = {}  # that go on, and the timer that ends each

    def accept(self, connection: socket.socket, address: Address) -> None:
        """Admit an accepted connection, or close it."""
        self.take(connection, address, secure=False)

    def accept_secure(self, connection: socket.socket, address: Address) -> None:
        """The same of one that begins with a handshake of TLS; whom it could not tell why it is closed is not told."""
        self.take(connection, address, secure=True)

    def take(self, connection: socket.socket, address: Address, *, secure: bool) -> None:
        try:
            connection.setblocking(False)
            refusal = self.crowded() or ("" if secure else self.stranger(connection.family, address))
            if refusal:
                self.server.statistics.rejected_connections += 1
                self.turn_away(connection, "" if secure else refusal)
                return
            channel = self.server.tls.channel(connection.fileno()) if secure else None
            client = self.admit(connection, address)
            client.channel = channel
            if secure:
                self.handshakes[client] = self.server.reactor.call_later(
                    HANDSHAKE_MS, lambda: self.end_handshake(client)
                )
            else:
                self.server.statistics.connections += 1
        except Exception as error:
            peer = address_text(connection.family, address)
            reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self.server.log(
                "warning", f"Error registering fd event for the new client connection: {reason} (addr={peer})"
            )
            with contextlib.suppress(OSError):
                connection.close()

    def crowded(self) -> str:
        """The error for one connection too many."""
        return "ERR max number of clients reached" if len(self.server.clients) >= self.config["maxclients"] else ""

    def stranger(self, family: int, address: Address) -> str:
        """The error for who is not served in protected mode."""
        protected = self.config["protected-mode"] and self.server.users.default.nopass
        return PROTECTED_MODE_TEXT if protected and not is_local(family, address) else ""

    def secured(self, client: Client) -> None:
        """The handshake is done: from now on it is a connection like the others, and may be told what is against it."""
        self.drop(client)
        try:
            address = client.socket.getpeername()
        except OSError:
            address = None
        refusal = self.stranger(client.socket.family, address)
        if refusal:
            self.server.statistics.rejected_connections += 1
            client.push(CommandError(refusal))
            client.close_after_reply = True
            return
        self.server.statistics.connections += 1
        if self.config["tls-auth-clients-user"] != "off" and client.channel is not None:
            self.server.users.recognise(client, self.server.tls.names_of(client.channel))

    def handshake_failed(self, client: Client, reason: str) -> None:
        self.server.log(
            "warning",
            f"Error accepting a client connection: {reason} (addr={client.address} laddr={client.local_address})",
        )

    def end_handshake(self, client: Client) -> None:
        """The time for it is over."""
        del self.handshakes[client]
        self.handshake_failed(client, "no handshake within 10 seconds")
        self.server.close_client(client)

    def drop(self, client: Client) -> None:
        """The handshake needs no watching any more: it is done, or the connection has gone."""
        timer = self.handshakes.pop(client, None)
        if timer is not None:
            self.server.reactor.cancel(timer)

    def admit(self, connection: socket.socket, address: Address) -> Client:
        server = self.server
        if connection.family != socket.AF_UNIX:
            # What a connection that is already reset refuses to be told does not matter to it: reading finds its end.
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                keep_alive(connection, self.config["tcp-keepalive"])
        client = Client(server.dispatcher, server, connection, self.next_number())
        server.users.welcome(client)
        client.address = address_text(connection.family, address)
        client.local_address = address_text(connection.family, own_address(connection))
        if connection.family == socket.AF_UNIX:
            client.over_unix_socket = True
            client.address = client.local_address  # the peer of a unix socket has no name of its own
        server.reactor.add(client.handler)
        server.clients[client.id] = client
        return client

    def next_number(self) -> int:
        """The id of a new client."""
        number = self.next_id
        self.next_id += 1
        return number

    @staticmethod
    def turn_away(connection: socket.socket, reply: str) -> None:
        if reply:
            with contextlib.suppress(OSError):
                connection.send(f"-{reply}\r\n".encode())
        connection.close()


def keep_alive(connection: socket.socket, seconds: int) -> None:
    if seconds:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", seconds),
            ("TCP_KEEPINTVL", max(seconds // 3, 1)),
            ("TCP_KEEPCNT", 3),
        ):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
