"""`rotomdb-rdb salvage`: what can still be read of a damaged snapshot."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from rotomdb.errors import RdbError
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.reader import KeyRecord
from rotomdb.formats.rdb.writer import RdbWriter, Target
from rotomdb.storage.output import writing
from rotomdb.storage.rdb_salvage import COPY_BYTES, Loss, Mended, Salvage, put_right, reader_of_damaged
from rotomdb.storage.rdb_source import RdbSource
from rotomdb.tools.library_trial import LibraryTrial
from rotomdb.tools.losses import Losses, note_loss, note_losses
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.rdb_convert import name_of, own_target, target_option
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, SOUND, Advance
from rotomdb.tools.values import shown


@click.command()
@output_option("RDB to make of what can be read. Without it: only the report.")
@target_option
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.argument("file", type=DATA)
def salvage(output: str | None, target: Target | None, as_json: bool, file: str) -> None:
    """Recover every key that can still be read from a damaged or cut snapshot. The input is only read.

    When up to three bytes side by side are all that is wrong, the checksum of the file proves which and what they were: then
    the output is the file as it was. Otherwise the next place behind each damage is looked for from which several records in
    a row make sense. A key that is recovered is sound in structure; where the damage only changed bytes inside a text nobody
    can see it, as the file has one checksum for all. Of a key that stands in the file twice, which servers refuse, the first
    is kept. Exit status 0: nothing was wrong, 1: something was.

    \b
    Examples:
      rotomdb-rdb salvage broken.rdb                                       # what would be lost
      rotomdb-rdb salvage broken.rdb -o salvaged.rdb
      rotomdb-rdb salvage --target rotomdb dump.rdb -o dump.rdb.salvaged   # without what rotomdb-server cannot hold
    """
    with opened(file, "salvaging") as source, mended(source) as found:
        whole = source.source if found is None else found.source
        lost: Losses = {}
        if found is not None and target is None:
            with writing(output, discard=output is None) as out:
                for start in range(0, len(whole.data), COPY_BYTES):
                    out.write(bytes(whole.data[start : start + COPY_BYTES]))
        else:
            work, lost = write_readable(whole, output, target, source.advance)
        if found is not None:
            report_repair(found, file, output, as_json)
        else:
            report(work, file, output, len(whole.data), as_json)
    left_out = note_losses(lost, name_of(target), False)
    sys.exit(PROBLEMS if found is not None or work.losses or left_out else SOUND)


@contextlib.contextmanager
def mended(source: Opened) -> Iterator[Mended | None]:
    """The file as it was, where it is damaged and the checksum proves how."""
    data, name = source.source.data, source.source.name
    try:
        check_rdb(data, name, release=source.source.release)
    except RdbError:
        with put_right(data, name) as found:
            yield found
    else:
        yield None


def write_readable(
    source: RdbSource, output: str | None, target: Target | None, advance: Advance
) -> tuple[Salvage, Losses]:
    """Every record that can be read, for the target, or as it is."""
    reader = reader_of_damaged(source.data, source.name, source.release)
    try:
        work = Salvage(reader, advance, as_snapshot=True, take_library=LibraryTrial())
        outside: Losses = {}
        with writing(output, discard=output is None) as out:
            writer = RdbWriter(out.write, target or own_target(reader))
            for event in work.records():
                if isinstance(event, KeyRecord):
                    reader.visit(writer.sink)
                elif not writer.take(event, reader.data):
                    note_loss(outside, event)
            writer.finish()
    finally:
        reader.close()
    return work, {**writer.sink.lost, **outside}


def report_repair(found: Mended, file: str, output: str | None, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({
                "file": file, "repaired": {"offset": found.at, "bytes": len(found.error)}, "losses": [], "lost_bytes": 0,
            })
        )  # fmt: skip
        return
    click.echo(
        f"{file}: {len(found.error)} wrong bytes at offset {found.at} are all that is wrong, as the checksum proves"
    )
    click.echo(f"{output}: the file as it was" if output else "With --output the file as it was is written.")


def describe(loss: Loss) -> dict[str, Any]:
    return {
        "from": loss.start, "to": loss.end, "offset": loss.offset, "reason": loss.reason, "db": loss.database,
        "key": None if loss.key is None else shown(loss.key), "suspect": None if loss.suspect is None else shown(loss.suspect),
    }  # fmt: skip


def report(work: Salvage, file: str, output: str | None, size: int, as_json: bool) -> None:
    lost = sum(loss.end - loss.start for loss in work.losses)
    missing = max(work.expected_keys - work.keys, 0)
    if as_json:
        click.echo(json.dumps({
            "file": file, "size": size, "keys": work.keys, "expected_keys": work.expected_keys or None,
            "checksum_matches": work.checksum_matches, "lost_bytes": lost, "losses": [describe(loss) for loss in work.losses],
        }))  # fmt: skip
        return
    for loss in work.losses:
        whose = f" (key {shown(loss.key)}, db {loss.database})" if loss.key is not None else ""
        click.echo(f"{file}: offset {loss.offset}: {loss.reason}{whose}; lost are bytes {loss.start} to {loss.end}")
        if loss.suspect is not None:
            click.echo(
                f"{file}: key {shown(loss.suspect)} right before that can be read, but may end at the wrong place"
            )
    expected = f" of the {work.expected_keys} that the file announces" if work.expected_keys else ""
    click.echo(f"{file}: {work.keys} keys can be read{expected}; {lost} of {size} bytes are lost")
    if missing and work.losses:
        click.echo(f"{file}: {missing} keys are missing")
    if work.checksum_matches is False:
        click.echo(f"{file}: the checksum does not match: texts may hold changed bytes that nobody can see")
    if output is not None:
        click.echo(f"{output}: {work.keys} keys written")
