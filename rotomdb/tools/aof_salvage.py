"""`rotomdb-aof salvage`: a log made whole again, around damage and what a server would refuse."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from rotomdb.errors import Fault, RdbError
from rotomdb.formats.aof.annotation_writer import BlockWriter
from rotomdb.formats.aof.annotations import CHECKSUM_PREFIX, SYNCED_PREFIX, ZEROS_LINE
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, Manifest
from rotomdb.formats.aof.replay import has_rdb_preamble
from rotomdb.formats.aof.resync import readable_commands
from rotomdb.formats.aof.salvage import LogSalvage, Piece, salvage_log
from rotomdb.formats.rdb.reader import KeyRecord, ModuleAux, RdbReader
from rotomdb.formats.rdb.writer import RdbWriter
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import Source, begins_with_rdb, find_log
from rotomdb.storage.manifest_file import save_manifest
from rotomdb.storage.output import writing
from rotomdb.storage.rdb_salvage import Salvage, put_right, reader_of_damaged
from rotomdb.tools.library_trial import LibraryTrial
from rotomdb.tools.log_keys import keys_of
from rotomdb.tools.log_sifting import Sifter
from rotomdb.tools.paths import LOG, output_option
from rotomdb.tools.rdb_convert import own_target
from rotomdb.tools.sources import reporting
from rotomdb.tools.terminal import PROBLEMS, SOUND, progress
from rotomdb.tools.values import shown

KEYS_SHOWN = 20


@dataclass
class FileReport:
    """What one file of the log gave.

    Attributes:
        repaired: Bytes that were put right.
        set_aside: What is not in the healed log; of a length of 0 where what is there cannot be vouched for.
        left_out: Keys of the base that no server of this kind can hold.
    """

    file: str
    size: int = 0
    repaired: list[dict[str, int]] = field(default_factory=list)
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    lost_bytes: int = 0
    keys_touched: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.repaired or self.set_aside or self.left_out)

    def aside(self, start: int, end: int, reason: str) -> None:
        self.set_aside.append({"from": start, "to": end, "reason": reason})
        self.lost_bytes += end - start


@click.command()
@output_option("Directory to make. Without it: only the report.", directory=True)
@click.option("--deep", is_flag=True, help="Also try each command on an engine: needs memory for what the log writes.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.argument("log", type=LOG)
def salvage(output: str | None, deep: bool, as_json: bool, log: Path) -> None:
    """Make a healed log around the damage, in the middle too. The input is only read; without --output it is a dry run.

    Where blocks have checksums, up to three wrong bytes side by side in a block are put right, as the checksum proves
    them; what cannot be put right is set aside as a whole block, so that nothing wrong passes for right. Without checksums
    the next command that can be read is looked for. Commands that rotomdb-server refuses to replay, and transactions with
    one, are set aside too; some show only with --deep. What is set aside is kept in files beside the healed log, with the keys
    that it touches: of these the log may hold an older state. Exit status 0: nothing was wrong, 1: something was.

    \b
    Examples:
      rotomdb-aof salvage appendonlydir
      rotomdb-aof salvage appendonlydir -o healed; rotomdb-server --dir healed
    """
    disk = Disk()
    with reporting():
        reports = write_healed(disk, find_log(disk, log), None if output is None else Path(output), deep=deep)
    wrong = not all(report.sound for report in reports)
    if as_json:
        click.echo(json.dumps({"log": str(log), "output": output, "files": [vars(report) for report in reports]}))
    else:
        for report in reports:
            print_salvage(report)
        if output is not None:
            click.echo(f"The healed log is in {output}")
        elif wrong:
            click.echo(f"This was a dry run. To write the healed log: rotomdb-aof salvage {log} -o DIRECTORY")
    sys.exit(PROBLEMS if wrong else SOUND)


def write_healed(disk: Disk, source: Source, output: Path | None, *, deep: bool = False) -> list[FileReport]:
    """A data directory with the healed log, or nothing; returns what was found in each file."""
    reports = []
    sifter = Sifter(deep=deep)
    with healed_log(disk, source, output) as place:
        for path in source.paths:
            sifter.begin_file()
            reports.append(salvage_file(disk, path, place, sifter, single=source.manifest is None))
        if place is not None and source.manifest is not None:
            named = source.manifest
            kept = Manifest(named.base, [], list(named.increments))
            save_manifest(kept, disk, place, source.name + MANIFEST_SUFFIX)
    return reports


@contextmanager
def healed_log(disk: Disk, source: Source, output: Path | None) -> Iterator[Path | None]:
    """Where the files go: of a multi-part log into an append directory inside of it."""
    if output is None:
        yield None
        return
    with disk.directory_beside(output) as directory:
        if source.manifest is None:
            yield directory
            return
        disk.make_directory(directory / "appendonlydir")
        yield directory / "appendonlydir"


def salvage_file(disk: Disk, path: Path, place: Path | None, sifter: Sifter, *, single: bool) -> FileReport:
    report = FileReport(path.name)
    keys: Counter[bytes] = Counter()
    with (
        disk.mapped(path) as data,
        progress(f"salvaging {path.name}", len(data)) as advance,
        writing(None if place is None else place / path.name, discard=place is None, disk=disk) as out,
    ):
        report.size = len(data)
        start = salvage_preamble(data, path, out.write, report)
        summary = LogSalvage()
        blocks = BlockWriter()
        written = 0
        annotated = False
        for piece in salvage_log(data, start, advance):
            summary.take(piece)
            annotated = annotated or piece.verified
            for part in sifter.parts(piece):
                if part.content is None:
                    report.aside(part.start, part.end, part.reason)
                    keep_aside(disk, data, part, path, place, keys)
                    continue
                content = without_annotations(part.content) if annotated else part.content
                if annotated and not single:
                    content = blocks.add(content, written, 0) + blocks.end() if content else b""
                out.write(content)
                written += len(content)
    for piece in summary.repaired:
        report.repaired.append({"from": piece.start, "to": piece.end, "bytes": piece.repaired})
    report.keys_touched = [shown(key) for key in sorted(keys)]
    return report


# The RDB in front


def salvage_preamble(data: memoryview, path: Path, write: Callable[[bytes], object], report: FileReport) -> int:
    """The RDB in front, as far as it can be read; returns where the commands begin."""
    if not begins_with_rdb(data, path):
        return 0
    try:
        reader = reader_of_damaged(data, str(path))
    except RdbError as error:
        if error.fault is not Fault.FOREIGN or not has_rdb_preamble(data):
            return 0
        report.aside(
            0, len(data), f"RDB: {error.reason}"
        )  # of a version that nobody can read: where it ends is unknown, too
        return len(data)
    try:
        work = Salvage(reader, take_library=LibraryTrial())
        end = work.end
        if work.losses:
            with put_right(data[:end], str(path)) as mended:
                if mended is not None:
                    report.repaired.append({"from": 0, "to": end, "bytes": len(mended.error)})
                    whole = RdbReader(mended.source.data, str(path), mended.source.release)
                    try:
                        write_base(Salvage(whole, take_library=LibraryTrial()), write, report)
                    finally:
                        whole.close()
                    return end
        write_base(work, write, report)
        return end
    finally:
        reader.close()


def write_base(work: Salvage, write: Callable[[bytes], object], report: FileReport) -> None:
    reader = work.reader
    writer = RdbWriter(write, replace(own_target(reader), modules=False), aof_base=True)
    for event in work.records():
        if isinstance(event, KeyRecord):
            reader.visit(writer.sink)
        elif not writer.take(event, reader.data) and isinstance(event, ModuleAux):
            report.aside(event.start, event.end, f"RDB: data of module {event.module}")
    writer.finish()
    for loss in work.losses:
        report.aside(loss.start, loss.end, f"RDB: {loss.reason}")
    report.left_out = {what: [shown(key) for key in names] for what, (_, names) in writer.sink.lost.items()}


# Commands


def without_annotations(content: bytes) -> bytes:
    """A block's commands, with time annotations; its own are written anew, for the place where they will stand."""
    items = LogItems(content)
    kept = []
    try:
        while (item := items.skip()) is not None:
            line = item is not True and (item.startswith((CHECKSUM_PREFIX, SYNCED_PREFIX)) or item == ZEROS_LINE[:-1])
            if not line:
                kept.append(content[items.at : items.offset])
    finally:
        items.close()
    return b"".join(kept)


def keep_aside(
    disk: Disk, data: memoryview, piece: Piece, path: Path, place: Path | None, keys: Counter[bytes]
) -> None:
    """Keep what is damaged beside, and see which keys it names, as far as it can be read."""
    if place is not None:
        disk.write_new(place / f"{path.name}.set-aside-at-{piece.start}", data[piece.start : piece.end])
    for words in readable_commands(bytes(data[piece.start : piece.end])):
        if words[0].upper() != b"SELECT":
            keys.update(keys_of(words))


def print_salvage(report: FileReport) -> None:
    name = report.file
    for one in report.repaired:
        click.echo(
            f"{name}: {one['bytes']} wrong bytes in the block at {one['from']} can be put right, as its checksum proves"
        )
    for one in report.set_aside:
        if one["to"] > one["from"]:
            click.echo(f"{name}: bytes {one['from']} to {one['to']} are set aside: {one['reason']}")
        else:
            click.echo(
                f"{name}: offset {one['from']}: {one['reason']}: texts may hold changed bytes that nobody can see"
            )
    for what, names in report.left_out.items():
        click.echo(f"{name}: rotomdb cannot hold {what}: left out are {', '.join(names)}, …")
    if report.keys_touched:
        named = report.keys_touched
        more = f" and {len(named) - KEYS_SHOWN} more" if len(named) > KEYS_SHOWN else ""
        click.echo(f"{name}: keys that may be older than they were: {', '.join(named[:KEYS_SHOWN])}{more}")
    if report.sound:
        click.echo(f"{name}: sound")
    else:
        click.echo(f"{name}: {report.lost_bytes} of {report.size} bytes are lost")
