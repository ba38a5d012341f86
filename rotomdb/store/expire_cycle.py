"""Looking for keys and hash fields whose time has come, a slice of time after the other."""

from __future__ import annotations

import time
from collections.abc import Callable

from rotomdb.engine import Engine

# With the default effort; each further step adds to the first two and takes from the third.
TIME_SHARE, MORE_TIME_SHARE = 0.25, 0.02  # of the time between two ticks, at the most
SAMPLES, MORE_SAMPLES = 20, 5
STALE_SHARE, LESS_STALE_SHARE = 0.10, 0.01  # go on while more than this share of what was sampled had expired
SMOOTHING = 0.05  # weight of a cycle in the average that INFO shows


class ExpireCycle:
    """Goes around the databases, each cycle from where the last one stopped.

    Attributes:
        active: DEBUG SET-ACTIVE-EXPIRE turns it off.
        stale_percent: Share of expired keys among those looked at, smoothed over the cycles.
        cut_short: Cycles that ended because their time was over.
        seconds: Spent in all of them.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.active = True
        self.next_database = 0
        self.set_effort(1)
        self.reset_counters()

    def set_effort(self, effort: int) -> None:
        """Follow active-expire-effort, from 1 to 10."""
        steps = effort - 1
        self.time_share = TIME_SHARE + MORE_TIME_SHARE * steps
        self.samples = SAMPLES + MORE_SAMPLES * steps
        self.stale_share = STALE_SHARE - LESS_STALE_SHARE * steps

    def reset_counters(self) -> None:
        self.stale_percent = 0.0
        self.cut_short = 0
        self.seconds = 0.0

    def run(self, interval_s: float) -> None:
        """One cycle; it may take its share of the time from one to the next."""
        start = time.monotonic()
        end = start + interval_s * self.time_share
        sampled = stale = 0
        databases = self.engine.databases
        for _ in range(len(databases)):
            database = databases[self.next_database % len(databases)]
            self.next_database += 1
            looked, expired, in_time = self.sample(database.expire_some, end)
            sampled, stale = sampled + looked, stale + expired
            if in_time:
                _, _, in_time = self.sample(database.expire_fields_some, end)
            if not in_time:
                self.cut_short += 1
                break
        if sampled:
            share = stale / sampled * 100
            self.stale_percent = share * SMOOTHING + self.stale_percent * (1 - SMOOTHING)
        self.seconds += time.monotonic() - start

    def sample(self, expire_some: Callable[[int], tuple[int, int]], end: float) -> tuple[int, int, bool]:
        """Sample a database while it is worth it; (looked at, expired, whether there is time left)."""
        sampled = stale = 0
        while True:
            looked, expired = expire_some(self.samples)
            sampled, stale = sampled + looked, stale + expired
            if looked == 0 or expired / looked <= self.stale_share:
                return sampled, stale, True
            if time.monotonic() > end:
                return sampled, stale, False
