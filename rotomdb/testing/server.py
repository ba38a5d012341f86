"""A real server whose disk misbehaves when told to, while it runs:

    python -m rotomdb.testing.server CONTROL [rotomdb-server's arguments]

CONTROL is a file that may hold words, looked at before every operation on the disk:

    full          writes, and all that needs room, fail with ENOSPC
    tight         the same, for as long as there is a reserve to give up; and no new one can be made
    broken-sync   fsync fails with EIO
    slow MS       fsync takes so many milliseconds longer
"""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from rotomdb.server.main import enter_directory, read_config, serve
from rotomdb.storage.disk import OWN_MODE, Disk, DiskFile
from rotomdb.storage.reserve import RESERVE_NAME


class Control:
    """What the control file says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self) -> list[str]:
        try:
            return self.path.read_text().split()
        except FileNotFoundError:
            return []

    def need_room(self, path: Path) -> None:
        words = self.words()
        tight = "tight" in words and (path.name == RESERVE_NAME or Path(RESERVE_NAME).exists())
        if tight or "full" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def about_to_sync(self) -> None:
        words = self.words()
        if "broken-sync" in words:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if "slow" in words:
            time.sleep(int(words[words.index("slow") + 1]) / 1000)


class ControlledFile(DiskFile):
    """A real file behind the control."""

    def __init__(self, file: DiskFile, control: Control) -> None:
        super().__init__(file.descriptor, file.path, file.written)
        self.control = control

    def write(self, data: bytes | memoryview) -> int:
        self.control.need_room(self.path)
        return super().write(data)

    def sync(self) -> None:
        self.control.about_to_sync()
        super().sync()


class ControlledDisk(Disk):
    """The real disk behind the control."""

    def __init__(self, control: Path) -> None:
        self.control = Control(control)

    def create(self, path: Path, mode: int = OWN_MODE) -> DiskFile:
        self.control.need_room(path)
        return ControlledFile(super().create(path, mode), self.control)

    def append(self, path: Path) -> DiskFile:
        return ControlledFile(super().append(path), self.control)

    def sync_directory(self, path: Path) -> None:
        self.control.about_to_sync()
        super().sync_directory(path)


def main() -> None:
    control = Path(sys.argv[1]).resolve()
    config = read_config(sys.argv[2:])
    enter_directory(config)
    sys.exit(serve(config, ControlledDisk(control)))


if __name__ == "__main__":
    main()
