"""Where the files of real servers are: a chosen set in the tree, and more of the same form where it lies beside the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.corpus.content import expected

TREE = Path(__file__).parent / "data"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "corpus"
DAMAGED = TREE / "damaged"


def found(pattern: str) -> list[Path]:
    """Those in the tree, then those that are only beside it."""
    here = sorted(TREE.glob(pattern))
    known = {path.relative_to(TREE) for path in here}
    return here + [path for path in sorted(BESIDE.glob(pattern)) if path.relative_to(BESIDE) not in known]


def damaged(kind: str) -> list[dict[str, Any]]:
    """What was damaged, and what real servers made of it; kind: rdb or aof."""
    return [case for case in expected(DAMAGED / "index.json")["cases"] if case["kind"] == kind]


def expectation(path: Path) -> Path:
    """The JSON that says what an RDB should contain."""
    own = path.with_name(f"{path.stem}.expected.json")
    return own if own.exists() or own.with_name(own.name + ".gz").exists() else path.with_suffix(".json")


RDB_FILES = found("rdb/*/*.rdb")
AOF_DIRECTORIES = [path for path in found("aof/*/*") if path.is_dir()]
