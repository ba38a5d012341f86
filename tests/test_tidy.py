"""What the project says of its own code, held to it. Each list of exceptions is for what is left to mend: it only shrinks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rotomdb"
LINES_MAX = 500
# More than one subject, or one that is large by nature: each with the number of lines that it may not pass.
LONG_FILES = {
    "commands/dispatch.pyx": 950,
    "commands/keys.py": 620,
    "commands/sorted_sets.py": 820,
    "commands/stream_groups.py": 560,
    "engine/keyspace.pyx": 820,
    "engine/sorted_sets.pyx": 640,
    "engine/stream.pyx": 600,
    "engine/streams.pyx": 530,
    "engine/table.pyx": 640,
    "formats/rdb/decoder.pyx": 680,
    "formats/rdb/values.pyx": 580,
    "scripting/json_library.pyx": 620,
    "server/client.pyx": 800,
    "server/server.py": 820,
    "storage/persistence.py": 660,
    "testing/payloads.py": 560,
}
NUMBER = r"(?:\d+|0x[0-9A-Fa-f]+)"
OF_THE_FORMAT = r"(?:reading_type|record\.type|type_number|type|opcode|tag|version)"
BARE = re.compile(
    rf"\b{OF_THE_FORMAT}\s*(?:==|!=|<=?|>=?)\s*{NUMBER}\b|\b{NUMBER}\s*<=?\s*(?:self\.|walker\.|record\.)*{OF_THE_FORMAT}\b"
    rf"|\b{OF_THE_FORMAT} (?:not )?in \(\s*{NUMBER}\b|bytes\(\[(?:\d{{2,}}|0x\w+)\]\)"
)
# Where these words mean something else.
NUMBERS_OF_OTHERS = {"1 <= version", "0 <= self.record.type", "report.version == 0", "version == 0"}
MODULE = re.compile(r"(?<![\w/.*<-])((?:\w+/)*\w+\.(?:pyx|pxd|py))\b(?!\()")
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)


def sources(*suffixes: str) -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in suffixes)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_files_are_no_longer_than_one_subject_takes() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources(".py", ".pyx")}
    long = {name: length for name, length in lengths.items() if length > LINES_MAX}
    assert {name: length for name, length in long.items() if length > LONG_FILES.get(name, LINES_MAX)} == {}
    assert LONG_FILES.keys() <= long.keys(), "what has become shorter leaves the list"


def test_every_module_says_what_it_is() -> None:
    silent = []
    for path in sources(".py", ".pyx"):
        text = re.sub(r"^# cython:.*\n", "", path.read_text()).strip()
        if text and not text.startswith('"""'):
            silent.append(name_of(path))
    assert silent == []


@pytest.mark.parametrize("folder", ["formats", "storage", "tools", "testing", ""])
def test_no_number_of_the_formats_stands_bare(folder: str) -> None:
    """They have names: formats/rdb/format.pxd."""
    paths = [path for path in sources(".py", ".pyx") if name_of(path).startswith(folder)]
    if not folder:
        paths = [path for path in paths if path.parent == PACKAGE]
    assert paths
    bare = [
        f"{name_of(path)}: {found[0]}"
        for path in paths
        for found in BARE.finditer(re.sub(r'#.*|"""(?:.|\n)*?"""', "", path.read_text()))
        if found[0] not in NUMBERS_OF_OTHERS
    ]
    assert bare == []


@pytest.mark.parametrize(
    "line",
    ["if type == 15:", "if 22 <= type <= 25:", "if opcode != 0xff:", "version >= 10", "type in (1, 2)", "bytes([255])"],
)
def test_the_search_finds_bare_numbers(line: str) -> None:
    assert BARE.search(line)


def exists(cited: str, beside: Path) -> bool:
    places = (beside.parent / cited, PACKAGE / cited, ROOT / cited)
    if any(place.exists() for place in places):
        return True
    return "/" not in cited and any(PACKAGE.rglob(cited))


def test_modules_that_headers_and_comments_cite_exist() -> None:
    missing = []
    for path in sources(".py", ".pyx", ".pxd"):
        text = path.read_text()
        prose = DOCSTRING.findall(text) + re.findall(r"#(.*)", text)
        missing += [
            f"{name_of(path)}: {cited}" for part in prose for cited in MODULE.findall(part) if not exists(cited, path)
        ]
    assert missing == []


@pytest.mark.parametrize(
    "page",
    [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"],
    ids=lambda page: page.name,
)
def test_modules_that_pages_cite_exist(page: Path) -> None:
    missing = [
        cited
        for quoted in re.findall(r"`([^`\n]+)`", page.read_text())
        for cited in MODULE.findall(quoted)
        if quoted == cited and not exists(cited, PACKAGE / "storage" / "__init__.py")
    ]
    assert missing == []
