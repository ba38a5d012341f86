"""Every RDB of the corpus loads with the expected content, or is refused for a type that is not built yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import RdbError
from rotomdb.formats.rdb.reader import RdbReader
from tests.conftest import CORPUS
from tests.corpus.content import as_far_as_known, content, expected, holdable, wanted, without_fields

FILES = sorted(CORPUS.glob("rdb/*/*.rdb"))
NOT_YET = ("module values cannot be held",)


def expectation(path: Path) -> Path:
    beside = path.with_suffix(".json")
    own = path.with_name(f"{path.stem}.expected.json")
    return own if own.exists() or own.with_name(own.name + ".gz").exists() else beside


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_rdb_loads_with_the_content_that_a_real_server_saw(path: Path) -> None:
    target = expected(expectation(path))
    engine = Engine(int(target.get("load_config", {}).get("databases", 16)))
    engine.expire_on_access = False
    reader = RdbReader(path.read_bytes(), str(path))
    rows = target.get("keys")
    gone = target.get("expired_at_load", [])
    dropped = {(row["db"], str(row["key"])) for row in gone}
    try:
        reader.load_into(engine)
    except RdbError as error:
        if rows is None:
            return  # no server at hand loads it either
        assert any(reason in error.reason for reason in NOT_YET), error
        assert not all(holdable(row) for row in rows + gone)
        return
    if rows is None and all(one["error"].startswith("Wrong signature") for one in target["refused_by"]):
        assert reader.version >= 80  # Valkey 9, which none of the servers at hand reads
        return
    assert rows is not None, "a file that real servers refuse was loaded"
    held = [row for row in content(engine) if (row["db"], str(row["key"])) not in dropped]
    for lost in target.get("expired_fields_at_load", []):
        fields = {str(field) for field, _ in lost["fields"]}
        held = [without_fields(row, fields) if row["key"] == lost["key"] else row for row in held]
    held = [row for row in held if row["value"] != []]
    skip = {(row["db"], str(row["key"])) for row in rows if row.get("expired_at_load")}
    held = [row for row in held if (row["db"], str(row["key"])) not in skip]
    assert as_far_as_known(held, wanted(rows)) == wanted(rows)


def test_the_corpus_has_files_of_every_version() -> None:
    if not FILES:
        pytest.skip(f"no corpus at {CORPUS}")
    assert len(FILES) > 150
