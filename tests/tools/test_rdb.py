"""rotomdb-rdb on files of real servers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import RotomServer
from tests.tools.running import DATA, ROOT, STRINGS, run


def test_dump_prints_json_in_a_pipe() -> None:
    done = run("dump", str(STRINGS))
    rows = json.loads(done.stdout)
    assert done.returncode == 0
    assert {row["type"] for row in rows} == {"string"}
    assert all({"db", "key", "ttl_ms_absolute", "value"} <= set(row) for row in rows)


def test_ndjson_has_an_object_a_line() -> None:
    lines = run("dump", "-f", "ndjson", str(STRINGS)).stdout.splitlines()
    assert len(lines) == len(json.loads(run("dump", "-f", "json", str(STRINGS)).stdout))
    assert all(json.loads(line)["type"] == "string" for line in lines)


def test_streams_and_field_times_are_shown_whole(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--appendonly", "no")
    with server.client() as client:
        client.xadd("s", {"f": "v"}, id="1-1")
        client.xgroup_create("s", "g", "0")
        client.xreadgroup("g", "c", {"s": ">"})
        client.hset("h", mapping={"a": 1, "b": 2})
        client.execute_command("HPEXPIREAT", "h", 3_000_000_000_000, "FIELDS", 1, "a")
        client.save()
    done = run("dump", str(server.directory / "dump.rdb"))
    assert done.returncode == 0
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["s"]["value"]["entries"] == [["1-1", [["f", "v"]]]]
    assert rows["s"]["value"]["groups"][0]["pending"][0][:2] == ["1-1", "c"]
    assert rows["h"]["field_ttls_ms_absolute"] == [["a", 3_000_000_000_000]]
    assert run("check", str(server.directory / "dump.rdb")).stdout.endswith(
        "RDB version 12, 2 keys, checksum matches\n"
    )


def test_table_shows_every_key() -> None:
    done = run("dump", "-f", "table", str(DATA / "rdb-legacy-rdbtools-intset_64.rdb"))
    assert done.returncode == 0
    assert "intset_64" in done.stdout


@pytest.mark.parametrize("path", sorted(DATA.glob("*.rdb")), ids=lambda path: path.stem)
def test_check_says_sound(path: Path) -> None:
    done = run("check", str(path))
    assert done.returncode == 0
    assert "sound" in done.stdout


def test_check_names_file_offset_and_reason(tmp_path: Path) -> None:
    bad = tmp_path / "bad.rdb"
    data = bytearray(STRINGS.read_bytes())
    data[-3] ^= 1
    bad.write_bytes(data)
    done = run("check", str(bad))
    assert done.returncode == 1
    assert done.stdout.startswith(f"{bad}: offset {len(data) - 8}: checksum is")
    report = json.loads(run("check", "--json", str(bad)).stdout)
    assert (report["sound"], report["offset"]) == (False, len(data) - 8)
    assert bad.read_bytes() == bytes(data)


def snapshot_with(*databases: tuple[int, list[bytes]]) -> bytes:
    data = b"REDIS0009"
    for index, keys in databases:
        data += b"\xfe%c" % index + b"".join(b"\x00%c%b\x01v" % (len(key), key) for key in keys)
    return data + b"\xff" + bytes(8)


def test_check_finds_a_key_that_occurs_twice_in_a_database(tmp_path: Path) -> None:
    file = tmp_path / "dump.rdb"
    many = [b"key-%d" % number for number in range(5000)]
    file.write_bytes(snapshot_with((0, many), (3, many)))
    assert run("check", str(file)).returncode == 0
    file.write_bytes(snapshot_with((0, many), (3, [*many, many[7]])))
    done = run("check", str(file))
    offset = len(snapshot_with((0, many), (3, many))) - 9
    assert done.returncode == 1
    assert done.stdout.startswith(f'{file}: offset {offset}: duplicate key (key "key-7", string, db 3)')


def test_dump_of_a_cut_file_does_not_look_whole(tmp_path: Path) -> None:
    cut = tmp_path / "cut.rdb"
    cut.write_bytes(STRINGS.read_bytes()[:-30])
    done = run("dump", "-f", "json", str(cut))
    assert done.returncode == 1
    assert f"Error: {cut}: offset" in done.stderr
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)


def test_info_counts_types_and_names_the_writer() -> None:
    summary = json.loads(run("info", "--json", str(DATA / "rdb-redis-7.0.15-allkinds.rdb")).stdout)
    assert summary["version"] == 10
    assert summary["aux"]["redis-ver"] == "7.0.15"
    assert summary["types"]["stream"] == 1
    assert sum(summary["types"].values()) == summary["keys"]


@pytest.mark.parametrize("words", [["check", "/nowhere.rdb"], ["dump", "/nowhere.rdb"], ["info", "/nowhere.rdb"]])
def test_unreadable_file_is_status_3(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 3
    assert "No such file" in done.stderr


@pytest.mark.parametrize("tool", ["rotomdb.tools.rdb", "rotomdb.tools.aof", "rotomdb.tools.aof_check"])
def test_wrong_usage_is_status_2_and_help_is_0(tool: str) -> None:
    """In processes of their own; the other tests fork."""

    def start(option: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", tool, option], capture_output=True, text=True, cwd=ROOT)

    assert start("--nonsense").returncode == 2
    done = start("--help")
    assert done.returncode == 0
    assert "Exit status" in done.stdout


def test_launchers_run_from_a_checkout() -> None:
    for launcher in ("aof_check.py", "rdb_dump.py"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / launcher), "--version"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
