"""Where the memory of the process goes: the figures of MEMORY STATS, MEMORY DOCTOR and INFO memory, taken at one moment.

The allocator of the C library tells nothing of itself that could be compared with jemalloc's figures; as in a Redis built with
it, `allocated` is what is counted and `active` what is resident.
"""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rotomdb.engine.memory import used_memory

if TYPE_CHECKING:
    from rotomdb.server.server import Server

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Resident set of this process."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def total_system_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * PAGE


@dataclass(frozen=True)
class MemoryReport:
    """All in bytes. `tables`: by number of the database, its table of keys and that of times to live."""

    used: int
    peak: int
    startup: int
    resident: int
    clients: int
    aof_buffer: int
    scripts: int  # known by digest; like the libraries of functions no part of what is used
    libraries: int
    keys: int
    tables: dict[int, tuple[int, int]]

    @property
    def overhead(self) -> int:
        """What is used for everything but the data."""
        tables = sum(main + volatile for main, volatile in self.tables.values())
        return self.startup + self.clients + self.aof_buffer + tables

    @property
    def dataset(self) -> int:
        return max(self.used - self.overhead, 0)

    @property
    def dataset_percentage(self) -> float:
        net = self.used - self.startup
        return self.dataset / net * 100 if net > 0 else 0.0

    @property
    def peak_percentage(self) -> float:
        return self.used / self.peak * 100 if self.peak else 0.0

    @property
    def bytes_per_key(self) -> int:
        return max(self.used - self.startup, 0) // self.keys if self.keys else 0

    @property
    def fragmentation(self) -> float:
        return self.resident / self.used if self.used else 0.0

    def stats(self) -> dict[str, object]:
        """MEMORY STATS, in Redis's order."""
        databases = {
            f"db.{index}": {
                "overhead.hashtable.main": main,
                "overhead.hashtable.expires": volatile,
                "overhead.hashtable.slot-to-keys": 0,
            }
            for index, (main, volatile) in self.tables.items()
        }
        return {
            "peak.allocated": self.peak, "total.allocated": self.used, "startup.allocated": self.startup,
            "replication.backlog": 0, "clients.slaves": 0, "clients.normal": self.clients, "cluster.links": 0,
            "aof.buffer": self.aof_buffer, "lua.caches": self.scripts, "functions.caches": self.libraries, **databases,
            "overhead.total": self.overhead, "keys.count": self.keys, "keys.bytes-per-key": self.bytes_per_key,
            "dataset.bytes": self.dataset, "dataset.percentage": self.dataset_percentage,
            "peak.percentage": self.peak_percentage, "allocator.allocated": self.used,
            "allocator.active": self.resident, "allocator.resident": self.resident,
            "allocator-fragmentation.ratio": self.fragmentation,
            "allocator-fragmentation.bytes": self.resident - self.used,
            "allocator-rss.ratio": 1.0, "allocator-rss.bytes": 0, "rss-overhead.ratio": 1.0, "rss-overhead.bytes": 0,
            "fragmentation": self.fragmentation, "fragmentation.bytes": self.resident - self.used,
        }  # fmt: skip


def memory_report(server: Server) -> MemoryReport:
    """The figures as of now."""
    used = used_memory()
    databases = server.engine.databases
    return MemoryReport(
        used=used,
        peak=max(server.statistics.peak_memory, used),
        startup=server.statistics.startup_memory,
        resident=resident_bytes(),
        clients=server.client_limits.clients_bytes(),
        aof_buffer=server.persistence.aof.buffered_bytes,
        scripts=server.scripting.scripts_memory,
        libraries=server.scripting.libraries.libraries_memory,
        keys=server.engine.total_keys(),
        tables={database.index: database.table_overhead() for database in databases if len(database)},
    )
