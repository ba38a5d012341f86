"""Which files are the log of a data directory: told from names alone, with the answer that a server there would give.

A server takes what its configuration names, by default `appendonlydir/appendonly.aof.manifest`. What lies beside it (a copy of
the directory, files of others in it) does not matter to the server, and so not to the tools. Where the default names are not there,
the one manifest that is there counts; several are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import ManifestError, RestoreError
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, Manifest
from rotomdb.formats.aof.replay import has_rdb_preamble
from rotomdb.storage.disk import Disk
from rotomdb.storage.manifest_file import read_manifest

FILE_NAME, APPEND_DIRECTORY = "appendonly.aof", "appendonlydir"  # what servers are configured with by default
BASE_NAME = re.compile(r"(?P<stem>.+)\.(?P<sequence>\d+)\.base\.(?:rdb|aof)")
INCREMENT_NAME = re.compile(r"(?P<stem>.+)\.(?P<sequence>\d+)\.incr\.aof")
TEMPORARY = "temp-"


@dataclass(frozen=True)
class Source:
    """The files of a log, in order."""

    paths: list[Path]
    manifest: Manifest | None  # None: a single file
    name: str  # appendfilename

    @property
    def directory(self) -> Path:
        return self.paths[0].parent


def begins_with_rdb(data: memoryview, path: Path) -> bool:
    """Whether an RDB stands in front, also one whose first bytes are damaged."""
    name = BASE_NAME.fullmatch(path.name)
    damaged = name is not None and path.suffix == ".rdb" and len(data) > 0 and data[0] not in b"*#"
    return has_rdb_preamble(data) or damaged


def find_log(disk: Disk, path: Path) -> Source:
    """The log in a data directory, a backup or an append directory, or the one that a manifest names or a file is.

    Raises:
        RestoreError: there is none, or several.
        ManifestError: the manifest is malformed, or does not name what is there.
    """
    place = locate(disk, path)
    if place.name.endswith(MANIFEST_SUFFIX):
        return from_manifest(disk, place)
    return Source([place], None, place.name)


def locate(disk: Disk, path: Path) -> Path:
    """The manifest, or the single file, that `path` is or that a server takes there. Raises RestoreError."""
    if not disk.exists(path):
        raise RestoreError(f"{path}: no such file or directory")
    if not disk.is_directory(path):
        return path
    directory = append_directory(disk, path)
    if directory is not None:
        found = manifests_in(disk, directory)
        default = directory / (FILE_NAME + MANIFEST_SUFFIX)
        if default in found or len(found) == 1:
            return default if default in found else found[0]
        if found:
            raise RestoreError(f"{path}: several manifests, name one of them: {', '.join(map(str, found))}")
        unnamed = named_like_a_log(disk, directory)
        raise RestoreError(f"{directory}: no manifest says how these belong together: {', '.join(unnamed)}")
    single = path / FILE_NAME
    if disk.exists(single):
        return single
    raise RestoreError(f"{path}: there is no append-only file in it")


def append_directory(disk: Disk, path: Path) -> Path | None:
    """The directory with the files of a multi-part log: `path` itself, or the one in it. Raises RestoreError where there are several."""
    if manifests_in(disk, path) or named_like_a_log(disk, path):
        return path
    held = [path / name for name in disk.names(path) if disk.is_directory(path / name)]
    held = [directory for directory in held if manifests_in(disk, directory) or named_like_a_log(disk, directory)]
    default = path / APPEND_DIRECTORY
    if default in held:
        return default
    if len(held) > 1:
        raise RestoreError(f"{path}: several logs, name one of them: {', '.join(map(str, held))}")
    return held[0] if held else None


def manifests_in(disk: Disk, directory: Path) -> list[Path]:
    found = [
        name for name in disk.names(directory) if name.endswith(MANIFEST_SUFFIX) and not name.startswith(TEMPORARY)
    ]
    return [directory / name for name in found if not disk.is_directory(directory / name)]


def named_like_a_log(disk: Disk, directory: Path) -> list[str]:
    """Bases and increments."""
    return [
        name
        for name in disk.names(directory)
        if not name.startswith(TEMPORARY) and (BASE_NAME.fullmatch(name) or INCREMENT_NAME.fullmatch(name))
    ]


def from_manifest(disk: Disk, path: Path) -> Source:
    manifest = read_manifest(disk, path)
    name = path.name.removesuffix(MANIFEST_SUFFIX)
    refuse_unnamed_increments(disk, path, manifest)
    paths = [path.parent / file.name for file in manifest.files]
    for file in paths:
        if not disk.exists(file):
            raise ManifestError(str(path), f"The AOF file {file.name} doesn't exist", missing=file.name)
    if not paths:
        raise ManifestError(str(path), "it names no file")
    return Source(paths, manifest, name)


def refuse_unnamed_increments(disk: Disk, path: Path, manifest: Manifest) -> None:
    """Refuse a manifest that has lost its last lines. Raises ManifestError, which names the files."""
    behind = unnamed_increments(disk, path, manifest)
    if behind:
        error = ManifestError(
            str(path),
            f"it does not name {', '.join(behind)}, with commands in it: its end is lost, or that is of another log",
        )
        numbers = sorted(sequence_of(name) for name in [*(file.name for file in manifest.increments), *behind])
        error.unnamed, error.gap = tuple(behind), numbers != list(range(numbers[0], numbers[0] + len(numbers)))
        raise error


def sequence_of(name: str) -> int:
    """Of an increment; 0 where the name has none."""
    found = INCREMENT_NAME.fullmatch(name)
    return int(found["sequence"]) if found else 0


def unnamed_increments(disk: Disk, path: Path, manifest: Manifest) -> list[str]:
    """Increments with content that go on behind those of the manifest. Loaded without them the log would write over them.

    A crash leaves one only empty, since the manifest names it before anything is written to it (M1); or beside a base that
    no manifest names yet, when the log was just being turned on.
    """
    stem = path.name.removesuffix(MANIFEST_SUFFIX)
    last_base = manifest.base.sequence if manifest.base else 0
    last = max((file.sequence for file in [*manifest.increments, *manifest.history]), default=0)
    known = {file.name for file in [*manifest.files, *manifest.history]}
    behind = []
    for name in disk.names(path.parent):
        base, increment = BASE_NAME.fullmatch(name), INCREMENT_NAME.fullmatch(name)
        if name in known or name.startswith(TEMPORARY):
            continue
        if base and base["stem"] == stem and int(base["sequence"]) > last_base and manifest.base is not None:
            return []
        if increment and increment["stem"] == stem and int(increment["sequence"]) > last:
            behind.append(name)
    return [name for name in behind if disk.size(path.parent / name)]
