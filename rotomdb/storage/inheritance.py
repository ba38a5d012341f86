"""What a process made by fork inherits of a server in its parent: nothing that it may use.

The two would share the log, the lock of the directory, the sockets and the poller, and neither knows of the other: what the
child writes lands in the middle of the parent's log, and what it closes orderly ends files that the parent goes on with.
So each process that is made by `os.fork` (multiprocessing too) lets go of them at once: it closes its copies of the
descriptors, which changes nothing for the parent, and keeps what is left from being used.

A child of ours that saves or rewrites is made by the same call. It works on the data of the server that forked it, and
lets go by itself of what it does not need; other servers of the process are none of its business.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """Whatever has to be told that it is in another process now."""

    def leave_to_parent(self) -> None:
        """Close the copies of descriptors, change nothing else, and refuse every use from now on. Raises nothing."""


class Forking(threading.local):
    """What the forking thread says about the fork that is on its way."""

    own_child = False


known: WeakSet[Inherited] = WeakSet()
forking = Forking()


@contextlib.contextmanager
def own_child() -> Iterator[None]:
    """A fork in here makes a child of ours, which decides itself what it lets go of: `leave_others`."""
    forking.own_child = True
    try:
        yield
    finally:
        forking.own_child = False


def leave_others(mine: Inherited | None = None) -> None:
    """In a forked child: let go of everything but `mine`."""
    for inherited in list(known):
        if inherited is not mine:
            inherited.leave_to_parent()


def after_fork() -> None:
    if not forking.own_child:
        leave_others()


os.register_at_fork(after_in_child=after_fork)
