"""RDB files: the container around the kernel's key records, and how a data set becomes one (SAVE, BGSAVE, a log's base).

Reading is in formats/rdb/reader.py.

    magic version | item* | EOF opcode | CRC64 of all before it (version >= 5; 0: not computed)

A snapshot replaces its predecessor only when it is whole and on disk: temporary file, fsync, rename, directory fsync.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.engine.memory import used_memory
from rotomdb.errors import LoadingInterrupted, RdbError
from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.encoder import KeyspaceEncoder, encode_length, encode_string
from rotomdb.formats.rdb.format import (
    AUX_AOF_BASE,
    AUX_BITS,
    AUX_LOG_POSITION,
    AUX_REDIS_VERSION,
    AUX_REPLICATION_DATABASE,
    AUX_REPLICATION_ID,
    AUX_REPLICATION_OFFSET,
    AUX_SAVED_AT,
    AUX_USED_MEMORY,
    OPCODE_AUX,
    OPCODE_EOF,
    OPCODE_RESIZEDB,
    OPCODE_SELECTDB,
)
from rotomdb.formats.rdb.library_format import record_of
from rotomdb.formats.rdb.writer import Target
from rotomdb.storage.disk import SNAPSHOT_MODE, Disk, DiskFile

REDIS_VERSION = "7.2.4"  # whose behaviour is followed; readers look at it
VERSION_WRITTEN = 10  # the oldest that holds nearly everything, so that the most servers can load it
VERSION_WITH_FIELD_TIMES = 12  # where fields of a hash expire
OWN_TARGET = Target(VERSION_WITH_FIELD_TIMES, False, (AUX_REDIS_VERSION, REDIS_VERSION.encode()), modules=False)
CHUNK_BYTES = 1 << 20
SYNC_EVERY_BYTES = 4 << 20  # with incremental fsync, so that the final one is short


@dataclass(frozen=True)
class HistoryPlace:
    """Where in a history of commands a data set stands.

    Attributes:
        position: Bytes of the history that it holds.
        database: That the history has selected there; -1: what follows names its own.
    """

    history: str
    position: int
    database: int = -1

    @property
    def greeting(self) -> bytes:
        """The reply to PSYNC in front of a copy of it."""
        return f"+FULLRESYNC {self.history} {self.position}\r\n".encode()


@dataclass(frozen=True)
class SnapshotOptions:
    compress: bool = True
    checksum: bool = True
    incremental_sync: bool = True
    aof_base: bool = False
    key_save_delay_us: int = 0
    verify: bool = False  # read the file back before it replaces anything
    saved_at: float = 0.0  # Unix time that the file tells; 0: now
    used_memory: int = 0  # that the file tells; 0: what it is now
    keys: bool = True
    functions: bool = True
    log_position: str = ""  # where the log stood: `on FILE:BYTES` or `off FILE:BYTES`
    replication: HistoryPlace | None = None


class SnapshotWriter:
    """Writes the whole data set into an open file."""

    def __init__(
        self, file: DiskFile, options: SnapshotOptions, on_progress: Callable[[int], None] | None = None
    ) -> None:
        self.file = file
        self.options = options
        self.on_progress = on_progress
        self.checksum = 0
        self.unsynced = 0
        self.keys = 0

    def put(self, data: bytes) -> None:
        if self.options.checksum:
            self.checksum = crc64(data, self.checksum)
        self.file.write_all(data)
        self.unsynced += len(data)
        if self.options.incremental_sync and self.unsynced >= SYNC_EVERY_BYTES:
            self.file.sync()
            self.unsynced = 0

    def write(self, engine: Engine) -> int:
        """Write header, databases and trailer; returns the number of keys. The caller syncs and closes."""
        timed = any(database.timed_hash_count for database in engine.databases)
        version = VERSION_WITH_FIELD_TIMES if timed else VERSION_WRITTEN
        self.put(b"REDIS%04d" % version + b"".join(encode_aux(*field) for field in self.aux_fields()))
        for library in engine.function_libraries if self.options.functions else ():
            self.put(record_of(library, self.options.compress))
        for database in engine.databases if self.options.keys else ():
            if len(database) == 0:
                continue
            self.put(
                bytes([OPCODE_SELECTDB]) + encode_length(database.index)
                + bytes([OPCODE_RESIZEDB]) + encode_length(len(database)) + encode_length(database.volatile_count)
            )  # fmt: skip
            self.write_keys(KeyspaceEncoder(database, self.options.compress, version, engine.access_written))
        self.put(bytes([OPCODE_EOF]))
        self.file.write_all((self.checksum if self.options.checksum else 0).to_bytes(8, "little"))
        return self.keys

    def write_keys(self, encoder: KeyspaceEncoder) -> None:
        before = self.keys
        delay_s = self.options.key_save_delay_us / 1_000_000
        while (chunk := encoder.next_chunk(1 if delay_s else CHUNK_BYTES)) is not None:
            self.put(chunk)
            self.keys = before + encoder.keys
            if delay_s:
                time.sleep(delay_s)  # a debugging aid: makes a snapshot last
            if self.on_progress is not None:
                self.on_progress(self.keys)

    def aux_fields(self) -> Iterator[tuple[bytes, bytes]]:
        yield AUX_REDIS_VERSION, REDIS_VERSION.encode()
        yield AUX_BITS, b"64"
        yield AUX_SAVED_AT, b"%d" % (self.options.saved_at or time.time())
        yield AUX_USED_MEMORY, b"%d" % (self.options.used_memory or used_memory())
        place = self.options.replication
        if place is not None:
            yield AUX_REPLICATION_DATABASE, b"%d" % place.database
            yield AUX_REPLICATION_ID, place.history.encode()
            yield AUX_REPLICATION_OFFSET, b"%d" % place.position
        yield AUX_AOF_BASE, b"1" if self.options.aof_base else b"0"
        if self.options.log_position:
            yield AUX_LOG_POSITION, self.options.log_position.encode()


def encode_aux(name: bytes, value: bytes) -> bytes:
    return bytes([OPCODE_AUX]) + encode_string(name) + encode_string(value)


def save_snapshot(
    disk: Disk,
    engine: Engine,
    temporary: Path,
    target: Path | None,
    options: SnapshotOptions,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write a snapshot and put it in place of `target` (None: leave it at `temporary`).

    On any OSError, and when `on_progress` raises LoadingInterrupted, the temporary file is removed and the old snapshot is
    untouched.

    Returns:
        Keys written.
    """
    file = disk.create(temporary, SNAPSHOT_MODE)
    try:
        keys = SnapshotWriter(file, options, on_progress).write(engine)
        disk.step("rdb:before-sync")
        file.sync()
        file.close()
        if options.verify:
            verify_snapshot(disk, temporary, keys)
        if target is not None:
            disk.put_in_place(temporary, target, "rdb")
    except (OSError, RdbError, LoadingInterrupted):
        file.close()
        disk.discard(temporary)
        raise
    return keys


def verify_snapshot(disk: Disk, path: Path, keys: int) -> None:
    """Read a snapshot back as a loader would. Raises RdbError when it is not what was written."""
    with disk.mapped(path) as data:
        found = check_rdb(data, str(path)).keys
    if found != keys:
        raise RdbError(str(path), 0, f"{keys} keys were written, {found} can be read back")
