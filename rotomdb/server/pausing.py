"""CLIENT PAUSE: requests wait until the pause is over.

What is put off runs when the loop is between commands, each request as if it had just come from its socket: a unit of its own
in the log, and a reply that waits for that unit. It never runs inside the command that ends the pause.

While writes wait, nothing else changes the data either: keys are not evicted and no cycle looks for expired ones, and clients
that wait for a key are not served.
"""

from __future__ import annotations

from rotomdb.commands.dispatch import Command, Context, Dispatcher
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import WRITE
from rotomdb.server.client import Client
from rotomdb.server.reactor import Reactor


class Pausing:
    def __init__(self, dispatcher: Dispatcher, reactor: Reactor) -> None:
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
        now_ms = self.dispatcher.engine.now_ms
        end_ms = now_ms + milliseconds
        if self.active:
            self.reactor.cancel(self.timer)
            end_ms = max(end_ms, self.end_ms)
            all_commands = all_commands or self.all_commands
        elif not milliseconds:
            return
        self.end_ms, self.all_commands = end_ms, all_commands
        self.timer = self.reactor.call_later(max(end_ms - now_ms, 1), self.over)
        self.dispatcher.postpones = self.postpones

    def postpones(self, context: Context, command: Command, request: list[bytes]) -> bool:
        """Whether the request has to wait. It is kept by its client then."""
        if not isinstance(context, Client) or not self.holds(context, command, request):
            return False
        self.waiting[context] = None
        context.postpone()
        return True

    def holds(self, context: Context, command: Command, request: list[bytes]) -> bool:
        """Whether such a request may not run now."""
        return self.all_commands or self.may_write(context, command, request)

    def may_write(self, context: Context, command: Command, request: list[bytes]) -> bool:
        if command.properties & Property.RUNS_QUEUE:
            return any(self.may_write(context, self.command_of(queued), queued) for queued in context.queue)
        if command.properties & Property.RUNS_SCRIPT:
            return not self.dispatcher.scripting.never_writes(command.name, request[1])
        return bool(command.flags & WRITE or command.properties & Property.MAY_REPLICATE)

    def command_of(self, request: list[bytes]) -> Command:
        """The command that a request names; it was found once, when it was queued."""
        command = self.dispatcher.find(request[0])
        assert command is not None
        return (command.subcommands or {}).get(request[1].lower() if len(request) > 1 else b"", command)

    def over(self) -> None:
        """Let those who waited go on before the next sleep, in the order in which they came."""
        if self.timer is not None:
            self.reactor.cancel(self.timer)
        self.timer = None
        self.dispatcher.postpones = None
        waiting, self.waiting = self.waiting, {}
        for client in waiting:
            client.resume_later()

    def drop(self, client: Client) -> None:
        """The client is gone."""
        self.waiting.pop(client, None)
