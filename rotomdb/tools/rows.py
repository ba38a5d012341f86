"""Dumps read back: rows of `dump` in JSON, NDJSON, CSV or Python become an RDB again."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import rotomdb.rdb
from rotomdb.errors import SourceError
from rotomdb.formats.rdb.stream_tail import StreamConsumer, StreamGroup
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.tools.python_literals import parse_literal

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
            if row["type"] == "function":
                writer.function(as_bytes(row["value"]))
                continue
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
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"{path}: row {max(number, 1)}: it is no row of a dump: {why}") from None
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
                db, key, kind, expires, value, times = parse_literal(text)
                yield {"db": db, "key": key, "type": kind, "ttl_ms_absolute": expires, "value": value,
                       "field_ttls_ms_absolute": times}  # fmt: skip
                continue
            loaded = json.loads(text.removesuffix(","))
            yield from map(in_bytes, loaded if isinstance(loaded, list) else [loaded])


def from_cells(cells: dict[str, str]) -> Row:
    text, values_as = cells["value"], cells.get("values_as") or "auto"
    is_text = cells["type"] in ("string", "function")
    return in_bytes({
        "db": int(cells["db"] or 0),
        "key": from_text(cells["key"], cells.get("keys_as") or "auto"),
        "type": cells["type"],
        "ttl_ms_absolute": int(cells["ttl_ms_absolute"]) if cells["ttl_ms_absolute"] else None,
        "value": from_text(text, values_as) if is_text else json.loads(text or "null"),
        "field_ttls_ms_absolute": json.loads(cells["field_ttls_ms_absolute"] or "[]"),
        "keys_as": cells.get("keys_as") or "auto",
        "values_as": values_as,
        "unsupported": cells["type"] == "module",
    })  # fmt: skip


def from_text(text: str, form: str) -> Any:
    """Text of a cell, in which bytes that are no UTF-8 stand as a JSON object unless another form is in use."""
    return json.loads(text) if form == "auto" and text.startswith('{"b64":') else text


ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")
DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
    "escaped": lambda text: ESCAPE.sub(lambda at: bytes.fromhex(at[1].decode()) if at[1] else b"\\", text.encode()),
}


def in_bytes(row: Row) -> Row:
    """The row with its texts in bytes, where it says that they are in another form than usual."""
    for name, form in (("key", row.get("keys_as")), ("value", row.get("values_as"))):
        if form and form != "auto" and row["type"] != "function":
            row[name] = decoded(row[name], DECODERS[form], row["type"] if name == "value" else "string")
    form = row.get("values_as")
    if form and form != "auto":
        times = row.get("field_ttls_ms_absolute") or []
        row["field_ttls_ms_absolute"] = [(DECODERS[form](name), when) for name, when in times]
    return row


def decoded(value: Any, decode: Callable[[str], bytes], kind: str) -> Any:
    """A value in which `decode` is applied to what are bytes of the data set."""
    if kind == "string":
        return decode(value)
    if kind in ("list", "set"):
        return [decode(item) for item in value]
    if kind == "hash":
        return [(decode(name), decode(data)) for name, data in value]
    if kind == "zset":
        return [(decode(member), score) for member, score in value]
    if kind == "stream":
        value["entries"] = [
            (i, [(decode(name), decode(data)) for name, data in fields]) for i, fields in value["entries"]
        ]
        for group in value["groups"]:
            group["name"] = decode(group["name"])
            group["pending"] = [
                (i, None if owner is None else decode(owner), when, times) for i, owner, when, times in group["pending"]
            ]
            for consumer in group["consumers"]:
                consumer["name"] = decode(consumer["name"])
    return value


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
