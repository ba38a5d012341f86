"""Where keys stand, in parts: comparing and merging give what Python's dictionaries would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rotomdb.rdb
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.testing.digests import digests_of
from rotomdb.tools import sorted_spool
from rotomdb.tools.key_parts import KeyParts
from rotomdb.tools.rdb_diff import differences
from rotomdb.tools.rdb_merge import settle_conflicts, write_merged
from rotomdb.tools.sorted_spool import SortedSpool
from rotomdb.tools.sources import Opened, open_any

Name = tuple[int, bytes]
DataSet = dict[Name, tuple[str, int | None]]

NAMES = st.tuples(st.integers(0, 2), st.sampled_from([b"a", b"b", b"key:%d" % 10**6, b"\xff\x00", b""]))
VALUES = st.tuples(st.sampled_from(["x", "y", "12", ""]), st.sampled_from([None, 10_000, 10_900, 2**62]))
DATA_SETS = st.dictionaries(NAMES, VALUES, max_size=12)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def opened(path: Path, content: DataSet) -> Iterator[Opened]:
    with path.open("wb") as file:
        writer = RdbWriter(file.write, TARGETS["redis-7.0"])
        for (db, key), (value, expires) in content.items():
            rotomdb.rdb.add_to(writer.sink, key, value, db, expires, None)
        writer.finish()
    with open_any(str(path)) as source:
        yield Opened(source, lambda offset: None)


def filled(source: Opened) -> KeyParts:
    parts = KeyParts(source)
    for _ in parts.fill(None):
        pass
    return parts


def expected(a: DataSet, b: DataSet, tolerance: int) -> list[tuple[str, Name]]:
    def same(name: Name) -> bool:
        (old, old_time), (new, new_time) = a[name], b[name]
        near = old_time == new_time or (
            old_time is not None and new_time is not None and abs(old_time - new_time) <= tolerance
        )
        return old == new and (tolerance < 0 or near)

    rows = [("removed" if name not in b else "changed", name) for name in a if name not in b or not same(name)]
    return sorted([*rows, *(("added", name) for name in b if name not in a)], key=lambda row: row[1])


@QUICK
@given(a=DATA_SETS, b=DATA_SETS, tolerance=st.sampled_from([-1, 0, 900]))
def test_differences_are_those_of_the_names(tmp_path: Path, a: DataSet, b: DataSet, tolerance: int) -> None:
    with (
        opened(tmp_path / "a.rdb", a) as first,
        opened(tmp_path / "b.rdb", b) as second,
        closing(filled(first)) as old,
        closing(filled(second)) as new,
    ):
        rows = list(differences(old, new, tolerance, details=True))
        counts = [row["change"] for row in differences(old, new, tolerance, details=False)]
    wanted = expected(a, b, tolerance)
    named = [(row["change"], row["db"]) for row in rows]
    assert named == [(change, db) for change, (db, _) in wanted]
    assert [row["key"] for row in rows if isinstance(row["key"], str)] == [
        name.decode() for _, (_, name) in wanted if name != b"\xff\x00"
    ]
    assert sorted(counts) == sorted(change for change, _ in wanted)


def chosen(data_sets: list[DataSet], policy: str) -> DataSet:
    result: DataSet = {}
    for one in data_sets:
        for name, (value, expires) in one.items():
            held = result.get(name)
            lasts = held is not None and held[1] is not None and (expires is None or expires > held[1])
            if held is None or policy == "last" or (policy == "newest-ttl" and lasts):
                result[name] = value, expires
    return result


@QUICK
@given(data_sets=st.lists(DATA_SETS, min_size=1, max_size=3), policy=st.sampled_from(["first", "last", "newest-ttl"]))
def test_a_merge_takes_each_key_once_and_from_where_the_policy_says(
    tmp_path: Path, data_sets: list[DataSet], policy: str
) -> None:
    pieces: list[bytes] = []
    with opened(tmp_path / "0", data_sets[0]) as first, opened(tmp_path / "1", data_sets[-1]) as last:
        both = [first, last]
        conflicts = settle_conflicts(both, policy, None)
        write_merged(both, RdbWriter(pieces.append, TARGETS["redis-7.0"]), conflicts, None)
    wanted = chosen([data_sets[0], data_sets[-1]], policy)
    assert conflicts.keys == len(data_sets[0].keys() & data_sets[-1].keys())
    with opened(tmp_path / "wanted", wanted) as source, closing(source.reader()) as reader:
        content = {name: (row[0], row[2]) for name, row in digests_of(reader).items()}
    with closing(RdbReader(b"".join(pieces), "merged")) as reader:
        assert {name: (row[0], row[2]) for name, row in digests_of(reader).items()} == content


def test_more_than_a_run_is_sorted_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_spool, "RUN_ITEMS", 50)
    monkeypatch.setattr(sorted_spool, "BATCH_ITEMS", 7)
    items: list[tuple[Any, ...]] = [(number * 7919 % 2003, b"%d" % number) for number in range(1020)]
    with closing(SortedSpool()) as spool:
        for item in items:
            spool.add(item)
        assert len(spool.runs) == 20
        assert list(spool) == sorted(items)
