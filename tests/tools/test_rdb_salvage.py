"""rotomdb-rdb salvage: what can still be read is recovered, and what was lost is told."""

from __future__ import annotations

import bisect
import json
import random
from pathlib import Path

import pytest

import rotomdb.rdb
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.formats.sinks.digest import DigestSink
from rotomdb.storage.rdb_salvage import Salvage
from rotomdb.testing.digests import digests_of
from tests.tools.running import run

KEYS = 4000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("salvage") / "whole.rdb"
    source = random.Random(4)
    with rotomdb.rdb.create(path) as writer:
        for number in range(KEYS):
            kind = source.randrange(5)
            key, when = f"key:{number}", 1_900_000_000_000 + number if source.random() < 0.3 else None
            if kind < 2:
                writer.add(key, source.choice(["short", "y" * 60, number]), expire_ms=when)
            elif kind == 2:
                writer.add(key, {f"f{i}": source.random() for i in range(6)}, expire_ms=when)
            elif kind == 3:
                writer.add(key, [source.randrange(1000) for _ in range(8)])
            else:
                writer.add(key, rotomdb.rdb.SortedSet({f"m{i}": source.random() for i in range(4)}))
    return path.read_bytes()


def records(data: bytes) -> tuple[list[tuple[int, int, bytes]], dict[bytes, int]]:
    """Where each key stands, and a digest of its value."""
    reader = RdbReader(data, "whole")
    sink = DigestSink()
    found, digests = [], {}
    for event in reader.records():
        if isinstance(event, KeyRecord):
            found.append((event.start, reader.visit(sink), event.key))
            digests[event.key] = sink.digest
    reader.close()
    return found, digests


def salvaged(data: bytes) -> tuple[dict[bytes, int], Salvage]:
    reader = RdbReader(data, "damaged")
    work = Salvage(reader)
    found = digests_of(reader, work.records())
    reader.close()
    return {key: row[0] for (_, key), row in found.items()}, work


@pytest.mark.parametrize("corruptions", [1, 5, 20])
def test_keys_whose_bytes_were_not_hit_are_recovered(whole: bytes, corruptions: int) -> None:
    places, digests = records(whole)
    starts = [place[0] for place in places]
    kept = total = 0
    for seed in range(10):
        source = random.Random(seed)
        data, hit = bytearray(whole), set()
        for _ in range(corruptions):
            at = source.randrange(starts[0], len(data) - 9)
            data[at] ^= source.randrange(1, 256)
            hit.add(places[bisect.bisect(starts, at) - 1][2])
        found, _ = salvaged(bytes(data))
        undamaged = digests.keys() - hit
        total += len(undamaged)
        kept += sum(found.get(key) == digests[key] for key in undamaged)
        assert all(found[key] == digests[key] for key in undamaged & found.keys()), (
            "a wrong value passes for a right one"
        )
    assert kept / total >= 0.999


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_gives_all_keys_before_the_cut(whole: bytes, share: float) -> None:
    places, digests = records(whole)
    cut = int(len(whole) * share)
    found, work = salvaged(whole[:cut])
    assert found == {key: digests[key] for _, end, key in places if end <= cut}
    assert work.losses[-1].end == cut


def test_one_wrong_byte_anywhere_is_located_and_put_right(whole: bytes, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.rdb", tmp_path / "good.rdb"
    for at in (20, len(whole) // 2, len(whole) - 12):
        data = bytearray(whole)
        data[at] ^= 0x40
        bad.write_bytes(data)
        done = run("salvage", "--json", bad, "-o", good)
        assert done.returncode == 1
        assert json.loads(done.stdout)["repaired"] == {"offset": at, "bytes": 1}
        assert good.read_bytes() == whole
        assert bad.read_bytes() == bytes(data)
        good.unlink()


def test_the_report_names_what_was_lost_and_the_input_stays(whole: bytes, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.rdb", tmp_path / "good.rdb"
    places, digests = records(whole)
    start, end, key = places[100]
    data = bytearray(whole)
    data[start:end] = b"\xee" * (end - start)
    bad.write_bytes(data)
    done = run("salvage", "--json", bad, "-o", good)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["keys"], report["checksum_matches"]) == (KEYS - 1, False)
    assert (report["losses"][0]["from"], report["losses"][0]["to"]) == (start, end)
    assert bad.read_bytes() == bytes(data)
    assert run("check", good).returncode == 0
    assert records(good.read_bytes())[1] == {name: digest for name, digest in digests.items() if name != key}


def test_a_damaged_size_hint_is_not_believed(tmp_path: Path) -> None:
    """Found by the fuzzer: more keys than a machine word counts."""
    hint = b"\xfb\x81" + b"\xff" * 8 + b"\x00"
    records = b"".join(b"\x00\x02k%d\x01v" % number for number in range(9))
    (tmp_path / "a.rdb").write_bytes(
        b"REDIS0010\xfe\x00" + hint + records[:14] + b"\xee" + records[14:] + b"\xff" + bytes(8)
    )
    report = json.loads(run("salvage", "--json", tmp_path / "a.rdb").stdout)
    assert report["keys"] >= 7


def test_a_sound_file_is_status_0(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.rdb").write_bytes(whole)
    done = run("salvage", tmp_path / "a.rdb")
    assert done.returncode == 0
    assert f"{KEYS} keys can be read" in done.stdout


def test_check_reports_all_problems(whole: bytes, tmp_path: Path) -> None:
    places, _ = records(whole)
    data = bytearray(whole)
    for number in (50, 1000, 3000):
        start, end, _ = places[number]
        data[start:end] = b"\xee" * (end - start)
    (tmp_path / "a.rdb").write_bytes(data)
    report = json.loads(run("check", "--json", tmp_path / "a.rdb").stdout)
    assert [one["offset"] for one in report["problems"][:3]] == [places[number][0] for number in (50, 1000, 3000)]
