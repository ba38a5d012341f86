"""Clients that wait for a key: who waits, who is served, and when waiting ends.

A blocking command that finds nothing says `ctx.block(...)`. When a key that somebody waits for is written, the command is
run again for the clients on that key, in the order in which they came, after the unit that wrote it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.reply import BLOCKED, NULL_ARRAY
from rotomdb.errors import CommandError
from rotomdb.server.client import Client
from rotomdb.server.reactor import Reactor

POLL_MS = 5
Place = tuple[int, bytes]  # database index, key


@dataclass
class Wait:
    """What a client waits for."""

    arguments: list[bytes]
    places: list[Place]
    type_name: bytes | None  # only a value of this type is worth another try; None: any change is
    timer: object = None
    ready: Callable[[], bool] | None = None  # what ends a wait that is not for keys
    reply: Callable[[], object] | None = None  # its answer, also when the time is up


class Blocking:
    def __init__(self, dispatcher: Dispatcher, reactor: Reactor) -> None:
        self.dispatcher = dispatcher
        self.reactor = reactor
        self.waits: dict[Client, Wait] = {}
        self.waiting: dict[Place, dict[Client, None]] = {}
        dispatcher.awaited = self.waiting
        dispatcher.on_block = self.block
        dispatcher.on_ready = self.serve
        dispatcher.on_block_until = self.block_until
        self.polled: dict[Client, None] = {}  # those who wait for something else than a key

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

    def block_until(
        self, context: Context, ready: Callable[[], bool], reply: Callable[[], object], timeout_ms: int
    ) -> None:
        """Put the client to sleep until `ready()`; 0 ms: without end."""
        assert isinstance(context, Client)
        wait = Wait([], [], None, ready=ready, reply=reply)
        self.waits[context] = wait
        context.blocked = True
        if timeout_ms:
            wait.timer = self.reactor.call_later(timeout_ms, lambda: self.timed_out(context))
        if not self.polled:
            self.reactor.call_later(POLL_MS, self.poll, retry_ms=POLL_MS)
        self.polled[context] = None

    def poll(self) -> int | None:
        """Answer those whose condition has come true; returns the ms to the next look."""
        for client in list(self.polled):
            wait = self.waits[client]
            try:
                ready = wait.ready is not None and wait.ready()
            except Exception as error:
                self.release(client)
                client.fail(error)
                continue
            if ready:
                self.end(client, wait)
        return POLL_MS if self.polled else None

    def end(self, client: Client, wait: Wait) -> None:
        self.release(client)
        try:
            client.reply(NULL_ARRAY if wait.reply is None else wait.reply())
        except Exception as error:
            client.fail(error)
        client.resume_later()

    def timed_out(self, client: Client) -> None:
        wait = self.waits[client]
        wait.timer = None
        self.end(client, wait)

    def with_timeout(self) -> int:
        """Clients whose waiting ends at some time."""
        return sum(1 for wait in self.waits.values() if wait.timer is not None)

    def on_any_change(self) -> int:
        """Keys that somebody waits for who is also told when they go."""
        return len({place for wait in self.waits.values() if wait.type_name is None for place in wait.places})

    def release(self, client: Client) -> None:
        """The client waits no longer."""
        wait = self.waits.pop(client, None)
        if wait is None:
            return
        client.stop_waiting()
        self.polled.pop(client, None)
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
                try:
                    value = self.dispatcher.retry(client, wait.arguments)
                except Exception as error:  # of another client than the one whose command wrote the key
                    self.release(client)
                    client.fail(error)
                    continue
                if value is not BLOCKED:
                    self.release(client)
                    client.reply(value)
                    client.resume_later()

    def release_all(self, error: CommandError) -> None:
        """Nobody can wait any more: all are answered with the error."""
        for client in list(self.waits):
            self.release(client)
            client.reply(error)
            client.resume_later()

    def unblock(self, client: Client, *, with_error: bool) -> bool:
        """CLIENT UNBLOCK; whether the client was waiting."""
        wait = self.waits.get(client)
        if wait is None:
            return False
        if with_error:
            self.release(client)
            client.reply(CommandError("UNBLOCKED client unblocked via CLIENT UNBLOCK"))
            client.resume_later()
        else:
            self.end(client, wait)
        return True
