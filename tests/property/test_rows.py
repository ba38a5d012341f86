"""What `dump` writes in any of its text forms reads back as it was, whatever the bytes are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rotomdb.rdb
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.storage.output import writing
from rotomdb.tools.rdb_dump import dump_csv, dump_json, dump_python
from rotomdb.tools.selection import FORMS
from rotomdb.tools.sources import Opened, open_any

LOOKALIKES = st.sampled_from(
    [b'{"b64":"aGVsbG8="}', b'{"b64":', b'"', b"\\\\", b"\\\\x41", b"\r\n", b"\r", b"\0", b",", b"null", b""]
)
BYTES = st.one_of(st.binary(max_size=24), LOOKALIKES, st.text(max_size=12).map(str.encode))
ID = st.tuples(st.integers(1, 9), st.integers(0, 9))


def stream(entries: dict[tuple[int, int], list[tuple[bytes, bytes]]]) -> rotomdb.rdb.Stream:
    rows = sorted(entries.items())
    last = rows[-1][0] if rows else (0, 0)
    return rotomdb.rdb.Stream(rows, len(rows), last, (0, 0), len(rows), [])


VALUES = st.one_of(
    BYTES,
    st.lists(BYTES, min_size=1, max_size=5),
    st.sets(BYTES, min_size=1, max_size=5),
    st.dictionaries(BYTES, BYTES, min_size=1, max_size=5),
    st.dictionaries(BYTES, st.floats(allow_nan=False), min_size=1, max_size=5).map(rotomdb.rdb.SortedSet),
    st.dictionaries(ID, st.lists(st.tuples(BYTES, BYTES), min_size=1, max_size=3), min_size=1, max_size=3).map(stream),
)
KEYSPACE = st.dictionaries(BYTES, VALUES, min_size=1, max_size=6)
FUNCTION = b"#!lua name=quoted\nredis.register_function('f', function() return \"a,b\" end)"


def content(path: Path) -> tuple[dict[bytes, Any], list[bytes]]:
    with rotomdb.rdb.open(path) as snapshot:
        return {entry.key: entry.value for entry in snapshot}, snapshot.functions


@pytest.mark.parametrize("keys_as", FORMS)
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "python"])
@settings(max_examples=10, deadline=None)
@given(keyspace=KEYSPACE)
def test_rows_read_back_as_they_were(form: str, keys_as: str, keyspace: dict[bytes, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        original, rows, back = (Path(place) / name for name in ("a.rdb", "rows", "b.rdb"))
        with original.open("wb") as file:
            writer = RdbWriter(file.write, TARGETS["redis-7.4"])
            writer.function(FUNCTION)
            for key, value in keyspace.items():
                rotomdb.rdb.add_to(writer.sink, key, value, 0, None, None)
            writer.finish()
        with open_any(str(original)) as source, writing(rows) as out:
            opened = Opened(source, lambda offset: None)
            forms = FORMS[keys_as], FORMS[keys_as]
            if form == "csv":
                dump_csv(opened, out, None, *forms)
            elif form == "python":
                dump_python(opened, out, None)
            else:
                dump_json(opened, out, None, *forms, array=form == "json")
        with open_any(str(rows)) as source:
            back.write_bytes(source.data)
        assert content(back) == content(original)
