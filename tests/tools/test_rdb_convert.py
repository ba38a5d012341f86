"""rotomdb-rdb convert, filter, split, merge, diff: nothing changes on the way but what the target cannot hold."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

import rotomdb.rdb
from rotomdb.errors import RdbError
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.storage.slots import key_slot
from rotomdb.testing.digests import digests_of
from tests.corpus.content import expected
from tests.corpus.files import RDB_FILES, expectation
from tests.tools.running import ALL_KINDS, DATA, run

Index = dict[tuple[int, bytes], tuple[int, int | None]]


def index(data: bytes) -> Index:
    """A digest and the expire time of each key."""
    with contextlib.closing(RdbReader(data, "file")) as reader:
        return {name: (row[0], row[2]) for name, row in digests_of(reader).items()}


def converted(data: bytes, target: str, *, plain: bool) -> tuple[bytes, set[bytes]]:
    """The file for the target, and the keys that lost something (None: too many to be named)."""
    pieces: list[bytes] = []
    reader = RdbReader(data, "file")
    writer = RdbWriter(pieces.append, TARGETS[target], plain=plain)
    for _ in reader.walk(writer.sink):
        pass
    writer.finish()
    reader.close()
    lost = {key for _, keys in writer.sink.lost.values() for key in keys}
    named = all(count == len(keys) for count, keys in writer.sink.lost.values())
    return b"".join(pieces), lost if named else {key for _, key in index(data)}


@pytest.mark.parametrize("target", ["redis-3.2", "redis-6.2", "redis-7.0", "redis-7.2", "redis-8.0", "valkey-9.0"])
@pytest.mark.parametrize("path", RDB_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_for_any_target_holds_the_same(path: Path, target: str) -> None:
    data = path.read_bytes()
    try:
        before = index(data)
    except RdbError:
        assert "keys" not in expected(expectation(path)), "a file that a real server loads was refused"
        return
    for plain in (False, True):
        result, lost = converted(data, target, plain=plain)
        check_rdb(result, target)
        after = index(result)
        assert {name: row for name, row in after.items() if name[1] not in lost} == {
            name: row for name, row in before.items() if name[1] not in lost
        }


def test_a_very_old_target_counts_expire_times_in_seconds(tmp_path: Path) -> None:
    with rotomdb.rdb.create(tmp_path / "a.rdb") as writer:
        writer.add("k", "v", expire_ms=1_900_000_000_999)
        writer.add("z", rotomdb.rdb.SortedSet({"a": 1.5, "b": float("-inf")}))
    done = run("convert", "--target", "redis-2.4", tmp_path / "a.rdb", "-o", tmp_path / "b.rdb")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.rdb").read_bytes().startswith(b"REDIS0002")
    rows = {row["key"]: row for row in json.loads(run("dump", tmp_path / "b.rdb").stdout)}
    assert rows["k"]["ttl_ms_absolute"] == 1_900_000_000_000
    assert rows["z"]["value"] == [["a", "1.5"], ["b", "-inf"]]


def test_what_a_target_cannot_hold_is_named_and_left_out(tmp_path: Path) -> None:
    with rotomdb.rdb.create(tmp_path / "a.rdb", target="redis-8.0") as writer:
        writer.add("h", {"f": 1, "g": 2}, field_times={"f": 2_000_000_000_000})
        writer.add("s", "text")
    done = run("convert", "--target", "redis-6.2", "--json", tmp_path / "a.rdb", "-o", tmp_path / "b.rdb")
    assert done.returncode == 1
    assert json.loads(done.stdout)["lost"] == {"expire times of hash fields": {"keys": 1, "first": ["h"]}}
    assert {row["key"]: row["value"] for row in json.loads(run("dump", tmp_path / "b.rdb").stdout)} == {
        "h": [["f", "1"], ["g", "2"]],
        "s": "text",
    }


@pytest.mark.parametrize("form", ["aof", "aof-dir", "rdb"])
@pytest.mark.parametrize("commands", [False, True])
def test_a_round_trip_through_every_form_is_equal(tmp_path: Path, form: str, commands: bool) -> None:
    there = tmp_path / {"aof": "there.aof", "aof-dir": "there", "rdb": "there.rdb"}[form]
    words = ["--commands"] if commands else []
    assert run("convert", "--to", form, *words, ALL_KINDS, "-o", there).returncode == 0
    if form != "rdb":
        assert run("check", "--deep", there, tool="aof").returncode == 0
    assert run("convert", "--target", "redis-7.0", there, "-o", tmp_path / "back.rdb").returncode == 0
    done = run("diff", "--ttl-tolerance", "0", ALL_KINDS, tmp_path / "back.rdb")
    assert done.stdout == "0 added, 0 removed, 0 changed\n"
    assert done.returncode == 0


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "python", "resp"])
@pytest.mark.parametrize(
    "path",
    [
        path
        for path in RDB_FILES
        if path.stem in ("allkinds", "mixed", "streams", "stream-groups", "hash-field-ttl", "binary", "zsets")
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_dump_in_any_form_is_read_back_equal(tmp_path: Path, path: Path, form: str) -> None:
    rows = tmp_path / f"rows.{'aof' if form == 'resp' else form}"
    assert run("dump", "-f", form, path, "-o", rows).returncode == 0
    done = run("diff", path, rows)
    assert done.stdout == "0 added, 0 removed, 0 changed\n", done.stdout[:2000] + done.stderr


@pytest.mark.parametrize(
    "text", ['[{"db":0}]', "{nonsense", '{"db":0,"key":"k","type":"odd","ttl_ms_absolute":null,"value":1}', "(1, 2)"]
)
def test_rows_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text(text)
    done = run("info", rows)
    assert done.returncode == 3
    assert f"Error: {rows}: row 1" in done.stderr


def test_parquet_has_a_row_a_key(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the optional extra rotomdb[parquet] is not installed")
    assert run("convert", ALL_KINDS, "-o", tmp_path / "k.parquet").returncode == 0
    table = parquet.read_table(tmp_path / "k.parquet").to_pylist()
    assert len(table) == len(json.loads(run("dump", ALL_KINDS).stdout))
    assert [row["value"][:12] for row in table if row["type"] == "function"] == [b"#!lua name=a"]
    assert {row["type"] for row in table} >= {"string", "hash", "stream"}
    assert all(row["memory_bytes"] > 0 for row in table if row["type"] != "function")


def test_filter_keeps_the_selected_keys_and_exclude_the_others(tmp_path: Path) -> None:
    everything = index(ALL_KINDS.read_bytes())
    assert run("filter", ALL_KINDS, "--type", "hash", "-o", tmp_path / "h.rdb").returncode == 0
    assert run("filter", ALL_KINDS, "--type", "hash", "--exclude", "-o", tmp_path / "o.rdb").returncode == 0
    hashes, others = index((tmp_path / "h.rdb").read_bytes()), index((tmp_path / "o.rdb").read_bytes())
    assert hashes
    assert others
    assert {**hashes, **others} == everything


@pytest.mark.parametrize("words", [["--by", "db"], ["--by", "prefix"], ["--by", "slot", "--parts", "3"]])
def test_parts_of_a_split_merge_to_the_whole(tmp_path: Path, words: list[str]) -> None:
    assert run("split", ALL_KINDS, *words, "-o", tmp_path / "parts").returncode == 0
    parts = sorted((tmp_path / "parts").iterdir())
    assert len(parts) > 1
    assert run("merge", *parts, "-o", tmp_path / "whole.rdb").returncode == 0
    assert index((tmp_path / "whole.rdb").read_bytes()) == index(ALL_KINDS.read_bytes())


def test_keys_go_to_the_master_of_their_slot(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.conf"
    nodes.write_text(
        "aaaaaaaa11 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 [5-<-bbbbbbbb22]\n"
        "bbbbbbbb22 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383\n"
        "cccccccc33 10.0.0.3:7000@17000 slave aaaaaaaa11 0 0 1 connected\n"
        "vars currentEpoch 2 lastVoteEpoch 0\n"
    )
    assert run("split", ALL_KINDS, "--by", "slot", "--nodes", nodes, "-o", tmp_path / "parts").returncode == 0
    for name, (low, high) in {"aaaaaaaa-10.0.0.1-7000": (0, 8191), "bbbbbbbb-10.0.0.2-7000": (8192, 16383)}.items():
        held = index((tmp_path / "parts" / f"{name}.rdb").read_bytes())
        assert held
        assert all(low <= key_slot(key) <= high for _, key in held)
    nodes.write_text("aaaaaaaa11 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-100\n")
    done = run("split", ALL_KINDS, "--by", "slot", "--nodes", nodes, "-o", tmp_path / "more")
    assert "16283 slots have no master" in done.stderr


def test_slots_are_those_of_redis_cluster() -> None:
    assert [key_slot(key) for key in (b"foo", b"123456789", b"{user1000}.following", b"a{}b", b"")] == [
        12182, 12739, key_slot(b"user1000"), key_slot(b"a{}b"), 0,
    ]  # fmt: skip


@pytest.mark.parametrize(("policy", "value"), [("first", "old"), ("last", "new"), ("newest-ttl", "old")])
def test_a_merge_settles_conflicts_as_asked(tmp_path: Path, policy: str, value: str) -> None:
    with rotomdb.rdb.create(tmp_path / "a.rdb") as writer:
        writer.add("k", "old")
    with rotomdb.rdb.create(tmp_path / "b.rdb") as writer:
        writer.add("k", "new", expire_ms=1_900_000_000_000)
        writer.add("only", "here")
    files = [tmp_path / "a.rdb", tmp_path / "b.rdb"]
    assert run("merge", *files, "-o", tmp_path / "m.rdb").returncode == 1
    assert not (tmp_path / "m.rdb").exists()
    assert run("merge", "--on-conflict", policy, *files, "-o", tmp_path / "m.rdb").returncode == 0
    rows = {row["key"]: row["value"] for row in json.loads(run("dump", tmp_path / "m.rdb").stdout)}
    assert rows == {"k": value, "only": "here"}


def test_diff_says_what_changed_in_each_key(tmp_path: Path) -> None:
    with rotomdb.rdb.create(tmp_path / "a.rdb") as writer:
        writer.add("same", "x")
        writer.add("text", "old")
        writer.add("hash", {"f": 1, "gone": 2, "kept": 3})
        writer.add("time", "x", expire_ms=1_900_000_000_000)
        writer.add("kind", "x")
        writer.add("removed", "x")
        writer.add("list", ["a", "b"])
    with rotomdb.rdb.create(tmp_path / "b.rdb") as writer:
        writer.add("same", "x")
        writer.add("text", "new")
        writer.add("hash", {"f": 2, "added": 4, "kept": 3})
        writer.add("time", "x", expire_ms=1_900_000_000_400)
        writer.add("kind", ["x"])
        writer.add("list", ["a", "c", "d"])
        writer.add("added", "x", db=3)
    files = [tmp_path / "a.rdb", tmp_path / "b.rdb"]
    done = run("diff", "--json", *files)
    assert done.returncode == 1
    rows = {row["key"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {key: row["change"] for key, row in rows.items()} == {
        "text": "changed", "hash": "changed", "time": "changed", "kind": "changed", "list": "changed", "removed": "removed",
        "added": "added",
    }  # fmt: skip
    assert rows["hash"]["what"] == ["+field added = 4", "-field gone", "field f: 1 → 2"]
    assert rows["list"]["what"] == ["length 2 → 3", "first difference at index 1: b → c"]
    assert rows["kind"]["what"] == ["type string → list"]
    tolerant = run("diff", "--json", "--ttl-tolerance", "500", *files)
    assert "time" not in {json.loads(line)["key"] for line in tolerant.stdout.splitlines()}


def test_diff_does_not_mind_encodings(tmp_path: Path) -> None:
    old = DATA / "rdb-redis-6.2.14-lists.rdb"
    assert run("convert", "--target", "redis-7.2", old, "-o", tmp_path / "new.rdb").returncode == 0
    assert run("diff", old, tmp_path / "new.rdb").returncode == 0
