"""Writing RDB files piece by piece: the container around the records of an RdbSink."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.formats.rdb.reader import Event, Function, ModuleAux, Opcode
from rotomdb.formats.sinks.records import RdbSink

VALKEY_MAGIC_FROM = 80
MODULE_DATA_FROM = 9  # version of the RDB
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
    name: Target(version, version >= VALKEY_MAGIC_FROM, (b"valkey-ver" if is_valkey else b"redis-ver", number.encode()))
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
        if target.version >= 7:
            self.aux(*target.writer)
            self.aux(b"redis-bits", b"64")
            self.aux(b"ctime", b"%d" % time.time())
            self.aux(b"aof-base" if target.version >= 10 else b"aof-preamble", b"1" if aof_base else b"0")

    def write(self, data: bytes) -> None:
        if self.with_checksum:
            self.checksum = crc64(data, self.checksum)
        self.write_out(data)

    def aux(self, name: bytes, value: bytes) -> None:
        self.sink.put(bytes([Opcode.AUX]) + encode_string(name) + encode_string(value))

    def function(self, code: bytes) -> bool:
        """A function library; False: the target has none."""
        if self.target.version < 10:
            return False
        self.sink.put(bytes([Opcode.FUNCTION2]) + encode_string(code, True))
        return True

    def take(self, event: Event, data: memoryview) -> bool:
        """Put what holds data and is no key, a function library or data of a module. False: the target has no place for it.

        Args:
            data: That the event was read from.
        """
        if isinstance(event, Function):
            return self.function(event.code)
        if isinstance(event, ModuleAux):
            if self.target.version < MODULE_DATA_FROM or not self.target.modules:
                return False
            self.copy(data[event.start : event.end])
        return True

    def sizes(self, database: int, keys: int, volatile: int) -> None:
        """How many keys the database will get: a hint that lets servers make room at once."""
        self.sink.begin_database(database)
        if self.target.version >= 7:
            self.sink.put(bytes([Opcode.RESIZEDB]) + encode_length(keys) + encode_length(volatile))

    def copy(self, data: bytes | memoryview) -> None:
        """Bytes of an item that the target reads as they are."""
        self.sink.put(bytes(data))

    def finish(self) -> None:
        self.sink.put(bytes([Opcode.EOF]))
        self.sink.flush()
        if self.target.version >= 5:
            self.write_out((self.checksum if self.with_checksum else 0).to_bytes(8, "little"))
