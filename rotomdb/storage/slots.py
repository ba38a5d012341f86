"""Hash slots of a cluster: which slot a key belongs to, and which master has it (Redis Cluster specification)."""

from __future__ import annotations

from binascii import crc_hqx

from rotomdb.errors import SourceError

SLOTS = 16384


def key_slot(key: bytes) -> int:
    """CRC16 of the key, or of the part in its first {...}, modulo 16384."""
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening + 1)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    return crc_hqx(key, 0) % SLOTS


def read_nodes(text: str, path: str) -> list[str]:
    """The name of the master of each slot, out of a nodes.conf (or CLUSTER NODES): `ID-HOST-PORT`.

    Raises:
        SourceError: a slot has no master, or the text is none.
    """
    owners: list[str | None] = [None] * SLOTS
    for line in text.splitlines():
        words = line.split()
        if len(words) < 9 or words[0] == "vars" or "master" not in words[2]:
            continue
        address = words[1].partition("@")[0].rsplit(":", 1)
        name = f"{words[0][:8]}-{'-'.join(address).replace(':', '_')}"
        for span in words[8:]:
            if span.startswith("["):  # a slot that is being moved
                continue
            low, _, high = span.partition("-")
            try:
                for slot in range(int(low), int(high or low) + 1):
                    owners[slot] = name
            except (ValueError, IndexError):
                raise SourceError(f"{path}: {span!r} is no range of slots") from None
    named = [owner for owner in owners if owner is not None]
    if len(named) < SLOTS:
        raise SourceError(f"{path}: {SLOTS - len(named)} slots have no master in it")
    return named
