"""`rotomdb-rdb dump`: keys and values as JSON, CSV, commands or Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click

from rotomdb.engine.rdb_records import LOGICAL_TYPES
from rotomdb.engine.rdb_sinks import CsvSink, JsonSink, ObjectSink, StreamValue, TextSink, id_text
from rotomdb.engine.rdb_walker import Selection
from rotomdb.storage.command_sink import CommandSink
from rotomdb.storage.output import Output, writing
from rotomdb.storage.rdb_reader import Function, KeyRecord, RdbReader
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.selection import FORMS, selecting
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, fail, table
from rotomdb.tools.values import json_text, shown

FORMATS = ("json", "ndjson", "csv", "resp", "commands", "python", "table")
VALUE_WIDTH = 60


@click.command()
@click.option(
    "--format", "-f", "form", type=click.Choice(FORMATS), help="Default: table on a terminal, json elsewhere."
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@output_option("Write to this file, whole or not at all.")
@click.option(
    "--keys-as",
    type=click.Choice(tuple(FORMS)),
    default="auto",
    show_default=True,
    help='Bytes of keys in JSON and CSV. auto: text, or {"b64": ...} where they are no UTF-8.',
)
@click.option(
    "--values-as", type=click.Choice(tuple(FORMS)), default="auto", show_default=True, help="Bytes of values."
)
@click.option("--replace", is_flag=True, help="In commands: DEL each key first.")
@click.argument("file", type=DATA)
@selecting
def dump(
    form: str | None, as_json: bool, output: str | None, keys_as: str, values_as: str, replace: bool, file: str,
    selection: Selection | None,
) -> None:  # fmt: skip
    """Print every key with its value.

    \b
    Formats:
      json      one array of objects; ndjson: one object a line
      csv       db, key, type, encoding, expire time, times of fields, value (JSON where it is no string)
      resp      commands for `redis-cli --pipe`; commands: the same as a person types them
      python    one Python literal a line: (db, key, type, expire time, value, times of fields), bytes as bytes
      table     for the eye; values are cut

    \b
    All but table can be read again, by every command: rotomdb-rdb convert rows.ndjson -o dump.rdb

    \b
    Examples:
      rotomdb-rdb dump dump.rdb
      rotomdb-rdb dump -f ndjson dump.rdb --type hash | jq .key
      rotomdb-rdb dump -f resp dump.rdb | redis-cli --pipe
      rotomdb-rdb dump redis://localhost:6379 --key 'session:*' --ttl ..60
      zcat dump.rdb.gz | rotomdb-rdb dump -f csv -o dump.csv -
    """
    form = form or ("json" if as_json or output or not sys.stdout.isatty() else "table")
    with opened(file) as source, writing(output) as out:
        if form in ("json", "ndjson"):
            unsupported = dump_json(source, out, selection, FORMS[keys_as], FORMS[values_as], array=form == "json")
        elif form in ("resp", "commands"):
            unsupported = dump_commands(source, out, selection, text=form == "commands", replace=replace)
        elif form == "csv":
            unsupported = dump_csv(source, out, selection, FORMS[keys_as], FORMS[values_as])
        else:
            unsupported = (
                dump_python(source, out, selection) if form == "python" else print_table(records(source, selection))
            )
        if unsupported:
            out.keep()
            out.flush()
            fail(f"{file}: {unsupported} keys have values that cannot be shown in this form", status=PROBLEMS)


def run(source: Opened, sink: TextSink, selection: Selection | None, on_function: Callable[[bytes], None]) -> None:
    """Hand everything to the sink. What came before an error is handed on first."""
    reader = source.reader()
    try:
        for event in reader.walk(sink, selection, source.advance):
            if isinstance(event, Function):
                on_function(event.code)
    finally:
        sink.flush()
        reader.close()


def dump_json(
    source: Opened, out: Output, selection: Selection | None, key_form: int, value_form: int, *, array: bool
) -> int:
    sink = JsonSink(out.write, key_form, value_form, b",\n" if array else b"\n")
    if array:
        sink.put(b"[\n")
    run(source, sink, selection, sink.function if selection is None else skip)
    sink.put(b"\n]\n" if array else b"\n" if sink.written else b"")
    sink.flush()
    return sink.unsupported


def dump_commands(source: Opened, out: Output, selection: Selection | None, *, text: bool, replace: bool) -> int:
    sink = CommandSink(out.write, text, replace)
    on_function = partial(sink.command, b"FUNCTION", b"LOAD", b"REPLACE") if selection is None else skip
    run(source, sink, selection, on_function)
    return 0


def skip(code: bytes) -> None:
    """A function library is no key: it is not selected."""


Row = tuple[KeyRecord, ObjectSink]


def records(
    source: Opened, selection: Selection | None, on_function: Callable[[bytes], object] = skip
) -> Iterator[Row]:
    """Each key with its value as Python objects."""
    reader: RdbReader = source.reader()
    sink = ObjectSink()
    try:
        for event in reader.records(selection, source.advance):
            if isinstance(event, KeyRecord):
                reader.visit(sink)
                yield event, sink
            elif isinstance(event, Function) and selection is None:
                on_function(event.code)
    finally:
        reader.close()


def dump_csv(source: Opened, out: Output, selection: Selection | None, key_form: int, value_form: int) -> int:
    """The rows of the JSON form in columns; values that are no strings stay JSON."""
    sink = CsvSink(out.write, key_form, value_form)
    sink.header()
    run(source, sink, selection, sink.function if selection is None else skip)
    return sink.unsupported


def plain(value: Any, form: int) -> Any:
    """A value in JSON's terms."""
    if isinstance(value, bytes):
        return json_text(value, form)
    if isinstance(value, StreamValue):
        return [[f"{ms}-{seq}", plain(fields, form)] for (ms, seq), fields in value.entries]
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return [plain(item, form) for item in value]
    return value


def literal_stream(value: StreamValue) -> dict[str, Any]:
    """A stream as a literal, with the names of the JSON form."""
    tail = value.tail
    groups = [
        {
            "name": group.name,
            "last_id": id_text(group.last_id),
            "entries_read": group.entries_read,
            "pending": [[id_text(i), group.owners.get(i), when, times] for i, (when, times) in group.pending.items()],
            "consumers": [
                {"name": one.name, "seen_ms": one.seen_ms, "active_ms": one.active_ms, "pending": len(one.pending)}
                for one in group.consumers
            ],
        }
        for group in tail.groups
    ]
    return {
        "entries": [(id_text(i), fields) for i, fields in value.entries], "length": tail.length,
        "last_id": id_text(tail.last_id), "max_deleted_id": id_text(tail.max_deleted_id),
        "entries_added": tail.entries_added, "groups": groups,
    }  # fmt: skip


class Literal(float):
    """A number whose repr() is a literal: `inf` is a name."""

    def __repr__(self) -> str:
        return float.__repr__(self).replace("inf", "1e999")


def dump_python(source: Opened, out: Output, selection: Selection | None) -> int:
    unsupported = 0

    def put_function(code: bytes) -> None:
        out.write(f"{(0, b'', 'function', None, code, [])!r}\n".encode())

    for record, sink in records(source, selection, put_function):
        unsupported += sink.module_name is not None
        value: Any = literal_stream(sink.value) if isinstance(sink.value, StreamValue) else sink.value
        if LOGICAL_TYPES[record.type] == "zset":
            value = [(member, Literal(score)) for member, score in value]
        times = list(sink.field_times.items())
        row = (record.db, record.key, LOGICAL_TYPES[record.type], record.expire_ms, value, times)
        out.write(f"{row!r}\n".encode())
    return unsupported


def print_table(rows: Iterator[Row]) -> int:
    unsupported = 0

    def cells() -> Iterator[tuple[object, ...]]:
        nonlocal unsupported
        for record, sink in rows:
            unsupported += sink.module_name is not None
            value = f"(of module {sink.module_name})" if sink.value is None else preview(sink.value)
            expires = "" if record.expire_ms is None else record.expire_ms
            yield preview(record.key), record.db, LOGICAL_TYPES[record.type], record.type_name, expires, value

    table(("key", "db", "type", "encoding", "expires (ms)", "value"), cells())
    return unsupported


def preview(value: Any) -> str:
    text = shown(value) if isinstance(value, bytes) else json.dumps(plain(value, 0), ensure_ascii=False)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"
