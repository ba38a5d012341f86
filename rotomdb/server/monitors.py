"""MONITOR: every command that runs, streamed to those who watch."""

from __future__ import annotations

import time

from rotomdb.commands.dispatch import Command, Context, Dispatcher
from rotomdb.commands.host import Connection
from rotomdb.commands.registry import Flag
from rotomdb.commands.reply import Status
from rotomdb.formats.quoting import quoted
from rotomdb.server.secrets import without_secrets

HIDDEN = Flag.ADMIN | Flag.SKIP_MONITOR


class Monitors:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.clients: dict[Connection, None] = {}

    def add(self, client: Connection) -> None:
        client.monitoring = True
        self.clients[client] = None
        self.dispatcher.on_command = self.show
        self.dispatcher.on_script = self.tell

    def drop(self, client: Connection) -> None:
        client.monitoring = False
        self.clients.pop(client, None)
        if not self.clients:
            self.dispatcher.on_command = self.dispatcher.on_script = None

    def show(self, context: Context, command: Command, request: list[bytes]) -> None:
        if not command.flags & HIDDEN:
            self.tell(context, request)

    def tell(self, context: Context, request: list[bytes]) -> None:
        origin = getattr(context, "address", "") or "?:0"
        words = " ".join(quoted(word) for word in without_secrets(request))
        line = Status(f"{time.time():.6f} [{context.db.index} {origin}] {words}".encode())
        for client in list(self.clients):
            client.push_later(line)
