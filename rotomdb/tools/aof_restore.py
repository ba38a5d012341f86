"""`rotomdb-aof restore`: a data directory as it was."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from rotomdb.errors import FileFormatError, ManifestError, RestoreError
from rotomdb.storage.backup import INDEX_NAME, verify
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import Source, find_log
from rotomdb.storage.point_in_time import cut_at, cut_before, whole, write_restored
from rotomdb.tools.paths import LOG, output_option
from rotomdb.tools.terminal import PROBLEMS, error_text, fail


class Moment(click.ParamType[int]):
    """Unix seconds, or a date and time as ISO 8601 writes it (without a zone: local time)."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> int:
        if value.isdigit():
            return int(value)
        try:
            return int(datetime.fromisoformat(value).timestamp())
        except ValueError:
            self.fail(f"{value!r} is no time; try 1729000000 or 2026-11-21T14:00:00", param, context)


@click.command()
@click.argument("source", type=LOG)
@output_option("Data directory to make.", required=True, directory=True)
@click.option("--at", type=Moment(), help="Restore the data as it was at the end of this second.")
@click.option("--before", metavar="COMMAND", help="Restore the data as it was right before the last COMMAND.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def restore(source: Path, output: str, at: int | None, before: str | None, as_json: bool) -> None:
    """Make a data directory as it was in the past; SOURCE is only read.

    SOURCE is a data directory, a backup, an append directory, a manifest or a single file. A backup is verified first.

    \b
    Examples:
      rotomdb-aof restore /var/lib/rotomdb --at 2026-11-21T14:00:00 -o /tmp/restored
      rotomdb-aof restore /var/lib/rotomdb --before FLUSHALL -o /tmp/restored
      rotomdb-aof restore backups/20261121T140000Z -o /tmp/restored
      rotomdb-server --dir /tmp/restored --port 7777
    """
    if at is not None and before is not None:
        raise click.UsageError("--at and --before exclude each other")
    disk = Disk()
    try:
        if (source / INDEX_NAME).exists():
            problems = verify(disk, source)
            if problems:
                fail("; ".join(problems), status=PROBLEMS)
        log = find_log(disk, source)
        cut = cut_at(disk, log, at) if at is not None else cut_before(disk, log, before) if before else whole(disk, log)
        write_restored(disk, log, cut, Path(output))
    except (RestoreError, ManifestError) as error:
        fail(str(error), status=PROBLEMS)
    except FileFormatError as error:
        fail(str(error), hint=f"rotomdb-aof-check {source}", status=PROBLEMS)
    except OSError as error:
        fail(error_text(error))
    report(log, cut.file, cut.offset, cut.time, output, as_json)


def report(log: Source, number: int, offset: int, time: int, output: str, as_json: bool) -> None:
    left_out = [path.name for path in log.paths[number + 1 :]]
    if as_json:
        json.dump(
            {"output": output, "ends_in": log.paths[number].name, "offset": offset, "time": time or None,
             "left_out": left_out},
            sys.stdout, indent=1,
        )  # fmt: skip
        click.echo()
        return
    click.echo(f"Restored to {output}: the log ends in {log.paths[number].name} at offset {offset}.")
    if time:
        click.echo(f"Its last time annotation is {time} ({datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC).")
    if left_out:
        click.echo(f"Left out: {', '.join(left_out)}")
    click.echo(f"Start it with: rotomdb-server --dir {output}")
