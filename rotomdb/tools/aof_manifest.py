"""`rotomdb-aof rebuild-manifest`: which files make up a log, told from their names."""

from __future__ import annotations

from pathlib import Path

import click

from rotomdb.errors import ManifestError, RestoreError
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, LogFile, Manifest
from rotomdb.formats.aof.replay import has_rdb_preamble
from rotomdb.formats.rdb.format import AUX_SAVED_AT
from rotomdb.formats.rdb.reader import read_aux
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import BASE_NAME, FILE_NAME, INCREMENT_NAME, TEMPORARY, append_directory
from rotomdb.storage.manifest_file import read_manifest, save_manifest
from rotomdb.tools.aof_check import free_name
from rotomdb.tools.paths import LOG
from rotomdb.tools.sources import reporting


@click.command("rebuild-manifest")
@click.option("--dry-run", is_flag=True, help="Only show the manifest.")
@click.option("--without-missing", is_flag=True, help="Go on without increments that are gone between others.")
@click.argument("directory", type=LOG)
def rebuild_manifest(dry_run: bool, without_missing: bool, directory: Path) -> None:
    """Write the manifest of a log anew, from the names of the files in its directory. An old one is kept beside.

    DIRECTORY is a data directory, an append directory, or the manifest in it. The newest base counts, and the increments that
    follow it. Where an older base is there too, increments that ended before the newest base was written are left out: it holds
    what they did.

    \b
    Examples:
      rotomdb-aof rebuild-manifest --dry-run /var/lib/redis
    """
    disk = Disk()
    with reporting():
        stem, place = log_to_rebuild(disk, directory)
        manifest, left_out = manifest_of(disk, place, stem, gaps=without_missing)
        path = place / f"{stem}{MANIFEST_SUFFIX}"
        click.echo(manifest.encode().decode(), nl=False)
        for name in left_out:
            click.echo(f"{name}: not part of it", err=True)
        for name in named_and_gone(disk, path):
            click.echo(f"{name}: named by the old manifest, and not there", err=True)
        if dry_run:
            return
        if path.exists():
            copy = free_name(path.with_name(f"{path.name}.before-rebuild"))
            disk.copy(path, copy)
            click.echo(f"The old manifest is kept as {copy}", err=True)
        save_manifest(manifest, disk, place, path.name)
    click.echo(f"{path}: written", err=True)


def log_to_rebuild(disk: Disk, given: Path) -> tuple[str, Path]:
    """The `appendfilename` of the log, and its append directory. Raises RestoreError where that is ambiguous."""
    place = append_directory(disk, given) if disk.is_directory(given) else given.parent
    stems = sorted(files_by_log(disk, place)) if place is not None else []
    if place is None or not stems:
        raise RestoreError(f"{given}: there are no files of a log in it")
    if not disk.is_directory(given) and given.name.removesuffix(MANIFEST_SUFFIX) in stems:
        return given.name.removesuffix(MANIFEST_SUFFIX), place
    if len(stems) > 1 and FILE_NAME not in stems:
        raise RestoreError(
            f"{place}: files of several logs: {', '.join(stems)}; name the manifest that is to be written"
        )
    return FILE_NAME if len(stems) > 1 else stems[0], place


def files_by_log(disk: Disk, directory: Path) -> dict[str, tuple[list[tuple[int, str]], list[tuple[int, str]]]]:
    """Bases and increments with their numbers, by the name of the log that they are of."""
    found: dict[str, tuple[list[tuple[int, str]], list[tuple[int, str]]]] = {}
    for name in disk.names(directory):
        for kind, pattern in enumerate((BASE_NAME, INCREMENT_NAME)):
            match = pattern.fullmatch(name)
            if match and not name.startswith(TEMPORARY):
                found.setdefault(match["stem"], ([], []))[kind].append((int(match["sequence"]), name))
    return found


def manifest_of(disk: Disk, directory: Path, stem: str, *, gaps: bool = False) -> tuple[Manifest, list[str]]:
    """The manifest that the names ask for, and the files that it leaves out. Raises RestoreError where increments are missing."""
    bases, increments = map(sorted, files_by_log(disk, directory)[stem])
    kept = increments
    if len(bases) > 1 and increments:
        begun = base_begun(disk, directory / bases[-1][1])
        kept = [one for one in increments if disk.modified(directory / one[1]) >= begun] or increments[-1:]
    numbers = [sequence for sequence, _ in kept]
    if numbers and not gaps and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise RestoreError(
            f"{directory}: increments are missing between {numbers[0]} and {numbers[-1]}: {numbers}; put them back, or go on "
            "without what they did: --without-missing"
        )
    base = LogFile(bases[-1][1], bases[-1][0], "b") if bases else None
    manifest = Manifest(base, [], [LogFile(name, sequence, "i") for sequence, name in kept])
    used = {file.name for file in manifest.files}
    return manifest, [name for _, name in bases + increments if name not in used]


def base_begun(disk: Disk, path: Path) -> float:
    """When a base began to be written."""
    with disk.mapped(path) as data:
        text = read_aux(data, str(path)).get(AUX_SAVED_AT, b"") if has_rdb_preamble(data) else b""
    return float(text) if text.isdigit() else disk.modified(path)


def named_and_gone(disk: Disk, path: Path) -> list[str]:
    """What an old manifest that can be read still names."""
    try:
        files = read_manifest(disk, path).files
    except ManifestError:
        return []
    return [file.name for file in files if not disk.exists(path.parent / file.name)]
