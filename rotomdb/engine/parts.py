"""Values too large to be Python objects all at once: their elements come in lists, one after the other.

The lists are made from the value as it is when each is asked for: nothing may change it until the last one, or the caller drops
the rest. A command uses them up before it ends, so that this holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

LARGE = 10_000  # elements, above which a value comes in parts
PART = 1_000  # elements of one list


class Parts(NamedTuple):
    """Attributes:
    length: How many elements the lists have together; -1: that is known at their end.
    """

    length: int
    lists: Iterator[list[bytes]]
