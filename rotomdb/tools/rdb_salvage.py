"""`rotomdb-rdb salvage`: what can still be read of a damaged snapshot."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import click

from rotomdb.errors import RdbError
from rotomdb.storage.output import writing
from rotomdb.storage.rdb_reader import KeyRecord, check_rdb
from rotomdb.storage.rdb_salvage import Loss, Salvage, locate_burst
from rotomdb.storage.rdb_source import mapped
from rotomdb.storage.rdb_writer import RdbWriter
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.rdb_convert import own_target
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, SOUND
from rotomdb.tools.values import shown

COPY_BYTES = 1 << 20


@click.command()
@output_option("RDB to make of what can be read. Without it: only the report.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.argument("file", type=DATA)
def salvage(output: str | None, as_json: bool, file: str) -> None:
    """Recover every key that can still be read from a damaged or cut snapshot. The input is only read.

    When up to three bytes side by side are all that is wrong, the checksum of the file proves which and what they were: then
    the output is the file as it was. Otherwise the next place behind each damage is looked for from which several records in
    a row make sense. A key that is recovered is sound in structure; where the damage only changed bytes inside a text nobody
    can see it, as the file has one checksum for all. Exit status 0: nothing was wrong, 1: something was.

    \b
    Examples:
      rotomdb-rdb salvage broken.rdb                       # what would be lost
      rotomdb-rdb salvage broken.rdb -o salvaged.rdb
    """
    with opened(file, "salvaging") as source:
        whole = put_right(source, output)
        if whole is not None:
            report_repair(whole, file, output, as_json)
            sys.exit(PROBLEMS)
        reader = source.reader()
        work = Salvage(reader, source.advance)
        with writing(output, discard=output is None) as out:
            writer = RdbWriter(out.write, own_target(reader))
            for event in work.records():
                if isinstance(event, KeyRecord):
                    reader.visit(writer.sink)
                else:
                    writer.take(event, reader.data)
            writer.finish()
        size = len(reader.data)
        reader.close()
    report(work, file, output, size, as_json)
    sys.exit(PROBLEMS if work.losses else SOUND)


def put_right(source: Opened, output: str | None) -> tuple[int, bytes] | None:
    """Where the one burst of wrong bytes is, when there is just one, and what to XOR there. The output is written then."""
    data = source.source.data
    try:
        check_rdb(data, source.source.name, release=source.source.release)
        return None
    except RdbError:
        found = locate_burst(data)
    if found is None:
        return None
    at, error = found
    with tempfile.TemporaryFile(prefix="rotomdb-") as file:
        for start in range(0, len(data), COPY_BYTES):
            file.write(data[start : start + COPY_BYTES])
        file.seek(at)
        file.write(bytes(a ^ b for a, b in zip(data[at : at + len(error)], error, strict=True)))
        file.flush()
        with mapped(file, source.source.name) as patched:
            try:
                check_rdb(patched.data, patched.name, release=patched.release)
            except RdbError:
                return None  # it only looked like one
            with writing(output, discard=output is None) as out:
                for start in range(0, len(data), COPY_BYTES):
                    out.write(bytes(patched.data[start : start + COPY_BYTES]))
    return found


def report_repair(found: tuple[int, bytes], file: str, output: str | None, as_json: bool) -> None:
    at, error = found
    if as_json:
        click.echo(
            json.dumps({"file": file, "repaired": {"offset": at, "bytes": len(error)}, "losses": [], "lost_bytes": 0})
        )
        return
    click.echo(f"{file}: {len(error)} wrong bytes at offset {at} are all that is wrong, as the checksum proves")
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
