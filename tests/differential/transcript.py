"""Several clients at once: the same steps go to two servers, and every byte that any client receives is compared."""

from __future__ import annotations

import select
import socket
import time

from rotomdb.storage.propagation import encode_command

QUIET_S = 0.04


class Clients:
    """Named connections to one server, opened as they are first used."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: dict[str, socket.socket] = {}

    def send(self, name: str, *words: str) -> None:
        if name not in self.connections:
            self.connections[name] = socket.create_connection(("127.0.0.1", self.port))
        self.connections[name].sendall(encode_command(*words))

    def received(self) -> dict[str, bytes]:
        """What each client got until all have been quiet for a moment."""
        got = dict.fromkeys(self.connections, b"")
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            ready, _, _ = select.select(list(self.connections.values()), [], [], QUIET_S)
            for name, connection in self.connections.items():
                if connection in ready:
                    got[name] += connection.recv(1 << 16)
                    quiet_since = time.monotonic()
        return got

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


def play(script: str, port: int) -> list[tuple[str, dict[str, bytes]]]:
    """Run lines of `client: COMMAND words`; what was received after each. `sleep S` waits."""
    clients = Clients(port)
    transcript = []
    try:
        for line in filter(None, map(str.strip, script.splitlines())):
            if line.startswith("sleep "):
                time.sleep(float(line.split()[1]))
            else:
                name, _, command = line.partition(": ")
                clients.send(name, *(word.strip('"') for word in command.split()))
            transcript.append((line, clients.received()))
    finally:
        clients.close()
    return transcript
