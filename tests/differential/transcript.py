"""Several clients at once: the same steps go to two servers, and every byte that any client receives is compared."""

from __future__ import annotations

import select
import socket
import time

from rotomdb.storage.propagation import encode_command

QUIET_S = 0.04
CLOSED = b"(closed)"


class Clients:
    """Named connections to one server, opened as they are first used."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: dict[str, socket.socket] = {}

    def send(self, name: str, *words: str) -> None:
        if name not in self.connections:
            self.connections[name] = socket.create_connection(("127.0.0.1", self.port))
        self.connections[name].sendall(encode_command(*words))

    def received(self, quiet_s: float = QUIET_S) -> dict[str, bytes]:
        """What each client got until all have been quiet for a moment; one that was closed is not listened to any more."""
        got = dict.fromkeys(self.connections, b"")
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < quiet_s:
            ready, _, _ = select.select(list(self.connections.values()), [], [], quiet_s)
            for name, connection in list(self.connections.items()):
                if connection in ready:
                    piece = connection.recv(1 << 16)
                    got[name] += piece or CLOSED
                    if not piece:
                        self.connections.pop(name).close()
                    quiet_since = time.monotonic()
        return got

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


def play(script: str, port: int, quiet_s: float = QUIET_S) -> list[tuple[str, dict[str, bytes]]]:
    """Run lines of `client: COMMAND words`; what was received after each."""
    clients = Clients(port)
    transcript = []
    try:
        for line in filter(None, map(str.strip, script.splitlines())):
            name, _, command = line.partition(": ")
            clients.send(name, *command.split())
            transcript.append((line, clients.received(quiet_s)))
    finally:
        clients.close()
    return transcript
