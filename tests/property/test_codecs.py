"""Every codec: what is encoded decodes to the same, and arbitrary bytes give an error, never a crash."""

from __future__ import annotations

import contextlib
from pathlib import Path

import crcmod.predefined
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomdb.engine import Engine, Keyspace, hashes, lists, number, sets, sorted_sets, strings
from rotomdb.errors import RdbError, RdbValueError
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.redis_check import AofScanner
from rotomdb.formats.aof.replay import replay
from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb import decoder, encoder, lzf
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.formats.resp.request import split_arguments
from rotomdb.storage.propagation import encode_command

TEXT = st.one_of(st.binary(max_size=30), st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: b"%d" % n))
DATA = sorted((Path(__file__).parents[1] / "data").glob("*.rdb"))


@given(st.one_of(st.binary(max_size=600), st.binary(min_size=1, max_size=9).map(lambda part: part * 90)))
def test_lzf_round_trip(data: bytes) -> None:
    packed = lzf.compress(data)
    if packed is not None:
        assert len(packed) <= len(data) - 4
        assert lzf.decompress(packed, len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_lzf_takes_any_bytes(data: bytes, expected: int) -> None:
    with contextlib.suppress(ValueError):
        assert len(lzf.decompress(data, expected)) == expected


@given(st.binary(max_size=500), st.integers(0, 500))
def test_crc64_agrees_with_an_independent_implementation_and_continues(data: bytes, cut: int) -> None:
    oracle = crcmod.mkCrcFun(0x1AD93D23594C935A9, initCrc=0, rev=True, xorOut=0)
    assert crc64(data) == oracle(data) == crc64(data[cut:], crc64(data[:cut]))


@given(st.floats(allow_nan=False))
def test_float_text_reads_back(value: float) -> None:
    assert number.parse_float(number.format_float(value)) == value


@given(st.integers(-(1 << 64), 1 << 64))
def test_integer_text_is_parsed_strictly(value: int) -> None:
    text = b"%d" % value
    assert number.parse_int(text) == (value if -(1 << 63) <= value < 1 << 63 else None)
    for spoiled in (b"+" + text, b"0" + text, text + b" ", b" " + text):
        assert number.parse_int(spoiled) is None


@given(st.lists(TEXT, min_size=1, max_size=70).filter(lambda words: words[0].upper() not in (b"MULTI", b"EXEC")))
def test_command_round_trip(words: list[bytes]) -> None:
    assert LogItems(encode_command(*words)).take() == words


@given(st.binary(max_size=200))
def test_log_reader_takes_any_bytes(data: bytes) -> None:
    reader = LogItems(data)
    try:
        while reader.take() is not None:
            pass
    except (EOFError, ValueError):
        pass
    scanner = AofScanner(data, "f")
    scanner.run()
    assert 0 <= scanner.good <= len(data)


@given(st.binary(max_size=100))
def test_splitter_takes_any_bytes(data: bytes) -> None:
    words = split_arguments(data)
    assert words is None or all(isinstance(word, bytes) for word in words)


def build(db: Keyspace, kind: str, items: list[bytes]) -> None:
    if kind == "string":
        strings.set(db, b"k", items[0])
    elif kind == "list":
        lists.push(db, b"k", items, False)
    elif kind == "set":
        sets.add(db, b"k", items)
    elif kind == "hash":
        hashes.set(db, b"k", [word for item in items for word in (item, item[::-1])])
    else:
        sorted_sets.add(db, b"k", [part for i, item in enumerate(items) for part in (i / 3 - 5, item)])


def snapshot(db: Keyspace) -> object:
    kind = db.type_name(b"k")
    if kind == b"string":
        return strings.get(db, b"k")
    if kind == b"list":
        return lists.get_range(db, b"k", 0, -1)
    if kind == b"set":
        return sorted(sets.members(db, b"k"))
    if kind == b"hash":
        flat = hashes.items(db, b"k")
        return sorted(zip(flat[::2], flat[1::2], strict=True))
    return sorted_sets.items(db, b"k")


@given(
    st.sampled_from(["string", "list", "set", "hash", "zset"]),
    st.one_of(
        st.lists(TEXT, min_size=1, max_size=20), st.integers(130, 700).map(lambda n: [b"item:%d" % i for i in range(n)])
    ),
    st.sampled_from([10, 11]),
)
def test_value_round_trip(kind: str, items: list[bytes], version: int) -> None:
    source, target = Engine(1).databases[0], Engine(1).databases[0]
    build(source, kind, items)
    body = encoder.dump_value(source, b"k", version)
    assert body is not None
    assert decoder.RdbDecoder(body).restore_value(target, b"k")
    assert snapshot(target) == snapshot(source)


@settings(max_examples=400)
@given(st.integers(0, 25), st.binary(max_size=80))
def test_value_decoder_takes_any_bytes(kind: int, data: bytes) -> None:
    db = Engine(1).databases[0]
    try:
        decoder.RdbDecoder(bytes([kind]) + data).restore_value(db, b"k")
    except RdbValueError as error:
        assert 0 <= error.offset <= len(data) + 1
        assert len(db) == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_a_bad_length_at_every_offset_is_an_error_or_another_value(path: Path) -> None:
    whole = bytearray(path.read_bytes()[:6000])
    for offset in range(9, len(whole)):
        # Each offset meets three of the nine bytes, its neighbours the others.
        for byte in (0x00, 0x7F, 0xC3, 0x3F, 0x80, 0xFF, 0x40, 0x81, 0xFE)[offset % 3 :: 3]:
            damaged = bytearray(whole)
            damaged[offset] = byte
            try:
                RdbReader(bytes(damaged), "damaged.rdb").load_into(Engine(16))
            except RdbError as error:
                assert 0 <= error.offset <= len(damaged)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_a_file_cut_at_every_byte_is_an_error(path: Path) -> None:
    whole = path.read_bytes()
    for end in range(min(len(whole) - 1, 3000)):
        with pytest.raises(RdbError):
            RdbReader(whole[:end], "cut.rdb").load_into(Engine(16))


def test_a_log_cut_at_every_byte_gives_the_commands_before_the_cut() -> None:
    commands = [
        [b"SET", b"a", b"1"],
        [b"MULTI"],
        [b"SET", b"b", b"2"],
        [b"DEL", b"a"],
        [b"EXEC"],
        [b"SET", b"c", b"\r\n*1"],
    ]
    encoded = [encode_command(*command) for command in commands]
    units = [1, 4, 1]  # commands per unit of effect
    ends, at, position = [0], 0, 0
    for size in units:
        position += sum(map(len, encoded[at : at + size]))
        at += size
        ends.append(position)
    whole = b"".join(encoded)
    for cut in range(len(whole) + 1):
        applied: list[list[bytes]] = []
        report = replay(whole[:cut], "log", Engine(1), applied.append)
        good = max(end for end in ends if end <= cut)
        assert report.valid_bytes == good
        assert (report.examination.torn == "") == (cut in ends)
        done = [1, 3, 4][ends.index(good) - 1] if good else 0
        plain = [commands[0], commands[2], commands[3], commands[5]]
        assert applied == plain[: {0: 0, 1: 1, 3: 3, 4: 4}[done]]
