"""Only storage/disk.py opens files for writing, renames and removes: so links are not followed, and tests can fail every call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "rotomdb"
DOOR = "storage/disk.py"
# What is no data: where it is done, and why that is not the door's business.
EXCEPTIONS = {
    ("server/logger.py", "open"): "the log for people, which may be a pipe or a terminal, and is often a link to one",
    ("server/process.py", "os.open"): "/dev/null, for a daemon's standard streams",
    ("server/process.py", "write_text"): "/proc/self/oom_score_adj",
    ("server/listeners.py", "os.unlink"): "the name of a dead unix socket, which bind needs to be free",
    ("server/listeners.py", "os.chmod"): "unixsocketperm",
    ("server/listeners.py", "shutil.chown"): "unixsocketgroup",
    ("storage/output.py", "os.open"): "what is there already and no regular file: a pipe, a device",
    ("storage/output.py", "open"): "/dev/null",
    ("storage/rdb_source.py", "tempfile.TemporaryFile"): "it has no name",
    ("tools/sources.py", "tempfile.TemporaryFile"): "it has no name",
    ("tools/sources.py", "tempfile.TemporaryDirectory"): "what is made of the input, for as long as it is read",
    ("tools/aof_check.py", "open"): "only to see whether --fix may write there",
    ("tools/terminal.py", "open"): "the standard streams",
    ("tools/terminal.py", "os.open"): "/dev/null, for standard streams that are closed",
    ("tools/rdb_restore.py", "tempfile.TemporaryFile"): "it has no name",
    ("tools/key_parts.py", "tempfile.TemporaryFile"): "it has no name",
    ("tools/sorted_spool.py", "tempfile.TemporaryFile"): "it has no name",
}
OF_OS = {
    "open", "rename", "replace", "unlink", "remove", "mkdir", "makedirs", "rmdir", "removedirs", "link", "symlink",
    "truncate", "chmod", "chown", "mkfifo", "mknod", "renames",
}  # fmt: skip
OF_PATHS = {
    "write_text", "write_bytes", "touch", "mkdir", "rmdir", "unlink", "rename", "hardlink_to", "symlink_to", "chmod", "replace",
}  # fmt: skip
OF_MODULES = {"shutil", "tempfile"}
NATIVE = re.compile(
    r"\bopen\(\s*[^)]*['\"][wax]|\bfopen\(|\bO_(?:WRONLY|RDWR|CREAT)\b|\bos\.(?:rename|unlink|replace|mkdir)\("
)


def writes_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls that write to the file system, by line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name):
            if called.id == "open" and opens_for_writing(node, 1):
                yield node.lineno, "open"
            continue
        if not isinstance(called, ast.Attribute):
            continue
        owner = ast.unparse(called.value)
        if owner == "os":
            if called.attr in OF_OS:
                yield node.lineno, f"os.{called.attr}"
        elif owner in OF_MODULES:
            yield node.lineno, f"{owner}.{called.attr}"
        elif owner.rpartition(".")[2] in ("disk", "real", "dispatcher"):
            continue  # through the door; and commands have names of their own
        elif called.attr == "open" and opens_for_writing(node, 0, known=True):
            yield node.lineno, "open"
        elif called.attr in OF_PATHS and not (called.attr == "replace" and len(node.args) + len(node.keywords) > 1):
            yield node.lineno, called.attr


def opens_for_writing(call: ast.Call, place: int, *, known: bool = False) -> bool:
    """Whether its mode says so; `known`: only a mode that can be read here does, as other things have an `open`, too."""
    modes = [word.value for word in call.keywords if word.arg == "mode"] or call.args[place : place + 1]
    if modes and isinstance(modes[0], ast.Constant):
        return bool(set(str(modes[0].value)) & set("wax+"))
    return bool(modes) and not known


def found_below(folder: str) -> set[tuple[str, str]]:
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name != DOOR:
            found |= {(name, what) for _, what in writes_in(ast.parse(path.read_text()))}
    return found


@pytest.mark.parametrize("folder", ["server", "scripting", "storage", "formats", "engine", "commands", "tools"])
def test_only_the_disk_module_writes_to_the_file_system(folder: str) -> None:
    expected = {each for each in EXCEPTIONS if each[0].startswith(f"{folder}/")}
    assert found_below(folder) == expected, "the door is storage/disk.py; an exception has to be named here, and needed"


@pytest.mark.parametrize("folder", ["server", "scripting", "storage", "formats", "engine", "commands"])
def test_native_modules_open_nothing_for_writing(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.pyx"):
        assert not NATIVE.findall(path.read_text()), path.name


@pytest.mark.parametrize(
    "line",
    [
        "open(name, 'w')", "open(name, mode='ab')", "open(name, mode)", "Path(name).open('r+b')", "os.open(name, flags)",
        "path.write_text('')", "self.path.replace(target)", "os.replace(a, b)", "shutil.rmtree(a)", "path.unlink()",
    ],
)  # fmt: skip
def test_the_search_finds_each_way_to_write(line: str) -> None:
    assert list(writes_in(ast.parse(line)))


@pytest.mark.parametrize("line", ["open(name)", "path.open('rb')", "disk.unlink(path)", "text.replace('a', 'b')"])
def test_the_search_leaves_reading_alone(line: str) -> None:
    assert not list(writes_in(ast.parse(line)))
