"""`rotomdb-aof undo`: a log without one mistaken command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from rotomdb.formats.aof.annotation_writer import BlockWriter
from rotomdb.formats.aof.annotations import BLOCK_BYTES, CHECKSUM_PREFIX, SYNCED_PREFIX, ZEROS_LINE
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, Manifest
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import Source, find_log
from rotomdb.storage.manifest_file import save_manifest
from rotomdb.storage.output import writing
from rotomdb.storage.point_in_time import Item, items, preamble_end
from rotomdb.storage.propagation import encode_command
from rotomdb.tools.aof_inspect import clock, commands_of, line_of
from rotomdb.tools.log_keys import TOUCH_ALL, keys_of
from rotomdb.tools.paths import LOG, output_option
from rotomdb.tools.sources import reporting
from rotomdb.tools.terminal import PROBLEMS, fail

DEPENDENTS_SHOWN = 20


@click.command()
@click.option("--last", "name", metavar="COMMAND", help="The last command of this name.")
@click.option("--key", help="With --last: that touches this key.")
@click.option("--at", "place", metavar="FILE:OFFSET", help="The command at this place, as `history` shows it.")
@output_option("Data directory to make. Without it: only the report.", directory=True)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.argument("log", type=LOG)
def undo(name: str | None, key: str | None, place: str | None, output: str | None, as_json: bool, log: Path) -> None:
    """Make a log without one mistaken command, and list what came after it on the same keys.

    What follows stays in, and is executed on what the keys then hold: look at the list. LOG is only read. To go back to a point
    in time and drop all that follows there is `restore --before`.

    \b
    Examples:
      rotomdb-aof undo /var/lib/rotomdb --last FLUSHALL
      rotomdb-aof undo /var/lib/rotomdb --last DEL --key cart:7 -o /tmp/undone
      rotomdb-aof undo /var/lib/rotomdb --at appendonly.aof.3.incr.aof:18233 -o /tmp/undone
    """
    if (name is None) == (place is None):
        raise click.UsageError("name the command with --last or with --at")
    disk = Disk()
    with reporting(f"rotomdb-aof check {log}"):
        source = find_log(disk, log)
        found = find_command(disk, source, name, key, place)
        if found is None:
            fail(f"{log}: the log holds no such command", status=PROBLEMS)
        number, item = found
        refuse_part_of_others(item, source.paths[number])
        behind, first = 0, []
        for line in commands_behind(disk, source, number, item):
            behind += 1
            if behind <= DEPENDENTS_SHOWN:
                first.append(line)
        if output is not None:
            write_without(disk, source, number, item, Path(output))
    result = {
        "log": str(log), "file": source.paths[number].name, "offset": item.at, "time": item.time or None,
        "command": line_of(item.words), "followed_by": behind, "first": first,
        "output": output,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(result))
        return
    when = f" of {clock(item.time)}" if item.time else ""
    click.echo(f"{result['file']}:{item.at}{when}: {line_of(item.words)}")
    click.echo(f"{behind} later commands touch the same keys, and stay" + (":" if behind else ""))
    for line in first:
        click.echo(f"  {line}")
    if behind > len(first):
        click.echo(f"  and {behind - len(first)} more")
    if output is None:
        click.echo("Nothing was written. To write the log without it: --output DIRECTORY")
    else:
        click.echo(f"Written to {output}. Start it with: rotomdb-server --dir {output}")


def refuse_part_of_others(item: Item, path: Path) -> None:
    """What gives other commands their meaning is no mistake by itself."""
    if item.words[0].upper() in (b"SELECT", b"MULTI", b"EXEC"):
        fail(
            f"{path}: offset {item.at}: without this {item.words[0].decode().upper()} those behind it would do something else",
            status=PROBLEMS,
        )


def find_command(
    disk: Disk, source: Source, name: str | None, key: str | None, place: str | None
) -> tuple[int, Item] | None:
    found = None
    file, _, offset = (place or "").rpartition(":")
    if place and not (file and offset.isdigit()):
        raise click.UsageError(f"{place!r} is no FILE:OFFSET")
    for number, item in commands_of(disk, source):
        if place:
            if source.paths[number].name == file and item.at == int(offset):
                return number, item
        elif (
            name
            and item.words[0].upper() == name.upper().encode()
            and (key is None or key.encode("utf-8", "surrogateescape") in keys_of(item.words))
        ):
            found = number, item
    return found


def commands_behind(disk: Disk, source: Source, number: int, item: Item) -> Iterator[str]:
    """Later writes to the keys that the command touched."""
    everything = item.words[0].upper() in TOUCH_ALL
    touched = set(keys_of(item.words))
    for later, other in commands_of(disk, source):
        if (later, other.at) <= (number, item.at):
            continue
        keys = keys_of(other.words)
        if (everything and keys) or touched.intersection(keys) or other.words[0].upper() in TOUCH_ALL:
            yield f"{clock(other.time) or '-'}  {source.paths[later].name}:{other.at}  {line_of(other.words)}"


def write_without(disk: Disk, source: Source, number: int, item: Item, output: Path) -> None:
    """A data directory with the log, one command left out; its file is written with new checksums."""
    with disk.directory_beside(output) as directory:
        place = directory
        if source.manifest is not None:
            place = directory / "appendonlydir"
            disk.make_directory(place)
        for index, path in enumerate(source.paths):
            if index != number:
                disk.copy(path, place / path.name)
                continue
            with disk.mapped(path) as data, writing(place / path.name, disk=disk) as out:
                start = preamble_end(data, path)
                usable = examine(data, start).usable
                out.write(data[:start])
                copy_without(data, start, usable, item.at, out.write, blocks=source.manifest is not None)
        if source.manifest is not None:
            named = source.manifest
            save_manifest(Manifest(named.base, [], list(named.increments)), disk, place, source.name + MANIFEST_SUFFIX)


def copy_without(
    data: memoryview, start: int, end: int, left_out: int, write: Callable[[bytes], object], *, blocks: bool
) -> None:
    """The commands from `start` to `end`, but for the one at `left_out`; in blocks of their own where the log had blocks."""
    sound = data[:end]
    annotated = blocks and bytes(data[start : start + len(SYNCED_PREFIX)]) == SYNCED_PREFIX
    writer = BlockWriter()
    written = 0
    pending = bytearray()
    in_transaction = selects = False

    def end_block() -> None:
        nonlocal written
        if pending:
            content = bytes(pending)
            content = writer.add(content, written, 0) + writer.end() if annotated else content
            write(content)
            written += len(content)
            pending.clear()

    for item in items(sound, start):
        if item.annotation.startswith((CHECKSUM_PREFIX, SYNCED_PREFIX, ZEROS_LINE[:-2])) or item.at == left_out:
            continue
        name = item.words[0].upper() if item.words else b""
        if len(pending) >= BLOCK_BYTES and not in_transaction:  # log_blocks, B1
            end_block()
            if annotated and selects and name != b"SELECT":  # B4
                pending += encode_command(b"SELECT", b"%d" % item.database)
        selects = selects or name == b"SELECT"
        in_transaction = (in_transaction or name == b"MULTI") and name != b"EXEC"
        pending += sound[item.at : item.end]
    end_block()
    sound.release()
