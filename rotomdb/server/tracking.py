"""Connection-side caching: who read which key, and telling them when it changes (CLIENT TRACKING)."""

from __future__ import annotations

from collections.abc import Mapping

from rotomdb.commands.dispatch import Command, Context, Dispatcher
from rotomdb.commands.host import Connection
from rotomdb.commands.registry import READONLY
from rotomdb.commands.reply import PushReply
from rotomdb.commands.tracking import Mode
from rotomdb.server.client import Client

CHANNEL = b"__redis__:invalidate"  # where a RESP2 client that others redirect to listens
PREFIX_BYTES = 200  # in the tables, beside the prefix


class Tracking:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.modes: dict[Connection, Mode] = {}
        self.by_id: Mapping[int, Connection] = {}
        self.readers: dict[bytes, dict[Connection, None]] = {}
        self.prefixes: dict[bytes, dict[Connection, None]] = {}
        self.pending: dict[bytes, dict[bytes, object]] = {}  # prefix -> key -> who wrote it
        self.max_keys = 1_000_000

    def enable(self, client: Connection, mode: Mode) -> None:
        previous = self.modes.get(client)
        if previous is not None:
            mode.prefixes = [*previous.prefixes, *mode.prefixes]
            mode.read = previous.read
        if mode.broadcast:
            mode.prefixes = mode.prefixes or [b""]
            for prefix in mode.prefixes:
                self.prefixes.setdefault(prefix, {})[client] = None
        client.attached_bytes += prefix_bytes(mode) - prefix_bytes(previous)
        self.modes[client] = mode
        client.tracking = not mode.broadcast
        self.dispatcher.on_write = self.written
        self.dispatcher.on_read = self.remember

    def disable(self, client: Connection) -> None:
        mode = self.modes.pop(client, None)
        if mode is None:
            return
        client.attached_bytes -= prefix_bytes(mode)
        client.tracking = False
        for key in mode.read:
            self.forget(key, client)
        for prefix in mode.prefixes:
            clients = self.prefixes.get(prefix, {})
            clients.pop(client, None)
            if not clients:
                self.prefixes.pop(prefix, None)
                self.pending.pop(prefix, None)
        if not self.modes:
            self.dispatcher.on_write = self.dispatcher.on_read = None

    def forget(self, key: bytes, client: Connection) -> None:
        clients = self.readers.get(key)
        if clients is not None:
            clients.pop(client, None)
            if not clients:
                del self.readers[key]

    def remember(self, context: Context, command: Command, arguments: list[bytes]) -> None:
        """A tracking client, or its script, ran a command: if it read keys, their changes will interest it."""
        client = client_of(context)
        mode = None if client is None else self.modes.get(client)
        if client is None or mode is None or command.spec.group == "scripting":
            return
        caching = mode.caching
        if not client.in_multi and not self.dispatcher.nested and not command.name.startswith("client"):
            mode.caching = None  # it was for one command, or one transaction
        if not command.flags & READONLY or (mode.opt_in and not caching) or (mode.opt_out and caching is False):
            return
        for key in command.spec.keys_of(arguments) or ():
            self.readers.setdefault(key, {})[client] = None
            mode.read[key] = None
        while len(self.readers) > self.max_keys:
            self.invalidate_readers(next(iter(self.readers)), None)

    def written(self, key: bytes, writer: Context | None) -> None:
        """A key changed: tell its readers now, and those who listen to a prefix before the next sleep."""
        if key in self.readers:
            self.invalidate_readers(key, None if writer is None else client_of(writer))
        for prefix in self.prefixes:
            if key.startswith(prefix):
                self.pending.setdefault(prefix, {})[key] = writer

    def invalidate_readers(self, key: bytes, writer: Connection | None) -> None:
        for client in self.readers.pop(key, ()):
            mode = self.modes[client]
            mode.read.pop(key, None)
            if not (mode.no_loop and client is writer):
                self.send(client, mode, [key])

    def flushed(self) -> None:
        """All keys of a database are gone: everybody forgets everything."""
        self.readers.clear()
        for client, mode in list(self.modes.items()):
            mode.read.clear()
            self.send(client, mode, None)

    def send_broadcasts(self) -> None:
        """One message per client and prefix with all keys that changed since the last."""
        pending, self.pending = self.pending, {}
        for prefix, keys in pending.items():
            for client in list(self.prefixes.get(prefix, ())):
                mode = self.modes[client]
                wanted = [
                    key
                    for key, writer in keys.items()
                    if not (mode.no_loop and writer is client) and may_know(client, key)
                ]
                if wanted:
                    self.send(client, mode, wanted)

    def send(self, client: Connection, mode: Mode, keys: list[bytes] | None) -> None:
        """Deliver one invalidation; None stands for all keys."""
        target = client
        if mode.redirect:
            found = self.by_id.get(mode.redirect)
            if found is None:
                mode.broken_redirect = True
                if client.resp == 3:
                    client.push(PushReply([b"tracking-redir-broken", mode.redirect]))
                return
            target = found
        if target.resp == 3:
            target.push_later(PushReply([b"invalidate", keys]))
        elif mode.redirect and target.subscribed:
            target.push_later(PushReply([b"message", CHANNEL, keys]))

    def counts(self) -> tuple[int, int, int]:
        """(keys, key and client pairs, prefixes) in the tables."""
        return len(self.readers), sum(map(len, self.readers.values())), len(self.prefixes)


def may_know(client: Connection, key: bytes) -> bool:
    """Whether a broadcast may name the key to the client: its user can do something with it."""
    return client.user is None or client.user.unrestricted or client.user.knows_key(key)


def client_of(context: Context) -> Connection | None:
    """The client on whose behalf a command runs: that of the script, where a script called it."""
    caller = getattr(context, "caller", None) or context
    return caller if isinstance(caller, Client) else None


def prefix_bytes(mode: Mode | None) -> int:
    """What the prefixes of a client take."""
    return 0 if mode is None else sum(len(prefix) + PREFIX_BYTES for prefix in mode.prefixes)
