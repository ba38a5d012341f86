"""`rotomdb-rdb`: look into RDB files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rotomdb import __version__
from rotomdb.engine import Engine
from rotomdb.errors import RdbError
from rotomdb.storage.disk import Disk
from rotomdb.storage.rdb import Aux, End, Function, KeyRecord, ModuleAux, RdbReader, SelectDb
from rotomdb.tools.terminal import PROBLEMS, SOUND, fail, guard, progress
from rotomdb.tools.values import LOGICAL_TYPES, json_record, shown

VALUE_WIDTH = 60


@contextmanager
def opened(path: str, hint: str | None = None) -> Iterator[RdbReader]:
    """A reader over the file; damage and unreadable files end the program with one line."""
    try:
        with Disk().mapped(Path(path)) as data:
            reader = RdbReader(data, path)
            try:
                yield reader
            finally:
                reader.close()
    except RdbError as error:
        sys.stdout.flush()
        fail(str(error), hint=hint, status=PROBLEMS)
    except OSError as error:
        fail(f"{path}: {error.strerror}")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-v", "--version", message="rotomdb-rdb %(version)s")
def cli() -> None:
    """Look into RDB snapshots of any Redis or Valkey version.

    \b
    Exit status:
      0  sound, or done
      1  problems were found
      2  wrong usage
      3  the file cannot be read
    """


FORMATS = click.Choice(["json", "ndjson", "table"])


@cli.command()
@click.option("--format", "-f", "form", type=FORMATS, help="Default: table on a terminal, json elsewhere.")
@click.option("--db", "dbs", type=click.IntRange(min=0), multiple=True, help="Only this database; repeatable.")
@click.argument("file", type=click.Path(dir_okay=False))
def dump(form: str | None, dbs: tuple[int, ...], file: str) -> None:
    """Print every key with its value.

    \b
    Examples:
      rotomdb-rdb dump dump.rdb
      rotomdb-rdb dump -f ndjson dump.rdb | jq 'select(.type == "hash") | .key'
    """
    form = form or ("table" if sys.stdout.isatty() else "json")
    unsupported = 0
    with opened(file, f"rotomdb-rdb check {file}") as reader, progress(f"reading {file}", len(reader.data)) as advance:
        rows = records(reader, dbs, advance)
        unsupported = print_table(rows) if form == "table" else print_json(rows, array=form == "json")
    if unsupported:
        fail(f"{file}: {unsupported} keys have values that this version cannot show", status=PROBLEMS)


def records(reader: RdbReader, dbs: tuple[int, ...], advance: Any) -> Iterator[dict[str, Any]]:
    scratch = Engine(1)
    for number, event in enumerate(reader.events(scratch)):
        if number % 10_000 == 0:
            advance(reader.decoder.position)
        if isinstance(event, KeyRecord) and (not dbs or event.db in dbs):
            yield json_record(scratch.databases[0], event)


def print_json(rows: Iterator[dict[str, Any]], *, array: bool) -> int:
    """JSON objects, one a line; returns how many values could not be shown."""
    unsupported = 0
    write = sys.stdout.write
    separator = "[\n" if array else ""
    for row in rows:
        unsupported += "unsupported" in row
        write(separator + json.dumps(row, ensure_ascii=False))
        separator = ",\n" if array else "\n"
    if array:
        write("[]\n" if separator == "[\n" else "\n]\n")
    elif separator:
        write("\n")
    return unsupported


def print_table(rows: Iterator[dict[str, Any]]) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("db", "key", "type", "encoding", "expires (ms)", "value")
    unsupported = 0
    for row in rows:
        unsupported += "unsupported" in row
        value = "(cannot be shown)" if row["value"] is None else preview(row["value"])
        expires = "" if row["ttl_ms_absolute"] is None else str(row["ttl_ms_absolute"])
        table.add_row(
            str(row["db"]), Text(preview(row["key"])), row["type"], row["encoding"], expires, Text(value)
        )  # Text: brackets in keys are no markup
    Console().print(table)
    return unsupported


def preview(value: Any) -> str:
    text = shown(value.encode()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("file", type=click.Path(dir_okay=False))
def check(as_json: bool, file: str) -> None:
    """Verify a snapshot: structure, lengths, encodings, duplicate members, checksum.

    \b
    Examples:
      rotomdb-rdb check dump.rdb && echo sound
      rotomdb-rdb check --json dump.rdb
    """
    result: dict[str, Any] = {"file": file, "sound": True, "keys": 0, "expires": 0, "empty": 0}
    problem: RdbError | None = None
    try:
        with Disk().mapped(Path(file)) as data, progress(f"checking {file}", len(data)) as advance:
            result["size"] = len(data)
            try:
                walk_for_check(data, file, result, advance)
            except RdbError as error:
                problem = error
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    if problem is not None:
        result.update(sound=False, offset=problem.offset, reason=problem.reason)
    if as_json:
        click.echo(json.dumps(result))
    elif problem is not None:
        click.echo(str(problem))
        click.echo(f"{file}: damaged; {result['keys']} keys were read before offset {problem.offset}")
    else:
        trailing = (
            f", {result['trailing_bytes']} bytes behind it are not part of it" if result["trailing_bytes"] else ""
        )
        click.echo(
            f"{file}: sound, RDB version {result['version']}, {result['keys']} keys, checksum {result['checksum']}{trailing}"
        )
    sys.exit(SOUND if problem is None else PROBLEMS)


def walk_for_check(data: memoryview, file: str, result: dict[str, Any], advance: Any) -> None:
    reader = RdbReader(data, file)
    try:
        result["version"] = reader.version
        scratch = Engine(1)
        for event in reader.events(scratch):
            if isinstance(event, KeyRecord):
                result["keys"] += 1
                result["expires"] += event.expire_ms is not None
                if result["keys"] % 10_000 == 0:
                    advance(event.end)
            elif isinstance(event, End):
                states = {None: "absent (version below 5)", 0: "not computed by the writer"}
                result["checksum"] = states.get(event.checksum_stored, "matches")
                result["trailing_bytes"] = len(data) - event.offset
    finally:
        reader.close()


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("file", type=click.Path(dir_okay=False))
def info(as_json: bool, file: str) -> None:
    """Summarise a snapshot: who wrote it and when, keys by type, encoding and database.

    \b
    Examples:
      rotomdb-rdb info dump.rdb
      rotomdb-rdb info --json dump.rdb | jq .types
    """
    summary: dict[str, Any] = {"file": file}
    types: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    databases: Counter[int] = Counter()
    sizes: Counter[str] = Counter()
    summary.update(aux={}, functions=0, module_aux=[], keys=0, expires=0)
    with opened(file, f"rotomdb-rdb check {file}") as reader, progress(f"reading {file}", len(reader.data)) as advance:
        summary["size"], summary["version"] = len(reader.data), reader.version
        for event in reader.events(Engine(1)):
            if isinstance(event, KeyRecord):
                kind = LOGICAL_TYPES[event.type]
                types[kind] += 1
                encodings[event.type_name] += 1
                databases[event.db] += 1
                sizes[kind] += event.end - event.start
                summary["keys"] += 1
                summary["expires"] += event.expire_ms is not None
                if summary["keys"] % 10_000 == 0:
                    advance(event.end)
            elif isinstance(event, Aux):
                summary["aux"][shown(event.name)] = shown(event.value)
            elif isinstance(event, Function):
                summary["functions"] += 1
            elif isinstance(event, ModuleAux):
                summary["module_aux"].append(event.module)
            elif isinstance(event, SelectDb):
                databases[event.index] += 0
    summary["types"], summary["encodings"] = dict(types), dict(encodings)
    summary["databases"] = {str(index): count for index, count in sorted(databases.items())}
    summary["bytes_by_type"] = dict(sizes)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        print_summary(summary)


def print_summary(summary: dict[str, Any]) -> None:
    click.echo(f"{summary['file']}: RDB version {summary['version']}, {summary['size']} bytes, {summary['keys']} keys")
    for name, value in summary["aux"].items():
        click.echo(f"  {name}: {value}")
    if summary["functions"]:
        click.echo(f"  function libraries: {summary['functions']}")
    click.echo(f"  keys with an expire time: {summary['expires']}")
    for title, counts in (("type", summary["types"]), ("encoding", summary["encodings"]), ("db", summary["databases"])):
        for name, count in counts.items():
            size = f", {summary['bytes_by_type'][name]} bytes" if title == "type" else ""
            click.echo(f"  {title} {name}: {count} keys{size}")


def main() -> None:
    guard(cli)


if __name__ == "__main__":
    main()
