"""The AOF manifest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotomdb.errors import ManifestError
from rotomdb.formats.aof.manifest import LogFile, Manifest, parse_manifest

GOOD = b"file a.2.base.rdb seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.3.incr.aof seq 3 type i startoffset 7\n"


def test_manifest_reads_and_writes_the_same_bytes() -> None:
    manifest = parse_manifest(GOOD, "m")
    assert manifest.encode() == GOOD
    assert manifest.base == LogFile("a.2.base.rdb", 2, "b")
    assert [file.name for file in manifest.files] == ["a.2.base.rdb", "a.3.incr.aof"]


@given(st.text(st.characters(blacklist_characters="/\\\0", blacklist_categories=["Cs"]), min_size=1, max_size=20))
def test_any_file_name_survives_quoting(name: str) -> None:
    manifest = Manifest(base=LogFile(name, 1, "b"))
    assert parse_manifest(manifest.encode(), "m").base == manifest.base


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (b"", "Found an empty AOF manifest", 0),
        (b"file a seq 1 type b", "too long line", 0),
        (b"file a seq 1\n", "Invalid AOF manifest file format", 1),
        (b"# c\nfile a seq 0 type b\n", "Invalid AOF manifest file format", 2),
        (b"file a/b seq 1 type b\n", "File can't be a path", 1),
        (b"file a seq 1 type b\nfile b seq 2 type b\n", "Found duplicate base file information", 2),
        (b"file a seq 2 type i\nfile b seq 2 type i\n", "Found a non-monotonic sequence number", 2),
        (b"file a seq 1 type x\n", "Unknown AOF file type", 1),
        (b'file "a seq 1 type b\n', "Invalid AOF manifest file format", 1),
        (b"\nfile a seq 1 type b\n", "Invalid AOF manifest file format", 1),
    ],
)
def test_malformed_manifest_is_refused_with_the_line(content: bytes, reason: str, line: int) -> None:
    with pytest.raises(ManifestError, match="m: ") as raised:
        parse_manifest(content, "m")
    assert reason in raised.value.reason
    assert raised.value.line == line


def test_names_go_on_from_the_last_sequence() -> None:
    manifest = parse_manifest(GOOD, "m")
    assert manifest.next_base("a", rdb=False).name == "a.3.base.aof"
    assert manifest.next_increment("a").name == "a.4.incr.aof"
