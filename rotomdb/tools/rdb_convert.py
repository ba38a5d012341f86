"""`rotomdb-rdb convert`, `filter` and `split`: other files out of an RDB file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, LogFile, Manifest
from rotomdb.formats.rdb.format import AUX_REDIS_VERSION, VERSION_AOF_PREAMBLE
from rotomdb.formats.rdb.reader import Event, Function, KeyRecord, ModuleAux, RdbReader
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter, Target
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.storage.disk import Disk
from rotomdb.storage.manifest_file import save_manifest
from rotomdb.storage.output import writing
from rotomdb.storage.rdb import OWN_TARGET
from rotomdb.storage.slots import key_slot, read_nodes
from rotomdb.tools.losses import Losses, note_loss, note_losses
from rotomdb.tools.paths import DATA, LOG, output_option
from rotomdb.tools.selection import selecting_with_functions
from rotomdb.tools.sources import Opened, opened, reporting
from rotomdb.tools.terminal import PROBLEMS, fail

FORMS = ("rdb", "aof", "aof-dir", "parquet")
SERVERS = {**TARGETS, "rotomdb": OWN_TARGET}


def name_of(target: Target | None) -> str:
    """What a report calls it."""
    return next((name for name, one in SERVERS.items() if one is target), "the target")


def own_target(reader: RdbReader) -> Target:
    """The format that the input has."""
    same = [t for t in TARGETS.values() if t.version == reader.version and t.valkey == reader.valkey]
    return same[-1] if same else Target(reader.version, reader.valkey, (AUX_REDIS_VERSION, b"0.0.0"))


def copy_all(source: Opened, writer: RdbWriter, selection: Selection | None) -> Losses:
    """Everything that is selected, into the writer."""
    reader = source.reader()
    others: Losses = {}
    try:
        for event in source.wanted(reader.walk(writer.sink, selection, source.advance), selection):
            if not writer.take(event, reader.data):
                note_loss(others, event)
    finally:
        reader.close()
    writer.finish()
    return {**writer.sink.lost, **others}


def form_of(output: str, form: str | None) -> str:
    return form or {".aof": "aof", ".parquet": "parquet"}.get(Path(output).suffix, "rdb")


def makes_directory(options: dict[str, Any]) -> bool:
    return form_of(options["output"], options["form"]) == "aof-dir"


def target_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--target`: a server by its name, handed over as the Target."""

    def chosen(context: click.Context, option: click.Parameter, name: str | None) -> Target | None:
        return None if name is None else SERVERS[name]

    return click.option(
        "--target",
        "-t",
        type=click.Choice(sorted(SERVERS)),
        callback=chosen,
        help="The server that is to load it. Default: the format stays.",
    )(command)


@click.command()
@target_option
@click.option("--to", "form", type=click.Choice(FORMS), help="Default: by the name of the output; rdb.")
@output_option(
    "File (for aof-dir: directory) to make; - for standard output.", required=True, directory=makes_directory
)
@click.option("--commands", is_flag=True, help="An AOF as commands only, without an RDB in front.")
@click.option("--no-compress", is_flag=True, help="Do not compress strings.")
@click.option("--json", "as_json", is_flag=True, help="What was left out, as JSON on standard output.")
@click.argument("file", type=DATA)
@selecting_with_functions
def convert(
    target: Target | None, form: str | None, output: str, commands: bool, no_compress: bool, as_json: bool, file: str,
    selection: Selection | None,
) -> None:  # fmt: skip
    """Write the data for another server or in another form.

    An RDB for an older server holds what that one knows; what it does not is named and left out, and the exit status is 1.

    \b
    Forms:
      rdb       a snapshot
      aof       a single append-only file: an RDB preamble (redis-4.0 and later), or commands
      aof-dir   an append directory with a manifest (redis-7.0 and later), to be put into a data directory
      parquet   a table for DuckDB, Spark or pandas: db, key, type, expire time, size, value

    \b
    Examples:
      rotomdb-rdb convert --target redis-6.2 dump.rdb -o old.rdb
      rotomdb-rdb convert appendonlydir -o dump.rdb
      rotomdb-rdb convert dump.rdb -o appendonly.aof
      rotomdb-rdb convert dump.rdb --to aof-dir -o /var/lib/redis/appendonlydir
      rotomdb-rdb convert dump.rdb -o keys.parquet && duckdb -c "select type, count(*) from 'keys.parquet' group by 1"
    """
    form = form_of(output, form)
    with opened(file, "converting") as source:
        head = source.reader()
        chosen = target or own_target(head)
        head.close()
        if form == "parquet":
            from rotomdb.tools.parquet import write_parquet

            losses = write_parquet(source, Path(output), selection)
        elif form == "aof-dir":
            losses = write_log_directory(Disk(), source, Path(output), chosen, selection, commands, not no_compress)
        else:
            with writing(output) as out:
                preamble = form == "aof" and chosen.version >= VERSION_AOF_PREAMBLE and not commands
                if form == "rdb" or preamble:
                    writer = RdbWriter(out.write, chosen, compress=not no_compress, aof_base=preamble)
                    losses = copy_all(source, writer, selection)
                else:
                    losses = write_commands(source, out.write, selection)
    if note_losses(losses, "Parquet" if form == "parquet" else name_of(target), as_json):
        raise SystemExit(PROBLEMS)


def write_commands(source: Opened, write: Callable[[bytes], object], selection: Selection | None) -> Losses:
    reader = source.reader()
    sink = CommandSink(write)
    losses: Losses = {}
    try:
        for event in source.wanted(reader.walk(sink, selection, source.advance), selection):
            if isinstance(event, Function):
                sink.command(b"FUNCTION", b"LOAD", event.code)
            elif isinstance(event, ModuleAux):
                note_loss(losses, event)
    finally:
        reader.close()
    sink.flush()
    return losses


def write_log_directory(
    disk: Disk,
    source: Opened,
    output: Path,
    target: Target,
    selection: Selection | None,
    commands: bool,
    compress: bool,
) -> Losses:
    """A multi-part log: base, empty increment, manifest."""
    manifest = Manifest()
    with disk.directory_beside(output) as directory:
        base = manifest.next_base("appendonly.aof", rdb=not commands)
        increment: LogFile = manifest.next_increment("appendonly.aof")
        with writing(directory / base.name, disk=disk) as out:
            if commands:
                losses = write_commands(source, out.write, selection)
            else:
                writer = RdbWriter(out.write, target, compress=compress, aof_base=True)
                losses = copy_all(source, writer, selection)
        disk.write_new(directory / increment.name, b"")
        save_manifest(Manifest(base, [], [increment]), disk, directory, f"appendonly.aof{MANIFEST_SUFFIX}")
    return losses


@click.command("filter")
@output_option("File to make; - for standard output.", required=True)
@click.option("--exclude", is_flag=True, help="Keep what is not selected.")
@click.argument("file", type=DATA)
@selecting_with_functions
def filter_command(output: str, exclude: bool, file: str, selection: Selection | None) -> None:
    """Write an RDB with the selected keys only, their bytes unchanged.

    \b
    Examples:
      rotomdb-rdb filter dump.rdb --key 'user:*' -o users.rdb
      rotomdb-rdb filter dump.rdb --size 1mb.. --exclude -o small.rdb
      rotomdb-rdb filter dump.rdb --sample 0.01 -o sample.rdb
    """
    if selection is not None:
        selection.exclude = exclude
    elif exclude:
        raise click.UsageError("--exclude without a selection would leave nothing")
    with opened(file, "filtering") as source, writing(output) as out:
        reader = source.reader()
        writer = RdbWriter(out.write, own_target(reader))
        reader.close()
        losses = copy_all(source, writer, selection)
    if note_losses(losses, "the copy", False):
        raise SystemExit(PROBLEMS)
    click.echo(f"{writer.sink.keys} keys written to {output}", err=True)


@click.command()
@click.option("--by", type=click.Choice(["db", "prefix", "slot"]), required=True, help="What decides where a key goes.")
@click.option("--separator", default=":", show_default=True, help="Where a prefix ends.")
@click.option("--nodes", type=LOG, help="A cluster's nodes.conf: a file for each master.")
@click.option("--parts", type=click.IntRange(1, 16384), help="With --by slot and no --nodes: ranges of equal size.")
@output_option("Directory to make.", required=True, directory=True)
@click.option("--max-files", default=1000, show_default=True, help="Refuse to make more files than this.")
@click.argument("file", type=DATA)
@selecting_with_functions
def split(
    by: str, separator: str, nodes: Path | None, parts: int | None, output: str, max_files: int, file: str,
    selection: Selection | None,
) -> None:  # fmt: skip
    """Write several RDB files: one for each database, key prefix, or master of a cluster.

    \b
    Examples:
      rotomdb-rdb split dump.rdb --by db -o parts
      rotomdb-rdb split dump.rdb --by prefix -o parts
      rotomdb-rdb split dump.rdb --by slot --nodes nodes.conf -o parts
      rotomdb-rdb split dump.rdb --by slot --parts 3 -o parts
    """
    if by == "slot" and not nodes and not parts:
        raise click.UsageError("--by slot needs --nodes or --parts")
    with opened(file, "splitting") as source, Disk().directory_beside(Path(output)) as directory:
        reader = source.reader()
        target = own_target(reader)
        place = placement(by, separator.encode(), nodes, parts)
        with contextlib.ExitStack() as stack:
            writers: dict[str, RdbWriter] = {}
            apart: list[Event] = []  # what is no key goes into every part

            def writer_of(name: str) -> RdbWriter:
                if name not in writers:
                    if len(writers) == max_files:
                        fail(f"{file}: more than {max_files} parts; raise --max-files if that is what you want")
                    out = stack.enter_context(writing(directory / f"{name}.rdb"))
                    writers[name] = RdbWriter(out.write, target)
                    for event in apart:
                        writers[name].take(event, reader.data)
                return writers[name]

            for event in source.wanted(reader.records(selection, source.advance), selection):
                if isinstance(event, KeyRecord):
                    reader.visit(writer_of(place(event)).sink)
                elif isinstance(event, Function | ModuleAux):
                    apart.append(event)
                    for writer in writers.values():
                        writer.take(event, reader.data)
            reader.close()
            for writer in writers.values():
                writer.finish()
    for name, writer in sorted(writers.items()):
        click.echo(f"{Path(output) / name}.rdb: {writer.sink.keys} keys")


def placement(by: str, separator: bytes, nodes: Path | None, parts: int | None) -> Callable[[KeyRecord], str]:
    """The name of the part that a key belongs to."""
    if by == "db":
        return lambda record: f"db{record.db}"
    if by == "prefix":
        return lambda record: file_name(record.key.partition(separator)[0] if separator in record.key else b"")
    if nodes:
        with reporting():
            owners = read_nodes(nodes.read_text(errors="surrogateescape"), str(nodes))
        return lambda record: owners[key_slot(record.key)]
    assert parts is not None
    return lambda record: f"slots-{key_slot(record.key) * parts // 16384:05d}"


def file_name(prefix: bytes) -> str:
    """A prefix as a name that every file system takes."""
    if not prefix:
        return "no-prefix"
    text = "".join(chr(c) if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "-_") else f"%{c:02x}" for c in prefix)
    return text[:200]
