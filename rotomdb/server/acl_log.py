"""ACL LOG: what was denied to whom, and the counters of it."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.commands.permissions import DENIED_CHANNEL, DENIED_COMMAND, DENIED_KEY

DENIED_AUTH = "auth"
TOGETHER_MS = 60_000  # what is denied again within this time counts with the first
LONGEST_WHAT = (
    1024  # bytes kept of a key or channel: whoever may do nothing must not fill the memory with what it asks for
)
LOOKED_AT = 10  # entries among which an equal one is looked for


@dataclass
class Denial:
    """An entry. `where`: toplevel, multi or lua; `client`: as CLIENT LIST shows it."""

    id: int
    reason: str
    where: str
    what: bytes
    username: bytes
    client: bytes
    created_ms: int
    updated_ms: int
    count: int = 1


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class AclLog:
    """Entries, the latest first. The numbers go on when they are cleared."""

    def __init__(self, clock: Callable[[], int] = unix_ms) -> None:
        self.clock = clock
        self.entries: deque[Denial] = deque()
        self.denied = dict.fromkeys((DENIED_AUTH, DENIED_COMMAND, DENIED_KEY, DENIED_CHANNEL), 0)
        self.ids = itertools.count()
        self.longest = 128

    def resize(self, longest: int) -> None:
        """Keep so many entries from now on; the latest stay."""
        self.longest = longest
        while len(self.entries) > longest:
            self.entries.pop()

    def add(self, reason: str, where: str, what: bytes, username: bytes, client: bytes) -> None:
        """Note a denial; one like a recent one counts with it, and comes to the front."""
        self.denied[reason] += 1
        now = self.clock()
        what = what[:LONGEST_WHAT]
        entry = next(
            (
                each
                for each in itertools.islice(self.entries, LOOKED_AT)
                if self.alike(each, reason, where, what, username, now)
            ),
            None,
        )
        if entry is not None:
            entry.count += 1
            entry.client, entry.updated_ms = client, now
            self.entries.remove(entry)
        else:
            entry = Denial(next(self.ids), reason, where, what, username, client, now, now)
        self.entries.appendleft(entry)
        self.resize(self.longest)

    @staticmethod
    def alike(entry: Denial, reason: str, where: str, what: bytes, username: bytes, now_ms: int) -> bool:
        key = (entry.reason, entry.where, entry.what, entry.username)
        return key == (reason, where, what, username) and now_ms - entry.updated_ms <= TOGETHER_MS
