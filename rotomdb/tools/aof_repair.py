"""`rotomdb-aof fix` and `salvage`: logs made whole again."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rotomdb.storage.aof_reader import has_rdb_preamble, refuse_damage
from rotomdb.storage.block_writer import BlockWriter
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_blocks import CHECKSUM_PREFIX, SYNCED_PREFIX, ZEROS_LINE
from rotomdb.storage.log_examination import examine
from rotomdb.storage.log_items import LogItems
from rotomdb.storage.log_location import Source, find_log
from rotomdb.storage.log_resync import readable_commands
from rotomdb.storage.log_salvage import LogSalvage, Piece, salvage_log
from rotomdb.storage.manifest import MANIFEST_SUFFIX, Manifest
from rotomdb.storage.output import writing
from rotomdb.storage.point_in_time import preamble_end
from rotomdb.storage.rdb_reader import KeyRecord, RdbReader
from rotomdb.storage.rdb_salvage import Salvage
from rotomdb.storage.rdb_writer import RdbWriter
from rotomdb.tools.aof_check import free_name
from rotomdb.tools.log_keys import keys_of
from rotomdb.tools.paths import LOG, output_option
from rotomdb.tools.rdb_convert import own_target
from rotomdb.tools.sources import reporting
from rotomdb.tools.terminal import PROBLEMS, SOUND, fail, progress
from rotomdb.tools.values import shown

KEYS_SHOWN = 20


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.argument("log", type=LOG)
def fix(dry_run: bool, as_json: bool, log: Path) -> None:
    """Cut the end that a crash has torn off the last file. A copy of the whole file is kept beside it.

    Only what no fsync vouched for is cut. Damage in the middle is no torn end: for that there is `salvage`.

    \b
    Examples:
      rotomdb-aof fix --dry-run appendonlydir
      rotomdb-aof fix appendonly.aof
    """
    disk = Disk()
    result: dict[str, Any] = {"log": str(log), "cut": 0, "file": None, "copy": None, "dry_run": dry_run}
    with reporting(f"rotomdb-aof salvage {log}"):
        source = find_log(disk, log)
        for number, path in enumerate(source.paths):
            with disk.mapped(path) as data:
                found = examine(data, preamble_end(data, path))
                size = len(data)
            refuse_damage(str(path))(found)
            if not found.torn:
                continue
            if number < len(source.paths) - 1:
                fail(
                    f"{path}: offset {found.usable}: {found.torn}, and other files follow",
                    hint=f"rotomdb-aof salvage {log}",
                    status=PROBLEMS,
                )
            result.update(file=path.name, cut=size - found.usable, reason=found.torn, size=found.usable)
            if not dry_run:
                copy = free_name(path.with_name(f"{path.name}.before-fix"))
                disk.copy(path, copy)
                disk.truncate(path, found.usable)
                result["copy"] = str(copy)
    if as_json:
        click.echo(json.dumps(result))
    elif not result["cut"]:
        click.echo(f"{log}: there is nothing to fix")
    else:
        done = "would be cut" if dry_run else f"were cut; the file as it was is kept as {result['copy']}"
        click.echo(f"{result['file']}: {result['reason']}: {result['cut']} bytes at the end {done}")


@click.command()
@output_option("Directory to make. Without it: only the report.", directory=True)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.argument("log", type=LOG)
def salvage(output: str | None, as_json: bool, log: Path) -> None:
    """Make a healed log around the damage, in the middle too. The input is only read; without --output it is a dry run.

    Where blocks have checksums, up to three wrong bytes side by side in a block are put right, as the checksum proves
    them; what cannot be put right is set aside as a whole block, so that nothing wrong passes for right. Without checksums
    the next command that can be read is looked for. What is set aside is kept in files beside the healed log, with the keys
    that it touches: of these the log may hold an older state. Exit status 0: nothing was wrong, 1: something was.

    \b
    Examples:
      rotomdb-aof salvage appendonlydir
      rotomdb-aof salvage appendonlydir -o healed; rotomdb-server --dir healed
    """
    disk = Disk()
    with reporting():
        reports = write_healed(disk, find_log(disk, log), None if output is None else Path(output))
    wrong = any(report["repaired"] or report["set_aside"] for report in reports)
    if as_json:
        click.echo(json.dumps({"log": str(log), "output": output, "files": reports}))
    else:
        for report in reports:
            print_salvage(report)
        if output is not None:
            click.echo(f"The healed log is in {output}")
        elif wrong:
            click.echo(f"This was a dry run. To write the healed log: rotomdb-aof salvage {log} -o DIRECTORY")
    sys.exit(PROBLEMS if wrong else SOUND)


def write_healed(disk: Disk, source: Source, output: Path | None) -> list[dict[str, Any]]:
    """A data directory with the healed log, or nothing; returns what was found in each file."""
    reports = []
    with healed_log(disk, source, output) as place:
        for path in source.paths:
            reports.append(salvage_file(disk, path, place, single=source.manifest is None))
        if place is not None and source.manifest is not None:
            named = source.manifest
            kept = Manifest(named.base, [], list(named.increments))
            kept.save(disk, place, source.name + MANIFEST_SUFFIX)
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


def salvage_file(disk: Disk, path: Path, place: Path | None, *, single: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"file": path.name, "repaired": [], "set_aside": [], "lost_bytes": 0}
    keys: Counter[bytes] = Counter()
    with (
        disk.mapped(path) as data,
        progress(f"salvaging {path.name}", len(data)) as advance,
        writing(None if place is None else place / path.name, discard=place is None, disk=disk) as out,
    ):
        result["size"] = len(data)
        start = salvage_preamble(data, path, out.write, result)
        summary = LogSalvage()
        blocks = BlockWriter()
        written = 0
        annotated = False
        for piece in salvage_log(data, start, advance):
            summary.take(piece)
            annotated = annotated or piece.verified
            if piece.content is None:
                set_aside(disk, data, piece, path, place, keys)
                continue
            content = without_annotations(piece.content) if annotated else piece.content
            if annotated and not single:
                content = blocks.add(content, written, 0) + blocks.end() if content else b""
            out.write(content)
            written += len(content)
    for piece in summary.repaired:
        result["repaired"].append({"from": piece.start, "to": piece.end, "bytes": piece.repaired})
    for piece in summary.set_aside:
        result["set_aside"].append({"from": piece.start, "to": piece.end, "reason": piece.reason})
    result["lost_bytes"] += sum(piece.end - piece.start for piece in summary.set_aside)
    result["keys_touched"] = [shown(key) for key in sorted(keys)]
    return result


def salvage_preamble(data: memoryview, path: Path, write: Callable[[bytes], object], result: dict[str, Any]) -> int:
    """The RDB in front, as far as it can be read; returns where the commands begin."""
    if not has_rdb_preamble(data):
        return 0
    reader = RdbReader(data, str(path))
    try:
        work = Salvage(reader)
        writer = RdbWriter(write, own_target(reader), aof_base=True)
        for event in work.records():
            if isinstance(event, KeyRecord):
                reader.visit(writer.sink)
        writer.finish()
        for loss in work.losses:
            if loss.end > loss.start:
                result["set_aside"].append({"from": loss.start, "to": loss.end, "reason": f"RDB: {loss.reason}"})
                result["lost_bytes"] += loss.end - loss.start
        return work.end
    finally:
        reader.close()


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


def set_aside(disk: Disk, data: memoryview, piece: Piece, path: Path, place: Path | None, keys: Counter[bytes]) -> None:
    """Keep what is damaged beside, and see which keys it names, as far as it can be read."""
    if place is not None:
        disk.write_new(place / f"{path.name}.set-aside-at-{piece.start}", data[piece.start : piece.end])
    for words in readable_commands(bytes(data[piece.start : piece.end])):
        if words[0].upper() != b"SELECT":
            keys.update(keys_of(words))


def print_salvage(report: dict[str, Any]) -> None:
    name = report["file"]
    for one in report["repaired"]:
        click.echo(
            f"{name}: {one['bytes']} wrong bytes in the block at {one['from']} can be put right, as its checksum proves"
        )
    for one in report["set_aside"]:
        click.echo(f"{name}: bytes {one['from']} to {one['to']} are set aside: {one['reason']}")
    if report["keys_touched"]:
        named = report["keys_touched"]
        more = f" and {len(named) - KEYS_SHOWN} more" if len(named) > KEYS_SHOWN else ""
        click.echo(f"{name}: keys that may be older than they were: {', '.join(named[:KEYS_SHOWN])}{more}")
    if not report["repaired"] and not report["set_aside"]:
        click.echo(f"{name}: sound")
    else:
        click.echo(f"{name}: {report['lost_bytes']} of {report['size']} bytes are lost")
