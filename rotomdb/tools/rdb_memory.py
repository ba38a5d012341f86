"""`rotomdb-rdb memory` and `report`: what takes how much memory in a server."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import click

from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.formats.sinks.memory_model import MODELS, MemorySink
from rotomdb.storage.output import writing
from rotomdb.tools.html_report import render
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.selection import selecting
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import table
from rotomdb.tools.values import json_text, shown

QUANTA = {"jemalloc": 16, "jemalloc-bundled": 8}
REPORT_DEPTH = 3
REPORT_PREFIXES = 20_000


def model_options(command: Any) -> Any:
    for option in reversed((
        click.option("--model", type=click.Choice(tuple(MODELS)), default="redis-7.0", show_default=True, help="The server."),
        click.option(
            "--allocator", type=click.Choice(tuple(QUANTA)), default="jemalloc", show_default=True,
            help="jemalloc: of Linux distributions; jemalloc-bundled: built in with make from Redis's own sources.",
        ),
        click.option("--after-load", is_flag=True, help="As right after loading the file: streams without spare room."),
        click.option("--separator", default=":", show_default=True, help="Where a prefix of keys ends."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@model_options
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the largest keys.")
@click.option(
    "--depth", type=click.IntRange(0, 20), default=1, show_default=True, help="How many parts of a key make its prefix."
)
@click.option("--patterns", is_flag=True, help="Group keys by pattern, user:#:name, instead of by prefix.")
@click.option(
    "--prefixes", type=click.IntRange(min=1), default=20, show_default=True, help="How many prefixes to show."
)
@click.option("--per-key", is_flag=True, help="Every key, as CSV: db, key, type, bytes, elements, expire time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@output_option("With --per-key: write to this file.")
@click.argument("file", type=DATA)
@selecting
def memory(
    model: str, allocator: str, after_load: bool, separator: str, top: int, depth: int, patterns: bool,
    prefixes: int, per_key: bool,
    as_json: bool, output: str | None, file: str, selection: Selection | None,
) -> None:  # fmt: skip
    """Estimate what keys take in a server's memory: as MEMORY USAGE says there, in all, by type, prefix and time to live.

    For redis-7.0 the sum is within 2 % of a real server's and 95 % of the keys are exact (docs/benchmarks.md); other
    models differ in the sizes of their structures and could not be measured.

    \b
    Examples:
      rotomdb-rdb memory dump.rdb
      rotomdb-rdb memory dump.rdb --depth 3 --patterns --top 50
      rotomdb-rdb memory dump.rdb --per-key -o keys.csv
      rotomdb-rdb memory --json dump.rdb | jq .by_prefix
    """
    if output is not None and not per_key:
        raise click.UsageError("--output is for --per-key; anything else goes to standard output")
    chosen, quantum = MODELS[model], QUANTA[allocator]
    now = int(time.time() * 1000)
    if per_key:
        with opened(file) as source, writing(output) as out:
            buffer = io.StringIO()
            writer = csv.writer(buffer, lineterminator="\n")
            writer.writerow(["db", "key", "type", "bytes", "elements", "ttl_ms_absolute"])

            def on_key(db: int, key: bytes, type: int, used: int, elements: int, expire_ms: int | None) -> None:
                text = json_text(key)
                name = text if isinstance(text, str) else json.dumps(text)
                writer.writerow([db, name, LOGICAL_TYPES[type], used, elements, "" if expire_ms is None else expire_ms])
                if buffer.tell() > 1 << 16:
                    out.write(buffer.getvalue().encode())
                    buffer.seek(0)
                    buffer.truncate()

            measure(source, MemorySink(chosen, quantum, not after_load, now, on_key=on_key), selection)
            out.write(buffer.getvalue().encode())
        return
    sink = MemorySink(chosen, quantum, not after_load, now, top, separator.encode()[:1], depth, patterns)
    with opened(file) as source:
        measure(source, sink, selection)
    result = summary(sink, file, model, allocator)
    if as_json:
        click.echo(json.dumps(result))
    else:
        print_memory(result, prefixes)


def measure(source: Opened, sink: MemorySink, selection: Selection | None) -> None:
    reader = source.reader()
    try:
        for _ in reader.walk(sink, selection, source.advance):
            pass
    finally:
        reader.close()


def summary(sink: MemorySink, file: str, model: str, allocator: str) -> dict[str, Any]:
    def rows(found: dict[Any, list[int]]) -> list[dict[str, Any]]:
        ordered = sorted(found.items(), key=lambda item: -item[1][1])
        return [{"name": name, "keys": row[0], "bytes": row[1], "elements": row[2]} for name, row in ordered]

    prefixes = {
        "(other prefixes)" if prefix is None else shown(prefix) or "(no prefix)": row
        for prefix, row in sink.by_prefix().items()
    }
    return {
        "file": file, "model": model, "allocator": allocator, "keys": sink.keys, "bytes": sink.total,
        "by_type": rows(sink.by_type()), "by_db": rows(sink.by_database()), "by_prefix": rows(prefixes),
        "by_ttl": [{"within": name, "keys": keys, "bytes": used} for name, (keys, used) in sink.by_ttl().items()],
        "largest": [
            {"db": db, "key": shown(key), "type": kind, "bytes": used, "elements": elements}
            for used, db, key, kind, elements in sink.largest_keys()
        ],
    }  # fmt: skip


def print_memory(result: dict[str, Any], prefixes: int) -> None:
    click.echo(f"{result['file']}: {result['keys']:,} keys take about {result['bytes']:,} bytes in {result['model']}")
    whole = max(result["bytes"], 1)
    for title, key in (("type", "by_type"), ("db", "by_db"), ("prefix", "by_prefix")):
        rows = result[key]
        kept = rows[:prefixes] if key == "by_prefix" else rows
        table(
            (title, "keys", "bytes", "share", "elements"),
            [(r["name"], f"{r['keys']:,}", f"{r['bytes']:,}", f"{r['bytes'] / whole:.1%}", f"{r['elements']:,}") for r in kept],
        )  # fmt: skip
        if len(rows) > len(kept):
            click.echo(f"and {len(rows) - len(kept)} more prefixes (--prefixes)")
    table(
        ("expire within", "keys", "bytes"),
        [(r["within"], f"{r['keys']:,}", f"{r['bytes']:,}") for r in result["by_ttl"]],
    )
    table(
        ("largest key", "db", "type", "bytes", "elements"),
        [(r["key"], r["db"], r["type"], f"{r['bytes']:,}", f"{r['elements']:,}") for r in result["largest"]],
    )


@click.command()
@model_options
@output_option("HTML file to make; - for standard output.", required=True)
@click.option("--depth", type=click.IntRange(1, 8), default=REPORT_DEPTH, show_default=True, help="Levels of the map.")
@click.option("--top", type=click.IntRange(min=1), default=100, show_default=True, help="How many of the largest keys.")
@click.argument("file", type=DATA)
@selecting
def report(
    model: str, allocator: str, after_load: bool, separator: str, output: str, depth: int, top: int, file: str,
    selection: Selection | None,
) -> None:  # fmt: skip
    """Make one HTML page: a map of memory by key prefix, histograms of size and time to live, the biggest keys.

    The page holds all it needs: it opens without a network, and can be sent as it is. Key names are in it, values are not.

    \b
    Examples:
      rotomdb-rdb report dump.rdb -o report.html && xdg-open report.html
    """
    now = int(time.time() * 1000)
    sizes: dict[int, list[int]] = {}

    def on_key(db: int, key: bytes, type: int, used: int, elements: int, expire_ms: int | None) -> None:
        row = sizes.setdefault(used.bit_length(), [0, 0])
        row[0] += 1
        row[1] += used

    sink = MemorySink(
        MODELS[model],
        QUANTA[allocator],
        not after_load,
        now,
        top,
        separator.encode()[:1],
        depth,
        patterns=True,
        prefixes_max=REPORT_PREFIXES,
        on_key=on_key,
    )
    with opened(file) as source:
        measure(source, sink, selection)
        size = len(source.source.data)
    result = summary(sink, file, model, allocator)
    result["file_bytes"] = size
    result["made"] = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    result["by_size"] = [
        {"up_to": (1 << bits) - 1, "keys": row[0], "bytes": row[1]} for bits, row in sorted(sizes.items())
    ]
    result["tree"] = tree(sink.by_prefix(), separator.encode()[:1])
    with writing(output) as out:
        out.write(render(result).encode())
    click.echo(f"{output}: {result['keys']:,} keys, {result['bytes']:,} bytes", err=True)


def tree(prefixes: dict[bytes | None, list[int]], separator: bytes) -> dict[str, Any]:
    """Prefixes as a tree: name, keys, bytes, children."""
    root: dict[str, Any] = {"name": "all keys", "keys": 0, "bytes": 0, "children": {}}
    for prefix, (keys, used, _) in prefixes.items():
        parts = [b"(others)"] if prefix is None else [*prefix.split(separator)]
        if len(parts) > 1 and not parts[-1]:
            parts.pop()  # there was no room for what follows
        node = root
        node["keys"] += keys
        node["bytes"] += used
        for number, part in enumerate(parts):
            name = shown(part) + (separator.decode("latin-1") if number < len(parts) - 1 else "")
            node = node["children"].setdefault(name, {"name": name, "keys": 0, "bytes": 0, "children": {}})
            node["keys"] += keys
            node["bytes"] += used
    return as_lists(root)


def as_lists(node: dict[str, Any]) -> dict[str, Any]:
    children = sorted((as_lists(child) for child in node["children"].values()), key=lambda child: -child["bytes"])
    if len(children) > 200:  # smaller ones could not be seen
        rest = children[200:]
        children = [
            *children[:200],
            {
                "name": f"({len(rest)} smaller)",
                "keys": sum(child["keys"] for child in rest),
                "bytes": sum(child["bytes"] for child in rest),
                "children": [],
            },
        ]
    return {**node, "children": children}
