"""What a loaded engine holds, in the corpus's schema, and what the corpus expects."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from rotomdb.engine import Engine, Keyspace, hashes, lists, sets, sorted_sets, strings

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
    flat = sorted_sets.items(db, key)
    return [[encode(flat[i]), repr(flat[i + 1])] for i in range(0, len(flat), 2)]


def holdable(row: dict[str, Any]) -> bool:
    """Whether this version has the row's type."""
    return row["type"] in ("string", "list", "set", "zset", "hash") and "field_ttls_ms_absolute" not in row


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
                }
            )
    return rows


def wanted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("db", "key", "type", "ttl_ms_absolute", "value")
    return [{name: row[name] for name in names} for row in rows if not row.get("expired_at_load")]
