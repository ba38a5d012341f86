"""Every append-only file of the corpus loads in a real rotomdb process with the expected content."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import FileFormatError, ManifestError
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.store.store import Store
from tests.corpus.content import as_far_as_known, content, expected, holdable, wanted
from tests.corpus.files import AOF_DIRECTORIES, TREE

CLAIMS_OF_7_0 = ("redis-7.0.15", "rewritten-aof")  # its XCLAIM of a deleted message makes no consumer


def load(directory: Path, target: dict[str, Any], *extra: str) -> Engine:
    """Load a data directory as a server does."""
    config = Config()
    load_words(
        config,
        ["--dir", str(directory), "--appendfilename", target["appendfilename"], "--loglevel", "nothing",
         "--appenddirname", target.get("appenddirname", "appendonlydir"),
         "--databases", str(target.get("load_config", {}).get("databases", 16)), *extra]
    )  # fmt: skip
    store = Store(config, lambda level, text: None)
    store.dispatcher.update_clock()
    store.engine.expire_on_access = False
    store.dispatcher.loading = True
    persistence = store.persistence
    persistence.aof.read_manifest()
    persistence.loader.load_log(persistence.aof.data_files(), store.replayer())
    store.engine.expire_on_access = False
    return store.engine


@pytest.mark.parametrize("directory", AOF_DIRECTORIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_aof_loads_with_the_content_that_a_real_server_saw(directory: Path, tmp_path: Path) -> None:
    target = expected(directory / "expected.json")
    copy = tmp_path / "data"
    shutil.copytree(directory, copy)
    rows = target["keys"] + target.get("expired_at_load", [])
    try:
        engine = load(copy, target)
    except (FileFormatError, ManifestError) as error:
        assert not all(holdable(row) for row in rows), error
        return
    assert all(holdable(row) for row in rows)
    assert sorted(engine.function_libraries) == sorted(library["code"].encode() for library in target["functions"])
    dropped = {(row["db"], str(row["key"])) for row in target.get("expired_at_load", [])}
    held = [row for row in content(engine) if (row["db"], str(row["key"])) not in dropped]
    rows = wanted(target["keys"])
    if directory.parent.name == "redis-6.2.14" or (directory.parent.name, directory.name) == CLAIMS_OF_7_0:
        held, rows = as_newer_servers_have_it(held), as_newer_servers_have_it(rows)
    assert as_far_as_known(held, rows) == rows


def as_newer_servers_have_it(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """6.2 keeps a score of -0 and claims of deleted messages; 7.0 drops both; 7.2 and we make the claiming consumer, too."""
    rows = copy.deepcopy(rows)
    for row in rows:
        if row["type"] == "zset":
            row["value"] = [[member, "0.0" if score == "-0.0" else score] for member, score in row["value"]]
        elif row["type"] == "stream":
            live = {entry_id for entry_id, _ in row["value"]["entries"]}
            for group in row["value"]["groups"]:
                group["pel"] = [pending for pending in group["pel"] if pending[0] in live]
                for consumer in group["consumers"]:
                    consumer["pel"] = [entry_id for entry_id in consumer["pel"] if entry_id in live]
                group["consumers"] = [consumer for consumer in group["consumers"] if consumer["pel"]]
    return rows


def test_the_tree_has_append_only_files_of_every_server() -> None:
    directories = {path.parent for path in TREE.glob("aof/*/*/expected.json*")}
    assert {path.parent.name for path in directories} == {
        "redis-6.2.14",
        "redis-7.0.15",
        "valkey-8.1-dev",
        "redis-8.0-dev",
    }
    assert len(directories) > 70
    assert directories <= set(AOF_DIRECTORIES)
