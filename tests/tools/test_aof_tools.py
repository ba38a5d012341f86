"""rotomdb-aof: logs inspected, repaired and rewound; sources stay as they are."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rotomdb.aof
from rotomdb.formats.aof.annotation_writer import BlockWriter
from rotomdb.formats.aof.annotations import BLOCK_BYTES
from rotomdb.formats.aof.examination import examine
from rotomdb.storage.point_in_time import items
from rotomdb.storage.propagation import encode_command
from rotomdb.tools.aof_undo import copy_without
from tests.processes import RotomServer
from tests.tools.running import ROOT, aof, run


def digest(directory: Path) -> dict[str, str]:
    """Every file below a directory."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "rotomdb.lock"
    }


@pytest.fixture
def log(rotom: Callable[..., RotomServer]) -> Path:
    """The data directory of a server that has stopped."""
    server = rotom("--aof-timestamp-enabled", "yes", "--save", "")
    with server.client() as client:
        for number in range(600):
            client.set(f"user:{number}", f"value-{number}-{'x' * 30}")
        client.hset("cart:7", mapping={"apples": 3})
        client.execute_command("SELECT", 3)
        client.set("elsewhere", 1)
        client.execute_command("SELECT", 0)
        client.flushall()
        client.set("user:1", "again")
    server.stop()
    return server.directory


@pytest.fixture
def plain_log(tmp_path: Path) -> Path:
    """A log of commands, without any annotation."""
    path = tmp_path / "plain.aof"
    with rotomdb.aof.create(path) as writer:
        for number in range(2000):
            writer.command("SET", f"key:{number}", f"value-{number}")
    return path


def increment(directory: Path) -> Path:
    return next((directory / "appendonlydir").glob("*.incr.aof"))


def content(where: Path) -> dict[str, object]:
    done = run("dump", "-f", "ndjson", where)
    assert done.returncode == 0, done.stderr
    return {row["key"]: row["value"] for row in map(json.loads, done.stdout.splitlines())}


def test_check_says_sound_and_counts(log: Path) -> None:
    report = json.loads(aof("check", "--deep", "--json", log).stdout)
    assert (report["sound"], report["keys"]) == (True, 1)
    assert report["files"][1]["commands"] >= 604  # and SELECTs
    assert report["files"][1]["covered_bytes"] == report["files"][1]["size"]


def test_check_tells_a_torn_end_from_damage(log: Path, tmp_path: Path) -> None:
    torn, damaged = tmp_path / "torn", tmp_path / "damaged"
    shutil.copytree(log, torn)
    shutil.copytree(log, damaged)
    data = increment(torn).read_bytes()
    increment(torn).write_bytes(data[:-3] + b"")
    increment(damaged).write_bytes(data[:900] + b"?" + data[901:])
    done = aof("check", torn)
    assert done.returncode == 1
    assert "a crash has torn its end" in done.stdout
    done = aof("check", damaged)
    assert done.returncode == 1
    assert "rotomdb-aof salvage" in done.stdout


def test_check_deep_finds_a_command_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    with rotomdb.aof.create(path) as writer:
        writer.command("SET", "k", "v")
        writer.command("LPUSH", "k", "wrong type")
    assert aof("check", path).returncode == 0
    done = aof("check", "--deep", path)
    assert done.returncode == 1
    assert "WRONGTYPE" in done.stdout


def test_fix_cuts_the_torn_end_and_keeps_a_copy(plain_log: Path) -> None:
    whole = plain_log.read_bytes()
    plain_log.write_bytes(whole + b"*3\r\n$3\r\nSE")
    torn = plain_log.read_bytes()
    assert json.loads(aof("fix", "--dry-run", "--json", plain_log).stdout)["cut"] == 10
    assert plain_log.read_bytes() == torn
    report = json.loads(aof("fix", "--json", plain_log).stdout)
    assert plain_log.read_bytes() == whole
    assert Path(report["copy"]).read_bytes() == torn
    assert aof("check", plain_log).returncode == 0


def test_fix_leaves_damage_in_the_middle_alone(log: Path) -> None:
    path = increment(log)
    data = bytearray(path.read_bytes())
    data[900] ^= 1
    path.write_bytes(data)
    before = digest(log)
    done = aof("fix", log)
    assert done.returncode == 1
    assert "salvage" in done.stderr
    assert digest(log) == before


def test_stat_counts_commands_prefixes_keys_and_times(log: Path) -> None:
    report = json.loads(aof("stat", "--json", log).stdout)
    assert {row["name"]: row["commands"] for row in report["by_command"]} == {
        "SET": 602, "HSET": 1, "FLUSHALL": 1, "SELECT": report["commands"] - 604,
    }  # fmt: skip
    assert report["prefixes"][0]["name"] == "user:"
    assert report["keys"][0] | {"bytes": 0} == {"key": "user:1", "commands": 2, "bytes": 0}
    assert sum(row["commands"] for row in report["times"]) == report["commands"]


def test_history_of_a_key_holds_what_emptied_it(log: Path) -> None:
    rows = [json.loads(line) for line in aof("history", "--json", log, "user:1").stdout.splitlines()]
    assert [row["command"][0].upper() for row in rows] == ["SET", "FLUSHALL", "SET"]
    assert all(abs(row["time"] - time.time()) < 600 for row in rows)
    elsewhere = [json.loads(line) for line in aof("history", "--json", log, "elsewhere").stdout.splitlines()]
    assert next(row["db"] for row in elsewhere) == 3


def test_undo_drops_one_command_and_lists_what_followed(log: Path, tmp_path: Path) -> None:
    before = digest(log)
    report = json.loads(aof("undo", "--json", log, "--last", "FLUSHALL").stdout)
    assert (report["followed_by"], report["output"]) == (1, None)
    done = aof("undo", log, "--last", "FLUSHALL", "-o", tmp_path / "undone")
    assert done.returncode == 0, done.stderr
    assert digest(log) == before
    found = content(tmp_path / "undone")
    assert len(found) == 602
    assert found["user:1"] == "again"
    report = json.loads(aof("check", "--deep", "--json", tmp_path / "undone").stdout)
    assert report["sound"]
    assert report["files"][1]["covered_bytes"] == report["files"][1]["size"]


def test_undo_of_a_command_at_a_place(log: Path, tmp_path: Path) -> None:
    row = json.loads(aof("history", "--json", log, "user:1").stdout.splitlines()[-1])
    place = f"{row['file']}:{row['offset']}"
    assert aof("undo", log, "--at", place, "-o", tmp_path / "undone").returncode == 0
    assert content(tmp_path / "undone") == {}
    assert aof("undo", log, "--at", f"{row['file']}:3").returncode == 1
    assert aof("undo", log, "--last", "DEL").returncode == 1
    assert aof("undo", log).returncode == 2


def annotated(commands: list[tuple[bytes, ...]]) -> bytes:
    """A log as a server writes it that syncs each command."""
    writer = BlockWriter()
    data = b""
    for words in commands:
        data += writer.add(encode_command(*words), len(data), 0)
        data += writer.end() if writer.full(0) else b""
    return data + writer.end()


def test_aof_check_finds_a_flipped_bit_under_a_checksum(tmp_path: Path) -> None:
    file = tmp_path / "appendonly.aof"
    data = annotated([(b"SET", b"key", b"value"), (b"SET", b"other", b"value")])
    file.write_bytes(data)
    assert run(file, tool="aof_check").returncode == 0
    file.write_bytes(data.replace(b"value", b"valuf", 1))
    done = run(file, tool="aof_check")
    assert done.returncode == 1
    assert f"AOF {file} is valid\nAOF {file} is damaged at offset 0: checksum of the" in done.stdout


def test_aof_check_takes_a_preamble_with_a_line_file_for_a_log(tmp_path: Path) -> None:
    file = tmp_path / "appendonly.aof"
    file.write_bytes(b"REDIS0009\x00\x01k\x07\nfile x\xff" + bytes(8) + encode_command(b"SET", b"a", b"b"))
    done = run(file, tool="aof_check")
    assert done.returncode == 0
    assert f"AOF {file} is valid" in done.stdout


@pytest.mark.parametrize("blocks", [True, False])
def test_undo_writes_block_by_block_also_when_a_database_was_selected_once(blocks: bool) -> None:
    commands = [(b"SELECT", b"9"), *((b"SET", b"key:%d" % number, b"x" * 40) for number in range(2000))]
    data = annotated(commands) if blocks else b"".join(encode_command(*words) for words in commands)
    left_out = data.index(b"*3\r\n$3\r\nSET\r\n$8\r\nkey:1000\r\n")
    written: list[bytes] = []
    copy_without(memoryview(data), 0, len(data), left_out, written.append, blocks=blocks)
    # Work that grows with the square of the log would show in pieces that grow with it.
    assert max(map(len, written)) < 2 * BLOCK_BYTES
    result = b"".join(written)
    assert examine(result).covered == (len(result) if blocks else 0)
    words = [(item.words, item.database) for item in items(memoryview(result), 0) if item.words]
    kept = [list(one) for one in commands if one[1] != b"key:1000"]
    assert [one for one, _ in words if one != [b"SELECT", b"9"]] == kept[1:]
    assert {database for _, database in words} == {9}
    for piece in written if blocks else ():
        first = next(item for item in items(memoryview(piece), 0) if item.words)
        assert first.words == [b"SELECT", b"9"], "what follows a damaged block can be replayed without it"


@pytest.mark.parametrize("name", [b"SELECT", b"MULTI", b"EXEC"])
def test_undo_refuses_what_gives_other_commands_their_meaning(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(
        b"".join(
            encode_command(*words)
            for words in ((b"SELECT", b"1"), (b"MULTI",), (b"SET", b"k", b"v"), (b"SET", b"l", b"w"), (b"EXEC",))
        )
    )
    done = aof("undo", path, "--last", name.decode())
    assert done.returncode == 1
    assert f"without this {name.decode()}" in done.stderr


def test_salvage_puts_wrong_bytes_right_where_the_checksum_proves_them(log: Path, tmp_path: Path) -> None:
    whole = content_before_flush(log, tmp_path / "whole")
    path = increment(log)
    data = bytearray(path.read_bytes())
    data[700:703] = b"\xee\xee\xee"
    data[9000] ^= 0x55
    data[9500] ^= 0x0F  # two in one block
    path.write_bytes(data)
    before = digest(log)
    report = json.loads(aof("salvage", "--json", log, "-o", tmp_path / "healed").stdout)
    assert [one["bytes"] for one in report["files"][1]["repaired"]] == [3, 2]
    assert report["files"][1]["set_aside"] == []
    assert digest(log) == before
    assert content_before_flush(tmp_path / "healed", tmp_path / "again") == whole


def content_before_flush(log: Path, place: Path) -> dict[str, object]:
    assert aof("restore", log, "--before", "FLUSHALL", "-o", place).returncode == 0
    return content(place)


def test_salvage_sets_a_block_aside_that_it_cannot_prove(log: Path, tmp_path: Path) -> None:
    whole = content_before_flush(log, tmp_path / "whole")
    path = increment(log)
    data = bytearray(path.read_bytes())
    data[9000:9040] = b"?" * 40
    path.write_bytes(data)
    done = aof("salvage", "--json", log, "-o", tmp_path / "healed")
    assert done.returncode == 1
    report = json.loads(done.stdout)["files"][1]
    (block,) = report["set_aside"]
    assert block["from"] <= 9000 < block["to"]
    kept = tmp_path / "healed" / "appendonlydir" / f"{path.name}.set-aside-at-{block['from']}"
    assert kept.read_bytes() == bytes(data[block["from"] : block["to"]])
    healed = content_before_flush(tmp_path / "healed", tmp_path / "again")
    assert all(whole[key] == value for key, value in healed.items())
    assert whole.keys() - healed.keys() <= set(report["keys_touched"]) | {
        key for key in whole if str(key) not in healed
    }
    assert len(whole) - len(healed) < 120
    assert aof("check", "--deep", tmp_path / "healed").returncode == 0


def test_salvage_without_checksums_goes_on_at_the_next_command(plain_log: Path, tmp_path: Path) -> None:
    data = bytearray(plain_log.read_bytes())
    places = [data.find(b"$8\r\nkey:1500"), data.find(b"$7\r\nkey:300\r")]
    for at in places:
        data[at] = ord("#")
    plain_log.write_bytes(data)
    assert aof("salvage", plain_log).returncode == 1
    report = json.loads(aof("salvage", "--json", plain_log, "-o", tmp_path / "healed").stdout)
    assert len(report["files"][0]["set_aside"]) == 2
    assert set(content(tmp_path / "healed" / "plain.aof")) == {
        f"key:{number}" for number in range(2000) if number not in (300, 1500)
    }
    assert plain_log.read_bytes() == bytes(data)


def test_a_sound_log_is_salvaged_with_status_0(log: Path) -> None:
    done = aof("salvage", log)
    assert done.returncode == 0
    assert done.stdout.count(": sound") == 2


def test_a_lost_manifest_is_rebuilt(log: Path) -> None:
    manifest = log / "appendonlydir" / "appendonly.aof.manifest"
    text = manifest.read_text()
    manifest.write_text("nonsense\n")
    assert aof("rebuild-manifest", "--dry-run", log / "appendonlydir").stdout == text
    assert manifest.read_text() == "nonsense\n"
    assert aof("rebuild-manifest", log / "appendonlydir").returncode == 0
    assert manifest.read_text() == text
    assert manifest.with_name("appendonly.aof.manifest.before-rebuild").read_text() == "nonsense\n"
    increment(log).rename(increment(log).with_name("appendonly.aof.3.incr.aof"))
    shutil.copy(increment(log), increment(log).with_name("appendonly.aof.1.incr.aof"))
    done = aof("rebuild-manifest", log / "appendonlydir")
    assert done.returncode == 1
    assert "increments are missing" in done.stderr


def test_follow_prints_commands_as_they_come(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--save", "")
    command = [sys.executable, "-u", "-m", "rotomdb.tools.aof", "follow", str(server.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as follower, server.client() as client:
        assert follower.stdout is not None
        client.set("first", "1")
        assert "SELECT 0" in follower.stdout.readline()
        assert follower.stdout.readline().strip().endswith("SET first 1")
        client.execute_command("BGREWRITEAOF")
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.01)
        client.set("second", "words with spaces")
        while "second" not in (line := follower.stdout.readline()):
            assert line
        assert line.strip().endswith('SET second "words with spaces"')
        follower.terminate()


@pytest.mark.parametrize("words", [["check", "/nowhere"], ["stat", "/nowhere"]])
def test_a_log_that_is_not_there_cannot_be_read(words: list[str]) -> None:
    assert aof(*words).returncode == 3


def test_a_directory_without_a_log_is_named(tmp_path: Path) -> None:
    done = aof("check", tmp_path)
    assert done.returncode == 1
    assert "there is no append-only file in it" in done.stderr
