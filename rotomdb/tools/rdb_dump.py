"""`rotomdb-rdb dump`: keys and values as JSON, CSV, commands or Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import click

from rotomdb.formats.rdb.reader import Function, KeyRecord
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.formats.sinks.csv import CsvSink
from rotomdb.formats.sinks.json import JsonSink
from rotomdb.formats.sinks.python import PythonSink
from rotomdb.formats.sinks.text import TextSink
from rotomdb.formats.sinks.value_text import ValueText
from rotomdb.storage.output import Output, writing
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.selection import FORMS, selecting_with_functions
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, fail, long_table
from rotomdb.tools.values import function_name, shown

FORMATS = ("json", "ndjson", "csv", "resp", "commands", "python", "table")
VALUE_WIDTH = 60
VALUE_BYTES = 4 * VALUE_WIDTH  # of which so much can be shown


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
@selecting_with_functions
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
        elif form == "python":
            unsupported = dump_python(source, out, selection)
        else:
            unsupported = print_table(source, selection)
        left_out = [f"{unsupported} keys have values"] if unsupported else []
        left_out += [f"module {name} has data outside of keys" for name in source.modules]
        if left_out:
            out.keep()
            out.flush()
            fail(f"{file}: {', '.join(left_out)} that cannot be shown in this form", status=PROBLEMS)


def run(source: Opened, sink: TextSink, selection: Selection | None, on_function: Callable[[bytes], None]) -> None:
    """Hand everything to the sink. What came before an error is handed on first."""
    reader = source.reader()
    try:
        for event in source.wanted(reader.walk(sink, selection, source.advance), selection):
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
    run(source, sink, selection, sink.function)
    sink.put(b"\n]\n" if array else b"\n" if sink.written else b"")
    sink.flush()
    return sink.unsupported


def dump_commands(source: Opened, out: Output, selection: Selection | None, *, text: bool, replace: bool) -> int:
    sink = CommandSink(out.write, text, replace)
    run(source, sink, selection, partial(sink.command, b"FUNCTION", b"LOAD", b"REPLACE"))
    return 0


def dump_csv(source: Opened, out: Output, selection: Selection | None, key_form: int, value_form: int) -> int:
    """The rows of the JSON form in columns; values that are no strings stay JSON."""
    sink = CsvSink(out.write, key_form, value_form)
    sink.header()
    run(source, sink, selection, sink.function)
    return sink.unsupported


def dump_python(source: Opened, out: Output, selection: Selection | None) -> int:
    sink = PythonSink(out.write)
    run(source, sink, selection, sink.function)
    return sink.unsupported


def print_table(source: Opened, selection: Selection | None) -> int:
    """A line a key, as it is read."""
    text = ValueText()
    text.limit = VALUE_BYTES

    def rows() -> Iterator[tuple[object, ...]]:
        reader = source.reader()
        try:
            for event in source.wanted(reader.records(selection, source.advance), selection):
                if isinstance(event, KeyRecord):
                    reader.visit(text)
                    expires = "" if event.expire_ms is None else event.expire_ms
                    yield (
                        preview(event.key),
                        event.db,
                        LOGICAL_TYPES[event.type],
                        event.type_name,
                        expires,
                        value_of(text),
                    )
                elif isinstance(event, Function):
                    yield preview(function_name(event.code)), "", "function", "", "", preview(event.code)
        finally:
            reader.close()

    long_table(("key", "db", "type", "encoding", "expires (ms)", "value"), rows())
    return text.unsupported


def value_of(text: ValueText) -> str:
    return f"(of module {text.module_name})" if text.module_name is not None else preview(text.take())


def preview(data: bytes) -> str:
    text = shown(data[:VALUE_BYTES])
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"
