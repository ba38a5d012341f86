"""The slow log: the latest commands that took longer than `slowlog-log-slower-than`."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from rotomdb.commands.dispatch import Context
from rotomdb.server.secrets import without_secrets

ARGUMENTS_KEPT = 32
ARGUMENT_BYTES_KEPT = 128


@dataclass(frozen=True)
class SlowCall:
    """An entry; `time` in seconds."""

    id: int
    time: int
    microseconds: int
    arguments: list[bytes]
    address: str
    name: str


def shortened(request: list[bytes]) -> list[bytes]:
    """What is kept of a request."""
    kept = request
    if len(request) > ARGUMENTS_KEPT:
        left_out = len(request) - ARGUMENTS_KEPT + 1
        kept = [*request[: ARGUMENTS_KEPT - 1], b"... (%d more arguments)" % left_out]
    return [
        word
        if len(word) <= ARGUMENT_BYTES_KEPT
        else word[:ARGUMENT_BYTES_KEPT] + b"... (%d more bytes)" % (len(word) - ARGUMENT_BYTES_KEPT)
        for word in kept
    ]


class SlowLog:
    """Entries, newest first. Numbers go on counting when they are cleared."""

    def __init__(self, length: int) -> None:
        self.entries: deque[SlowCall] = deque(maxlen=length)
        self.next_id = 0

    def record(self, context: Context, request: list[bytes], microseconds: int) -> None:
        self.entries.appendleft(
            SlowCall(
                self.next_id, int(time.time()), microseconds, shortened(without_secrets(request)),
                getattr(context, "address", ""), getattr(context, "name", ""),
            )
        )  # fmt: skip
        self.next_id += 1

    def resize(self, length: int) -> None:
        """Keep so many entries from now on; the newest stay."""
        if self.entries.maxlen != length:
            newest = list(self.entries)[:length]
            self.entries = deque(newest, maxlen=length)
