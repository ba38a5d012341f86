"""Generated pages match the code, and the README shows commands that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from rotomdb.server.main import configuration_page

ROOT = Path(__file__).resolve().parents[1]


def test_configuration_page_is_fresh() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == configuration_page()


def test_commands_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r"\brotomdb-[a-z-]+[a-z]", readme))
    assert named - {"rotomdb-server"} <= set(project["scripts"])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", readme)) <= targets
