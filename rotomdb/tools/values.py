"""Keys and values of an RDB as Python and as JSON."""

from __future__ import annotations

import base64
from typing import Any

from rotomdb.engine import Keyspace, hashes, lists, sets, sorted_sets, streams, strings
from rotomdb.storage.rdb import KeyRecord


def json_string(data: bytes) -> str | dict[str, str]:
    """Text where the bytes are UTF-8, else `{"b64": ...}`: nothing is lost, nothing is ambiguous."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def shown(data: bytes) -> str:
    """Bytes for a person's eyes: what is not printable text is escaped."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_value(keyspace: Keyspace, record: KeyRecord) -> Any:
    """The value in JSON's terms; None when it is of a type that cannot be held."""
    key = record.key
    kind = keyspace.type_name(key)
    if kind == b"string":
        return json_string(strings.peek(keyspace, key) or b"")
    if kind == b"list":
        return [json_string(item) for item in lists.get_range(keyspace, key, 0, -1)]
    if kind == b"set":
        return [json_string(member) for member in sorted(sets.members(keyspace, key))]
    if kind == b"hash":
        flat = hashes.items(keyspace, key)
        return [[json_string(flat[i]), json_string(flat[i + 1])] for i in range(0, len(flat), 2)]
    if kind == b"zset":
        scored = sorted_sets.items(keyspace, key)
        return [[json_string(scored[i]), repr(scored[i + 1])] for i in range(0, len(scored), 2)]
    if kind == b"stream":
        return json_stream(keyspace, key)
    return None


def json_stream(keyspace: Keyspace, key: bytes) -> dict[str, Any]:
    """A stream with its entries, groups, consumers and pending entries."""
    stream = streams.peek(keyspace, key)
    assert stream is not None

    def text(entry_id: streams.Id) -> str:
        return streams.format_id(entry_id).decode()

    groups = []
    for group in stream.groups():
        pending = group.pending_range(streams.MIN_ID, streams.MAX_ID, -1)
        groups.append({
            "name": json_string(group.name), "last_id": text(group.last_id),
            "entries_read": None if group.entries_read == streams.UNKNOWN_READ else group.entries_read,
            "pending": [[text(i), json_string(owner), when, times] for i, owner, when, times in pending],
            "consumers": [
                {"name": json_string(one.name), "seen_ms": one.seen_ms, "active_ms": one.active_ms, "pending": one.pending_count}
                for one in group.consumers()
            ],
        })  # fmt: skip
    return {
        "last_id": text(stream.last_id), "length": stream.length, "entries_added": stream.entries_added,
        "max_deleted_id": text(stream.max_deleted_id),
        "entries": [
            [entry_id.decode(), [[json_string(flat[i]), json_string(flat[i + 1])] for i in range(0, len(flat), 2)]]
            for entry_id, flat in stream.range(streams.MIN_ID, streams.MAX_ID)
        ],
        "groups": groups,
    }  # fmt: skip


LOGICAL_TYPES = {
    0: "string", 1: "list", 2: "set", 3: "zset", 4: "hash", 5: "zset", 6: "module", 7: "module", 9: "hash", 10: "list",
    11: "set", 12: "zset", 13: "hash", 14: "list", 15: "stream", 16: "hash", 17: "zset", 18: "list", 19: "stream",
    20: "set", 21: "stream", 22: "hash", 23: "hash", 24: "hash", 25: "hash",
}  # fmt: skip


def json_record(keyspace: Keyspace, record: KeyRecord) -> dict[str, Any]:
    """One key as a JSON object. An empty value, which servers drop when loading, has `"empty": true`."""
    row: dict[str, Any] = {
        "db": record.db,
        "key": json_string(record.key),
        "type": LOGICAL_TYPES[record.type],
        "encoding": record.type_name,
        "ttl_ms_absolute": record.expire_ms,
    }
    if keyspace.exists(record.key):
        row["value"] = json_value(keyspace, record)
        if row["type"] == "hash" and hashes.has_times(keyspace, record.key):
            names = hashes.fields(keyspace, record.key)
            times = zip(names, hashes.expire_times(keyspace, record.key, names), strict=True)
            row["field_ttls_ms_absolute"] = [[json_string(name), when] for name, when in times if when != -1]
    elif row["type"] == "module":
        row["value"] = None
        row["unsupported"] = f"values of type {record.type_name} cannot be shown by this version"
    else:
        row["value"] = None
        row["empty"] = True
    return row
