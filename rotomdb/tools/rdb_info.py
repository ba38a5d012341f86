"""`rotomdb-rdb check` and `info`: is it sound, and what is in it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from rotomdb.errors import RdbError
from rotomdb.formats.rdb.check import CheckReport, check_rdb
from rotomdb.formats.rdb.reader import Aux, End, Function, ModuleAux
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES, TYPE_NAMES
from rotomdb.formats.sinks.summary import SummarySink
from rotomdb.storage.rdb_salvage import Salvage
from rotomdb.tools.library_trial import LibraryTrial
from rotomdb.tools.paths import DATA
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, SOUND, table
from rotomdb.tools.values import shown

CHECKSUM_STATES = {None: "absent (version below 5)", 0: "not computed by the writer"}
PROBLEMS_SHOWN = 100


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--first", is_flag=True, help="Stop at the first problem.")
@click.argument("file", type=DATA)
def check(as_json: bool, first: bool, file: str) -> None:
    """Verify a snapshot: structure, lengths, encodings, duplicate members and keys, checksum.

    Reports all problems: behind each the check goes on with the next record that can be read.

    \b
    Examples:
      rotomdb-rdb check dump.rdb && echo sound
      rotomdb-rdb check --json dump.rdb
    """
    with opened(file, "checking") as source:
        result: dict[str, Any] = {"file": file, "size": len(source.source.data), "sound": True, "problems": []}
        report = CheckReport()
        try:
            check_rdb(
                source.source.data, source.source.name, report=report, on_progress=source.advance,
                release=source.source.release, as_snapshot=True, take_library=LibraryTrial(),
            )  # fmt: skip
        except RdbError as error:
            result.update(sound=False, offset=error.offset, reason=error.reason)
            result["problems"] = [{"offset": error.offset, "reason": error.reason}]
            if not first and report.version:
                result["problems"] += further_problems(source, error)
    result.update(version=report.version, keys=report.keys, expires=report.expires, empty=report.empty)
    if report.end:
        result["checksum"] = CHECKSUM_STATES.get(report.checksum_stored, "matches")
        result["trailing_bytes"] = result["size"] - report.end
    if as_json:
        click.echo(json.dumps(result))
    else:
        print_verdict(result)
    sys.exit(SOUND if result["sound"] else PROBLEMS)


def further_problems(source: Opened, first: RdbError) -> list[dict[str, Any]]:
    """What is wrong behind the first problem."""
    reader = source.reader()
    try:
        salvage = Salvage(reader, as_snapshot=True, take_library=LibraryTrial())
    finally:
        reader.close()
    return [
        {"offset": loss.offset, "reason": loss.reason, "lost_from": loss.start, "lost_to": loss.end}
        for loss in salvage.losses
        if loss.offset != first.offset
    ]


def print_verdict(result: dict[str, Any]) -> None:
    file = result["file"]
    for problem in result["problems"][:PROBLEMS_SHOWN]:
        click.echo(f"{file}: offset {problem['offset']}: {problem['reason']}")
    if len(result["problems"]) > PROBLEMS_SHOWN:
        click.echo(f"{file}: and {len(result['problems']) - PROBLEMS_SHOWN} more problems")
    if not result["sound"]:
        click.echo(f"{file}: damaged; {result['keys']} keys were read before offset {result['offset']}")
        click.echo(f"To recover what can be read: rotomdb-rdb salvage {file} -o salvaged.rdb")
        return
    trailing = f", {result['trailing_bytes']} bytes behind it are not part of it" if result["trailing_bytes"] else ""
    click.echo(
        f"{file}: sound, RDB version {result['version']}, {result['keys']} keys, checksum {result['checksum']}{trailing}"
    )
    if result["empty"]:
        click.echo(f"{file}: {result['empty']} keys have no elements; servers drop them when loading")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the largest keys.")
@click.argument("file", type=DATA)
def info(as_json: bool, top: int, file: str) -> None:
    """Summarise a snapshot: who wrote it and when, keys by type, encoding, database, size and time to live.

    \b
    Examples:
      rotomdb-rdb info dump.rdb
      rotomdb-rdb info --json dump.rdb | jq .types
    """
    with opened(file) as source:
        summary = summarise(source, file, top)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        print_summary(summary)


def summarise(source: Opened, file: str, top: int) -> dict[str, Any]:
    reader = source.reader()
    sink = SummarySink(int(time.time() * 1000), top)
    aux: dict[str, str] = {}
    functions, module_aux = 0, []
    try:
        for event in reader.walk(sink, None, source.advance):
            if isinstance(event, Aux):
                aux[shown(event.name)] = shown(event.value)
            elif isinstance(event, Function):
                functions += 1
            elif isinstance(event, ModuleAux):
                module_aux.append(event.module)
            elif isinstance(event, End):
                stored = event.checksum_stored
        keys, expires = reader.walker.keys, reader.walker.expires
    finally:
        version, dialect = reader.version, "valkey" if reader.valkey else "redis"
        reader.close()
    types: dict[str, dict[str, int]] = {}
    encodings = {}
    for number, (count, size, elements) in sink.types().items():
        encodings[TYPE_NAMES[number]] = {"keys": count, "bytes": size, "elements": elements}
        row = types.setdefault(LOGICAL_TYPES[number], {"keys": 0, "bytes": 0, "elements": 0})
        for name, value in (("keys", count), ("bytes", size), ("elements", elements)):
            row[name] += value
    return {
        "file": file, "size": len(source.source.data), "version": version, "dialect": dialect,
        "checksum": CHECKSUM_STATES.get(stored, "matches"), "aux": aux, "functions": functions, "module_aux": module_aux,
        "keys": keys, "expires": expires,
        "types": {name: row["keys"] for name, row in types.items()},
        "bytes_by_type": {name: row["bytes"] for name, row in types.items()},
        "elements_by_type": {name: row["elements"] for name, row in types.items()},
        "encodings": encodings, "databases": {str(db): n for db, n in sorted(sink.keys_by_database().items())},
        "ttl": sink.keys_by_ttl(), "sizes": {str(size): n for size, n in sink.keys_by_size().items()},
        "largest": [
            {"bytes": size, "db": db, "key": shown(key), "encoding": encoding} for size, db, key, encoding in sink.largest_keys()
        ],
    }  # fmt: skip


def print_summary(summary: dict[str, Any]) -> None:
    click.echo(
        f"{summary['file']}: RDB version {summary['version']}, {summary['size']:,} bytes, {summary['keys']:,} keys"
    )
    for name, value in summary["aux"].items():
        click.echo(f"  {name}: {value}")
    click.echo(f"  checksum: {summary['checksum']}; function libraries: {summary['functions']}")
    for name in summary["module_aux"]:
        click.echo(f"  data of module {name}")
    logical = {name: LOGICAL_TYPES[number] for number, name in TYPE_NAMES.items() if number in LOGICAL_TYPES}
    by_size = sorted(summary["encodings"].items(), key=lambda item: -item[1]["bytes"])
    table(
        ("encoding", "type", "keys", "elements", "bytes in the file"),
        [(name, logical[name], f"{r['keys']:,}", f"{r['elements']:,}", f"{r['bytes']:,}") for name, r in by_size],
    )
    for title, key in (("db", "databases"), ("expires within", "ttl"), ("bytes in the file, up to", "sizes")):
        table((title, "keys"), [(name, f"{count:,}") for name, count in summary[key].items()])
    table(
        ("largest key", "db", "encoding", "bytes in the file"),
        [(r["key"], r["db"], r["encoding"], f"{r['bytes']:,}") for r in summary["largest"]],
    )
