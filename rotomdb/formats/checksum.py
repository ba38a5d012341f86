"""CRC-64 as Redis computes it (the "Jones" polynomial): RDB trailers, DUMP payloads, AOF annotations."""

from __future__ import annotations

import anycrc  # type: ignore[import-untyped]

_MODEL = anycrc.Model("CRC64-REDIS")


def crc64(data: bytes | memoryview, start: int = 0) -> int:
    """Checksum of `data`; pass the checksum so far as `start` to go on."""
    return int(_MODEL.calc(data, start))
