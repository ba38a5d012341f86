"""Keyspace notifications: what happens to keys, published to whoever listens (`notify-keyspace-events`)."""

from __future__ import annotations

from rotomdb.server.event_classes import CLASS_OF
from rotomdb.server.pubsub import PubSub


class Notifications:
    """Publishes the events of the classes in force."""

    def __init__(self, pubsub: PubSub, classes: str) -> None:
        self.pubsub = pubsub
        self.events = {event.encode(): letter for event, letter in CLASS_OF.items() if letter in classes}
        self.by_key = "K" in classes
        self.by_event = "E" in classes
        self.misses = "m" in classes
        self.new_keys = "n" in classes

    @property
    def any(self) -> bool:
        return bool(self.events) and (self.by_key or self.by_event)

    def notify(self, database: int, key: bytes, event: str) -> None:
        """Something happened to the key; an event of no class in force is passed over."""
        name = event.encode()
        if name not in self.events:
            return
        if self.by_key:
            self.pubsub.publish(b"__keyspace@%d__:%b" % (database, key), name)
        if self.by_event:
            self.pubsub.publish(b"__keyevent@%d__:%b" % (database, name), key)
