"""Reading RDB files: `load_into` fills an engine at full speed, `walk` and `records` take a file apart for the tools.

    magic version | item* | EOF opcode | CRC64 of all before it (version >= 5; 0: not computed)

The checksum is computed along the way, and what has been read is given back to the operating system, so that a file of any
size is read in little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rotomdb.errors import (
    CommandError,
    Fault,
    RdbDatabaseError,
    RdbError,
    RdbUnsupportedTypeError,
    RdbValueError,
)
from rotomdb.formats.checksum import crc64
from rotomdb.formats.file_kind import HEAD_BYTES, FileKind, kind_of
from rotomdb.formats.passing import let_go
from rotomdb.formats.quoting import quoted
from rotomdb.formats.rdb.decoder import RdbDecoder
from rotomdb.formats.rdb.format import (
    AUX_DRAGONFLY_VERSION,
    CHECKSUM_BYTES,
    HEADER_BYTES,
    OPCODE_AUX,
    OPCODE_ENTERPRISE_HINT,
    OPCODE_ENTERPRISE_HINT_2,
    OPCODE_EOF,
    OPCODE_FUNCTION2,
    OPCODE_FUNCTION_PRE_RELEASE,
    OPCODE_HASH_TEMPLATE,
    OPCODE_MODULE_AUX,
    OPCODE_RESIZEDB,
    OPCODE_SELECTDB,
    OPCODE_SLOT_INFO,
    OPCODE_VALKEY_SLOT_IMPORT,
    RDB_TYPE_LAST,
    VERSION_CHECKSUM,
    VERSION_LAST_READ,
)
from rotomdb.formats.rdb.records import RdbRecords, module_name
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.value_types import TYPE_NAMES
from rotomdb.formats.rdb.walker import RdbWalker
from rotomdb.formats.sinks.sink import ValueSink
from rotomdb.formats.sinks.text import TextSink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotomdb.engine import Engine

VALKEY_VERSIONS = (11, 80, 81)
BATCH_RECORDS = 50_000  # between two looks at the progress
BATCH_BYTES = 8 << 20
LEAST_RECORD_BYTES = 3  # of a key: type, name, value
FAULTS = {  # of what does not begin as an RDB; anything else is FOREIGN
    FileKind.RDB: Fault.DAMAGED,
    FileKind.UNKNOWN: Fault.DAMAGED,
    FileKind.GZIP: Fault.WRAPPED,
    FileKind.ZSTD: Fault.WRAPPED,
    FileKind.TRANSFER: Fault.WRAPPED,
}


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
    released: bool = True  # False: in the form of 7.0's release candidates, which servers refuse


@dataclass(frozen=True)
class ModuleAux:
    module: str
    start: int
    end: int


@dataclass(frozen=True)
class Ignored:
    """An opcode that carries only a hint."""

    opcode: int


@dataclass(frozen=True)
class KeyRecord:
    """A key. Its value is there for `RdbReader.visit` until the next event is asked for.

    Attributes:
        start: Where its attributes begin.
        value_start: Where the bytes of its value begin; they end where the next event does.
    """

    db: int
    key: bytes
    type: int
    expire_ms: int | None
    start: int
    value_start: int

    @property
    def type_name(self) -> str:
        return TYPE_NAMES.get(self.type, "unknown")


@dataclass(frozen=True)
class End:
    """The end of the RDB; `checksum_stored` is None where the version has none, 0 where it was not computed."""

    offset: int
    checksum_stored: int | None


Event = Aux | SelectDb | ResizeDb | Function | ModuleAux | Ignored | End
Progress = Callable[[int], object]


@dataclass
class LoadReport:
    keys: int = 0
    expired: int = 0
    empty: int = 0
    end: int = 0  # offset behind the trailer
    aux: dict[bytes, bytes] | None = None


def parse_header(data: memoryview | bytes, path: str) -> tuple[int, bool]:
    """The version, and whether the file is in Valkey's own dialect. Raises RdbError."""
    head = bytes(data[:HEADER_BYTES])
    if len(head) < HEADER_BYTES:
        raise RdbError(path, 0, f"file of {len(head)} bytes is too short for an RDB header", fault=Fault.FOREIGN)
    for magic in (b"REDIS", b"VALKEY"):
        digits = head[len(magic) :]
        if head.startswith(magic) and digits.isdigit():
            version = int(digits)
            valkey = magic == b"VALKEY"
            if version in VALKEY_VERSIONS if valkey else 1 <= version <= VERSION_LAST_READ:
                return version, valkey
            raise RdbError(path, 0, f"RDB version {version} is not understood", fault=Fault.FOREIGN)
    if head.startswith((b"VKCS", b"VCS")):
        reason = "the compressed form of an unreleased Valkey; save it with compression off"
        raise RdbError(path, 0, reason, fault=Fault.FOREIGN)
    kind = kind_of(bytes(data[:HEAD_BYTES]))
    found = "its version is no number" if kind is FileKind.RDB else f"this is {kind.value}, no RDB file"
    raise RdbError(path, 0, f"wrong signature, {found}", fault=FAULTS.get(kind, Fault.FOREIGN))


class RdbReader:
    """Reads one RDB from the start of a buffer.

    Args:
        data: The file's bytes; the caller keeps them until `close`.
        path: What errors call the file.
        release: Called with the range of bytes that will not be needed again; by default pages of a mapped file are let go.
        version: Of the format, where the header is damaged and cannot tell.

    Raises:
        RdbError: no RDB, or a version that is not understood.
    """

    def __init__(
        self,
        data: memoryview | bytes,
        path: str,
        release: Callable[[int, int], None] | None = None,
        version: int | None = None,
    ) -> None:
        self.data = memoryview(data)
        self.path = path
        self.version, self.valkey = parse_header(data, path) if version is None else (version, False)
        self.release = release or partial(let_go, self.data)
        self.walker = RdbWalker(self.data, self.valkey)
        self.walker.position = HEADER_BYTES
        self.checksum = 0
        self.summed = 0  # bytes that the checksum covers so far

    def close(self) -> None:
        """Let go of the buffer."""
        self.walker.close()
        self.data.release()

    @property
    def database(self) -> int:
        return self.walker.database

    def failure(self, error: RdbValueError, records: RdbRecords) -> RdbError:
        """The kernel's error with the file's name and what was being read."""
        where = ""
        if records.reading_key is not None:
            name = TYPE_NAMES.get(records.reading_type, "unknown")
            where = f" (key {quoted(records.reading_key)}, {name}, db {self.walker.database})"
        return RdbError(
            self.path, error.offset, f"{error.reason}{where}", records.reading_key, records.reading_type, error.fault,
            error.databases,
        )  # fmt: skip

    def read_opcode(self, records: RdbRecords, opcode: int) -> Event:
        """The payload of an opcode that is no key attribute."""
        start = records.position - 1
        if opcode == OPCODE_EOF:
            return End(
                records.position + (CHECKSUM_BYTES if self.version >= VERSION_CHECKSUM else 0),
                self.read_trailer(records),
            )
        if opcode == OPCODE_SELECTDB:
            self.walker.database = records.read_length()
            return SelectDb(self.walker.database, start)
        if opcode == OPCODE_RESIZEDB:
            return ResizeDb(records.read_length(), records.read_length())
        if opcode == OPCODE_AUX:
            aux = Aux(records.read_string(), records.read_string(), start)
            self.walker.dragonfly = self.walker.dragonfly or aux.name == AUX_DRAGONFLY_VERSION
            return aux
        if opcode == OPCODE_FUNCTION2:
            return Function(records.read_string())
        if opcode == OPCODE_FUNCTION_PRE_RELEASE:
            name, engine = records.read_string(), records.read_string()
            if records.read_length():
                records.read_string()
            return Function(b"#!%s name=%s\n%s" % (engine.lower(), name, records.read_string()), released=False)
        if opcode == OPCODE_MODULE_AUX:
            identifier = records.read_length()
            records.skip_module_data()
            return ModuleAux(module_name(identifier), start, records.position)
        if not self.read_hint(records, opcode):
            raise RdbValueError(start, f"unknown opcode {opcode}")
        return Ignored(opcode)

    def read_hint(self, records: RdbRecords, opcode: int) -> bool:
        """Read what holds no data; False: the opcode is not known."""
        if opcode == OPCODE_SLOT_INFO:
            for _ in range(3):
                records.read_length()
        elif opcode in (OPCODE_ENTERPRISE_HINT, OPCODE_ENTERPRISE_HINT_2):
            records.read_length()
        elif opcode == OPCODE_HASH_TEMPLATE and not self.valkey:
            records.read_template()
        elif opcode == OPCODE_VALKEY_SLOT_IMPORT and self.valkey:
            records.read_string()
            for _ in range(2 * records.read_length()):
                records.read_length()
        else:
            return False
        return True

    def sum_to(self, offset: int) -> None:
        """Take what was read into the checksum, and let go of it."""
        self.checksum = crc64(self.data[self.summed : offset], self.checksum)
        self.release(self.summed, offset)
        self.summed = offset

    def read_trailer(self, records: RdbRecords) -> int | None:
        """Read and verify the checksum."""
        if self.version < VERSION_CHECKSUM:
            return None
        covered = records.position
        self.sum_to(covered)
        stored = int.from_bytes(records.read_bytes(CHECKSUM_BYTES), "little")
        if stored and stored != self.checksum:
            raise RdbValueError(covered, f"checksum is {stored:016x}, content gives {self.checksum:016x}")
        return stored

    def load_into(
        self, engine: Engine, *, expire_before_ms: int = -1, on_progress: Progress | None = None
    ) -> LoadReport:
        """Load every key.

        Args:
            expire_before_ms: Keys that end before this are dropped; -1 keeps them (an AOF base, a replica).
            on_progress: Called every few ms with the offset; true: call again after the next key.

        Raises:
            RdbError: damage, at its offset. What was read before it is in the engine.
        """
        report = LoadReport(aux={})
        assert report.aux is not None
        decoder = RdbDecoder(self.data, self.valkey)
        decoder.position = HEADER_BYTES
        database = engine.databases[0]
        keys_at_once = BATCH_RECORDS
        try:
            while True:
                if on_progress is not None:
                    keys_at_once = 1 if on_progress(decoder.position) else BATCH_RECORDS
                opcode = decoder.load_keys(database, expire_before_ms, keys_at_once)
                if opcode == -1:
                    self.sum_to(decoder.position)
                    continue
                event = self.read_opcode(decoder, opcode)
                if isinstance(event, SelectDb):
                    if event.index >= len(engine.databases):
                        raise RdbDatabaseError(event.offset, event.index, len(engine.databases))
                    database = engine.databases[event.index]
                elif isinstance(event, ResizeDb):
                    # Hints from the file: never more than it could hold.
                    most = len(self.data) // LEAST_RECORD_BYTES
                    database.reserve(min(event.keys, most), min(event.volatile_keys, most))
                elif isinstance(event, Aux):
                    report.aux[event.name] = event.value
                elif isinstance(event, Function):
                    judge_function(event, decoder.position, engine.function_libraries.add)
                elif isinstance(event, ModuleAux):
                    raise RdbUnsupportedTypeError(
                        event.start,
                        "The RDB file contains AUX module data I can't load: no matching module "
                        f"'{event.module.partition('/')[0]}'",
                    )
                elif isinstance(event, End):
                    break
        except RdbValueError as error:
            raise self.failure(error, decoder) from None
        finally:
            end = decoder.position
            decoder.close()
        report.keys, report.expired, report.empty = decoder.keys_loaded, decoder.keys_expired, decoder.keys_empty
        report.end = end
        return report

    def walk(
        self, sink: ValueSink | None = None, selection: Selection | None = None, on_progress: Progress | None = None
    ) -> Iterator[Event]:
        """Hand the selected keys to the sink, at full speed, and yield what is no key.

        Raises:
            RdbError: damage, at its offset.
        """
        walker = self.walker
        if isinstance(sink, TextSink):
            sink.rdb_version = self.version
        try:
            while True:
                opcode = walker.walk(sink, selection, BATCH_RECORDS, BATCH_BYTES)
                if opcode == -1:
                    self.sum_to(walker.position)
                    if on_progress is not None:
                        on_progress(walker.position)
                    continue
                event = self.read_opcode(walker, opcode)
                yield event
                if isinstance(event, End):
                    return
        except RdbValueError as error:
            raise self.failure(error, walker) from None

    def records(
        self, selection: Selection | None = None, on_progress: Progress | None = None
    ) -> Iterator[Event | KeyRecord]:
        """Every item in order. While a key is in hand, its value can be asked for with `visit`.

        Raises:
            RdbError: damage, at its offset.
        """
        walker = self.walker
        try:
            while True:
                if walker.position - self.summed > BATCH_BYTES:
                    self.sum_to(walker.position)
                    if on_progress is not None:
                        on_progress(walker.position)
                code = walker.next_record(selection)
                if code > RDB_TYPE_LAST:
                    event = self.read_opcode(walker, code)
                    yield event
                    if isinstance(event, End):
                        return
                    continue
                yield KeyRecord(walker.database, walker.key, code, walker.expires_at, walker.start, walker.value_start)
                walker.finish_record()
        except RdbValueError as error:
            raise self.failure(error, walker) from None

    def visit(self, sink: ValueSink) -> int:
        """Hand the value of the record in hand to the sink; returns where it ends. Raises RdbError."""
        try:
            self.walker.revisit(sink)
        except RdbValueError as error:
            raise self.failure(error, self.walker) from None
        return self.walker.position


def judge_function(event: Function, offset: int, take_library: Callable[[bytes], object]) -> None:
    """Raises RdbValueError where a server refuses a library of functions."""
    if not event.released:
        raise RdbUnsupportedTypeError(offset, "Pre-release function format not supported")
    try:
        take_library(event.code)
    except CommandError as error:
        raise RdbUnsupportedTypeError(offset, str(error)) from None


def read_aux(data: memoryview | bytes, path: str) -> dict[bytes, bytes]:
    """The fields that stand in front of the data. Raises RdbError."""
    reader = RdbReader(data, path)
    fields = {}
    try:
        for event in reader.records():
            if not isinstance(event, Aux):
                break
            fields[event.name] = event.value
    finally:
        reader.close()
    return fields


def end_of_rdb(data: memoryview | bytes, path: str) -> int:
    """Where the RDB at the start of a log ends. Raises RdbError."""
    reader = RdbReader(data, path)
    try:
        return next(event.offset for event in reader.walk() if isinstance(event, End))
    finally:
        reader.close()
