"""Live servers as a source: as a replica reads them, or key by key where that is not allowed."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import RedisServer, RotomServer
from tests.tools.running import run


def rows(url: str) -> tuple[dict[tuple[int, str], object], str]:
    done = run("dump", "-f", "ndjson", url)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["db"], row["key"]): row["value"] for row in found}, done.stderr


def fill(server: RedisServer | RotomServer) -> dict[tuple[int, str], object]:
    with server.client() as client:
        for number in range(500):
            client.set(f"key:{number}", number, px=10_000_000)
        client.execute_command("SELECT", 5)
        client.hset("hash", mapping={"f": "v"})
        client.rpush("list", "a", "b")
    return {
        **{(0, f"key:{number}"): str(number) for number in range(500)},
        (5, "hash"): [["f", "v"]],
        (5, "list"): ["a", "b"],
    }


def test_a_server_that_forbids_sync_is_read_key_by_key_and_that_is_said(
    redis_server: Callable[..., RedisServer],
) -> None:
    server = redis_server("--rename-command", "SYNC", "")
    wanted = fill(server)
    found, said = rows(f"redis://127.0.0.1:{server.port}")
    assert found == wanted
    assert "read key by key with SCAN and DUMP" in said


def test_our_own_server_is_read(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    wanted = fill(server)
    assert rows(f"redis://127.0.0.1:{server.port}")[0] == wanted


@pytest.mark.parametrize("number", [0, 5, 7])
def test_the_database_of_the_address_is_the_one_that_is_read(
    redis_server: Callable[..., RedisServer], number: int
) -> None:
    server = redis_server()
    wanted = fill(server)
    found, _ = rows(f"redis://127.0.0.1:{server.port}/{number}")
    assert found == {name: value for name, value in wanted.items() if name[0] == number}


def test_expire_times_survive_the_way_key_by_key(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    fill(server)
    done = run(
        "diff",
        "--ttl-tolerance",
        "2000",
        f"redis://127.0.0.1:{server.port}",
        f"redis://127.0.0.1:{server.port}/0",
        "--db",
        "0",
    )
    assert (done.returncode, done.stdout) == (0, "0 added, 0 removed, 0 changed\n")


def test_a_restore_goes_into_the_database_of_the_address(
    redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = redis_server()
    fill(server)
    copy = tmp_path / "copy.rdb"
    assert run("filter", f"redis://127.0.0.1:{server.port}", "--db", "5", "-o", copy).returncode == 0
    assert run("restore", copy, f"redis://127.0.0.1:{server.port}/9").returncode == 0
    with server.client(db=9) as client:
        assert sorted(client.keys()) == [b"hash", b"list"]
    both = run("restore", f"redis://127.0.0.1:{server.port}", f"redis://127.0.0.1:{server.port}/9", "--replace")
    assert both.returncode == 3
    assert "choose one with --db" in both.stderr


@pytest.mark.parametrize("database", ["x", "-1", "99"])
def test_a_database_that_is_none_is_named(redis_server: Callable[..., RedisServer], database: str) -> None:
    done = run("info", f"redis://127.0.0.1:{redis_server().port}/{database}")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def test_the_password_comes_from_the_environment(
    redis_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server("--requirepass", "secret")
    url = f"redis://127.0.0.1:{server.port}"
    done = run("info", url)
    assert (done.returncode, "REDISCLI_AUTH" in done.stderr) == (3, True)
    monkeypatch.setenv("REDISCLI_AUTH", "secret")
    assert run("info", url).returncode == 0


def test_a_socket_of_the_machine_is_read(redis_server: Callable[..., RedisServer], tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = redis_server("--unixsocket", str(path))
    wanted = fill(server)
    assert rows(f"unix://{path}")[0] == wanted
    assert rows(f"unix://{path}?db=5")[0] == {name: value for name, value in wanted.items() if name[0] == 5}


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = run("info", f"redis://127.0.0.1:{listener.getsockname()[1]}")
    assert done.returncode == 3
    assert "the server was silent for 5 s" in done.stderr
