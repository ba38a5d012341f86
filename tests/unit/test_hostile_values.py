"""Values that somebody built to break a reader: each is refused by the loader and by the walker, and nothing is left behind.

The bytes are those that once did harm.
"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest

from rotomdb.engine import Engine, hyperloglog, streams
from rotomdb.errors import RdbValueError
from rotomdb.formats.aof.redis_check import SCAN_BAD_TIMESTAMP, AofScanner
from rotomdb.formats.rdb import decoder, encoder
from rotomdb.formats.rdb.walker import RdbWalker
from rotomdb.formats.sinks.check import CheckSink


def refusal_of_loader(body: bytes) -> str:
    engine = Engine(1)
    with pytest.raises(RdbValueError) as caught:
        decoder.RdbDecoder(body).restore_value(engine.databases[0], b"key")
    assert not engine.databases[0].exists(b"key")
    return caught.value.reason


def refusal_of_walker(body: bytes) -> str:
    with pytest.raises(RdbValueError) as caught:
        RdbWalker(body[:1] + b"\x03key" + body[1:]).walk(CheckSink(), None, 1, len(body))
    return caught.value.reason


READERS = pytest.mark.parametrize("refusal_of", [refusal_of_loader, refusal_of_walker])
Refusal = Callable[[bytes], str]


def string(data: bytes) -> bytes:
    return b"\x80" + len(data).to_bytes(4, "big") + data


# Zipmaps


@READERS
@pytest.mark.parametrize(
    "zipmap",
    [
        pytest.param(b"\x01\x01a\x00\xff\xff", id="free byte of an empty value is the end marker"),
        pytest.param(b"\x01\x01a\x01\xffb\xff", id="free bytes behind the value"),
        pytest.param(b"\x01\xfe\xff\xff\xff\xffa\x00\x00\xff", id="name of 4 GB"),
        pytest.param(b"\x01\x01a\xfe\xff\xff\xff\xff\x00b\xff", id="value of 4 GB"),
        pytest.param(b"\x01\x01a\x00\xff", id="free byte missing"),
        pytest.param(b"\x01\xfe\x01\x00\xff", id="wide length cut off"),
    ],
)
def test_a_zipmap_whose_lengths_leave_it_is_refused(refusal_of: Refusal, zipmap: bytes) -> None:
    assert refusal_of(b"\x09" + string(zipmap)) == "zipmap entry longer than the zipmap"


# Streams


def element(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        body = bytes([0x80 | len(value)]) + value
    else:
        body = bytes([value]) if 0 <= value < 128 else b"\xf4" + struct.pack("<q", value)
    return body + bytes([len(body)])


def node(*parts: int | bytes) -> bytes:
    body = b"".join(map(element, parts))
    return struct.pack("<IH", len(body) + 7, len(parts)) + body + b"\xff"


def stream(nodes: list[tuple[int, bytes]], length: int, last_ms: int) -> bytes:
    out = b"\x0f" + bytes([len(nodes)])
    for ms, content in nodes:
        out += b"\x10" + ms.to_bytes(8, "big") + bytes(8) + string(content)
    return out + bytes([length, last_ms, 0, 0])


def entries(*deltas_ms: int) -> bytes:
    """A node of entries with one field, so many milliseconds behind the node's ID."""
    parts: list[int | bytes] = [len(deltas_ms), 0, 1, b"field", 0]
    for delta in deltas_ms:
        parts += [2, delta, 0, b"value", 4]
    return node(*parts)


@READERS
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(stream([], 1, 5), "stream with a length and no nodes", id="no nodes"),
        pytest.param(stream([(5, entries(0)), (5, entries(0))], 2, 9), "stream node with a master ID out of order", id="twice"),
        pytest.param(stream([(5, entries(0)), (4, entries(0))], 2, 9), "stream node with a master ID out of order", id="backwards"),
        pytest.param(stream([(5, node(1 << 62, 1 << 62, 0, 0))], 0, 9), "stream node with an impossible count", id="counts"),
    ],
)  # fmt: skip
def test_a_stream_whose_parts_do_not_agree_is_refused(refusal_of: Refusal, body: bytes, reason: str) -> None:
    assert refusal_of(body) == reason


@pytest.mark.parametrize("length", [3, 5, 0])
def test_a_stream_that_claims_another_length_stays_one_that_can_be_saved(length: int) -> None:
    """Streams of real servers do, and other servers believe it. Without nodes there is no length."""
    db = Engine(1).databases[0]
    body = stream([(5, entries(0, 7)), (13, entries(0))], length, 13)
    assert decoder.RdbDecoder(body).restore_value(db, b"key")
    RdbWalker(body[:1] + b"\x03key" + body[1:]).walk(CheckSink(), None, 1, len(body))
    held = streams.peek(db, b"key")
    assert held is not None
    assert held.length == length
    for entry in ((5, 0), (12, 0), (13, 0)):
        assert held.delete(entry)
        assert held.length >= 0
    assert held.length == held.node_count == 0


@pytest.mark.parametrize("entry", [(5, 0), (4, 0), (6, 0), (20, 0)])
def test_an_entry_added_below_those_of_a_file_replaces_none(entry: tuple[int, int]) -> None:
    """Where the file's last ID is too low."""
    db = Engine(1).databases[0]
    assert decoder.RdbDecoder(stream([(5, entries(0)), (20, entries(0, 7))], 3, 3)).restore_value(db, b"key")
    held = streams.peek(db, b"key")
    assert held is not None
    assert held.add(entry, [b"field", b"new"], 0, 4096, 1)
    assert held.length == 4
    assert decoder.RdbDecoder(encoder.dump_value(db, b"key", 11)).restore_value(db, b"again")
    assert held.node_count == (2 if entry[0] in (5, 20) else 3)


# HyperLogLog


def test_a_sketch_whose_runs_wrap_round_to_the_right_number_of_registers_is_corrupt() -> None:
    """2**18 times 16384 registers are 2**32: a sum of 32 bits forgets them, and the registers behind are out of bounds."""
    beyond = b"\x7f\xff" * 2 + b"\x80" * 100 + b"\x7f\xff" * ((1 << 18) - 2) + b"\x7f\x9b"
    assert hyperloglog.problem(hyperloglog.new()[:16] + beyond) == "corrupt"


def test_a_sketch_whose_last_run_is_cut_off_is_corrupt() -> None:
    assert hyperloglog.problem(hyperloglog.new()[:16] + b"\x7f") == "corrupt"


def test_registers_that_no_element_makes_have_a_cardinality_all_the_same() -> None:
    data = b"HYLL\0\0\0\0" + bytes(8) + b"\xff" * 12288
    cardinality = hyperloglog.estimate(hyperloglog.registers_of(data))
    assert cardinality == -(1 << 63)  # what Redis answers
    assert hyperloglog.cached(hyperloglog.with_cache(data, cardinality)) is None


# Claims of more than there is

HUGE = b"\x81" + (1 << 40).to_bytes(8, "big")
FILLING = b"\x01a\x01b" * 300
CLAIMS = {
    "list": b"\x01" + HUGE + FILLING,
    "set": b"\x02" + HUGE + FILLING,
    "zset": b"\x03" + HUGE + FILLING,
    "hash": b"\x04" + HUGE + FILLING,
    "zset with binary scores": b"\x05" + HUGE + FILLING,
    "quicklist": b"\x0e" + HUGE + FILLING,
    "quicklist of listpacks": b"\x12" + HUGE + FILLING,
    "stream": b"\x0f" + HUGE + FILLING,
    "groups of a stream": b"\x0f\x00\x00\x00\x00" + HUGE + FILLING,
    "pending entries": b"\x0f\x00\x00\x00\x00\x01\x01g\x00\x00" + HUGE + FILLING,
    "consumers": b"\x0f\x00\x00\x00\x00\x01\x01g\x00\x00\x00" + HUGE + FILLING,
    "hash with times": b"\x18" + bytes(8) + HUGE + FILLING,
    "string": b"\x00" + HUGE + FILLING,
    "compressed string": b"\x00\xc3\x05" + HUGE + b"\xe0\xff\x00\x00\x00",
    "compressed string of a terabyte": b"\x00\xc3" + HUGE + HUGE + FILLING,
    "compressed string that tokens do not make good": b"\x00\xc3" + string(b"")[:1] + b"\x00\x10\x00\x00\x80\x05\x00\x00\x00" + bytes(1 << 20),
    "template": b"\x1f\x01" + HUGE + FILLING,
    "array": b"\x1c" + HUGE + b"\x00" + FILLING,
    "module": b"\x07\x05\x05" + HUGE + FILLING,
}  # fmt: skip
READ_IN_A_CHILD = """
import pickle, resource, sys
from rotomdb.engine import Engine
from rotomdb.formats.rdb import decoder
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.formats.rdb.walker import RdbWalker
from rotomdb.errors import RdbValueError

cases = pickle.load(sys.stdin.buffer)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (32 << 20), held + (32 << 20)))
for name, body in cases.items():
    for read in (
        lambda: decoder.RdbDecoder(body).restore_value(Engine(1).databases[0], b"key"),
        lambda: RdbWalker(body[:1] + b"\\x01k" + body[1:]).walk(CheckSink(), None, 1, 1 << 40),
    ):
        try:
            read()
        except RdbValueError:
            continue
        print(name, "was accepted")
"""


def test_values_that_claim_2_to_the_40_elements_are_refused_before_memory_is_taken_for_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_IN_A_CHILD], input=pickle.dumps(CLAIMS), check=True, capture_output=True
    )
    assert done.stdout.decode().splitlines() == []


# Annotations


@pytest.mark.parametrize("digits", [b"+-5", b"--5", b"-", b"+", b"5x", b""])
def test_a_timestamp_that_is_no_number_is_a_bad_one(digits: bytes) -> None:
    assert AofScanner(b"#TS:" + digits + b"\r\n", "log").run(to_timestamp=1) == SCAN_BAD_TIMESTAMP
