"""The AOF manifest on the disk: read, and replaced as a whole. What its lines say: formats/aof/manifest.py.

Written by  AppendOnlyFile (rotation, end of a rewrite), nobody else. Read by it and by `rotomdb-aof-check`.

Invariants (tests cite them by number)
    M1  A base or incr file is on disk, directory entry included, before a manifest names it.
    M2  The manifest is replaced, never edited: write temp, fsync temp, rename, fsync directory.
    M3  A history file is unlinked only after the directory fsync that retired it; so it may be missing.

After a crash
    before the rename                  the old manifest rules; the temp file is overwritten by the next writer
    between rename and directory sync  either manifest may appear; both load, by M1 and M3
"""

from __future__ import annotations

from pathlib import Path

from rotomdb.formats.aof.manifest import Manifest, parse_manifest
from rotomdb.storage.disk import Disk


def save_manifest(manifest: Manifest, disk: Disk, directory: Path, name: str) -> None:
    disk.replace_atomically(directory / name, directory / f"temp-{name}", manifest.encode())


def read_manifest(disk: Disk, path: Path) -> Manifest:
    """Parse a manifest file; an absent one is an empty manifest.

    Raises:
        ManifestError: malformed, naming the file and the line.
    """
    try:
        content = disk.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return Manifest()
    return parse_manifest(content, str(path))
