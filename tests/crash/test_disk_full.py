"""A full disk: writes are refused with Redis's words, reads go on, and nothing is lost or applied twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rotomdb.commands.dispatch import Context
from rotomdb.engine import strings
from rotomdb.errors import SaveError
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.storage.disk import OWN_MODE, Disk, DiskFile
from rotomdb.store.store import Store


class FullFile(DiskFile):
    """A file on a disk with `Quota.left` bytes to go."""

    quota: Quota

    def write(self, data: bytes | memoryview) -> int:
        room = min(len(data), self.quota.left)
        if room == 0 and len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.quota.left -= room
        return super().write(memoryview(data)[:room])


class Quota(Disk):
    """A disk that takes so many more bytes."""

    def __init__(self) -> None:
        self.left = 1 << 40

    def wrap(self, file: DiskFile) -> DiskFile:
        full = FullFile(file.descriptor, file.path, file.written)
        full.quota = self
        return full

    def create(self, path: Path, mode: int = OWN_MODE) -> DiskFile:
        return self.wrap(super().create(path, mode))

    def append(self, path: Path) -> DiskFile:
        return self.wrap(super().append(path))


class Data:
    """A store on such a disk."""

    def __init__(self, directory: Path, disk: Disk, *, single: bool = False) -> None:
        config = Config()
        layout = "single" if single else "multi"
        words = f"--databases 2 --appendonly yes --appendfsync no --disk-reserve 0 --aof-layout {layout}".split()
        load_words(config, [*words, "--dir", str(directory)])
        self.messages: list[str] = []
        self.store = Store(config, lambda level, message: self.messages.append(message), disk=disk)
        self.engine, self.persistence = self.store.engine, self.store.persistence
        self.context = Context(self.store.dispatcher)
        self.store.load()

    def run(self, *words: object) -> object:
        value = self.context.execute(*words)
        self.persistence.aof.flush()
        return value


@pytest.mark.parametrize("single", [False, True])
def test_what_did_not_fit_is_written_once_there_is_room(tmp_path: Path, single: bool) -> None:
    disk = Quota()
    data = Data(tmp_path, disk, single=single)
    data.run("INCR", "n")
    disk.left = 20  # less than a command: a partial write, then the error
    data.run("INCR", "n")
    assert data.persistence.write_refusal == "MISCONF Errors writing to the AOF file: No space left on device"
    assert data.persistence.aof.buffered_bytes > 0
    disk.left = 1 << 40
    data.persistence.aof.flush()
    assert data.persistence.write_refusal is None
    data.run("INCR", "n")
    data.persistence.aof.close()
    again = Data(tmp_path, Disk(), single=single)
    assert strings.get(again.engine.databases[0], b"n") == b"3"


def test_a_rewrite_does_not_begin_while_the_log_cannot_be_written(tmp_path: Path) -> None:
    disk = Quota()
    data = Data(tmp_path, disk)
    data.run("INCR", "n")
    disk.left = 0
    data.run("INCR", "n")
    with pytest.raises(SaveError):
        data.persistence.start_rewrite()
    disk.left = 1 << 40
    data.persistence.aof.close()
    again = Data(tmp_path, Disk())
    assert strings.get(again.engine.databases[0], b"n") == b"2"


@pytest.mark.parametrize("room", [0, 1, 30, 100])
def test_a_snapshot_that_does_not_fit_leaves_the_old_one(tmp_path: Path, room: int) -> None:
    disk = Quota()
    data = Data(tmp_path, disk)
    data.run("SET", "a", "x" * 100)
    data.persistence.save()
    before = data.persistence.snapshot_path.read_bytes()
    data.run("SET", "a", "y" * 100)
    disk.left = room
    with pytest.raises(SaveError):
        data.persistence.save()
    assert data.persistence.snapshot_path.read_bytes() == before
    assert not list(tmp_path.glob("temp-*"))
