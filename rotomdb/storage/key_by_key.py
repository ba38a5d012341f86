"""A live server read key by key, with SCAN and DUMP: where it has no SYNC for us, or where one database is wanted.

No moment in time: a key that changes meanwhile is as it was when its turn came, one that comes or goes may be there or not. Only
digests of the names are kept, since SCAN may give a key twice and an RDB must not.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Iterator

import xxhash

from rotomdb.errors import SourceError
from rotomdb.formats.rdb.dump_payload import unseal
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.formats.rdb.format import (
    OPCODE_EOF,
    OPCODE_EXPIRETIME_MS,
    OPCODE_FREQ,
    OPCODE_IDLE,
    OPCODE_SELECTDB,
    VERSION_VALKEY,
)
from rotomdb.storage.live_server import LiveServer, Reply

SCAN_COUNT = 200
UNKNOWN_COMMAND = b"-ERR unknown command"
EMPTY_VERSION = 9  # of a data set without any key


def read_by_keys(server: LiveServer, on_note: Callable[[str], None]) -> Iterator[bytes]:
    """An RDB of the server's keys, of one database where the address names it. Raises SourceError."""
    yield from with_header(records(server, on_note))
    yield bytes([OPCODE_EOF]) + bytes(8)


def with_header(pieces: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    version = 0
    for found, piece in pieces:
        if not version:
            version = found
            yield header(version)
        elif found != version:
            raise SourceError(f"the server changed from version {version} of its payloads to {found}")
        yield piece
    if not version:
        yield header(EMPTY_VERSION)


def header(version: int) -> bytes:
    return b"VALKEY%03d" % version if version >= VERSION_VALKEY else b"REDIS%04d" % version


def records(server: LiveServer, on_note: Callable[[str], None]) -> Iterator[tuple[int, bytes]]:
    """Version and bytes of what goes into an RDB, item by item."""
    if server.database is None:
        yield from functions(server, on_note)
    for database in databases(server):
        server.need(b"SELECT", b"%d" % database)
        yield from keys_of(server, database)


def functions(server: LiveServer, on_note: Callable[[str], None]) -> Iterator[tuple[int, bytes]]:
    server.send(b"FUNCTION", b"DUMP")
    dumped = server.reply()
    if isinstance(dumped, bytes) and dumped.startswith(b"-"):
        if not dumped.startswith(UNKNOWN_COMMAND):  # before 7.0 there are none
            why = dumped[1:].decode("utf-8", "replace")
            on_note(f"{server.name}: function libraries are left out: FUNCTION DUMP: {why}")
    elif isinstance(dumped, bytes):
        payload = unseal(dumped)
        if payload is not None and len(payload.body):
            yield payload.version, bytes(payload.body)


def databases(server: LiveServer) -> list[int]:
    if server.database is not None:
        return [server.database]
    server.send(b"INFO", b"keyspace")
    told = checked(server, b"INFO", server.reply())
    return [int(number) for number in re.findall(rb"(?m)^db(\d+):", told if isinstance(told, bytes) else b"")]


def checked(server: LiveServer, command: bytes, reply: Reply) -> Reply:
    if isinstance(reply, bytes) and reply.startswith(b"-"):
        raise SourceError(f"{server.name}: {command.decode()}: {reply[1:].decode('utf-8', 'replace')}")
    return reply


def keys_of(server: LiveServer, database: int) -> Iterator[tuple[int, bytes]]:
    seen: set[bytes] = set()
    cursor = b"0"
    selected = False
    while True:
        server.send(b"SCAN", cursor, b"COUNT", b"%d" % SCAN_COUNT)
        reply = checked(server, b"SCAN", server.reply())
        if not (
            isinstance(reply, list) and len(reply) == 2 and isinstance(reply[0], bytes) and isinstance(reply[1], list)
        ):
            raise SourceError(f"{server.name}: SCAN: no reply of a server")
        cursor = reply[0]
        names = []
        for name in reply[1]:
            assert isinstance(name, bytes)
            digest = xxhash.xxh3_128_digest(name)
            if digest not in seen:
                seen.add(digest)
                names.append(name)
        for version, record in dumped(server, names):
            if not selected:
                record = bytes([OPCODE_SELECTDB]) + encode_length(database) + record
                selected = True
            yield version, record
        if cursor == b"0":
            return


def dumped(server: LiveServer, names: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of the keys that are still there."""
    for name in names:
        # Before DUMP, which counts as a use.
        for words in ((b"OBJECT", b"IDLETIME"), (b"OBJECT", b"FREQ"), (b"PTTL",), (b"DUMP",)):
            server.write(*words, name)
    server.stream.flush()
    for name in names:
        idle, frequency, left, payload = (server.reply() for _ in range(4))
        now = time.time_ns() // 1_000_000
        if checked(server, b"DUMP", payload) is None:
            continue
        assert isinstance(payload, bytes)
        value = unseal(payload)
        if value is None:
            raise SourceError(f"{server.name}: DUMP: the checksum of a payload is wrong")
        head = b""
        if isinstance(left, int) and left >= 0:
            head += bytes([OPCODE_EXPIRETIME_MS]) + struct.pack("<q", now + left)
        if isinstance(idle, int):
            head += bytes([OPCODE_IDLE]) + encode_length(idle)
        elif isinstance(frequency, int):
            head += bytes([OPCODE_FREQ, frequency])
        yield value.version, head + bytes(value.body[:1]) + encode_string(name) + bytes(value.body[1:])
