"""The door to the file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotomdb.storage.disk import ENDLESS, Disk


def test_room_that_was_set_aside_does_not_show_and_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = Disk().create(path)
    file.write_all(b"first")
    file.allocate_ahead(4 << 20)
    if file.allocated == ENDLESS:
        pytest.skip("this file system sets no blocks aside")
    assert path.stat().st_size == 5
    assert path.stat().st_blocks * 512 >= 4 << 20
    file.write_all(b" second")
    file.sync()
    file.close()
    assert path.read_bytes() == b"first second"
    assert path.stat().st_blocks * 512 < 1 << 20


def test_a_file_that_cannot_get_room_ahead_goes_on_as_ever(tmp_path: Path) -> None:
    file = Disk().create(tmp_path / "log")
    file.descriptor, descriptor = -1, file.descriptor  # no file system does it for this one
    file.allocate_ahead(4096)
    file.descriptor = descriptor
    assert file.allocated == ENDLESS
    file.write_all(b"data")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"data"
