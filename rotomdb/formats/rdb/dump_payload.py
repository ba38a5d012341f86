"""The payload of DUMP and RESTORE: type byte and value as in an RDB, version, CRC64 (docs/formats.md, 4)."""

from __future__ import annotations

from dataclasses import dataclass

from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.format import CHECKSUM_BYTES

FOOTER_BYTES = 2 + CHECKSUM_BYTES


@dataclass(frozen=True)
class DumpPayload:
    """What a payload holds: `body` is the type byte and the value, `version` that of the RDB format."""

    body: memoryview
    version: int


def seal(body: bytes, version: int) -> bytes:
    """The payload of a type byte and a value."""
    covered = body + version.to_bytes(2, "little")
    return covered + crc64(covered).to_bytes(CHECKSUM_BYTES, "little")


def unseal(payload: bytes | memoryview, *, checked: bool = True) -> DumpPayload | None:
    """Take a payload apart; None where its checksum is wrong (or, if that is not to be checked, missing)."""
    view = memoryview(payload)
    covered = len(view) - CHECKSUM_BYTES
    if len(view) < FOOTER_BYTES:
        return None
    if checked and int.from_bytes(view[covered:], "little") != crc64(view[:covered]):
        return None
    return DumpPayload(view[: covered - 2], int.from_bytes(view[covered - 2 : covered], "little"))
