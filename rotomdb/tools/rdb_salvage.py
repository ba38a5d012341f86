"""`rotomdb-rdb salvage`: what can still be read of a damaged snapshot."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from rotomdb.storage.rdb_reader import Aux, End, Function, KeyRecord
from rotomdb.storage.rdb_salvage import Loss, Salvage
from rotomdb.storage.rdb_writer import RdbWriter
from rotomdb.tools.output import writing
from rotomdb.tools.rdb_convert import own_target
from rotomdb.tools.sources import opened
from rotomdb.tools.terminal import PROBLEMS, SOUND
from rotomdb.tools.values import shown


@click.command()
@click.option("--output", "-o", help="RDB to make of what can be read. Without it: only the report.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.argument("file")
def salvage(output: str | None, as_json: bool, file: str) -> None:
    """Recover every key that can still be read from a damaged or cut snapshot. The input is only read.

    Behind what cannot be read the next place is looked for from which several records in a row make sense. A key that is
    recovered is sound in structure; where the damage only changed bytes inside a text nobody can see it, as the file has one
    checksum for all. Exit status 0: nothing was lost, 1: something was.

    \b
    Examples:
      rotomdb-rdb salvage broken.rdb                       what would be lost
      rotomdb-rdb salvage broken.rdb -o salvaged.rdb
    """
    with opened(file, "salvaging") as source:
        reader = source.reader()
        work = Salvage(reader, source.advance)
        if output is None:
            for _ in work.records():
                pass
        else:
            with writing(output) as out:
                writer = RdbWriter(out.write, own_target(reader))
                for event in work.records():
                    if isinstance(event, KeyRecord):
                        reader.visit(writer.sink)
                    elif isinstance(event, Function):
                        writer.function(event.code)
                    elif isinstance(event, Aux | End):
                        pass
                writer.finish()
        size = len(reader.data)
        reader.close()
    report(work, file, output, size, as_json)
    sys.exit(PROBLEMS if work.losses else SOUND)


def describe(loss: Loss) -> dict[str, Any]:
    return {
        "from": loss.start, "to": loss.end, "offset": loss.offset, "reason": loss.reason, "db": loss.database,
        "key": None if loss.key is None else shown(loss.key),
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
    expected = f" of the {work.expected_keys} that the file announces" if work.expected_keys else ""
    click.echo(f"{file}: {work.keys} keys can be read{expected}; {lost} of {size} bytes are lost")
    if missing and work.losses:
        click.echo(f"{file}: {missing} keys are missing")
    if work.checksum_matches is False:
        click.echo(f"{file}: the checksum does not match: texts may hold changed bytes that nobody can see")
    if output is not None:
        click.echo(f"{output}: {work.keys} keys written")
