"""Dumps read back: rows of `dump` in JSON, NDJSON, CSV or Python become an RDB again."""

from __future__ import annotations

import ast
import base64
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import rotomdb.rdb
from rotomdb.engine.rdb_walker import StreamConsumer, StreamGroup
from rotomdb.errors import SourceError
from rotomdb.storage.rdb_writer import TARGETS, RdbWriter

TARGET = TARGETS["redis-8.0"]  # holds everything that rows can
CSV_HEADER = b"db,key,type,"
BEGINNING = re.compile(rb"\s*\[|\s*\{|\(\d|" + CSV_HEADER)  # a bare parenthesis is how zstd begins, too
CSV_CELL_MAX = 1 << 30

Row = dict[str, Any]


def is_dump(head: bytes) -> bool:
    """Whether a file that begins so is a dump: a JSON array or object, a CSV with our header, a Python tuple."""
    return BEGINNING.match(head) is not None


def write_rows(path: Path, out: IO[bytes]) -> None:
    """Write the RDB that the rows describe. Raises SourceError with the number of the row at fault."""
    writer = RdbWriter(out.write, TARGET)
    number = 0
    try:
        for number, row in enumerate(rows_of(path), 1):
            value = value_of(row["type"], row["value"])
            if row.get("unsupported"):
                raise SourceError(f"{path}: row {number}: the value of a module is not in it")
            times: dict[rotomdb.rdb.Text, int] = {
                as_bytes(name): when for name, when in row.get("field_ttls_ms_absolute") or []
            }
            rotomdb.rdb.add_to(
                writer.sink, as_bytes(row["key"]), value, row["db"], row["ttl_ms_absolute"], times or None
            )
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise SourceError(f"{path}: row {max(number, 1)}: it is no row of a dump: {error!r}") from None
    writer.finish()


def rows_of(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        head = file.read(1 << 10)
        file.seek(0)
        if head.startswith(CSV_HEADER.decode()):
            csv.field_size_limit(CSV_CELL_MAX)
            for cells in csv.DictReader(file):
                yield from_cells(cells)
            return
        for line in file:
            text = line.strip()
            if text in ("[", "]", ""):
                continue
            if text.startswith("("):
                db, key, kind, expires, value, times = ast.literal_eval(text)
                yield {"db": db, "key": key, "type": kind, "ttl_ms_absolute": expires, "value": value,
                       "field_ttls_ms_absolute": times}  # fmt: skip
                continue
            loaded = json.loads(text.removesuffix(","))
            yield from loaded if isinstance(loaded, list) else [loaded]


def from_cells(cells: dict[str, str]) -> Row:
    text = cells["value"]
    return {
        "db": int(cells["db"]),
        "key": from_text(cells["key"]),
        "type": cells["type"],
        "ttl_ms_absolute": int(cells["ttl_ms_absolute"]) if cells["ttl_ms_absolute"] else None,
        "value": from_text(text) if cells["type"] == "string" else json.loads(text),
        "field_ttls_ms_absolute": json.loads(cells["field_ttls_ms_absolute"] or "[]"),
    }


def from_text(text: str) -> Any:
    """Text of a cell, in which bytes that are no UTF-8 stand as a JSON object."""
    return json.loads(text) if text.startswith('{"b64":') else text


def as_bytes(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"no bytes: {value!r}")


def value_of(kind: str, value: Any) -> Any:
    """What `rotomdb.rdb` writes for a value of a row."""
    if kind == "string":
        return as_bytes(value)
    if kind == "list":
        return [as_bytes(item) for item in value]
    if kind == "set":
        return {as_bytes(item) for item in value}
    if kind == "hash":
        return {as_bytes(name): as_bytes(data) for name, data in value}
    if kind == "zset":
        return rotomdb.rdb.SortedSet({as_bytes(member): float(score) for member, score in value})
    if kind == "stream":
        return stream_of(value)
    raise ValueError(f"values of type {kind} cannot be written")


def entry_id(text: str) -> tuple[int, int]:
    ms, _, sequence = text.partition("-")
    return int(ms), int(sequence)


def stream_of(value: Row) -> rotomdb.rdb.Stream:
    entries = [
        (entry_id(i), [(as_bytes(name), as_bytes(data)) for name, data in fields]) for i, fields in value["entries"]
    ]
    return rotomdb.rdb.Stream(
        entries, value["length"], entry_id(value["last_id"]), entry_id(value["max_deleted_id"]), value["entries_added"],
        [group_of(group) for group in value["groups"]],
    )  # fmt: skip


def group_of(group: Row) -> StreamGroup:
    pending = {entry_id(i): (when, times) for i, _, when, times in group["pending"]}
    owners = {entry_id(i): as_bytes(owner) for i, owner, _, _ in group["pending"] if owner is not None}
    consumers = []
    for one in group["consumers"]:
        name = as_bytes(one["name"])
        held = [i for i, owner in owners.items() if owner == name]
        consumers.append(StreamConsumer(name, one["seen_ms"], one["active_ms"], held))
    return StreamGroup(
        as_bytes(group["name"]), entry_id(group["last_id"]), group["entries_read"], pending, consumers, owners
    )
