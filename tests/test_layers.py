"""Imports run one way: engine <- formats <- storage <- commands <- scripting <- store <- server, and tools never import the server.

`cimport` counts as `import` does, and so do imports inside functions.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rotomdb"
BELOW_COMMANDS = {"errors", "engine", "formats", "storage"}
BELOW_STORE = BELOW_COMMANDS | {"commands", "scripting"}
BELOW_SERVER = BELOW_STORE | {"store"}
MAY_IMPORT = {
    "errors": set[str](),
    "engine": {"errors"},
    "formats": {"errors", "engine"},
    "storage": {"errors", "engine", "formats"},
    "commands": BELOW_COMMANDS,
    "scripting": BELOW_COMMANDS | {"commands"},
    "store": BELOW_STORE,
    "server": BELOW_SERVER,
    "tools": BELOW_STORE | {"rdb"},  # rotomdb.rdb: the library over storage
    "rdb": BELOW_STORE,
    "aof": BELOW_STORE | {"rdb", "tools"},
    "inprocess": BELOW_SERVER | {"server"},
    "embedding": BELOW_SERVER | {"server", "inprocess"},
    "pytest_plugin": {"embedding", "inprocess"},
    "testing": BELOW_SERVER | {"server", "tools", "rdb", "aof"},
}
# What a circle may close with; the list only shrinks.
KNOWN_TO_CLOSE_A_CIRCLE = {("rotomdb.engine.garbage", "rotomdb.engine.keyspace")}
TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+[^\n]*\n|\n)+", re.MULTILINE)
IMPORT = re.compile(
    r"^[ \t]*from (rotomdb[\w.]*) c?import (\([^)]*\)|[^\n]*)|^[ \t]*c?import (rotomdb[\w.]*)", re.MULTILINE
)


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES: dict[str, list[Path]] = {}
for source in sorted(PACKAGE.rglob("*.py*")):
    if source.suffix in (".py", ".pyx", ".pxd"):
        SOURCES.setdefault(module_of(source), []).append(source)


def imports_of(module: str, *, types_only: bool = True) -> set[str]:
    """The modules of this package that a module imports, its declarations (.pxd) included; the root, for its version, is none."""
    found: set[str] = set()
    for path in SOURCES[module]:
        text = path.read_text()
        for base, names, plain in IMPORT.findall(text if types_only else TYPES_ONLY.sub("", text)):
            if plain:
                found.add(plain)
                continue
            submodules = {f"{base}.{name}" for name in re.findall(r"\w+", names)} & SOURCES.keys()
            found |= submodules or {base}
    return found - {module, "rotomdb"}


def layer_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_layers_import_only_downwards(layer: str) -> None:
    modules = [module for module in SOURCES if module != "rotomdb" and layer_of(module) == layer]
    assert modules
    upward = [
        f"{module} imports {target}"
        for module in modules
        for target in sorted(imports_of(module))
        if layer_of(target) not in MAY_IMPORT[layer] | {layer}
    ]
    assert not upward


def test_every_module_below_the_package_stands_in_a_layer() -> None:
    assert {layer_of(module) for module in SOURCES if module != "rotomdb"} == MAY_IMPORT.keys() | {"__main__"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: imports_of(module, types_only=False) for module in SOURCES}
    for module, target in KNOWN_TO_CLOSE_A_CIRCLE:
        graph[module].remove(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def arrows_between_layers() -> set[tuple[str, str]]:
    """Which layer imports from which, without the arrows that others make up for: a -> c where a -> b -> c."""
    direct: dict[str, set[str]] = {}
    for module in SOURCES:
        if module != "rotomdb":
            layer = layer_of(module)
            direct.setdefault(layer, set()).update({layer_of(target) for target in imports_of(module)} - {layer})

    def reached(layer: str) -> set[str]:
        return direct[layer].union(*map(reached, direct[layer]))

    return {
        (layer, target)
        for layer, targets in direct.items()
        for target in targets
        if not any(target in reached(other) for other in targets - {target})
    }


def test_the_picture_of_the_layers_shows_the_imports_there_are() -> None:
    page = (PACKAGE.parent / "docs/architecture.md").read_text()
    picture = page[page.index("```mermaid") : page.index("```", page.index("```mermaid") + 3)]
    assert set(re.findall(r"^ *(\w+) --> (\w+)$", picture, re.MULTILINE)) == arrows_between_layers()
