"""Bit rot in a log: found, located to its block, refused or quarantined; nothing of it passes for a torn end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotomdb.commands import load_all
from rotomdb.engine import Engine
from rotomdb.errors import AofError
from rotomdb.formats.aof.annotations import ZEROS_LINE, checksum_line, parse_checksum, synced_line
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.replay import replay
from rotomdb.formats.aof.salvage import salvage_log
from rotomdb.formats.checksum import crc64
from rotomdb.storage.propagation import encode_command
from rotomdb.testing.bit_flips import flip, flip_bits, written_log
from tests.processes import RotomServer

Start = Callable[..., RotomServer]


def block(*commands: tuple[object, ...], synced: int = -1) -> bytes:
    data = b"" if synced < 0 else synced_line(synced)
    data += b"".join(encode_command(*command) for command in commands)
    return data + checksum_line(len(data), crc64(data))


def test_every_flipped_bit_of_a_covered_byte_is_located_to_its_block() -> None:
    result = flip_bits(600, 7)
    assert result.covered > 500
    assert result.missed == 0
    assert result.widest < 8192


@given(st.integers(0, 10**18 - 1), st.integers(0, (1 << 64) - 1), st.integers(0, 300))
def test_a_checksum_line_with_a_flipped_bit_is_none(size: int, value: int, bit: int) -> None:
    line = checksum_line(size, value)[:-1]
    assert parse_checksum(line) is not None
    changed = flip(line, bit % (len(line) * 8))
    found = parse_checksum(changed)
    assert found is None or (found.size, found.value) != (size, value)


@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_examining_arbitrary_bytes_never_fails(data: bytes, start: int) -> None:
    found = examine(data, min(start, len(data)))
    assert 0 <= found.usable <= len(data)
    assert all(damage.start < damage.end for damage in found.damages)


def test_a_cut_that_zeros_ask_for_inside_a_transaction_is_made_before_it() -> None:
    synced, begun = synced_line(0), encode_command(b"MULTI")
    log = synced + begun + ZEROS_LINE + encode_command(b"EXEC") + begun + b"#CRC64:63:16840bc4a420020b\r"
    assert examine(log).usable == len(synced)
    assert [(piece.start, piece.end) for piece in salvage_log(memoryview(log)) if piece.content] == [(0, len(synced))]


@given(st.data())
def test_a_log_cut_or_zeroed_anywhere_behind_what_was_synced_gives_a_prefix(data: st.DataObject) -> None:
    log = LOGS[data.draw(st.sampled_from(sorted(LOGS)))]
    found = examine(log)
    at = data.draw(st.integers(max(found.synced, 0), len(log) - 1))
    torn = log[:at] + bytes(len(log) - at) if data.draw(st.booleans()) else log[:at]
    healed = examine(torn)
    assert not healed.damages
    assert healed.usable <= at
    assert log.startswith(torn[: healed.usable])


LOGS = {policy: written_log(policy, 3)[:60_000] for policy in ("always", "everysec")}


def test_damage_is_refused_with_file_offset_and_what_to_do() -> None:
    log = block(("SET", "a", "1"), synced=0) + block(("SET", "b", "2")) + block(("SET", "c", "3"))
    at = log.index(b"$1\r\n2") + 4
    with pytest.raises(AofError, match=r"log: offset \d+: checksum of the \d+ bytes") as caught:
        replay(flip(log, at * 8), "log", Engine(1), lambda words: None)
    assert caught.value.offset <= at


def test_a_file_of_zeros_behind_whole_commands_is_torn_not_damaged() -> None:
    log = encode_command("SET", "a", "1") + bytes(5000)
    found = examine(log)
    assert (found.usable, found.damages) == (len(log) - 5000, [])


def test_a_hole_before_what_is_known_to_be_on_disk_is_damage() -> None:
    load_all()
    first = block(("SET", "a", "x" * 2000), synced=0)
    log = first + block(("SET", "b", "1"), synced=len(first))
    holed = log[:512] + bytes(512) + log[1024:]
    # The block is torn to look at, but a later, sound line says that it had reached the disk.
    found = examine(holed)
    assert [damage.start for damage in found.damages] == [0]
    assert not found.torn


def test_quarantine_goes_on_around_the_block_and_keeps_it_beside(rotom: Start) -> None:
    server = rotom("--appendfsync", "always")
    with server.client() as client:
        client.set("before", 1)
        client.execute_command("SELECT", 3)
        client.set("lost", "value")
        client.set("in three", 2)
        client.execute_command("SELECT", 0)
        client.set("after", 3)
    server.kill()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    whole = log.read_bytes()
    damaged = flip(whole, (whole.index(b"value") + 2) * 8)
    log.write_bytes(damaged)
    with pytest.raises(RuntimeError, match="aof-load-corrupt quarantine"):
        server.start()
    assert log.read_bytes() == damaged, "a refused file is not touched"
    server.arguments = ("--aof-load-corrupt", "quarantine")
    server.start()
    with server.client() as client:
        assert client.mget("before", "after") == [b"1", b"3"]
        client.execute_command("SELECT", 3)
        assert client.mget("lost", "in three") == [None, b"2"]
    server.wait_for("aof_rewrites", 1)
    kept = list(log.parent.glob("*.quarantine-at-*"))
    assert len(kept) == 1
    assert b"lost" in kept[0].read_bytes()
    assert '"lost"' in server.log()
    server.arguments = ()
    server.restart()
    with server.client() as client:
        assert client.mget("before", "after") == [b"1", b"3"]


def test_the_uncovered_end_that_a_kill_leaves_is_covered_by_the_next_server(rotom: Start, tmp_path: Path) -> None:
    server = rotom("--appendfsync", "everysec")
    with server.client() as client:
        client.set("a", 1)
    server.kill()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    assert b"#CRC64" not in log.read_bytes()
    server.start()
    with server.client() as client:
        client.set("b", "x" * 600)
        assert examine(log.read_bytes()).covered == log.stat().st_size
