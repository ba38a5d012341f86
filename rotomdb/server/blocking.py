"""Clients that wait for a key: who waits, who is served, and when waiting ends.

A blocking command that finds nothing says `ctx.block(...)`. When a key that somebody waits for is written, the command is
run again for the clients on that key, in the order in which they came, after the unit that wrote it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.reply import BLOCKED, NULL_ARRAY
from rotomdb.errors import CommandError
from rotomdb.server.client import Client
from rotomdb.server.reactor import Reactor

Place = tuple[int, bytes]  # database index, key


@dataclass
class Wait:
    """What a client waits for."""

    arguments: list[bytes]
    places: list[Place]
    type_name: bytes | None  # only a value of this type is worth another try; None: any change is
    timer: object = None


class Blocking:
    def __init__(self, dispatcher: Dispatcher, reactor: Reactor) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.waits: dict[Client, Wait] = {}
        self.waiting: dict[Place, dict[Client, None]] = {}
        dispatcher.awaited = self.waiting
        dispatcher.on_block = self.block
        dispatcher.on_ready = self.serve

    def block(
        self,
        context: Context,
        keys: Sequence[bytes],
        type_name: bytes | None,
        timeout_ms: int,
        request: list[bytes] | None,
    ) -> None:
        """Put the client to sleep until one of the keys can serve it; 0 ms: without end."""
        assert isinstance(context, Client)
        wait = Wait(request or context.request(), [(context.db.index, key) for key in keys], type_name)
        self.waits[context] = wait
        context.blocked = True
        for place in wait.places:
            self.waiting.setdefault(place, {})[context] = None
        if timeout_ms:
            wait.timer = self.reactor.call_later(timeout_ms, lambda: self.timed_out(context))

    def timed_out(self, client: Client) -> None:
        wait = self.waits[client]
        wait.timer = None
        self.release(client)
        client.reply(NULL_ARRAY)
        client.resume()

    def release(self, client: Client) -> None:
        """The client waits no longer."""
        wait = self.waits.pop(client, None)
        if wait is None:
            return
        client.blocked = False
        if wait.timer is not None:
            self.reactor.cancel(wait.timer)
        for place in wait.places:
            clients = self.waiting.get(place)
            if clients is not None:
                clients.pop(client, None)
                if not clients:
                    del self.waiting[place]

    def serve(self, ready: dict[Place, None]) -> None:
        """Run the commands of those who wait for these keys again."""
        for place in ready:
            index, key = place
            database = self.dispatcher.engine.databases[index]
            for client in list(self.waiting.get(place, ())):
                wait = self.waits.get(client)
                if wait is None or wait.type_name not in (None, database.type_name(key)):
                    continue
                value = self.dispatcher.retry(client, wait.arguments)
                if value is not BLOCKED:
                    self.release(client)
                    client.reply(value)
                    client.resume_later()

    def unblock(self, client: Client, *, with_error: bool) -> bool:
        """CLIENT UNBLOCK; whether the client was waiting."""
        wait = self.waits.get(client)
        if wait is None:
            return False
        self.release(client)
        client.reply(CommandError("UNBLOCKED client unblocked via CLIENT UNBLOCK") if with_error else NULL_ARRAY)
        client.resume_later()
        return True
