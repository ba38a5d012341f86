"""Does the search notice a missing fsync? Each call site in the code is left out, or put off behind renames that follow.

To put an fsync off swaps two steps of the rename protocol: a file is renamed before it is synced, a manifest names a file
before its directory is. Behind how many renames that does harm depends on the step: a file may be given its last name
before it is synced, as long as the manifest that names it waits.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rotomdb.testing.memory_disk import MemoryDisk

PUT_OFF_OPERATIONS = 12  # for each rename that an fsync is put off behind, unless that comes first
PACKAGE = Path(__file__).resolve().parents[1]
BACKGROUND = "the fsync thread"


def call_site(depth: int = 1) -> str:
    """Who asked for the operation: the innermost functions outside this package, down to the one outside disk.py."""
    names = []
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if PACKAGE in path.parents and path.parent.name == "storage":
            names.append(f"{path.stem}.{frame.f_code.co_name}")
            if path.stem != "disk":
                break
        frame = frame.f_back
    return " < ".join(names) or BACKGROUND


class Kind(enum.Enum):
    LEFT_OUT = "left out"
    PUT_OFF = "put off"


@dataclass
class Postponed:
    """An fsync that waits for so many renames, or operations of any kind."""

    action: Callable[[], None]
    renames: int
    operations: int


class Mutation:
    """Changes what happens at one call site.

    Attributes:
        renames: Behind how many an fsync is put off.
        site: As `call_site` names it; empty: none, only take down which there are.
        seen: The sites that were met.
    """

    def __init__(self, site: str = "", kind: Kind = Kind.LEFT_OUT, renames: int = 1) -> None:
        self.site = site
        self.kind = kind
        self.renames = renames
        self.seen: dict[str, int] = {}
        self.postponed: list[Postponed] = []

    def fresh(self) -> Mutation:
        """The same for another disk."""
        return Mutation(self.site, self.kind, self.renames)

    def apply_to(self, disk: MemoryDisk) -> None:
        disk.syncing = self.sync
        disk.settled = self.operation_ended

    def sync(self, action: Callable[[], None], site: str | None = None) -> None:
        """In place of an fsync."""
        site = site or call_site(2)
        self.seen[site] = self.seen.get(site, 0) + 1
        if site != self.site:
            action()
        elif self.kind is Kind.PUT_OFF:
            self.postponed.append(Postponed(action, self.renames, PUT_OFF_OPERATIONS * self.renames))

    def operation_ended(self, operation: str) -> None:
        for one in list(self.postponed):
            one.operations -= 1
            one.renames -= operation == "rename"
            if one.operations <= 0 or one.renames <= 0:
                self.postponed.remove(one)
                one.action()
