"""Tools to prove durability: a file system in memory that loses what was not synced, a server on simulated time, and a
search over the states that a crash may leave.

    python -m rotomdb.testing --states 100000

Your own programs can use the parts: `MemoryDisk` takes the place of `rotomdb.storage.disk.Disk`.
"""

from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.memory_disk import MemoryDisk
from rotomdb.testing.simulation import SimulatedServer

__all__ = ["MemoryDisk", "SimulatedServer", "crash_states"]
