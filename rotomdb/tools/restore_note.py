"""How far a restore came, in a file of its own: what `restore --resume` goes on from, and what it knows a finished one by."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rotomdb.storage.disk import Disk
from rotomdb.tools.terminal import fail


@dataclass
class Note:
    """The state of one job.

    Attributes:
        job: What it does; a note of another job would have keys left out.
        size: Bytes of the data set that is read.
        converted: Bytes of what is sent, where it had to be converted for the server. It depends on the time with `--ttl`.
        offset: Behind the last record that the server has taken.
        restored, libraries: Keys and function libraries that the server has taken.
        existing: Of both, those that it had.
        finished: There is nothing left to do.
    """

    job: dict[str, Any]
    size: int
    converted: int = 0
    offset: int = 0
    restored: int = 0
    libraries: int = 0
    existing: int = 0
    finished: bool = False

    def save(self, path: Path) -> None:
        content = json.dumps(asdict(self)).encode()
        Disk().replace_atomically(path, path.with_name(f".{path.name}.{os.getpid()}.partial"), content)

    def check_converted(self, path: Path | None, size: int) -> None:
        """End the program where the offset means another place than it did."""
        if self.offset and size != self.converted:
            fail(f"{path}: the keys that are wanted are others by now, or the server is; remove it to begin anew")
        self.converted = size


def noted(path: Path | None, job: dict[str, Any], size: int) -> Note:
    """What an earlier run of the job has noted; a new note where there was none. Another job's ends the program."""
    fresh = Note(json.loads(json.dumps(job)), size)
    if path is None or not path.exists():
        return fresh
    try:
        found = Note(**json.loads(path.read_text()))
        numbers = (found.size, found.converted, found.offset, found.restored, found.libraries, found.existing)
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError
    except (ValueError, TypeError):
        fail(f"{path}: it is no note of an earlier run; remove it to begin anew")
    if found.size != size:
        fail(f"{path}: it belongs to a file of {found.size} bytes, this one has {size}")
    if found.job != fresh.job:
        fail(f"{path}: it belongs to a restore with other options or into another server; remove it to begin anew")
    return found
