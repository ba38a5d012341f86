"""A log as it was: up to a second, or up to right before a command. The files it comes from are only read.

Times are those of the `#TS` annotations (`aof-timestamp-enabled yes`); a base holds everything up to when it was written, so
the past before that is only in a backup.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import AofError, RestoreError
from rotomdb.formats.aof.annotations import parse_timestamp
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, LogFile, Manifest
from rotomdb.formats.aof.replay import has_rdb_preamble, refuse_damage
from rotomdb.formats.passing import passing
from rotomdb.formats.rdb.format import AUX_SAVED_AT
from rotomdb.formats.rdb.reader import end_of_rdb, read_aux
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import Source
from rotomdb.storage.manifest_file import save_manifest

DATABASE_DIGITS = 10


@dataclass(frozen=True)
class Cut:
    """Where the log is to end: in the file of that number, at that offset."""

    file: int
    offset: int
    time: int  # the last annotation before it; 0: there is none


@dataclass(frozen=True)
class Item:
    """A command, or an annotation.

    Attributes:
        words: Of the command; empty for an annotation.
        start: Where it begins; inside a transaction, where that does.
        at, end: The bytes of the item itself.
        time: Unix seconds of the last time annotation up to it; 0: there was none.
        database: That is selected when it runs.
    """

    words: list[bytes]
    annotation: bytes
    start: int
    at: int
    end: int
    time: int
    database: int


def items(data: memoryview, start: int, time: int = 0) -> Iterator[Item]:
    """The items of a log that has been examined; `time`: of the last annotation before."""
    log = LogItems(data, start, on_progress=passing(data))
    database = 0
    try:
        while (item := log.take()) is not None:
            if isinstance(item, bytes):
                told = parse_timestamp(item)
                time = time if told is None else told
                yield Item([], item, log.unit, log.at, log.offset, time, database)
                continue
            if len(item) == 2 and item[0].upper() == b"SELECT" and item[1].isdigit():
                database = int(item[1][:DATABASE_DIGITS])
            yield Item(item, b"", log.unit, log.at, log.offset, time, database)
    finally:
        log.close()


def walk(disk: Disk, source: Source) -> Iterator[tuple[int, Item]]:
    """Every item of every file, with the number of its file. Raises AofError or RdbError where a file is damaged."""
    time = 0
    for number, path in enumerate(source.paths):
        with disk.mapped(path) as data:
            start = preamble_end(data, path)
            found = examine(data, start)
            refuse_damage(str(path))(found)
            if found.torn and number < len(source.paths) - 1:
                raise AofError(str(path), found.usable, found.torn)
            sound = data[: found.usable]
            try:
                for item in items(sound, start, time):
                    time = item.time
                    yield number, item
            finally:
                sound.release()


def preamble_end(data: memoryview, path: Path) -> int:
    """Where the commands begin."""
    return end_of_rdb(data, str(path)) if has_rdb_preamble(data) else 0


def base_time(disk: Disk, path: Path) -> int:
    """When a base in RDB form was written; 0: it does not say."""
    with disk.mapped(path) as data:
        if not has_rdb_preamble(data):
            return 0
        text = read_aux(data, str(path)).get(AUX_SAVED_AT, b"")
    return int(text) if text.isdigit() else 0


def cut_at(disk: Disk, source: Source, second: int) -> Cut:
    """Up to the end of that second.

    Raises:
        RestoreError: the log does not reach back so far, or carries no times.
        AofError, RdbError: a file is damaged.
    """
    begun = base_time(disk, source.paths[0])
    if begun > second:
        raise RestoreError(
            f"{source.paths[0]}: it was written at {begun}, after {second}: what was before is not in this log. "
            "Look for a backup from between."
        )
    last = 0
    for number, item in walk(disk, source):
        if item.time > second:
            return Cut(number, item.start, last)
        last = item.time
    if not last:
        raise RestoreError(
            f"{source.directory}: the log carries no times (aof-timestamp-enabled was off): it can only be cut `--before` a command"
        )
    return whole(disk, source, last)


def whole(disk: Disk, source: Source, last: int = 0) -> Cut:
    """All of it, but for a torn end."""
    path = source.paths[-1]
    with disk.mapped(path) as data:
        end = examine(data, preamble_end(data, path)).usable
    return Cut(len(source.paths) - 1, end, last)


def cut_before(disk: Disk, source: Source, name: str) -> Cut:
    """Right before the last command of that name; inside a transaction, before all of it.

    Raises:
        RestoreError: the log holds no such command.
        AofError, RdbError: a file is damaged.
    """
    wanted = name.encode().upper()
    found: Cut | None = None
    for number, item in walk(disk, source):
        if item.words and item.words[0].upper() == wanted:
            found = Cut(number, item.start, item.time)
    if found is None:
        raise RestoreError(f"{source.directory}: the log holds no {name.upper()}")
    return found


def write_restored(disk: Disk, source: Source, cut: Cut, output: Path, append_directory: str = "appendonlydir") -> None:
    """Make a data directory that ends at the cut. It must not exist yet.

    Raises:
        RestoreError: it exists.
        OSError: it cannot be written; what was written of it is removed.
    """
    if disk.exists(output):
        raise RestoreError(f"{output}: it exists already; name a directory that is to be made")
    with disk.directory_beside(output) as beside:
        target = beside
        if source.manifest is not None:
            target = beside / append_directory
            disk.make_directory(target)
        kept = source.paths[: cut.file + 1]
        for path in kept:
            disk.copy(path, target / path.name, cut.offset if path is kept[-1] else None)
        if source.manifest is not None:
            named: list[LogFile] = source.manifest.files[: cut.file + 1]
            base = source.manifest.base if source.manifest.base in named else None
            increments = [file for file in named if file is not base]
            save_manifest(Manifest(base, [], increments), disk, target, source.name + MANIFEST_SUFFIX)
