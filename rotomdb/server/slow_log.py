"""The slow log: the latest commands that took longer than `slowlog-log-slower-than`."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from rotomdb.commands.dispatch import Context
from rotomdb.server.secrets import without_secrets


@dataclass(frozen=True)
class SlowCall:
    """An entry; `time` in seconds."""

    id: int
    time: int
    microseconds: int
    arguments: list[bytes]
    address: str
    name: str


def shortened(request: list[bytes], most: int, longest: int) -> list[bytes]:
    """What is kept of a request: so many arguments, of so many bytes."""
    kept = request
    if len(request) > most:
        kept = [*request[: most - 1], b"... (%d more arguments)" % (len(request) - most + 1)]
    return [
        word if len(word) <= longest else word[:longest] + b"... (%d more bytes)" % (len(word) - longest)
        for word in kept
    ]


class SlowLog:
    """Entries, newest first. Numbers go on counting when they are cleared."""

    def __init__(self) -> None:
        self.entries: deque[SlowCall] = deque()
        self.next_id = 0
        self.most_arguments = 32
        self.longest_argument = 128

    def record(self, context: Context, request: list[bytes], microseconds: int) -> None:
        self.entries.appendleft(
            SlowCall(
                self.next_id, int(time.time()), microseconds,
                shortened(without_secrets(request), self.most_arguments, self.longest_argument),
                getattr(context, "address", ""), getattr(context, "name", ""),
            )
        )  # fmt: skip
        self.next_id += 1

    def resize(self, length: int) -> None:
        """Keep so many entries from now on; the newest stay."""
        if self.entries.maxlen != length:
            newest = list(self.entries)[:length]
            self.entries = deque(newest, maxlen=length)
