"""Generated pages match the code, and the README shows commands that exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from rotomdb.commands import compatibility
from rotomdb.server.main import configuration_page
from tests.processes import RedisServer

ROOT = Path(__file__).resolve().parents[1]


def test_configuration_page_is_fresh() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == configuration_page()


def test_command_page_is_fresh() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == "".join(compatibility.page())


def test_every_command_of_redis_is_supported_or_named_as_missing(redis_server: Callable[..., RedisServer]) -> None:
    with redis_server().client() as client:
        theirs = {name.decode() for name in client.command_list()}
    ours = {spec.name for spec in compatibility.supported()}
    gaps = {name for _, name in compatibility.missing()}
    containers = {"debug"} | {name.partition("|")[0] for name in theirs if "|" in name}
    assert theirs - containers - ours <= gaps
    assert not ours & gaps


def test_commands_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r"\brotomdb-[a-z-]+[a-z]", readme))
    assert named - {"rotomdb-server"} <= set(project["scripts"])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", readme)) <= targets


def test_pages_that_are_cited_exist() -> None:
    sources = [path for suffix in ("py", "pyx", "pxd", "md") for path in ROOT.glob(f"[!.b]*/**/*.{suffix}")]
    assert len(sources) > 200
    for path in [*sources, *ROOT.glob("*.md")]:
        for page in re.findall(r"\bdocs/([a-z-]+\.(?:md|png))", path.read_text()):
            assert (ROOT / "docs" / page).is_file(), f"{path}: docs/{page}"
