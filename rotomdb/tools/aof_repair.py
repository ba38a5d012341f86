"""`rotomdb-aof fix`: a torn end cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.replay import refuse_damage
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import find_log
from rotomdb.storage.point_in_time import preamble_end
from rotomdb.tools.aof_check import free_name
from rotomdb.tools.paths import LOG
from rotomdb.tools.sources import reporting
from rotomdb.tools.terminal import PROBLEMS, fail


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
