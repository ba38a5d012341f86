"""RDB files: the container around the kernel's key records.

Written by  SnapshotWriter, for SAVE, BGSAVE, and the base of an append-only file.
Read by     RdbReader: `load_into` fills an engine at full speed, `events` walks a file for the tools.

    magic version | item* | EOF opcode | CRC64 of all before it (version >= 5; 0: not computed)

A snapshot replaces its predecessor only when it is whole and on disk: temporary file, fsync, rename, directory fsync.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.engine.memory import used_memory
from rotomdb.engine.rdb_decoder import TYPE_NAMES, RdbDecoder
from rotomdb.engine.rdb_encoder import KeyspaceEncoder, encode_length, encode_string
from rotomdb.errors import RdbError, RdbValueError
from rotomdb.storage.checksum import crc64
from rotomdb.storage.disk import Disk, DiskFile

REDIS_VERSION = "7.2.4"  # whose behaviour is followed; readers look at it
VERSION_WRITTEN = 10  # the oldest that holds nearly everything, so that the most servers can load it
VERSION_WITH_FIELD_TIMES = 12  # where fields of a hash expire
VERSION_READ_MAX = 16
VALKEY_VERSIONS = (11, 80, 81)
CHUNK_BYTES = 1 << 20
LOG_POSITION_AUX = b"rotomdb-log"  # readers that do not know it skip it
SYNC_EVERY_BYTES = 4 << 20  # with incremental fsync, so that the final one is short
LOAD_BATCH = 50_000  # key records between two calls of a progress callback


class Opcode(enum.IntEnum):
    """ON DISK: never renumber."""

    SLOT_IMPORT = 243
    SLOT_INFO = 244
    FUNCTION2 = 245
    FUNCTION_PRE_GA = 246
    MODULE_AUX = 247
    AUX = 250
    RESIZEDB = 251
    SELECTDB = 254
    EOF = 255


# Writing


@dataclass(frozen=True)
class SnapshotOptions:
    compress: bool = True
    checksum: bool = True
    incremental_sync: bool = True
    aof_base: bool = False
    key_save_delay_us: int = 0
    verify: bool = False  # read the file back before it replaces anything
    saved_at: float = 0.0  # Unix time that the file tells; 0: now
    log_position: str = ""  # where the log stood: `on FILE:BYTES` or `off FILE:BYTES`


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
        for library in engine.function_libraries:
            self.put(bytes([Opcode.FUNCTION2]) + encode_string(library, self.options.compress))
        for database in engine.databases:
            if len(database) == 0:
                continue
            self.put(
                bytes([Opcode.SELECTDB]) + encode_length(database.index)
                + bytes([Opcode.RESIZEDB]) + encode_length(len(database)) + encode_length(database.volatile_count)
            )  # fmt: skip
            self.write_keys(KeyspaceEncoder(database, self.options.compress, version, engine.access_written))
        self.put(bytes([Opcode.EOF]))
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
        yield b"redis-ver", REDIS_VERSION.encode()
        yield b"redis-bits", b"64"
        yield b"ctime", b"%d" % (self.options.saved_at or time.time())
        yield b"used-mem", b"%d" % used_memory()
        yield b"aof-base", b"1" if self.options.aof_base else b"0"
        if self.options.log_position:
            yield LOG_POSITION_AUX, self.options.log_position.encode()


def encode_aux(name: bytes, value: bytes) -> bytes:
    return bytes([Opcode.AUX]) + encode_string(name) + encode_string(value)


def save_snapshot(
    disk: Disk,
    engine: Engine,
    temporary: Path,
    target: Path | None,
    options: SnapshotOptions,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write a snapshot and put it in place of `target` (None: leave it at `temporary`).

    On any OSError the temporary file is removed and the old snapshot is untouched.

    Returns:
        Keys written.
    """
    file = disk.create(temporary)
    try:
        keys = SnapshotWriter(file, options, on_progress).write(engine)
        disk.step("rdb:before-sync")
        file.sync()
        file.close()
        if options.verify:
            verify_snapshot(disk, temporary, keys)
        disk.step("rdb:before-rename")
        if target is not None:
            disk.rename(temporary, target)
            disk.step("rdb:after-rename")
            disk.sync_directory(target.parent)
    except (OSError, RdbError):
        file.close()
        disk.remove_if_there(temporary)
        raise
    return keys


def verify_snapshot(disk: Disk, path: Path, keys: int) -> None:
    """Read a snapshot back as a loader would. Raises RdbError when it is not what was written."""
    with disk.mapped(path) as data:
        reader = RdbReader(data, str(path))
        try:
            found = sum(isinstance(event, KeyRecord) for event in reader.events(Engine(1)))
        finally:
            reader.close()
    if found != keys:
        raise RdbError(str(path), 0, f"{keys} keys were written, {found} can be read back")


def read_aux(data: memoryview | bytes, path: str) -> dict[bytes, bytes]:
    """The fields that stand in front of the data. Raises RdbError."""
    reader = RdbReader(data, path)
    fields = {}
    try:
        for event in reader.events(Engine(1)):
            if not isinstance(event, Aux):
                break
            fields[event.name] = event.value
    finally:
        reader.close()
    return fields


# Reading


@dataclass(frozen=True)
class Aux:
    name: bytes
    value: bytes
    offset: int


@dataclass(frozen=True)
class SelectDb:
    index: int
    offset: int


@dataclass(frozen=True)
class ResizeDb:
    keys: int
    volatile_keys: int


@dataclass(frozen=True)
class Function:
    code: bytes


@dataclass(frozen=True)
class ModuleAux:
    module: str
    offset: int


@dataclass(frozen=True)
class Ignored:
    """An opcode that carries only a hint."""

    opcode: int


@dataclass(frozen=True)
class KeyRecord:
    """A key. Its value stands in the reader's scratch keyspace until the next event, unless its type cannot be held."""

    db: int
    key: bytes
    type: int
    expire_ms: int | None
    start: int
    end: int

    @property
    def type_name(self) -> str:
        return TYPE_NAMES.get(self.type, "unknown")


@dataclass(frozen=True)
class End:
    """The end of the RDB; `checksum_stored` is None where the version has none, 0 where it was not computed."""

    offset: int
    checksum_stored: int | None


Event = Aux | SelectDb | ResizeDb | Function | ModuleAux | Ignored | KeyRecord | End


@dataclass
class LoadReport:
    keys: int = 0
    expired: int = 0
    empty: int = 0
    end: int = 0  # offset behind the trailer
    aux: dict[bytes, bytes] | None = None


MODULE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(identifier: int) -> str:
    """Name and encoding version of a module type id, as `ReJSON-RL/3`."""
    version, rest, name = identifier & 1023, identifier >> 10, ""
    for _ in range(9):
        name = MODULE_ALPHABET[rest & 63] + name
        rest >>= 6
    return f"{name}/{version}"


class RdbReader:
    """Reads one RDB from the start of a buffer.

    Args:
        data: The file's bytes; the caller keeps them until `close`.
        path: What errors call the file.

    Raises:
        RdbError: no RDB, or a version that is not understood.
    """

    def __init__(self, data: memoryview | bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.version, valkey = self.parse_header()
        self.decoder = RdbDecoder(data, valkey)
        self.decoder.position = 9
        self.database = 0

    def parse_header(self) -> tuple[int, bool]:
        head = bytes(self.data[:9])
        if len(head) < 9:
            raise RdbError(self.path, 0, f"file of {len(head)} bytes is too short for an RDB header")
        for magic in (b"REDIS", b"VALKEY"):
            digits = head[len(magic) :]
            if head.startswith(magic) and digits.isdigit():
                version = int(digits)
                valkey = magic == b"VALKEY"
                if version in VALKEY_VERSIONS if valkey else 1 <= version <= VERSION_READ_MAX:
                    return version, valkey
                raise RdbError(self.path, 0, f"RDB version {version} is not understood")
        raise RdbError(self.path, 0, "wrong signature, this is no RDB file")

    def close(self) -> None:
        """Let go of the buffer."""
        self.decoder.close()

    def failure(self, error: RdbValueError) -> RdbError:
        """The kernel's error with the file's name and what was being read."""
        where = ""
        if self.decoder.reading_key is not None:
            name = TYPE_NAMES.get(self.decoder.reading_type, "unknown")
            where = f" (key {self.decoder.reading_key!r}, {name}, db {self.database})"
        return RdbError(self.path, error.offset, f"{error.reason}{where}")

    def read_opcode(self, opcode: int) -> Event:
        """The payload of an opcode that is no key attribute."""
        decoder = self.decoder
        start = decoder.position - 1
        if opcode == Opcode.EOF:
            return End(decoder.position + (8 if self.version >= 5 else 0), self.read_trailer())
        if opcode == Opcode.SELECTDB:
            self.database = decoder.read_length()
            return SelectDb(self.database, start)
        if opcode == Opcode.RESIZEDB:
            return ResizeDb(decoder.read_length(), decoder.read_length())
        if opcode == Opcode.AUX:
            return Aux(decoder.read_string(), decoder.read_string(), start)
        if opcode == Opcode.FUNCTION2:
            return Function(decoder.read_string())
        if opcode == Opcode.SLOT_INFO:
            for _ in range(3):
                decoder.read_length()
            return Ignored(opcode)
        if opcode == Opcode.MODULE_AUX:
            identifier = decoder.read_length()
            decoder.skip_module_data()
            return ModuleAux(module_name(identifier), start)
        if opcode == Opcode.SLOT_IMPORT and self.data[:6] == b"VALKEY":
            decoder.read_string()
            for _ in range(2 * decoder.read_length()):
                decoder.read_length()
            return Ignored(opcode)
        raise RdbValueError(start, f"unknown opcode {opcode}")

    def read_trailer(self) -> int | None:
        """Read and verify the checksum."""
        if self.version < 5:
            return None
        covered = self.decoder.position
        stored = int.from_bytes(self.decoder.read_bytes(8), "little")
        if stored:
            computed = crc64(memoryview(self.data)[:covered])
            if stored != computed:
                raise RdbValueError(covered, f"checksum is {stored:016x}, content gives {computed:016x}")
        return stored

    def load_into(
        self, engine: Engine, *, expire_before_ms: int = -1, on_progress: Callable[[int], None] | None = None
    ) -> LoadReport:
        """Load every key.

        Args:
            expire_before_ms: Keys that end before this are dropped; -1 keeps them (an AOF base, a replica).
            on_progress: Called now and then with the offset.

        Raises:
            RdbError: damage, at its offset. What was read before it is in the engine.
        """
        report = LoadReport(aux={})
        assert report.aux is not None
        decoder = self.decoder
        database = engine.databases[0]
        try:
            while True:
                opcode = decoder.load_keys(database, expire_before_ms, LOAD_BATCH)
                if on_progress is not None:
                    on_progress(decoder.position)
                if opcode == -1:
                    continue
                event = self.read_opcode(opcode)
                if isinstance(event, SelectDb):
                    if event.index >= len(engine.databases):
                        raise RdbValueError(
                            event.offset,
                            f"database {event.index} is out of range, the limit is {len(engine.databases)}",
                        )
                    database = engine.databases[event.index]
                elif isinstance(event, ResizeDb):
                    # Hints from the file: never more than it could hold.
                    database.reserve(min(event.keys, len(self.data)), min(event.volatile_keys, len(self.data)))
                elif isinstance(event, Aux):
                    report.aux[event.name] = event.value
                elif isinstance(event, Function):
                    engine.function_libraries.append(event.code)
                elif isinstance(event, ModuleAux):
                    raise RdbValueError(
                        event.offset,
                        "The RDB file contains AUX module data I can't load: no matching module "
                        f"'{event.module.partition('/')[0]}'",
                    )
                elif isinstance(event, End):
                    break
        except RdbValueError as error:
            raise self.failure(error) from None
        report.keys, report.expired, report.empty = decoder.keys_loaded, decoder.keys_expired, decoder.keys_empty
        report.end = decoder.position
        return report

    def events(self, scratch: Engine) -> Iterator[Event]:
        """Every item in order; a key's value stands in `scratch.databases[0]` until the next step.

        Raises:
            RdbError: damage, at its offset.
        """
        keyspace = scratch.databases[0]
        try:
            while True:
                start = self.decoder.position
                opcode, key, expire_ms = self.decoder.next_key(keyspace)
                if key is None:
                    event = self.read_opcode(opcode)
                    yield event
                    if isinstance(event, End):
                        return
                    continue
                yield KeyRecord(self.database, key, opcode, expire_ms, start, self.decoder.position)
                keyspace.clear()
        except RdbValueError as error:
            raise self.failure(error) from None
