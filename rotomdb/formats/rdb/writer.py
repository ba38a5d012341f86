"""Writing RDB files piece by piece: the container around the records of an RdbSink."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.formats.rdb.format import (
    AUX_AOF_BASE,
    AUX_AOF_PREAMBLE,
    AUX_BITS,
    AUX_REDIS_VERSION,
    AUX_SAVED_AT,
    AUX_VALKEY_VERSION,
    OPCODE_AUX,
    OPCODE_EOF,
    OPCODE_FUNCTION2,
    OPCODE_RESIZEDB,
    VERSION_AOF_BASE,
    VERSION_AUX,
    VERSION_CHECKSUM,
    VERSION_FUNCTIONS,
    VERSION_MODULE_DATA,
    VERSION_VALKEY,
)
from rotomdb.formats.rdb.reader import Event, Function, ModuleAux
from rotomdb.formats.sinks.records import RdbSink

FUNCTION_LIBRARIES, MODULE_DATA = "function libraries", "data of modules outside of keys"  # as messages call them


@dataclass(frozen=True)
class Target:
    """A server's newest format.

    Attributes:
        version: Of the RDB.
        valkey: Whether it has a dialect of its own.
        writer: What the file says of who wrote it: a field's name and its value.
        modules: Whether it may have modules that read their values.
    """

    version: int
    valkey: bool
    writer: tuple[bytes, bytes]
    modules: bool = True


# docs/formats.md, 1.2
TARGETS: dict[str, Target] = {
    name: Target(version, version >= VERSION_VALKEY, (AUX_VALKEY_VERSION if is_valkey else AUX_REDIS_VERSION, number.encode()))
    for name, version, number, is_valkey in (
        ("redis-2.4", 2, "2.4.18", False), ("redis-2.6", 6, "2.6.17", False), ("redis-2.8", 6, "2.8.24", False),
        ("redis-3.0", 6, "3.0.7", False), ("redis-3.2", 7, "3.2.13", False), ("redis-4.0", 8, "4.0.14", False),
        ("redis-5.0", 9, "5.0.14", False), ("redis-6.0", 9, "6.0.20", False), ("redis-6.2", 9, "6.2.14", False),
        ("redis-7.0", 10, "7.0.15", False), ("redis-7.2", 11, "7.2.4", False), ("redis-7.4", 12, "7.4.0", False),
        ("redis-8.0", 12, "8.0.0", False), ("redis-8.2", 12, "8.2.0", False), ("redis-8.4", 12, "8.4.0", False),
        ("redis-8.6", 13, "8.6.0", False), ("redis-8.8", 14, "8.8.0", False), ("valkey-7.2", 11, "7.2.4", True),
        ("valkey-8.0", 11, "8.0.0", True), ("valkey-8.1", 11, "8.1.0", True), ("valkey-9.0", 80, "9.0.0", True),
        ("keydb-6.3", 9, "6.2.6", False),
    )
}  # fmt: skip


class RdbWriter:
    """An RDB, written front to back.

        with open("copy.rdb", "wb") as file:
            writer = RdbWriter(file.write, TARGETS["redis-6.2"])
            for event in reader.walk(writer.sink):
                writer.take(event, reader.data)
            writer.finish()

    Attributes:
        sink: Takes the keys.
    """

    def __init__(
        self, write: Callable[[bytes], object], target: Target, *, plain: bool = False, compress: bool = True,
        checksum: bool = True, aof_base: bool = False,
    ) -> None:  # fmt: skip
        self.target = target
        self.write_out = write
        self.with_checksum = checksum
        self.checksum = 0
        self.sink = RdbSink(self.write, target.version, target.valkey, plain, compress, target.modules)
        magic = b"VALKEY%03d" if target.valkey else b"REDIS%04d"
        self.sink.put(magic % target.version)
        if target.version >= VERSION_AUX:
            self.aux(*target.writer)
            self.aux(AUX_BITS, b"64")
            self.aux(AUX_SAVED_AT, b"%d" % time.time())
            self.aux(
                AUX_AOF_BASE if target.version >= VERSION_AOF_BASE else AUX_AOF_PREAMBLE, b"1" if aof_base else b"0"
            )

    def write(self, data: bytes) -> None:
        if self.with_checksum:
            self.checksum = crc64(data, self.checksum)
        self.write_out(data)

    def aux(self, name: bytes, value: bytes) -> None:
        self.sink.put(bytes([OPCODE_AUX]) + encode_string(name) + encode_string(value))

    def function(self, code: bytes) -> bool:
        """A function library; False: the target has none."""
        if self.target.version < VERSION_FUNCTIONS:
            return False
        self.sink.put(bytes([OPCODE_FUNCTION2]) + encode_string(code, True))
        return True

    def take(self, event: Event, data: memoryview) -> bool:
        """Put what holds data and is no key, a function library or data of a module. False: the target has no place for it.

        Args:
            data: That the event was read from.
        """
        if isinstance(event, Function):
            return self.function(event.code)
        if isinstance(event, ModuleAux):
            if self.target.version < VERSION_MODULE_DATA or not self.target.modules:
                return False
            self.copy(data[event.start : event.end])
        return True

    def sizes(self, database: int, keys: int, volatile: int) -> None:
        """How many keys the database will get: a hint that lets servers make room at once."""
        self.sink.begin_database(database)
        if self.target.version >= VERSION_AUX:
            self.sink.put(bytes([OPCODE_RESIZEDB]) + encode_length(keys) + encode_length(volatile))

    def copy(self, data: bytes | memoryview) -> None:
        """Bytes of an item that the target reads as they are."""
        self.sink.put(bytes(data))

    def finish(self) -> None:
        self.sink.put(bytes([OPCODE_EOF]))
        self.sink.flush()
        if self.target.version >= VERSION_CHECKSUM:
            self.write_out((self.checksum if self.with_checksum else 0).to_bytes(8, "little"))
