"""The way on from files that cannot be loaded: commands and options that work as they are printed, for server and tools.

What to do follows from the kind of the fault, which the error carries (`Fault`), and from the file that it is in.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import (
    AofTruncatedError,
    EitherSourceError,
    Fault,
    FileFormatError,
    LostManifestError,
    ManifestError,
    RotomError,
)
from rotomdb.storage.log_location import APPEND_DIRECTORY

ONLY_COPY = "put a copy of {file} back, or move it away to start without it"


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
    if isinstance(error, ManifestError):
        return from_manifest(error, place.log)
    if isinstance(error, LostManifestError):
        return [rebuild(place.log)]
    if isinstance(error, EitherSourceError):
        return ["start with --load-from aof", "or start with --load-from rdb"]
    if not isinstance(error, FileFormatError):
        return []
    if error.fault is Fault.DATABASES:
        return [f"start with --databases {error.databases}"]
    if error.path == str(place.snapshot):
        return from_snapshot(error, place)
    if isinstance(error, AofTruncatedError) and not error.followed:
        return [command("rotomdb-aof", "fix", place.log)]
    return from_log(error, place)


def from_manifest(error: ManifestError, log: Path) -> list[str]:
    if error.missing:
        return [
            f"put a copy of {shlex.quote(error.missing)} back, or go on without it:",
            rebuild(log, missing=True),
        ]
    if error.gap:
        return [
            f"move {shlex.join(error.unnamed)} away, if that is of another log, or go on without what is missing before it:",
            rebuild(log, missing=True),
        ]
    return [rebuild(log)]


def from_snapshot(error: FileFormatError, place: Place) -> list[str]:
    if error.fault is Fault.FOREIGN:
        return [ONLY_COPY.format(file=shlex.quote(str(place.snapshot)))]
    written = place.free(f"{place.snapshot.name}.salvaged")
    return [
        command("rotomdb-rdb", "salvage", "--target", "rotomdb", place.snapshot, "-o", written),
        command("then start with", "--dbfilename", written.name),
    ]


def from_log(error: FileFormatError, place: Place) -> list[str]:
    healed = place.free("healed")
    append_directory = place.log.name if place.log.is_dir() else APPEND_DIRECTORY
    other = [] if append_directory == APPEND_DIRECTORY else ["--appenddirname", APPEND_DIRECTORY]
    deep = ["--deep"] if error.fault is Fault.COMMAND else []
    return [
        command("rotomdb-aof", "salvage", *deep, place.log, "-o", healed),
        command("then start with", "--dir", healed, *other),
    ]


def rebuild(log: Path, *, missing: bool = False) -> str:
    """Args: missing: a file that the manifest names is gone."""
    options = ["--without-missing"] if missing else []
    return command("rotomdb-aof", "rebuild-manifest", *options, log)


def command(name: str, *words: str | Path) -> str:
    """A command that can be pasted."""
    return f"{name} {shlex.join(map(str, words))}"
