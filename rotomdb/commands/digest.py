"""DEBUG DIGEST: Redis's fingerprint of a data set, so that servers can be compared.

Source: the construction in Redis's debug.c. Ordered parts are mixed (SHA-1 of the digest XOR the part's SHA-1),
unordered parts are XORed in, so that the order of a hash table does not show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from rotomdb.engine import hashes, lists, sets, sorted_sets, streams, strings
from rotomdb.engine.keyspace import Keyspace
from rotomdb.engine.number import format_float_17

TYPE_NUMBERS = {b"string": 0, b"list": 1, b"set": 2, b"zset": 3, b"hash": 4, b"stream": 6}


class Digest:
    """A 160-bit accumulator."""

    def __init__(self) -> None:
        self.value = 0

    def xor(self, data: bytes) -> None:
        self.value ^= int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "big")

    def mix(self, data: bytes) -> None:
        self.xor(data)
        self.value = int.from_bytes(hashlib.sha1(self.bytes(), usedforsecurity=False).digest(), "big")

    def bytes(self) -> bytes:
        return self.value.to_bytes(20, "big")


def mix_value(digest: Digest, db: Keyspace, key: bytes) -> None:
    """Add type, content and presence of an expire time of an existing key."""
    kind = db.type_name(key)
    assert kind is not None
    digest.mix(TYPE_NUMBERS[kind].to_bytes(4, "big"))
    if kind == b"string":
        digest.mix(strings.peek(db, key) or b"")
    elif kind == b"list":
        for element in lists.get_range(db, key, 0, -1):
            digest.mix(element)
    elif kind == b"set":
        for member in sets.members(db, key):
            digest.xor(member)
    elif kind == b"zset":
        flat = sorted_sets.items(db, key)
        for i in range(0, len(flat), 2):
            mix_pair(digest, flat[i], format_float_17(flat[i + 1]))
    elif kind == b"stream":
        stream = streams.peek(db, key)
        assert stream is not None
        for entry_id, fields in stream.range(streams.MIN_ID, streams.MAX_ID):
            digest.mix(entry_id.replace(b"-", b"."))
            for part in fields:
                digest.mix(part)
    else:
        flat = hashes.items(db, key)
        times = hashes.expire_times(db, key, flat[::2]) if hashes.has_times(db, key) else [-1] * (len(flat) // 2)
        for i in range(0, len(flat), 2):
            mix_pair(digest, flat[i], flat[i + 1], times[i // 2] != -1)
    if db.expire_at(key) != -1:
        digest.xor(b"!!expire!!")


def mix_pair(digest: Digest, first: bytes, second: bytes, expires: bool = False) -> None:
    pair = Digest()
    pair.mix(first)
    pair.mix(second)
    if expires:
        pair.xor(b"!!hexpire!!")
    digest.xor(pair.bytes())


def dataset_digest(databases: list[Keyspace], on_progress: Callable[[], None] = lambda: None) -> bytes:
    """40 hexadecimal digits over all databases.

    Args:
        on_progress: Called every hundred keys.
    """
    final = Digest()
    for database in databases:
        if len(database) == 0:
            continue
        final.mix(database.index.to_bytes(4, "big"))
        for number, key in enumerate(database.match(b"*")):
            if number % 100 == 0:
                on_progress()
            if not database.exists(key):  # a hash whose fields have all come to their time
                continue
            digest = Digest()
            digest.mix(key)
            mix_value(digest, database, key)
            final.xor(digest.bytes())
    return final.bytes().hex().encode()


def value_digest(db: Keyspace, key: bytes) -> bytes:
    """Digest of one value; zero when the key is absent."""
    digest = Digest()
    if db.exists(key):
        mix_value(digest, db, key)
    return digest.bytes().hex().encode()
