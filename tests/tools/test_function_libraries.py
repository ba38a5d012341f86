"""Function libraries, which are no keys, never vanish without a word: carried, compared, or left out and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import rotomdb.rdb
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from tests.processes import RedisServer
from tests.tools.running import Ended, forked

CODE = b"#!lua name=stock\nredis.register_function('left', function(keys) return 1 end)\n"
CHANGED = CODE.replace(b"return 1", b"return 2")
LEFT_OUT = "left out, as keys are selected; --functions takes them along"


def snapshot(path: Path, *libraries: bytes, keys: str = "abc") -> Path:
    with path.open("wb") as file:
        writer = RdbWriter(file.write, TARGETS["redis-7.0"])
        for code in libraries:
            writer.function(code)
        for key in keys:
            rotomdb.rdb.add_to(writer.sink, key, "value", 0, None, None)
        writer.finish()
    return path


def rdb(*words: str | Path) -> Ended:
    return forked("rdb", *words)


def libraries_in(path: Path) -> list[bytes]:
    with rotomdb.rdb.open(path) as opened:
        assert list(opened)
        return opened.functions


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    return snapshot(tmp_path / "stock.rdb", CODE)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "python", "resp", "commands", "table"])
def test_a_dump_holds_them_and_of_a_selection_says_that_they_are_left_out(stock: Path, form: str) -> None:
    assert "redis.register_function" in rdb("dump", "-f", form, stock).output
    chosen = rdb("dump", "-f", form, stock, "--key", "a")
    assert (chosen.status, chosen.errors) == (0, f"{stock}: 1 function library is {LEFT_OUT}\n")
    assert "register_function" not in chosen.output
    asked = rdb("dump", "-f", form, stock, "--key", "a", "--functions")
    assert (asked.errors, "redis.register_function" in asked.output) == ("", True)


@pytest.mark.parametrize(
    "words", ["convert", "convert --to aof", "filter", "filter --exclude", "merge", "split --by db"], ids=str.split
)
def test_a_copy_holds_them_and_of_a_selection_says_that_they_are_left_out(
    stock: Path, tmp_path: Path, words: str
) -> None:
    def libraries(name: str, *options: str) -> tuple[list[bytes], str]:
        done = rdb(*words.split(), stock, *options, "-o", tmp_path / name)
        assert done.status == 0, done.errors
        made = tmp_path / name / "db0.rdb" if words.startswith("split") else tmp_path / name
        return libraries_in(made), done.errors

    if "--exclude" not in words:
        assert libraries("all")[0] == [CODE]
    kept, said = libraries("few", "--key", "a")
    assert (kept, LEFT_OUT in said) == ([], True)
    kept, said = libraries("asked", "--key", "a", "--functions")
    assert (kept, LEFT_OUT in said) == ([CODE], False)


def test_commands_and_rows_carry_them(stock: Path, tmp_path: Path) -> None:
    assert rdb("convert", "--commands", stock, "-o", tmp_path / "a.aof").status == 0
    assert CODE in (tmp_path / "a.aof").read_bytes()
    assert rdb("convert", stock, "-t", "redis-6.2", "-o", tmp_path / "old.rdb").errors == (
        "redis-6.2 cannot hold function libraries: left out (stock)\n"
    )


@pytest.mark.parametrize(
    ("theirs", "line"),
    [
        ((), "- function library stock\n"),
        ((CHANGED,), "~ function library stock\n    first difference in line 2: "),
        ((CODE, b"#!lua name=more\n"), "+ function library more\n"),
    ],
    ids=["removed", "changed", "added"],
)
def test_diff_compares_them_by_name_and_code(stock: Path, tmp_path: Path, theirs: tuple[bytes, ...], line: str) -> None:
    other = snapshot(tmp_path / "other.rdb", *theirs)
    done = rdb("diff", stock, other)
    assert (done.status, done.output.startswith(line)) == (1, True)
    assert rdb("diff", stock, stock).status == 0
    row = json.loads(rdb("diff", "--json", stock, other).output.splitlines()[0])
    assert (row["type"], row["name"]) == ("function library", "more" if "more" in line else "stock")
    chosen = rdb("diff", stock, other, "--key", "a")
    assert (chosen.status, LEFT_OUT in chosen.errors) == (0, True)
    assert rdb("diff", stock, other, "--key", "a", "--functions").status == 1


def test_a_library_that_differs_between_merged_files_is_a_conflict(stock: Path, tmp_path: Path) -> None:
    other = snapshot(tmp_path / "other.rdb", CHANGED, keys="xyz")
    done = rdb("merge", stock, other, "-o", tmp_path / "all.rdb")
    assert (done.status, "function library stock" in done.errors) == (1, True)
    for policy, code in (("first", CODE), ("last", CHANGED)):
        made = tmp_path / f"{policy}.rdb"
        assert rdb("merge", "--on-conflict", policy, stock, other, "-o", made).status == 0
        assert libraries_in(made) == [code]


def test_a_restore_leaves_them_alone_unless_asked(
    stock: Path, tmp_path: Path, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server("--save", "")
    url = f"redis://127.0.0.1:{server.port}"

    def code() -> bytes | None:
        with server.client() as client:
            listed = client.execute_command("FUNCTION", "LIST", "WITHCODE")
            return listed[0][b"library_code"] if listed else None

    few = rdb("restore", stock, url, "--key", "a")
    assert (few.status, few.output, LEFT_OUT in few.errors, code()) == (0, "1 keys restored\n", True, None)
    whole = rdb("restore", stock, url, "--replace")
    assert (whole.status, whole.output, code()) == (0, "3 keys and 1 function libraries restored\n", CODE)
    other = snapshot(tmp_path / "other.rdb", CHANGED, keys="z")
    kept = rdb("restore", other, url)
    assert (kept.status, code()) == (1, CODE), "what the server has is kept without --replace"
    asked = rdb("restore", other, url, "--key", "z", "--functions", "--replace")
    assert (asked.status, code()) == (0, CHANGED)


def test_a_server_that_keeps_them_to_itself_is_named(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server("--rename-command", "SYNC", "")
    with server.client() as client:
        client.set("a", 1)
        client.execute_command("ACL", "SETUSER", "default", "-function")
    done = rdb("dump", f"redis://127.0.0.1:{server.port}")
    assert (done.status, "function libraries are left out: FUNCTION DUMP: NOPERM" in done.errors) == (0, True)
