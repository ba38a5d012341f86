"""CLIENT PAUSE: requests wait until the pause is over."""

from __future__ import annotations

from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.registry import MAY_REPLICATE, WRITE
from rotomdb.server.client import Client, Hub
from rotomdb.server.reactor import Reactor


class Pausing:
    def __init__(self, hub: Hub, dispatcher: Dispatcher, reactor: Reactor) -> None:
        self.hub = hub
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.timer: object = None
        self.end_ms = 0
        self.all_commands = False
        self.waiting: dict[Client, None] = {}

    @property
    def active(self) -> bool:
        return self.timer is not None

    def pause(self, milliseconds: int, all_commands: bool) -> None:
        """Start a pause or extend the running one; it only ever gets longer and stricter."""
        end_ms = self.dispatcher.engine.now_ms + milliseconds
        if self.active:
            self.reactor.cancel(self.timer)
            end_ms = max(end_ms, self.end_ms)
            all_commands = all_commands or self.all_commands
        self.end_ms, self.all_commands = end_ms, all_commands
        self.timer = self.reactor.call_later(max(end_ms - self.dispatcher.engine.now_ms, 1), self.over)
        self.hub.postpones = self.postpones

    def postpones(self, client: Client, request: list[bytes]) -> bool:
        """Whether the request has to wait."""
        if not self.all_commands and not self.writes(client, request):
            return False
        self.waiting[client] = None
        return True

    def writes(self, client: Client, request: list[bytes]) -> bool:
        command = self.dispatcher.find(request[0])
        if command is None:
            return False
        if command.name == "exec":
            return any(self.writes(client, queued) for queued in client.queue)
        if command.subcommands and len(request) > 1:
            command = command.subcommands.get(request[1].lower(), command)
        return bool(command.flags & WRITE) or command.name in MAY_REPLICATE

    def over(self) -> None:
        """Serve those who waited, in the order in which they came."""
        if self.timer is not None:
            self.reactor.cancel(self.timer)
        self.timer = None
        self.hub.postpones = None
        waiting, self.waiting = self.waiting, {}
        for client in waiting:
            client.run_postponed()

    def drop(self, client: Client) -> None:
        """The client is gone."""
        self.waiting.pop(client, None)
