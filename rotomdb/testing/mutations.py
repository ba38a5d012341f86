"""Does the search notice a missing fsync? Each call site in the code is left out, or put off behind the next rename.

To put an fsync off swaps two steps of the rename protocol: a file is renamed before it is synced, a manifest names a file
before its directory is.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PUT_OFF_OPERATIONS = 12  # unless a rename comes first
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


class Mutation:
    """Changes what happens at one call site.

    Attributes:
        site: As `call_site` names it; empty: none, only take down which there are.
        seen: The sites that were met.
    """

    def __init__(self, site: str = "", kind: Kind = Kind.LEFT_OUT) -> None:
        self.site = site
        self.kind = kind
        self.seen: dict[str, int] = {}
        self.postponed: list[tuple[int, Callable[[], None]]] = []
        self.operations = 0

    def sync(self, action: Callable[[], None], site: str | None = None) -> None:
        """In place of an fsync."""
        site = site or call_site(2)
        self.seen[site] = self.seen.get(site, 0) + 1
        if site != self.site:
            action()
        elif self.kind is Kind.PUT_OFF:
            self.postponed.append((self.operations + PUT_OFF_OPERATIONS, action))

    def operation_ended(self, operation: str) -> None:
        self.operations += 1
        while self.postponed and (operation == "rename" or self.postponed[0][0] <= self.operations):
            self.postponed.pop(0)[1]()
