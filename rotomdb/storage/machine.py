"""What persistence needs of the machine beside the disk: clocks, a forked child, a thread that syncs.

A simulation gives its own of each, and so decides when time passes, when a child gets on and when an fsync ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.storage.child import Child, Job, Work, fork_child
from rotomdb.storage.disk import Disk
from rotomdb.storage.sync_thread import SyncThread


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def sleep(seconds: float) -> None:
    time.sleep(seconds)


@dataclass
class Machine:
    """The real one by default."""

    monotonic_ms: Callable[[], int] = monotonic_ms
    time: Callable[[], float] = time.time
    pid: Callable[[], int] = os.getpid
    fork: Callable[[Job, Disk, Work, Callable[[], None]], Child] = fork_child
    sync_thread: Callable[[], SyncThread] = SyncThread
    sleep: Callable[[float], None] = sleep
