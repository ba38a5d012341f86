"""Bit rot: flip single bits of a log that a server wrote, and see what is found.

Every byte that a checksum covers has to be found out, and located to its block; nothing of it may pass for a torn end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from rotomdb.formats.aof.annotations import CHECKSUM_PREFIX, parse_checksum
from rotomdb.formats.aof.examination import examine
from rotomdb.testing.memory_disk import MemoryDisk
from rotomdb.testing.simulation import SimulatedServer, write_something

WRITES = 1200


@dataclass
class FlipResult:
    """Flips by where they hit and what came of them."""

    covered: int = 0
    located: int = 0  # covered, and reported as damage of a range that holds the flip
    uncovered: int = 0
    uncovered_found: int = 0
    widest: int = 0  # bytes of the largest range that a flip was located to

    @property
    def missed(self) -> int:
        return self.covered - self.located


def written_log(policy: str, seed: int) -> bytes:
    """The increment that a simulated server leaves after a random workload."""
    server = SimulatedServer(MemoryDisk(), {"appendfsync": policy})
    server.start()
    source = random.Random(seed)
    for _ in range(WRITES):
        write_something(server, source)
        server.turn(source.choice([0, 5, 50]), sync_ends=source.random() < 0.5)
    file = server.persistence.aof.file
    assert file is not None
    return server.disk.read(file.path)


def covered_ranges(log: bytes) -> Iterator[tuple[int, int]]:
    """Blocks with their annotations, as (start, end)."""
    position = log.find(b"\n" + CHECKSUM_PREFIX)
    while position >= 0:
        end = log.index(b"\n", position + 1) + 1
        checksum = parse_checksum(log[position + 1 : end - 1])
        assert checksum is not None
        yield position + 1 - checksum.size, end
        position = log.find(b"\n" + CHECKSUM_PREFIX, end - 1)


def flip(log: bytes, bit: int) -> bytes:
    changed = bytearray(log)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flip_bits(flips: int, seed: int) -> FlipResult:
    """Try so many single flips over logs of all policies."""
    result = FlipResult()
    source = random.Random(seed)
    logs = [written_log(policy, seed) for policy in ("always", "everysec", "no")]
    covers = [list(covered_ranges(log)) for log in logs]
    for _ in range(flips):
        which = source.randrange(len(logs))
        log = logs[which]
        bit = source.randrange(len(log) * 8)
        found = examine(flip(log, bit))
        hits = [damage for damage in found.damages if damage.start <= bit // 8 < damage.end]
        if any(start <= bit // 8 < end for start, end in covers[which]):
            result.covered += 1
            result.located += bool(hits) and not found.torn
            result.widest = max([result.widest, *(damage.end - damage.start for damage in hits)])
        else:
            result.uncovered += 1
            result.uncovered_found += bool(hits or found.torn)
    return result
