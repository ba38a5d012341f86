"""The examples run as they stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).resolve().parents[1] / "data" / "rdb-redis-7.0.15-allkinds.rdb"
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    shutil.copy(SNAPSHOT, tmp_path / "dump.rdb")
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    expected = {
        "own_commands": "left: 2\nrefused: STOCK only 2 left\n",
        "in_process": "visit 1 - best: ['grace']\n",
        "snapshot_to_dataframe": "        count ",
    }
    assert done.stdout.startswith(expected[path.stem])
