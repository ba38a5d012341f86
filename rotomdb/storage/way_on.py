"""The way on from files that cannot be loaded: commands and options that work as they are printed, for server and tools."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import AofError, AofTruncatedError, ManifestError, RdbError, RotomError
from rotomdb.storage.log_location import APPEND_DIRECTORY

OUT_OF_RANGE = re.compile(r"database (\d+) is out of range")
UNREADABLE = re.compile(r"wrong signature|too short for an RDB|is not understood")
NOT_HELD = re.compile(r"cannot be held|module")


@dataclass(frozen=True)
class Place:
    """Where a server keeps its data.

    Attributes:
        log: What the tools take for the log: the append directory, or the single file.
    """

    directory: Path
    log: Path
    snapshot: Path

    def free(self, name: str) -> Path:
        """A name that is not taken."""
        path, number = self.directory / name, 1
        while path.exists():
            number += 1
            path = self.directory / f"{name}-{number}"
        return path


def ways_on(error: RotomError, place: Place) -> list[str]:
    """What the operator of a server can do, a line each; nothing where no tool helps."""
    databases = OUT_OF_RANGE.search(str(error))
    if databases is not None:
        return [f"start with --databases {int(databases[1]) + 1}"]
    if isinstance(error, ManifestError):
        return [rebuild(place.log)]
    if isinstance(error, RdbError) and error.path == str(place.snapshot):
        return from_snapshot(error, place)
    if isinstance(error, AofTruncatedError) and not error.followed:
        return [command("rotomdb-aof", "fix", place.log)]
    if isinstance(error, AofError | RdbError):
        healed = place.free("healed")
        append_directory = place.log.name if place.log.is_dir() else APPEND_DIRECTORY
        other = [] if append_directory == APPEND_DIRECTORY else ["--appenddirname", APPEND_DIRECTORY]
        return [
            command("rotomdb-aof", "salvage", place.log, "-o", healed),
            command("then start with", "--dir", healed, *other),
        ]
    return []


def from_snapshot(error: RdbError, place: Place) -> list[str]:
    if "gzip" in error.reason or "zstd" in error.reason or "transfer" in error.reason:
        verb = "convert"
    elif UNREADABLE.search(error.reason):
        return [f"put a copy of it back, or move {shlex.quote(str(place.snapshot))} away to start without it"]
    else:
        verb = "convert" if NOT_HELD.search(error.reason) else "salvage"
    written = place.free(f"{place.snapshot.name}.{verb}d")
    return [
        command("rotomdb-rdb", verb, place.snapshot, "-o", written),
        command("then start with", "--dbfilename", written.name),
    ]


def rebuild(log: Path) -> str:
    return command("rotomdb-aof", "rebuild-manifest", log)


def command(name: str, *words: str | Path) -> str:
    """A command that can be pasted."""
    return f"{name} {shlex.join(map(str, words))}"
