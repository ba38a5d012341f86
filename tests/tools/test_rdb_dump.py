"""rotomdb-rdb dump: its forms, its selections, its sources."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import shlex
from pathlib import Path

import pytest
import zstandard

import rotomdb.rdb
from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.encoder import encode_string
from tests.tools.running import ALL_KINDS, STRINGS, run, run_raw


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.rdb"
    with rotomdb.rdb.create(path, target="redis-7.4") as writer:
        writer.add("user:1", "Ada")
        writer.add("user:2", b"\xff\x00 bytes", expire_ms=rotomdb_now() + 50_000)
        writer.add("list", ["a", 2, "three"], db=1)
        writer.add("set", {"x"}, db=1)
        writer.add("hash", {"f": "v", "g": "w"}, db=1, field_times={"f": 2_000_000_000_000})
        writer.add("big", "x" * 3000)
        writer.add("zset", rotomdb.rdb.SortedSet({"ada": 3, "bob": float("inf")}))
    return path


def rotomdb_now() -> int:
    import time

    return time.time_ns() // 1_000_000


def rows(*words: str | Path) -> list[dict[str, object]]:
    done = run("dump", "-f", "ndjson", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def keys(*words: str | Path) -> set[object]:
    return {row["key"] if isinstance(row["key"], str) else "bytes" for row in rows(*words)}


def test_values_of_all_kinds_are_json(mixed: Path) -> None:
    found = {row["key"]: row for row in rows(mixed)}
    assert found["user:2"]["value"] == {"b64": "/wAgYnl0ZXM="}
    assert (found["list"]["db"], found["list"]["value"]) == (1, ["a", "2", "three"])
    assert found["hash"]["field_ttls_ms_absolute"] == [["f", 2_000_000_000_000]]
    assert found["zset"]["value"] == [["ada", "3.0"], ["bob", "inf"]]


def test_csv_has_a_row_a_key(mixed: Path) -> None:
    table = list(csv.DictReader(io.StringIO(run("dump", "-f", "csv", mixed).stdout)))
    assert len(table) == 7
    assert {row["key"]: row["value"] for row in table}["list"] == '["a","2","three"]'


def test_python_lines_are_literals_with_bytes(mixed: Path) -> None:
    found = [
        ast.literal_eval(line) for line in run("dump", "-f", "python", mixed, "--key", "user:*").stdout.splitlines()
    ]
    assert [(row[1], row[4]) for row in found] == [(b"user:1", b"Ada"), (b"user:2", b"\xff\x00 bytes")]


def test_commands_are_what_a_person_types(mixed: Path) -> None:
    lines = run("dump", "-f", "commands", mixed, "--key", "l*", "--replace").stdout.splitlines()
    assert [shlex.split(line) for line in lines] == [
        ["SELECT", "1"],
        ["DEL", "list"],
        ["RPUSH", "list", "a", "2", "three"],
    ]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--db", "1"], {"list", "set", "hash"}),
        (["--key", "user:[12]"], {"user:1", "user:2"}),
        (["--regex", "^.{3,4}$", "--db", "1"], {"list", "set", "hash"}),
        (["--type", "zset", "--type", "set"], {"zset", "set"}),
        (["--volatile"], {"user:2"}),
        (["--ttl", "..60"], {"user:2"}),
        (["--ttl", "1h.."], set()),
        (["--size", "1kb..", "--type", "string"], set()),
        (["--persistent", "--type", "string"], {"user:1", "big"}),
    ],
)
def test_selections(mixed: Path, options: list[str], wanted: set[str]) -> None:
    assert keys(*options, mixed) == wanted


def test_a_sample_takes_the_same_keys_each_time(tmp_path: Path) -> None:
    path = tmp_path / "many.rdb"
    with rotomdb.rdb.create(path) as writer:
        for number in range(2000):
            writer.add(f"k{number}", number)
    first = keys("--sample", "0.1", path)
    assert first == keys("--sample", "0.1", path)
    assert 150 < len(first) < 250


@pytest.mark.parametrize(
    ("form", "shown"), [("hex", "ff00206279746573"), ("base64", "/wAgYnl0ZXM="), ("escaped", "\\xff\x00 bytes")]
)
def test_bytes_can_be_shown_in_several_forms(mixed: Path, form: str, shown: str) -> None:
    (row,) = rows("--key", "user:2", "--values-as", form, mixed)
    assert row["value"] == shown


def test_compressed_files_standard_input_and_payloads_are_read(tmp_path: Path) -> None:
    content = STRINGS.read_bytes()
    whole = run("dump", STRINGS).stdout
    (tmp_path / "d.gz").write_bytes(gzip.compress(content))
    (tmp_path / "d.zst").write_bytes(zstandard.compress(content))
    assert run("dump", tmp_path / "d.gz").stdout == whole
    assert run("dump", tmp_path / "d.zst").stdout == whole
    assert run("dump", "-", stdin=content).stdout == whole
    assert run("dump", "-", stdin=gzip.compress(content)).stdout == whole
    body = b"\x00" + encode_string(b"hello") + b"\x0a\x00"
    (tmp_path / "payload").write_bytes(body + crc64(body).to_bytes(8, "little"))
    assert json.loads(run("dump", tmp_path / "payload").stdout)[0]["value"] == "hello"
    (tmp_path / "capture").write_bytes(b"$EOF:" + b"a" * 40 + b"\r\n" + content + b"a" * 40)
    assert run("dump", tmp_path / "capture").stdout == whole


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:100] + b"\0\0\0\0" + data[104:]])
def test_a_damaged_compressed_file_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "d.gz"
    path.write_bytes(damage(gzip.compress(STRINGS.read_bytes())))  # type: ignore[operator]
    done = run("dump", path)
    assert done.returncode in (1, 3)
    assert f"Error: {path}" in done.stderr


def test_an_output_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert run("dump", STRINGS, "-o", target).returncode == 0
    assert json.loads(target.read_text())
    cut = tmp_path / "cut.rdb"
    cut.write_bytes(STRINGS.read_bytes()[:-30])
    target.unlink()
    assert run("dump", cut, "-o", target).returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.rdb"]


def test_resp_is_commands_of_whole_keys() -> None:
    text = run_raw("dump", "-f", "resp", ALL_KINDS).stdout
    assert text.startswith(b"*4\r\n$8\r\nFUNCTION\r\n")
    assert b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" in text
    assert text.count(b"$5\r\nHMSET\r\n") >= 1


@pytest.mark.parametrize(
    "words", [["--size", "12"], ["--regex", "("], ["--type", "nothing"], ["-f", "xml"], ["--ttl", "a..b"]]
)
def test_a_wrong_option_is_usage(words: list[str]) -> None:
    done = run("dump", *words, STRINGS)
    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    done = run("info", "redis://user:secret@127.0.0.1:1")
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr
