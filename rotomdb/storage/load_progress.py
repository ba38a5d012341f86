"""How far the loading of a data set has come, and the turns that the event loop gets meanwhile.

The readers call back every few milliseconds; a single value of many megabytes is read in one go, and takes longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def no_turn(microseconds: int) -> None:
    """Nobody is served meanwhile: a program with the engine inside, DEBUG RELOAD."""
    if microseconds:
        time.sleep(microseconds / 1_000_000)


class LoadProgress:
    """The counters of INFO persistence, and what is done between two keys.

    Attributes:
        give_turn: Serves events, for at least so many microseconds. It raises LoadingInterrupted to give the loading up.
        key_delay_us: To wait after each key, for tests; negative: 1 µs after so many keys (key-load-delay).
    """

    def __init__(self) -> None:
        self.give_turn: Callable[[int], None] = no_turn
        self.key_delay_us = 0
        self.undelayed_keys = 0
        self.started = 0.0
        self.total_bytes = 0
        self.loaded_bytes = 0
        self.bytes_before = 0  # in files that are done with
        self.memory_when_saved = 0  # as the RDB tells

    def begin(self, total_bytes: int) -> None:
        """A data set of so many bytes will be read, perhaps after another one that it was compared with."""
        self.started = self.started or time.time()
        self.total_bytes, self.loaded_bytes, self.bytes_before = total_bytes, 0, 0
        self.memory_when_saved = 0

    def begin_file(self, bytes_before: int) -> None:
        self.loaded_bytes = self.bytes_before = bytes_before

    def loaded(self, offset: int) -> bool:
        """The file is loaded up to there; returns whether each key has to be waited for."""
        self.loaded_bytes = self.bytes_before + offset
        self.give_turn(self.next_delay_us())
        return bool(self.key_delay_us)

    def elsewhere(self, position: object = None) -> None:
        """Something that takes long and loads nothing is under way."""
        self.give_turn(0)

    def next_delay_us(self) -> int:
        if self.key_delay_us >= 0:
            return self.key_delay_us
        self.undelayed_keys += 1
        if self.undelayed_keys < -self.key_delay_us:
            return 0
        self.undelayed_keys = 0
        return 1

    @property
    def percentage(self) -> float:
        return self.loaded_bytes / self.total_bytes * 100 if self.total_bytes else 0.0

    @property
    def seconds_left(self) -> int:
        """An estimate from the time that the part before has taken."""
        elapsed = int(time.time() - self.started)
        if not elapsed or not self.loaded_bytes:
            return 1
        return int(elapsed * (self.total_bytes - self.loaded_bytes) / self.loaded_bytes)
