"""BACKUP and point-in-time restore: consistent copies while writes go on, and the way back."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rotomdb.storage.backup import verify
from rotomdb.storage.disk import Disk
from tests.processes import RedisServer, RotomServer
from tests.tools.running import aof

Start = Callable[..., RotomServer]


def restore(*arguments: object) -> subprocess.CompletedProcess[str]:
    return aof("restore", *map(str, arguments))


def backed_up(server: RotomServer, name: str) -> Path:
    with server.client() as client:
        client.execute_command("BACKUP", "CREATE", name)
    server.wait_for("backup_in_progress", 0)
    return server.directory / "backups" / name


@pytest.mark.parametrize("arguments", [(), ("--appendonly", "no"), ("--aof-layout", "single")])
def test_a_backup_holds_what_was_there_and_restores(rotom: Start, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    server = rotom(*arguments)
    with server.client() as client:
        client.mset({f"key:{i}": i for i in range(500)})
        digest = server.digest()
        directory = backed_up(server, "first")
        client.flushall()
        client.set("after", 1)
    assert verify(Disk(), directory) == []
    index = json.loads((directory / "backup.json").read_text())
    assert index["keys"] == 500
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", directory, copy], check=True)
    other = rotom(*arguments, directory=copy)
    assert other.digest() == digest
    if "--appendonly" not in arguments:
        server.restart()
        with server.client() as client:
            assert client.get("after") == b"1"


def test_a_server_started_on_a_backup_leaves_the_files_of_the_other_alone(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", 1)
    directory = backed_up(server, "shared")
    other = rotom(directory=directory)
    with other.client() as client:
        client.set("a", "other")
    server.restart()
    with server.client() as client:
        assert client.get("a") == b"1"


def test_backups_are_listed_deleted_and_dropped_when_there_are_too_many(rotom: Start) -> None:
    server = rotom("--backup-keep", "2")
    with server.client(protocol=3) as client:
        for name in ("a", "b", "c"):
            client.set(name, 1)
            backed_up(server, name)
            time.sleep(1.0)
        assert [row[b"name"] for row in client.execute_command("BACKUP", "LIST")] == [b"b", b"c"]
        with pytest.raises(redis.ResponseError, match="there is a backup c already"):
            client.execute_command("BACKUP", "CREATE", "c")
        with pytest.raises(redis.ResponseError, match="letters, digits"):
            client.execute_command("BACKUP", "CREATE", "../c")
        client.execute_command("BACKUP", "DELETE", "b")
        assert not (server.directory / "backups" / "b").exists()
        with pytest.raises(redis.ResponseError, match="there is no backup b"):
            client.execute_command("BACKUP", "DELETE", "b")


def test_a_backup_whose_file_has_changed_is_not_restored(rotom: Start, tmp_path: Path) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", 1)
    directory = backed_up(server, "x")
    base = directory / "appendonlydir" / "appendonly.aof.1.base.rdb"
    content = base.read_bytes()
    base.unlink()
    base.write_bytes(content[:-1] + b"?")
    result = restore(directory, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert "its content is not what was backed up" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_data_comes_back_as_it_was_at_a_second(rotom: Start, tmp_path: Path) -> None:
    server = rotom("--aof-timestamp-enabled", "yes")
    digests = {}
    with server.client() as client:
        for i in range(4):
            while int(time.time()) == int(time.time() + 0.5):
                time.sleep(0.02)  # the second half of a second: what is written is within it
            client.rpush("list", i)
            client.set(f"key:{i}", "x" * 700)
            digests[int(time.time())] = server.digest()
            time.sleep(1.0)
    before = {path: path.read_bytes() for path in (server.directory / "appendonlydir").iterdir()}
    for number, (second, digest) in enumerate(digests.items()):
        output = tmp_path / f"at-{number}"
        result = restore(server.directory, "--at", second, "-o", output)
        assert result.returncode == 0, result.stderr
        assert rotom(directory=output).digest() == digest
    assert {path: path.read_bytes() for path in before} == before
    result = restore(server.directory, "--at", 1000, "-o", tmp_path / "early")
    assert result.returncode == 1
    assert "Look for a backup" in result.stderr


def test_the_data_comes_back_as_it_was_before_flushall(
    rotom: Start, redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = rotom()
    with server.client() as client:
        client.mset({f"key:{i}": i for i in range(100)})
        digest = server.digest()
        with client.pipeline(transaction=True) as pipe:
            pipe.set("last", 1).flushall().execute()
        client.set("after", 1)
    result = restore(server.directory, "--before", "flushall", "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["ends_in"] == "appendonly.aof.1.incr.aof"
    peer = redis_server("--appendonly", "yes", directory=tmp_path / "out")
    assert peer.digest() == digest


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--before", "NOSUCH"], 1, "the log holds no NOSUCH"),
        (["--at", "now"], 2, "is no time"),
        (["--at", "9999999999"], 1, "carries no times"),
        (["--at", "5", "--before", "SET"], 2, "exclude each other"),
    ],
)
def test_what_cannot_be_restored_is_explained(
    rotom: Start, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", 1)
    result = restore(server.directory, "-o", tmp_path / "out", *arguments)
    assert result.returncode == status
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
