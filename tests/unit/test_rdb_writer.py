"""The library's writer of snapshots never makes a file that holds less than it was given, or that servers refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

import rotomdb.rdb


def test_a_key_that_is_added_twice_is_refused_and_no_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the file already"), rotomdb.rdb.create(tmp_path / "a.rdb") as writer:
        writer.add("key", "one")
        writer.add("key", "other database", db=1)
        writer.add(b"key", "two")
    assert list(tmp_path.iterdir()) == []


def test_times_of_fields_are_refused_where_no_target_that_holds_them_was_named(tmp_path: Path) -> None:
    times = {"f": 2_000_000_000_000}
    with pytest.raises(ValueError, match="cannot hold expire times"), rotomdb.rdb.create(tmp_path / "a.rdb") as writer:
        writer.add("hash", {"f": "v"}, field_times=times)
    with rotomdb.rdb.create(tmp_path / "b.rdb", target="redis-7.4") as writer:
        writer.add("hash", {"f": "v"}, field_times=times)
    with rotomdb.rdb.open(tmp_path / "b.rdb") as snapshot:
        assert next(iter(snapshot)).field_times == {b"f": 2_000_000_000_000}


def test_a_target_that_was_named_lists_what_it_cannot_hold(tmp_path: Path) -> None:
    with rotomdb.rdb.create(tmp_path / "a.rdb", target="redis-6.2") as writer:
        writer.add("hash", {"f": "v"}, field_times={"f": 2_000_000_000_000})
    assert writer.lost == {"expire times of hash fields": (1, [b"hash"])}
