"""Every RDB value type is known to everyone who has to know it: a type without a reader, a sink or a row here fails."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import RdbError, RdbValueError
from rotomdb.formats.rdb import format as numbers
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.decoder import RdbDecoder
from rotomdb.formats.rdb.encoder import dump_value
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, VALUE_TYPES, ValueType, highest_type
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.formats.sinks.csv import CsvSink
from rotomdb.formats.sinks.digest import DigestSink
from rotomdb.formats.sinks.json import JsonSink
from rotomdb.formats.sinks.key_index import IndexSink
from rotomdb.formats.sinks.memory_model import MODELS, MemorySink
from rotomdb.formats.sinks.objects import ObjectSink
from rotomdb.formats.sinks.python import PythonSink
from rotomdb.formats.sinks.restore import RestoreSink
from rotomdb.formats.sinks.sink import ValueSink
from rotomdb.formats.sinks.summary import SummarySink
from rotomdb.formats.sinks.value_text import ValueText
from rotomdb.testing.payloads import ENCODINGS, sound_body_of

FORMATS_PAGE = Path(__file__).resolve().parents[2] / "docs/formats.md"
OF_VALKEY = {"RDB_VALKEY_HASH_TIMED", "RDB_VALKEY_HASH_UNRELEASED"}  # other meanings of numbers that Redis gave as well
NO_TYPES = {"RDB_TYPE_LAST", "RDB_TYPE_LAST_LOADED", "RDB_NEVER_USED"}
READABLE = {
    number: type for number, type in VALUE_TYPES.items() if type.logical and number != numbers.RDB_MODULE_PRE_RELEASE
}
ATTEMPTS = 60

each_readable = pytest.mark.parametrize(
    ("number", "type"), [pytest.param(number, type, id=type.name) for number, type in READABLE.items()]
)


@functools.cache
def sound_files(number: int) -> list[bytes]:
    """RDB files of one sound key of the type; chance makes some values that no reader takes, such as a score of NaN."""
    made_by = [name for name, (type, _) in ENCODINGS.items() if type == number]
    assert made_by, "testing/payloads.py has no encoding of the type"
    files = []
    for seed in range(ATTEMPTS):
        body = sound_body_of(random.Random(seed).choice(made_by), random.Random(seed))
        template = bytes([numbers.OPCODE_HASH_TEMPLATE]) + b"\x00\x02" + b"\x01a\x01b"
        file = b"REDIS0012" + template + body[:1] + b"\x03key" + body[1:] + bytes([numbers.OPCODE_EOF]) + bytes(8)
        try:
            if check_rdb(file, "value").empty == 0:
                files.append(file)
        except RdbError:
            continue
    assert files, "no value of the type can be read"
    return files


def walked(file: bytes, sink: ValueSink) -> None:
    reader = RdbReader(file, "value")
    for _ in reader.walk(sink):
        pass
    reader.close()


def test_every_number_has_a_row_and_every_row_a_number() -> None:
    named = {name: value for name, value in vars(numbers).items() if name.startswith("RDB_")}
    assert {value for name, value in named.items() if name not in OF_VALKEY | NO_TYPES} == VALUE_TYPES.keys()
    assert max(VALUE_TYPES) == numbers.RDB_TYPE_LAST
    assert max(number for number, type in VALUE_TYPES.items() if type.loaded) == numbers.RDB_TYPE_LAST_LOADED


def test_every_type_has_a_row_in_the_documentation() -> None:
    text = FORMATS_PAGE.read_text()
    section = text[text.index("### 2.1") : text.index("### 2.2")]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == VALUE_TYPES.keys()


def test_the_stub_names_every_number() -> None:
    stub = Path(numbers.__file__).with_name("format.pyi").read_text()
    assert set(re.findall(r"^(\w+):", stub, re.MULTILINE)) == {name for name in vars(numbers) if name.isupper()}


@each_readable
def test_walking_over_a_value_ends_where_reading_it_ends(number: int, type: ValueType) -> None:
    for file in sound_files(number):
        reader = RdbReader(file, "value")
        (record,) = (event for event in reader.records() if isinstance(event, KeyRecord) and reader.visit(ObjectSink()))
        reader.walker.position = record.value_start - len("\3key") - 1
        reader.walker.next_record()
        assert record.type == reader.walker.reading_type == number
        reader.walker.finish_record()
        skipped = reader.walker.position
        assert skipped == reader.visit(ObjectSink()) == len(file) - 9
        reader.close()


SINKS: dict[str, Callable[[list[bytes]], ValueSink]] = {
    "json": lambda out: JsonSink(out.append),
    "csv": lambda out: CsvSink(out.append),
    "python": lambda out: PythonSink(out.append),
    "commands": lambda out: CommandSink(out.append),
    "restore": lambda out: RestoreSink(out.append),
}


@each_readable
@pytest.mark.parametrize("name", SINKS)
def test_every_sink_that_writes_has_something_for_the_value(name: str, number: int, type: ValueType) -> None:
    out: list[bytes] = []
    sink = SINKS[name](out)
    walked(sound_files(number)[0], sink)
    sink.flush()  # type: ignore[attr-defined]
    assert b"key" in b"".join(out)
    if name == "json":
        record = json.loads(b"".join(out))
        assert (record["type"], record["encoding"]) == (type.logical, type.name)


@each_readable
def test_every_sink_that_counts_counts_the_value(number: int, type: ValueType) -> None:
    file = sound_files(number)[0]
    summary, text, digest, value = SummarySink(0), ValueText(), DigestSink(), ObjectSink()
    parts: list[bytes] = []
    index = IndexSink(lambda part, data: parts.append(data))
    for sink in (summary, text, digest, value, index):
        walked(file, sink)
    index.flush()
    assert summary.types().keys() == {number}
    assert text.take() or value.value in (None, b"")
    assert digest.digest
    assert len(b"".join(parts)) == 40
    for model in MODELS.values():
        memory = MemorySink(model)
        walked(file, memory)
        assert memory.by_type().keys() == {type.logical}
        assert memory.total > 16


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_gets_values_in_types_that_it_reads_or_it_is_told_that_they_are_lost(target: str) -> None:
    for number, type in READABLE.items():
        out: list[bytes] = []
        writer = RdbWriter(out.append, TARGETS[target])
        walked(sound_files(number)[0], writer.sink)
        writer.finish()
        reader = RdbReader(b"".join(out), "converted")
        types = [event.type for event in reader.records() if isinstance(event, KeyRecord)]
        reader.close()
        assert all(one <= highest_type(TARGETS[target].version, TARGETS[target].valkey) for one in types)
        assert {LOGICAL_TYPES[one] for one in types} == ({type.logical} if types else set())
        assert types or writer.sink.lost


@pytest.mark.parametrize("number", [pytest.param(number, id=type.name) for number, type in VALUE_TYPES.items()])
def test_the_types_that_a_keyspace_holds_are_loaded_and_the_others_refused(number: int) -> None:
    type = VALUE_TYPES[number]
    files = (
        sound_files(number) if number in READABLE else [b"REDIS0012" + bytes([number]) + b"\x03key\x00\xff" + bytes(8)]
    )
    engine = Engine(1)
    if not type.loaded:
        with pytest.raises(RdbError):
            RdbReader(files[0], "value").load_into(engine)
        return
    RdbReader(files[0], "value").load_into(engine)
    assert engine.databases[0].type_name(b"key") == (type.logical or "").encode()


def test_snapshots_hold_the_types_that_the_table_says_from_the_version_that_it_says() -> None:
    written: dict[int, int] = {}
    for number, type in VALUE_TYPES.items():
        for file in sound_files(number) if type.loaded else ():
            engine = Engine(1)
            RdbReader(file, "value").load_into(engine)
            for version in (10, 11, 12):
                if version < numbers.VERSION_FIELD_TIMES and engine.databases[0].timed_hash_count:
                    continue  # such a snapshot is of a later version
                payload = dump_value(engine.databases[0], b"key", version)
                assert payload is not None
                written[payload[0]] = min(version, written.get(payload[0], version))
    assert written == {number: type.written for number, type in VALUE_TYPES.items() if type.written is not None}


@pytest.mark.parametrize("number", [numbers.RDB_NEVER_USED, numbers.RDB_RATE_LIMIT, numbers.RDB_TYPE_LAST + 1])
def test_what_is_no_type_is_refused(number: int) -> None:
    decoder = RdbDecoder(bytes([number]) + b"\0")
    with pytest.raises(RdbValueError, match="unknown value type"):
        decoder.restore_value(Engine(1).databases[0], b"key")
