"""Damaged RDB files: what real servers refuse is refused with file, offset and reason; what they load is loaded."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.engine import Engine
from rotomdb.errors import RdbError
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.scripting.scripts import Scripting
from tests.corpus.content import as_far_as_known, content, expected, holdable, wanted
from tests.corpus.files import DAMAGED, damaged

CASES = damaged("rdb")


load_all()


def load(case: dict[str, Any], engine: Engine) -> None:
    path = DAMAGED / case["path"]
    Scripting(Dispatcher(engine, REGISTRY.values()), lambda level, text: None)  # which loads the libraries of functions
    RdbReader(path.read_bytes(), case["path"]).load_into(engine)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_damaged_rdb_gives_an_error_with_an_offset_or_loads(case: dict[str, Any]) -> None:
    engine = Engine(16)
    engine.expire_on_access = False
    verdicts = [verdict for verdict in case["server"].values() if "loaded" in verdict]
    any_loads = any(verdict["loaded"] for verdict in verdicts)
    try:
        load(case, engine)
    except RdbError as error:
        assert error.path == case["path"]
        assert 0 <= error.offset <= case["size"]
        assert error.reason
        if "(valid)" in case["what"] and "cannot be held" not in error.reason:
            pytest.fail(f"a valid file was refused: {error}")
        return
    # rotomdb always looks as closely as a server with sanitize-dump-payload yes.
    assert any_loads, f"real servers refuse this file: {verdicts}"
    reference = case.get("loaded_content")
    if reference:
        rows = expected(DAMAGED / reference)["keys"]
        if all(holdable(row) for row in rows):
            held = [row for row in content(engine) if row["ttl_ms_absolute"] != 0]  # servers drop it: long past
            assert as_far_as_known(healed(held), healed(wanted(rows))) == healed(wanted(rows))


def healed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what rotomdb puts right where servers keep the damage: score order, a stream's recorded first ID."""
    rows = copy.deepcopy(rows)
    for row in rows:
        if row["type"] == "zset":
            row["value"].sort(key=lambda pair: (float(pair[1]), str(pair[0])))
        elif row["type"] == "stream":
            row["value"]["first_id"] = None
    return rows
