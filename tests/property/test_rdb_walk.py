"""Walking RDB files: whatever the values are, every way of reading them agrees; whatever the bytes are, errors are errors."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rotomdb.rdb
from rotomdb.errors import RdbError
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.checksum import crc64
from rotomdb.formats.crc_repair import find_burst, find_two, repaired
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.formats.sinks.digest import DigestSink
from rotomdb.formats.sinks.json import JsonSink
from rotomdb.formats.sinks.objects import ObjectSink
from rotomdb.formats.sinks.restore import RestoreSink
from rotomdb.storage.rdb_salvage import Salvage
from tests.tools.running import DATA

words = (
    st.binary(max_size=40)
    | st.integers(-(1 << 40), 1 << 40).map(lambda number: b"%d" % number)
    | st.binary(min_size=60, max_size=90)
)
scores = st.floats(allow_nan=False)
ids = st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 20))
stream_entries = st.dictionaries(ids, st.lists(st.tuples(words, words), min_size=1, max_size=4), max_size=8).map(
    lambda entries: sorted(entries.items())
)
values = st.one_of(
    words,
    st.lists(words, min_size=1, max_size=12),
    st.sets(words, min_size=1, max_size=12),
    st.dictionaries(words, words, min_size=1, max_size=12),
    st.dictionaries(words, scores, min_size=1, max_size=12).map(rotomdb.rdb.SortedSet),
    stream_entries.filter(lambda entries: bool(entries) and entries[0][0] > (0, 0)).map(
        lambda entries: rotomdb.rdb.Stream(entries, len(entries), entries[-1][0], (0, 0), len(entries), [])
    ),
)
data_sets = st.dictionaries(
    st.tuples(st.integers(0, 3), words), st.tuples(values, st.none() | st.integers(0, 1 << 42)), max_size=6
)


def written(data: dict[Any, Any], target: str = "redis-7.2") -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.rdb"
        with rotomdb.rdb.create(path, target=target) as writer:
            for (database, key), (value, expire_ms) in sorted(data.items(), key=lambda item: item[0]):
                writer.add(key, value, db=database, expire_ms=expire_ms)
        return path.read_bytes()


def raw(text: Any) -> bytes:
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()


@given(data_sets)
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read_back(data: dict[Any, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.rdb"
        path.write_bytes(written(data))
        with rotomdb.rdb.open(path) as snapshot:
            found = {(entry.db, entry.key): (entry.value, entry.expire_ms) for entry in snapshot}
    assert found == {name: (as_read(value), expire_ms) for name, (value, expire_ms) in data.items()}


def as_read(value: Any) -> Any:
    return dict(value) if isinstance(value, rotomdb.rdb.SortedSet) else value


@given(data_sets, st.sampled_from(sorted(TARGETS)), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_target_holds_the_same_values(data: dict[Any, Any], target: str, plain: bool) -> None:
    pieces: list[bytes] = []
    with contextlib.closing(RdbReader(written(data), "a")) as reader:
        writer = RdbWriter(pieces.append, TARGETS[target], plain=plain)
        for _ in reader.walk(writer.sink):
            pass
        writer.finish()
    lost = {key for _, keys in writer.sink.lost.values() for key in keys}
    before, after = digests(written(data)), digests(b"".join(pieces))
    kept = [{name: one for name, one in side.items() if name[1] not in lost} for side in (before, after)]
    assert kept[0] == kept[1]


def digests(data: bytes) -> dict[tuple[int, bytes], int]:
    check_rdb(data, "a")
    found = {}
    sink = DigestSink()
    with contextlib.closing(RdbReader(data, "a")) as reader:
        for event in reader.records():
            if isinstance(event, KeyRecord):
                reader.visit(sink)
                found[event.db, event.key] = sink.digest
    return found


@given(st.binary(max_size=60), st.sampled_from([0, 1, 2, 3]))
def test_bytes_as_json_are_what_python_reads_back(data: bytes, form: int) -> None:
    pieces: list[bytes] = []
    sink = JsonSink(pieces.append, 0, form)
    with contextlib.closing(RdbReader(b"REDIS0009\x00\x01k" + encode_string(data) + b"\xff" + bytes(8), "a")) as reader:
        for _ in reader.walk(sink):
            pass
    sink.flush()
    value = json.loads(b"".join(pieces))["value"]
    if form == 0:
        assert raw(value) == data
    elif form == 1:
        assert value == data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    else:
        assert (base64.b64decode(value) if form == 2 else bytes.fromhex(value)) == data


@given(data_sets, st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_bytes_are_an_error_or_other_values(data: dict[Any, Any], source: st.DataObject) -> None:
    whole = bytearray(written(data))
    for _ in range(source.draw(st.integers(1, 3))):
        whole[source.draw(st.integers(9, len(whole) - 1))] = source.draw(st.integers(0, 255))
    damaged = bytes(whole[: source.draw(st.integers(9, len(whole)))])
    for sink in (CheckSink(), ObjectSink(), CommandSink(len), JsonSink(len)):
        with contextlib.suppress(RdbError), contextlib.closing(RdbReader(damaged, "a")) as reader:
            for _ in reader.walk(sink):
                pass
    with contextlib.suppress(RdbError), contextlib.closing(RdbReader(damaged, "a")) as reader:
        for _ in Salvage(reader).records():
            pass


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_short_burst_of_wrong_bytes_is_located(data: bytes, source: st.DataObject) -> None:
    at = source.draw(st.integers(0, len(data) - 1))
    error = source.draw(st.binary(min_size=1, max_size=min(3, len(data) - at)).filter(lambda one: any(one)))
    wrong = bytearray(data)
    for number, one in enumerate(error):
        wrong[at + number] ^= one
    first = next(number for number, one in enumerate(error) if one)
    assert find_burst(len(data), crc64(bytes(wrong)) ^ crc64(data), 3) == (at + first, error[first:].rstrip(b"\0"))
    assert repaired(bytes(wrong), crc64(data), 3) == data


@given(st.binary(min_size=8, max_size=300), st.data())
@settings(deadline=None)
def test_two_wrong_bytes_are_located(data: bytes, source: st.DataObject) -> None:
    places = source.draw(st.sets(st.integers(0, len(data) - 1), min_size=2, max_size=2))
    wrong = bytearray(data)
    for at in places:
        wrong[at] ^= source.draw(st.integers(1, 255))
    found = find_two(len(data), crc64(bytes(wrong)) ^ crc64(data))
    assert found is not None
    assert {at for at, _ in found} == places
    assert repaired(bytes(wrong), crc64(data), 3) == data


# Value types that no server at hand writes, by hand from docs/formats.md


def one_record(type_and_key: bytes, value: bytes, version: int, before: bytes = b"") -> bytes:
    return b"REDIS%04d" % version + before + type_and_key + value + b"\xff" + bytes(8)


def read_one(data: bytes) -> dict[str, Any]:
    """The one key of a file that a server would load."""
    check_rdb(data, "hand-made")
    return read_whatever_servers_think(data)


def read_whatever_servers_think(data: bytes) -> dict[str, Any]:
    pieces: list[bytes] = []
    sink = JsonSink(pieces.append)
    with contextlib.closing(RdbReader(data, "hand-made")) as reader:
        for _ in reader.walk(sink):
            pass
        reader.walker.position = 9
        for _ in reader.records():  # walking over it, too
            pass
    sink.flush()
    return dict(json.loads(b"".join(pieces)))


TEMPLATE_PAYLOAD = b"\x01\x02\x06field1\x06field2\xc0\x01\xc0\x02"
NODE = b"\x10" + struct.pack(">QQ", 5, 1)
STREAM_LISTPACK = bytes(
    [0, 0, 0, 0, 14, 0, 1, 1, 0, 1, 1, 1, 0x81, 0x66, 2, 0, 1, 2, 1, 0, 1, 0, 1, 0x81, 0x76, 2, 4, 1, 0xFF]
)


def stream_value(type: int) -> bytes:
    listpack = bytearray(STREAM_LISTPACK)
    elements = [1, 0, 1, b"f", 0, 2, 0, 0, b"v", 4]
    body = b"".join(
        bytes([one, 1]) if isinstance(one, int) else bytes([0x80 | len(one)]) + one + b"\x02" for one in elements
    )
    listpack = bytearray(struct.pack("<IH", 6 + len(body) + 1, len(elements)) + body + b"\xff")
    out = b"\x01" + NODE + bytes([len(listpack)]) + bytes(listpack)
    out += b"\x01\x05\x01" + b"\x05\x01" + b"\x00\x00" + b"\x01"  # length, last, first, max deleted, added
    pending = struct.pack(">QQ", 5, 1) + struct.pack("<q", 77) + b"\x03"
    out += b"\x01\x01g\x05\x01\x01\x01" + pending  # a group: name, last, read, pending
    owned = b"\x00" if type == 27 else b"\x01" + struct.pack(">QQ", 5, 1)
    out += b"\x01\x01c" + struct.pack("<qq", 8, 9) + owned
    if type == 27:
        out += b"\x01" + struct.pack(">QQ", 5, 1)  # nobody has it any more
    return out + b"\x3c\x40\x64\x01\x01p\x01\x03iid\x05\x01\x07\x02"


@pytest.mark.parametrize("type", [26, 27])
def test_streams_of_the_newest_servers_are_read(type: int) -> None:
    row = read_one(one_record(bytes([type]) + b"\x01s", stream_value(type), 14))
    assert row["value"]["entries"] == [["5-1", [["f", "v"]]]]
    (group,) = row["value"]["groups"]
    assert group["pending"] == [["5-1", "c" if type == 26 else None, 77, 3]]


def test_arrays_are_read() -> None:
    value = (
        b"\x04\x01\x09"
        + b"\x00\x00\x03abc"
        + b"\x02\x01"
        + struct.pack("<q", -7)
        + b"\x05\x02"
        + struct.pack("<d", 1.5)
    )
    value += b"\x40\xc8\x03\x02xy"
    row = read_one(one_record(b"\x1c\x01a", value, 14))
    assert (row["type"], row["value"]) == ("array", [[0, "abc"], [2, "-7"], [5, "1.5"], [200, "xy"]])


TEMPLATE = b"\xf2\x09\x02\x06field1\x06field2"
PACKED_BY_TEMPLATE = b"\x0d" + bytes([13, 0, 0, 0, 3, 0, 9, 1, 1, 1, 2, 1, 0xFF])
BY_TEMPLATE = b"\x09\x02\xc0\x01\xc0\x02"


@pytest.mark.parametrize(
    ("type", "value", "before"),
    [
        (31, TEMPLATE_PAYLOAD, b""),
        (32, BY_TEMPLATE, TEMPLATE),
        (29, b"\x01\x02\x06field1\x06field2" + PACKED_BY_TEMPLATE, b""),
        (30, PACKED_BY_TEMPLATE, TEMPLATE),
    ],
)
def test_hashes_that_share_their_fields_are_read(type: int, value: bytes, before: bytes) -> None:
    data = one_record(bytes([type]) + b"\x01h", value, 15, before)
    assert read_one(data)["value"] == [["field1", "1"], ["field2", "2"]]
    pieces: list[bytes] = []
    with contextlib.closing(RdbReader(data, "a")) as reader:
        writer = RdbWriter(pieces.append, TARGETS["redis-7.0"])
        for _ in reader.walk(writer.sink):
            pass
        writer.finish()
    assert read_one(b"".join(pieces))["value"] == [["field1", "1"], ["field2", "2"]]


@pytest.mark.parametrize(("type", "value"), [(30, PACKED_BY_TEMPLATE), (32, BY_TEMPLATE)])
def test_the_library_reads_hashes_of_templates_in_any_order(type: int, value: bytes, tmp_path: Path) -> None:
    path = tmp_path / "templates.rdb"
    path.write_bytes(one_record(bytes([type]) + b"\x01h", value, 15, TEMPLATE + b"\x00\x01a\x01b"))
    with rotomdb.rdb.open(path) as snapshot:
        plain, hashed = list(snapshot)
        assert (hashed.value, plain.value) == ({b"field1": b"1", b"field2": b"2"}, b"b")


@pytest.mark.parametrize(("type", "value"), [(30, PACKED_BY_TEMPLATE), (32, BY_TEMPLATE)])
def test_what_only_a_file_can_hold_is_restored_as_a_plain_hash(type: int, value: bytes, tmp_path: Path) -> None:
    data = one_record(bytes([type]) + b"\x01h", value, 10, TEMPLATE)
    pieces: list[bytes] = []
    sink = RestoreSink(pieces.append)
    with contextlib.closing(RdbReader(data, "a")) as reader:
        for _ in reader.walk(sink):
            pass
    sink.flush()
    commands = LogItems(b"".join(pieces))
    assert commands.take() == [b"SELECT", b"0"]
    with rotomdb.connect(tmp_path) as database:
        database.execute_command(*commands.take() or [])
        assert database.hgetall("h") == {b"field1": b"1", b"field2": b"2"}


def test_a_payload_without_a_value_has_a_good_footer_and_bad_data(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path) as database:
        with pytest.raises(redis.ResponseError, match="Bad data format"):
            database.execute_command("RESTORE", "k", 0, seal(b"", 10))
        with pytest.raises(redis.ResponseError, match="version or checksum are wrong"):
            database.execute_command("RESTORE", "k", 0, seal(b"", 10)[1:])


def test_a_hash_of_an_unknown_template_is_an_error() -> None:
    with pytest.raises(RdbError, match="unknown template"):
        read_one(one_record(b"\x20\x01h", b"\x09\x01\xc0\x01", 15))


def test_key_metadata_of_modules_is_skipped() -> None:
    meta = b"\xf3\x01" + struct.pack("<I", 0x12345678) + b"\x02\x05\x05\x03abc\x00"
    assert read_one(one_record(b"\x00\x01k", b"\x01v", 13, meta))["value"] == "v"


def test_valkeys_hash_has_its_times_last() -> None:
    value = b"\x02\x01f\x01v" + struct.pack("<q", 2_000_000_000_000) + b"\x01g\x01w" + struct.pack("<q", -1)
    data = b"VALKEY080\x16\x01h" + value + b"\xff" + bytes(8)
    row = read_one(data)
    assert (row["value"], row["field_ttls_ms_absolute"]) == ([["f", "v"], ["g", "w"]], [["f", 2_000_000_000_000]])


def test_enterprise_hints_are_passed_over() -> None:
    before = b"\x6b\x05" + b"\x79\x40\x80" + b"\xf4\x01\x02\x03"
    assert read_one(one_record(b"\x00\x01k", b"\x01v", 10, before))["value"] == "v"


def test_pre_release_functions_are_walked_over_but_no_server_loads_them() -> None:
    data = one_record(b"\x00\x01k", b"\x01v", 10, b"\xf6\x03lib\x03LUA\x00\x06return")
    assert read_whatever_servers_think(data)["value"] == "v"
    with pytest.raises(RdbError, match="offset 26: Pre-release function format not supported"):
        check_rdb(data, "hand-made")


def test_a_dragonfly_type_is_named_as_such() -> None:
    aux = b"\xfa\x06df-ver\x031.0"
    with pytest.raises(RdbError, match="Dragonfly"):
        read_one(one_record(b"\x1e\x01k", b"\x01v", 9, aux))


def test_unknown_types_and_opcodes_give_their_offset() -> None:
    for byte in (b"\x21", b"\x50", b"\xc8"):
        with pytest.raises(RdbError) as caught:
            read_one(one_record(byte + b"\x01k", b"\x01v", 15, b"\x00\x01a\x01b"))
        assert caught.value.offset == 14


@pytest.mark.parametrize("path", sorted(DATA.glob("*.rdb")), ids=lambda path: path.stem)
def test_a_file_cut_anywhere_is_an_error(path: Path) -> None:
    whole = path.read_bytes()
    # Every byte of the head, and of a long file as many places again: each cut reads all that is before it.
    head, rest = range(min(len(whole) - 1, 1500)), range(1500, len(whole) - 1, max(len(whole) // 1500, 1) | 1)
    for end in (*head, *rest):
        with pytest.raises(RdbError):
            check_rdb(whole[:end], "cut.rdb")


def test_lengths_read_back() -> None:
    for number in (0, 63, 64, 16383, 16384, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
        data = b"REDIS0012\xfe" + encode_length(number) + b"\xff" + bytes(8)
        with contextlib.closing(RdbReader(data, "a")) as reader:
            assert next(iter(reader.walk())).index == number  # type: ignore[union-attr]
