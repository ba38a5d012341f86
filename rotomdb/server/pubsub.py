"""Who listens to which channel, pattern and shard channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rotomdb.commands.host import Connection
from rotomdb.commands.pubsub import CHANNEL, PATTERN, SHARD
from rotomdb.commands.reply import PushReply
from rotomdb.engine import glob

SUBSCRIPTION_BYTES = 200  # in the tables, beside the name


@dataclass
class Subscriptions:
    """What one client listens to, in the order in which it subscribed."""

    names: dict[str, dict[bytes, None]] = field(default_factory=lambda: {CHANNEL: {}, PATTERN: {}, SHARD: {}})

    def count(self, kind: str) -> int:
        """The number that a (un)subscribe reply of this kind carries."""
        if kind == SHARD:
            return len(self.names[SHARD])
        return len(self.names[CHANNEL]) + len(self.names[PATTERN])

    def __bool__(self) -> bool:
        return any(self.names.values())


class PubSub:
    def __init__(self) -> None:
        self.listeners: dict[str, dict[bytes, dict[Connection, None]]] = {CHANNEL: {}, PATTERN: {}, SHARD: {}}
        self.clients: dict[Connection, Subscriptions] = {}

    def of(self, client: Connection) -> Subscriptions:
        return self.clients.get(client) or Subscriptions()

    def subscribe(self, client: Connection, kind: str, name: bytes) -> int:
        """Returns the client's count after it."""
        subscriptions = self.clients.setdefault(client, Subscriptions())
        if name not in subscriptions.names[kind]:
            client.attached_bytes += len(name) + SUBSCRIPTION_BYTES
        subscriptions.names[kind][name] = None
        self.listeners[kind].setdefault(name, {})[client] = None
        client.subscribed = True
        return subscriptions.count(kind)

    def unsubscribe(self, client: Connection, kind: str, name: bytes) -> int:
        """Returns the client's count after it; a name that it did not listen to changes nothing."""
        subscriptions = self.of(client)
        if name in subscriptions.names[kind]:
            del subscriptions.names[kind][name]
            client.attached_bytes -= len(name) + SUBSCRIPTION_BYTES
            listeners = self.listeners[kind][name]
            del listeners[client]
            if not listeners:
                del self.listeners[kind][name]
        if not subscriptions:
            self.clients.pop(client, None)
            client.subscribed = False
        return subscriptions.count(kind)

    def drop(self, client: Connection) -> None:
        """The client is gone, or starts anew."""
        for kind, names in self.of(client).names.items():
            for name in list(names):
                self.unsubscribe(client, kind, name)

    def publish(self, channel: bytes, message: bytes) -> int:
        """Deliver to the channel and to matching patterns; returns how many deliveries that was."""
        receivers = list(self.listeners[CHANNEL].get(channel, ()))
        deliver(receivers, [b"message", channel, message])
        count = len(receivers)
        for pattern, clients in list(self.listeners[PATTERN].items()):
            if glob.match(pattern, channel):
                deliver(list(clients), [b"pmessage", pattern, channel, message])
                count += len(clients)
        return count

    def publish_to_shard(self, channel: bytes, message: bytes) -> int:
        receivers = list(self.listeners[SHARD].get(channel, ()))
        deliver(receivers, [b"smessage", channel, message])
        return len(receivers)

    def active(self, kind: str, pattern: bytes | None) -> list[bytes]:
        """Names that somebody listens to."""
        return [name for name in self.listeners[kind] if pattern is None or glob.match(pattern, name)]

    def listener_count(self, kind: str, name: bytes) -> int:
        return len(self.listeners[kind].get(name, ()))


def deliver(clients: Iterable[Connection], parts: list[object]) -> None:
    push = PushReply(parts)
    for client in clients:
        client.push(push)
