"""What a loaded engine holds, in the corpus's schema, and what the corpus expects."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from rotomdb.engine import Engine, Keyspace, hashes, lists, sets, sorted_sets, streams, strings

LONG = 8192


def expected(path: Path) -> dict[str, Any]:
    """The JSON at `path`, or its gzipped form."""
    if path.exists():
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    return json.loads(gzip.decompress(path.with_name(path.name + ".gz").read_bytes()))  # type: ignore[no-any-return]


def encode(data: bytes) -> Any:
    if len(data) > LONG:
        return {"len": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def value_of(db: Keyspace, key: bytes) -> Any:
    kind = db.type_name(key)
    if kind == b"string":
        return encode(strings.peek(db, key) or b"")
    if kind == b"list":
        return [encode(item) for item in lists.get_range(db, key, 0, -1)]
    if kind == b"set":
        return [encode(member) for member in sorted(sets.members(db, key))]
    if kind == b"hash":
        flat = hashes.items(db, key)
        pairs = sorted((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))
        return [[encode(field), encode(value)] for field, value in pairs]
    if kind == b"stream":
        return stream_value(db, key)
    flat = sorted_sets.items(db, key)
    return [[encode(flat[i]), repr(flat[i + 1])] for i in range(0, len(flat), 2)]


def stream_value(db: Keyspace, key: bytes) -> dict[str, Any]:
    stream = streams.peek(db, key)
    assert stream is not None

    def text(entry_id: streams.Id) -> str:
        return streams.format_id(entry_id).decode()

    groups = []
    for group in stream.groups():
        consumers = [
            {
                "name": encode(consumer.name), "seen_ms": consumer.seen_ms, "active_ms": consumer.active_ms,
                "pel": [text(row[0]) for row in group.pending_range(streams.MIN_ID, streams.MAX_ID, -1, consumer)],
            }
            for consumer in group.consumers()
        ]  # fmt: skip
        pending = group.pending_range(streams.MIN_ID, streams.MAX_ID, -1)
        groups.append({
            "name": encode(group.name), "last_id": text(group.last_id),
            "entries_read": None if group.entries_read == -1 else group.entries_read,
            "pel": [[text(entry_id), encode(owner), when, times] for entry_id, owner, when, times in pending],
            "consumers": consumers,
        })  # fmt: skip
    entries = [
        [entry_id.decode(), [[encode(flat[i]), encode(flat[i + 1])] for i in range(0, len(flat), 2)]]
        for entry_id, flat in stream.range(streams.MIN_ID, streams.MAX_ID)
    ]
    return {
        "last_id": text(stream.last_id), "length": stream.length, "entries_added": stream.entries_added,
        "max_deleted_id": text(stream.max_deleted_id), "first_id": text(stream.first_id), "entries": entries,
        "groups": groups,
    }  # fmt: skip


def as_far_as_known(held: Any, known: Any) -> Any:
    """`held` without what the expectation leaves open (null inside a stream)."""
    if isinstance(held, dict) and isinstance(known, dict):
        return {
            name: None if known.get(name, "") is None else as_far_as_known(held[name], known.get(name)) for name in held
        }
    if isinstance(held, list) and isinstance(known, list) and len(held) == len(known):
        return [as_far_as_known(one, other) for one, other in zip(held, known, strict=True)]
    return held


def holdable(row: dict[str, Any]) -> bool:
    """Whether this version has the row's type."""
    return row["type"] in ("string", "list", "set", "zset", "hash", "stream")


def field_times(db: Keyspace, key: bytes) -> list[Any]:
    """[field, absolute expire time in ms] of the fields that have one."""
    names = sorted(hashes.items(db, key)[::2])
    found = zip(names, hashes.expire_times(db, key, names), strict=True)
    return [[encode(name), when] for name, when in found if when != -1]


def without_fields(row: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """A hash without fields that the real server dropped when it loaded them."""
    if row["type"] != "hash" or not gone:
        return row
    kept = [pair for pair in row["value"] if str(pair[0]) not in gone]
    times = [pair for pair in row["field_ttls_ms_absolute"] if str(pair[0]) not in gone]
    return {**row, "value": kept, "field_ttls_ms_absolute": times}


def content(engine: Engine) -> list[dict[str, Any]]:
    rows = []
    for database in engine.databases:
        for key in sorted(database.match(b"*")):
            expire = database.expire_at(key)
            kind = database.type_name(key)
            assert kind is not None
            rows.append(
                {
                    "db": database.index,
                    "key": encode(key),
                    "type": kind.decode(),
                    "ttl_ms_absolute": None if expire == -1 else expire,
                    "value": value_of(database, key),
                    "field_ttls_ms_absolute": field_times(database, key) if kind == b"hash" else [],
                }
            )
    return rows


def wanted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("db", "key", "type", "ttl_ms_absolute", "value")
    return [
        {**{name: row[name] for name in names}, "field_ttls_ms_absolute": row.get("field_ttls_ms_absolute", [])}
        for row in rows
        if not row.get("expired_at_load")
    ]
