"""Every RDB of the corpus, taken apart piece by piece, gives the content that a real server saw."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import RdbError
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.formats.sinks.json import JsonSink
from tests.corpus.content import as_far_as_known, encode, expected, without_fields
from tests.corpus.files import DAMAGED, RDB_FILES, expectation
from tests.corpus.test_damaged_rdb import CASES, healed


def raw(text: Any) -> bytes:
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()


def shortened(text: Any) -> Any:
    """As the corpus has long strings."""
    return encode(raw(text))


def normal(row: dict[str, Any]) -> dict[str, Any]:
    """A dumped row in the corpus's schema: members sorted, long strings as hashes."""
    value, kind = row["value"], row["type"]
    if kind == "string":
        value = shortened(value)
    elif kind == "list":
        value = [shortened(item) for item in value]
    elif kind == "set":
        value = [encode(member) for member in sorted(map(raw, value))]
    elif kind == "hash":
        value = [[encode(name), encode(data)] for name, data in sorted((raw(n), raw(d)) for n, d in value)]
    elif kind == "zset":
        ordered = sorted((float(score), raw(member), score) for member, score in value)
        value = [[encode(member), score] for _, member, score in ordered]
    elif kind == "stream":
        value = stream(value)
    times = sorted((raw(name), when) for name, when in row.get("field_ttls_ms_absolute", []))
    return {
        "db": row["db"], "key": shortened(row["key"]), "type": kind, "ttl_ms_absolute": row["ttl_ms_absolute"], "value": value,
        "field_ttls_ms_absolute": [[encode(name), when] for name, when in times],
    }  # fmt: skip


def stream(value: dict[str, Any]) -> dict[str, Any]:
    groups = []
    for group in sorted(value["groups"], key=lambda one: raw(one["name"])):
        consumers = [
            {"name": shortened(one["name"]), "seen_ms": one["seen_ms"], "active_ms": one["active_ms"],
             "pel": [row[0] for row in group["pending"] if row[1] == one["name"]]}
            for one in sorted(group["consumers"], key=lambda one: raw(one["name"]))
        ]  # fmt: skip
        groups.append(
            {"name": shortened(group["name"]), "last_id": group["last_id"], "entries_read": group["entries_read"],
             "pel": group["pending"], "consumers": consumers}
        )  # fmt: skip
    entries = [[i, [[shortened(n), shortened(d)] for n, d in fields]] for i, fields in value["entries"]]
    return {**value, "entries": entries, "groups": groups}


def dumped(data: bytes, name: str) -> list[dict[str, Any]]:
    pieces: list[bytes] = []
    sink = JsonSink(pieces.append)
    reader = RdbReader(data, name)
    for _ in reader.walk(sink):
        pass
    sink.flush()
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def by_key(row: dict[str, Any]) -> tuple[int, bytes]:
    return row["db"], raw(row["key"])


@pytest.mark.parametrize("path", RDB_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_dump_has_the_content_that_a_real_server_saw(path: Path) -> None:
    target = expected(expectation(path))
    rows = target.get("keys")
    try:
        found = dumped(path.read_bytes(), str(path))
    except RdbError:
        assert rows is None, "a file that a real server loads was refused"
        return
    check_rdb(path.read_bytes(), str(path))
    if rows is None:
        return  # no server at hand has the module
    gone = {by_key(row) for row in [*target.get("expired_at_load", []), *(r for r in rows if r.get("expired_at_load"))]}
    lost = {
        str(one["key"]): {str(field) for field, _ in one["fields"]} for one in target.get("expired_fields_at_load", [])
    }
    held = [
        normal(row) for row in found if row["type"] != "module" and not row.get("empty") and by_key(row) not in gone
    ]
    held = [without_fields(row, lost.get(str(row["key"]), set())) for row in held]
    held = sorted((row for row in held if row["value"] != []), key=lambda row: (row["db"], str(row["key"])))
    names = ("db", "key", "type", "ttl_ms_absolute", "value")
    wanted = [
        {**{name: row[name] for name in names}, "field_ttls_ms_absolute": row.get("field_ttls_ms_absolute", [])}
        for row in rows
        if row["type"] not in ("module", "unknown") and "value" in row and not row.get("expired_at_load")
    ]
    wanted.sort(key=lambda row: (row["db"], str(row["key"])))
    assert as_far_as_known(healed(held), healed(wanted)) == healed(wanted)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_check_agrees_with_the_loader_about_damaged_files(case: dict[str, Any]) -> None:
    data = (DAMAGED / case["path"]).read_bytes()

    def verdict(read: Any) -> str:
        try:
            read()
        except RdbError as error:
            assert 0 <= error.offset <= len(data)
            return error.reason
        return ""

    loaded = verdict(lambda: RdbReader(data, case["path"]).load_into(Engine(16)))
    checked = verdict(lambda: check_rdb(data, case["path"]))
    beyond_one_value = ("cannot be held", "no matching module", "duplicate key", "out of range", "Pre-release function")
    if any(words in loaded for words in beyond_one_value):
        return
    assert bool(loaded) == bool(checked), (loaded, checked)
