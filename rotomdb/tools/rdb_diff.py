"""`rotomdb-rdb diff`: what has changed between two data sets."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from rotomdb.formats.rdb.reader import Function, ModuleAux
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.formats.sinks.key_index import PARTS
from rotomdb.formats.sinks.key_index import differences as part_differences
from rotomdb.formats.sinks.objects import ObjectSink, StreamValue
from rotomdb.formats.sinks.text import id_text
from rotomdb.tools.key_parts import KeyParts
from rotomdb.tools.paths import DATA
from rotomdb.tools.selection import selecting_with_functions
from rotomdb.tools.sorted_spool import SortedSpool
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, SOUND
from rotomdb.tools.values import function_name, json_text, shown

DETAILS_MAX = 10
WIDTH = 40
LIBRARY, OF_MODULE = "function library", "data of module"

Apart = tuple[str, str]  # what it is, and its name


@dataclass
class Side:
    """One of the two: where its keys stand, and the content of what is no key."""

    keys: KeyParts
    apart: dict[Apart, list[bytes]]


def side_of(stack: contextlib.ExitStack, source: Opened, selection: Selection | None) -> Side:
    keys = stack.enter_context(contextlib.closing(KeyParts(source)))
    apart: dict[Apart, list[bytes]] = {}
    for event in source.wanted(keys.fill(selection), selection):
        if isinstance(event, Function):
            apart.setdefault((LIBRARY, shown(function_name(event.code))), []).append(event.code)
        elif isinstance(event, ModuleAux):
            content = bytes(keys.reader.data[event.start : event.end])
            apart.setdefault((OF_MODULE, event.module), []).append(content)
    return Side(keys, apart)


@click.command()
@click.option(
    "--ttl-tolerance",
    type=click.IntRange(min=0),
    default=0,
    metavar="MS",
    help="Expire times that differ by no more are equal.",
)
@click.option("--ignore-ttl", is_flag=True, help="Do not compare expire times.")
@click.option("--summary", is_flag=True, help="Only how many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.argument("a", type=DATA)
@click.argument("b", type=DATA)
@selecting_with_functions
def diff(
    ttl_tolerance: int, ignore_ttl: bool, summary: bool, as_json: bool, a: str, b: str, selection: Selection | None
) -> None:
    """Compare two data sets by content: encodings and the order of members do not count.

    A and B are RDB files, append-only files, data directories or live servers, in any mix. Lines begin with + for what only
    B has, - for what only A has, ~ for what differs; function libraries count, too. Exit status 0: equal, 1: they differ.

    \b
    Examples:
      rotomdb-rdb diff yesterday.rdb today.rdb
      rotomdb-rdb diff dump.rdb /var/lib/redis/appendonlydir --summary
      rotomdb-rdb diff redis://old:6379 redis://new:6379 --ttl-tolerance 2000
    """
    counts = {"added": 0, "removed": 0, "changed": 0}
    with contextlib.ExitStack() as stack:
        a_side, b_side = (side_of(stack, stack.enter_context(opened(spec, "comparing")), selection) for spec in (a, b))
        apart = differences_apart(a_side.apart, b_side.apart)
        keys = differences(a_side.keys, b_side.keys, -1 if ignore_ttl else ttl_tolerance, details=not summary)
        for row in itertools.chain(apart, keys):
            counts[row["change"]] += 1
            if not summary:
                print_row(row, as_json)
    if as_json:
        if summary:
            click.echo(json.dumps(counts))
    else:
        click.echo(f"{counts['added']} added, {counts['removed']} removed, {counts['changed']} changed")
    sys.exit(PROBLEMS if any(counts.values()) else SOUND)


def differences_apart(a: dict[Apart, list[bytes]], b: dict[Apart, list[bytes]]) -> Iterator[dict[str, Any]]:
    """Of function libraries, by name and code, and of what modules keep outside of keys."""
    for what, name in sorted(a.keys() | b.keys()):
        old, new = a.get((what, name)), b.get((what, name))
        if old == new:
            continue
        row: dict[str, Any] = {"change": "added" if old is None else "removed" if new is None else "changed"}
        row |= {"type": what, "name": name}
        if old is not None and new is not None:
            row["what"] = list(code_changes(b"".join(old), b"".join(new))) if what == LIBRARY else ["content"]
        yield row


def differences(a: KeyParts, b: KeyParts, tolerance: int, *, details: bool) -> Iterator[dict[str, Any]]:
    """Of keys, in the order of databases and names. Without details, how each differs is all that is told, in any order.

    Args:
        tolerance: Of expire times, in ms; negative: they are not compared.
    """
    with contextlib.closing(SortedSpool()) as found:
        for part in range(PARTS):
            for old, new, values_differ in part_differences(a.part(part), b.part(part), tolerance):
                if details:
                    key = a.look_up(old) if new < 0 else b.look_up(new)
                    found.add((key.db, key.key, old, new, values_differ))
                else:
                    yield {"change": change_of(old, new)}
        for db, name, old, new, values_differ in found:
            row = {"change": change_of(old, new), "db": db, "key": json_text(name)}
            yield row | described(a, b, old, new, tolerance, values_differ=values_differ)


def described(a: KeyParts, b: KeyParts, old: int, new: int, tolerance: int, *, values_differ: bool) -> dict[str, Any]:
    """The type of a key that differs, and where both have it what differs."""
    if old < 0 or new < 0:
        kind = a.look_up(old).type if new < 0 else b.look_up(new).type
        return {"type": LOGICAL_TYPES.get(kind)}
    old_value, new_value = ObjectSink(), ObjectSink()
    before = a.look_up(old, old_value if values_differ else None)
    after = b.look_up(new, new_value if values_differ else None)
    what = []
    if not same_time(before.expire_ms, after.expire_ms, tolerance):
        what.append(f"expires {before.expire_ms} → {after.expire_ms} (ms)")
    if values_differ:
        what += what_changed(old_value, new_value, before.type, after.type)
    return {"type": LOGICAL_TYPES.get(after.type), "what": what}


def change_of(old: int, new: int) -> str:
    return "removed" if new < 0 else "added" if old < 0 else "changed"


def same_time(a: int | None, b: int | None, tolerance: int) -> bool:
    if tolerance < 0 or a == b:
        return True
    return a is not None and b is not None and abs(a - b) <= tolerance


def brief(data: Any) -> str:
    text = shown(data) if isinstance(data, bytes) else repr(data)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def what_changed(a: ObjectSink, b: ObjectSink, old_type: int, new_type: int) -> Iterator[str]:
    old, new = LOGICAL_TYPES[old_type], LOGICAL_TYPES[new_type]
    if old != new:
        yield f"type {old} → {new}"
        return
    if old == "string":
        yield f"{brief(a.value)} → {brief(b.value)}"
    elif old == "list":
        yield from list_changes(a.value, b.value)
    elif old == "set":
        yield from mapping_changes(dict.fromkeys(a.value), dict.fromkeys(b.value), "member")
    elif old in ("hash", "zset", "array"):
        what = {"hash": "field", "zset": "member", "array": "index"}[old]
        yield from mapping_changes(dict(a.value), dict(b.value), what)
        yield from mapping_changes(a.field_times, b.field_times, "expire time of field")
    elif old == "stream":
        yield from stream_changes(a.value, b.value)
    else:
        yield "value of a module"


def list_changes(a: list[bytes], b: list[bytes]) -> Iterator[str]:
    if len(a) != len(b):
        yield f"length {len(a)} → {len(b)}"
    for i, (old, new) in enumerate(zip(a, b, strict=False)):
        if old != new:
            yield f"first difference at index {i}: {brief(old)} → {brief(new)}"
            return


def code_changes(a: bytes, b: bytes) -> Iterator[str]:
    old, new = a.split(b"\n"), b.split(b"\n")
    if len(old) != len(new):
        yield f"{len(old)} → {len(new)} lines"
    for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
        if before != after:
            yield f"first difference in line {number}: {brief(before)} → {brief(after)}"
            return


def mapping_changes(a: dict[Any, Any], b: dict[Any, Any], what: str) -> Iterator[str]:
    lines = [
        f"+{what} {brief(name)}" + ("" if b[name] is None else f" = {brief(b[name])}") for name in b.keys() - a.keys()
    ]
    lines += [f"-{what} {brief(name)}" for name in a.keys() - b.keys()]
    lines += [
        f"{what} {brief(name)}: {brief(a[name])} → {brief(b[name])}"
        for name in a.keys() & b.keys()
        if a[name] != b[name]
    ]
    yield from sorted(lines)[:DETAILS_MAX]
    if len(lines) > DETAILS_MAX:
        yield f"and {len(lines) - DETAILS_MAX} more"


def stream_changes(a: StreamValue, b: StreamValue) -> Iterator[str]:
    entries = [{id_text(i): repr(fields) for i, fields in side.entries} for side in (a, b)]
    yield from mapping_changes(entries[0], entries[1], "entry")
    for name in ("length", "last_id", "max_deleted_id", "entries_added"):
        old, new = getattr(a.tail, name), getattr(b.tail, name)
        if old != new:
            yield f"{name} {old} → {new}"
    groups = [
        {
            group.name: (
                group.last_id,
                group.entries_read,
                sorted(group.pending.items()),
                sorted(group.owners.items()),
                sorted(one.name for one in group.consumers),
            )
            for group in side.tail.groups
        }
        for side in (a, b)
    ]
    yield from mapping_changes(groups[0], groups[1], "group")


def print_row(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    sign = {"added": "+", "removed": "-", "changed": "~"}[row["change"]]
    what = "".join(f"\n    {line}" for line in row.get("what", []))
    if "key" not in row:
        click.echo(f"{sign} {row['type']} {row['name']}{what}")
        return
    key = row["key"] if isinstance(row["key"], str) else json.dumps(row["key"])
    click.echo(f"{sign} db {row['db']} {shown(key.encode())} ({row['type']}){what}")
