"""Latency events: what held the server up for longer than `latency-monitor-threshold`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

HISTORY_LENGTH = 160


class LatencyMonitor:
    def __init__(self) -> None:
        self.threshold_ms = 0  # 0: nothing is recorded
        self.events: dict[str, deque[tuple[int, int]]] = {}  # name -> (Unix time, ms), one sample a second
        self.highest: dict[str, int] = {}

    def record(self, event: str, milliseconds: int) -> None:
        """Keep a sample if it is long enough; of several in a second the longest."""
        if not self.threshold_ms or milliseconds < self.threshold_ms:
            return
        samples = self.events.setdefault(event, deque(maxlen=HISTORY_LENGTH))
        now = int(time.time())
        if samples and samples[-1][0] == now:
            milliseconds = max(milliseconds, samples.pop()[1])
        samples.append((now, milliseconds))
        self.highest[event] = max(self.highest.get(event, 0), milliseconds)

    @contextmanager
    def measure(self, event: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.record(event, int((time.monotonic() - start) * 1000))

    def reset(self, names: list[str]) -> int:
        """Forget these events (none: all); returns how many there were."""
        known = [name for name in (names or list(self.events)) if name in self.events]
        for name in known:
            del self.events[name]
            del self.highest[name]
        return len(known)
