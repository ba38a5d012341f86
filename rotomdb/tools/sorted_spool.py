"""Sorting more than memory should hold: sorted runs in a temporary file, merged while they are read."""

from __future__ import annotations

import heapq
import marshal
import os
import tempfile
from collections.abc import Iterator
from typing import Any

RUN_ITEMS = 50_000
BATCH_ITEMS = 200  # of a run, in memory at a time


class SortedSpool:
    """Takes tuples of numbers and bytes in any order; iterating gives them sorted."""

    def __init__(self) -> None:
        self.held: list[tuple[Any, ...]] = []
        self.file = tempfile.TemporaryFile(prefix="rotomdb-")  # noqa: SIM115
        self.end = 0
        self.runs: list[list[tuple[int, int]]] = []

    def close(self) -> None:
        self.file.close()

    def add(self, item: tuple[Any, ...]) -> None:
        self.held.append(item)
        if len(self.held) >= RUN_ITEMS:
            self.spill()

    def spill(self) -> None:
        """Write what is held as a run."""
        self.held.sort()
        run = []
        for at in range(0, len(self.held), BATCH_ITEMS):
            content = marshal.dumps(self.held[at : at + BATCH_ITEMS])
            self.file.write(content)
            run.append((self.end, len(content)))
            self.end += len(content)
        self.file.flush()
        self.runs.append(run)
        self.held = []

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return heapq.merge(sorted(self.held), *(self.read(run) for run in self.runs))

    def read(self, run: list[tuple[int, int]]) -> Iterator[tuple[Any, ...]]:
        for at, size in run:
            yield from marshal.loads(os.pread(self.file.fileno(), size, at))
