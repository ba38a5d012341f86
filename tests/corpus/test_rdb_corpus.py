"""Every RDB of the corpus loads with the expected content, or is refused for a type that is not built yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import RdbError
from rotomdb.formats.rdb.reader import RdbReader
from tests.corpus.content import as_far_as_known, content, expected, holdable, wanted, without_fields
from tests.corpus.files import RDB_FILES, TREE, expectation

NOT_YET = ("module values cannot be held",)


@pytest.mark.parametrize("path", RDB_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
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


def test_the_tree_has_files_of_every_version_with_their_expectations() -> None:
    files = sorted(TREE.glob("rdb/*/*.rdb"))
    versions = {int(path.read_bytes()[5:9]) for path in files if path.read_bytes()[:5] == b"REDIS"}
    assert versions >= {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
    assert len(files) > 150
    assert sum(path.stat().st_size for path in TREE.rglob("*") if path.is_file()) < 5 << 20
    for path in files:
        assert {"keys", "refused_by"} & expected(expectation(path)).keys()
