"""The pytest fixture `rotomdb_server`: a server for one test, gone with its data when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rotomdb.embedding import Server


@pytest.fixture
def rotomdb_server(tmp_path: Path) -> Iterator[Server]:
    """A running `rotomdb.Server` on a free port; `rotomdb_server.client()` is a redis-py client of it."""
    from rotomdb.embedding import Server

    with Server(tmp_path / "rotomdb") as server:
        yield server
