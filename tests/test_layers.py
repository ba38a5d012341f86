"""Imports run one way: engine <- storage <- commands <- scripting <- server, and tools never import the server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "rotomdb"
MAY_IMPORT = {
    "engine": {"engine"},
    "storage": {"engine", "storage"},
    "commands": {"engine", "storage", "commands"},
    "scripting": {"engine", "storage", "commands", "scripting"},
    "server": {"engine", "storage", "commands", "scripting", "server"},
    "tools": {"engine", "storage", "commands", "scripting", "tools", "rdb"},  # rotomdb.rdb: the library over storage
}
IMPORT = re.compile(r"^\s*(?:from|c?import)\s+rotomdb\.(\w+)|^\s*from\s+rotomdb\.(\w+)", re.MULTILINE)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_layers_import_only_downwards(layer: str) -> None:
    files = [path for path in (ROOT / layer).iterdir() if path.suffix in (".py", ".pyx", ".pxd")]
    assert files
    for path in files:
        for found in IMPORT.finditer(path.read_text()):
            target = found[1] or found[2]
            assert target == "errors" or target in MAY_IMPORT[layer], f"{path.name} imports rotomdb.{target}"
