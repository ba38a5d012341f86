"""Files written by rotomdb load in redis-server with an equal digest, and the other way round."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import RedisServer, RotomServer, ServerProcess
from tests.workload import fill

Start = Callable[..., ServerProcess]


def loaded(server: ServerProcess, seed: int) -> bytes:
    """Fill a server and return its digest."""
    with server.client() as client:
        fill(client, seed)
    return server.digest()


def redis_check(program: str, path: Path) -> None:
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("seed", range(3))
def test_redis_loads_our_snapshot(rotom: Start, redis_server: Start, tmp_path: Path, seed: int) -> None:
    ours = rotom("--appendonly", "no", "--save", "")
    digest = loaded(ours, seed)
    with ours.client() as client:
        assert client.save()
    redis_check("redis-check-rdb", ours.directory / "dump.rdb")
    theirs_directory = tmp_path / "theirs"
    theirs_directory.mkdir()
    shutil.copy(ours.directory / "dump.rdb", theirs_directory)
    theirs = redis_server(directory=theirs_directory)
    assert theirs.digest() == digest


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rewritten", ["not", "as rdb", "as commands"])
def test_redis_loads_our_log(
    rotom: Callable[..., RotomServer], redis_server: Start, tmp_path: Path, seed: int, rewritten: str
) -> None:
    ours = rotom(
        "--aof-use-rdb-preamble", "no" if rewritten == "as commands" else "yes", "--aof-timestamp-enabled", "yes"
    )
    with ours.client() as client:
        fill(client, seed)
        if rewritten != "not":
            client.bgrewriteaof()
            fill(client, seed + 100)
            ours.wait_for("aof_rewrite_in_progress", 0)
            fill(client, seed + 200, 500)
    digest = ours.digest()
    ours.kill()
    redis_check("redis-check-aof", ours.directory / "appendonlydir" / "appendonly.aof.manifest")
    shutil.copytree(ours.directory / "appendonlydir", tmp_path / "theirs" / "appendonlydir")
    theirs = redis_server("--appendonly", "yes", directory=tmp_path / "theirs")
    assert theirs.digest() == digest
    ours.start()
    assert ours.digest() == digest


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_redis_loads_our_single_file_log(
    rotom: Callable[..., RotomServer], redis_server: Start, tmp_path: Path, preamble: str
) -> None:
    ours = rotom("--aof-layout", "single", "--aof-use-rdb-preamble", preamble)
    with ours.client() as client:
        fill(client, 1)
        client.bgrewriteaof()
        fill(client, 2)
        ours.wait_for("aof_rewrite_in_progress", 0)
        fill(client, 3, 300)
    digest = ours.digest()
    ours.restart()
    assert ours.digest() == digest
    ours.kill()
    (tmp_path / "theirs").mkdir()
    shutil.copy(ours.directory / "appendonly.aof", tmp_path / "theirs")
    theirs = redis_server("--appendonly", "yes", directory=tmp_path / "theirs")
    assert theirs.digest() == digest


@pytest.mark.parametrize("seed", range(3))
def test_we_load_their_snapshot(
    rotom: Start, redis_server: Callable[..., RedisServer], tmp_path: Path, seed: int
) -> None:
    theirs = redis_server()
    digest = loaded(theirs, seed)
    with theirs.client() as client:
        client.save()
    (tmp_path / "ours").mkdir()
    shutil.copy(theirs.directory / "dump.rdb", tmp_path / "ours")
    ours = rotom("--appendonly", "no", directory=tmp_path / "ours")
    assert ours.digest() == digest


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_we_load_their_log(
    rotom: Start, redis_server: Callable[..., RedisServer], tmp_path: Path, preamble: str
) -> None:
    theirs = redis_server("--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes")
    with theirs.client() as client:
        fill(client, 5)
        client.bgrewriteaof()
        theirs.wait_for("aof_rewrite_in_progress", 0)
        fill(client, 6)
    digest = theirs.digest()
    theirs.stop()
    shutil.copytree(theirs.directory / "appendonlydir", tmp_path / "ours" / "appendonlydir")
    ours = rotom(directory=tmp_path / "ours")
    assert ours.digest() == digest


def test_dump_payloads_move_both_ways(rotom: Start, redis_server: Start) -> None:
    with rotom().client() as ours, redis_server().client() as theirs:
        fill(ours, 9, 1500)
        for key in ours.scan_iter(count=1000):
            theirs.restore(key, 0, ours.dump(key))
            digest = theirs.execute_command("DEBUG", "DIGEST-VALUE", key)
            ours.restore(b"back", 0, theirs.dump(key), replace=True)
            assert ours.execute_command("DEBUG", "DIGEST-VALUE", b"back") == digest
