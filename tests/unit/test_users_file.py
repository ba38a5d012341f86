"""The users' file: whatever stands in it, it is read as a whole or refused with its lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rotomdb.commands.acl_rules import Rules, line_of
from rotomdb.errors import UsersFileError
from rotomdb.server.users_file import NOTHING_CHANGED, read_users, write_users
from rotomdb.storage.disk import Disk

WORDS = [
    b"user",
    b"user",
    b"a",
    b"b",
    b"on",
    b"+get",
    b"-@all",
    b"~x",
    b"(~y",
    b"+set)",
    b"(",
    b")",
    b">p",
    b"<p",
    b"\xff",
    b"\0",
    b'"',
    b"#",
    b"",
]
lines = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(b" ".join), max_size=5).map(b"\n".join)


@given(st.one_of(lines, st.binary(max_size=60)))
def test_a_file_is_read_or_refused_and_what_is_read_can_be_written(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "users.acl"
        path.write_bytes(content)
        try:
            users = read_users(path, "users.acl", Rules())
        except UsersFileError as error:
            assert str(error).endswith(NOTHING_CHANGED)
            return
        write_users(path, users.values(), Disk())
        again = read_users(path, "users.acl", Rules())
    assert [line_of(user) for user in again.values()] == [line_of(user) for user in users.values()]
