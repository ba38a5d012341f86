"""What a file is, by its first bytes, and what is said of one that is no RDB."""

from __future__ import annotations

import gzip

import pytest

from rotomdb.errors import RdbError
from rotomdb.formats.rdb.reader import parse_header


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(100), "nothing but zeros"),
        (b"<!DOCTYPE html><html><body>504</body></html>", "a page of HTML"),
        (gzip.compress(b"REDIS0011" + bytes(100), mtime=0), "gzip-compressed data"),
        (b"REDIS0099" + bytes(100), "version 99 is not understood"),
        (b"REDISfour" + bytes(100), "its version is no number"),
        (b"*1\r\n$4\r\nPING\r\n", "an append-only file"),
        (b"neither of them", "data of no known kind"),
        (b"", "too short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_rdb_is_refused_by_what_it_is(content: bytes, said: str) -> None:
    with pytest.raises(RdbError, match=said):
        parse_header(content, "dump.rdb")
