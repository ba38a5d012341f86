"""Expire times of hash fields, as Redis 7.4 and 8.0 document them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from tests.processes import RotomServer


@pytest.fixture
def server(rotom: Callable[..., RotomServer]) -> RotomServer:
    return rotom()


@pytest.fixture
def client(server: RotomServer) -> redis.Redis:
    made = server.client()
    made.hset("h", mapping={"a": 1, "b": 2, "c": 3})
    return made


def test_each_field_gets_an_answer(client: redis.Redis) -> None:
    assert client.execute_command("HEXPIRE", "h", 100, "FIELDS", 2, "a", "none") == [1, -2]
    assert client.execute_command("HEXPIRE", "absent", 100, "FIELDS", 2, "a", "b") == [-2, -2]
    assert client.execute_command("HPEXPIRE", "h", 0, "FIELDS", 1, "b") == [2]
    assert client.hgetall("h") == {b"a": b"1", b"c": b"3"}
    assert client.execute_command("HTTL", "h", "FIELDS", 3, "a", "b", "c") == [100, -2, -1]
    assert client.execute_command("HPTTL", "absent", "FIELDS", 1, "a") == [-2]
    assert client.execute_command("OBJECT", "ENCODING", "h") == b"listpackex"


def test_conditions(client: redis.Redis) -> None:
    def expire(condition: str, seconds: int) -> int:
        return client.execute_command("HEXPIREAT", "h", 3_000_000_000 + seconds, condition, "FIELDS", 1, "a")[0]  # type: ignore[no-any-return]

    assert expire("XX", 50) == 0
    assert expire("GT", 50) == 0
    assert expire("LT", 50) == 1
    assert expire("NX", 60) == 0
    assert expire("GT", 40) == 0
    assert expire("GT", 60) == 1
    assert expire("LT", 70) == 0
    assert expire("XX", 10) == 1
    assert client.execute_command("HEXPIRETIME", "h", "FIELDS", 1, "a") == [3_000_000_010]
    assert client.execute_command("HPEXPIRETIME", "h", "FIELDS", 1, "a") == [3_000_000_010_000]
    assert client.execute_command("HPERSIST", "h", "FIELDS", 3, "a", "b", "x") == [1, -1, -2]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("HEXPIRE h 10 FIELD 1 a", "Mandatory argument FIELDS is missing or not at the right position"),
        ("HEXPIRE h 10 FIELDS 0 a", "Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 10 FIELDS 2 a", "The `numfields` parameter must match the number of arguments"),
        ("HEXPIRE h -1 FIELDS 1 a", "invalid expire time, must be >= 0"),
        ("HEXPIRE h 99999999999999 FIELDS 1 a", "invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "invalid expire time in 'hpexpireat' command"),
        ("HEXPIRE h x FIELDS 1 a", "value is not an integer or out of range"),
        ("HTTL h FIELDS x a", "Number of fields must be a positive integer"),
        ("HGETEX h EX 10 PERSIST FIELDS 1 a", "Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified"),
        ("HSETEX h FNX FXX FIELDS 1 a b", "Only one of FXX or FNX arguments can be specified"),
        ("HSETEX h EX 0 FIELDS 1 a b", "invalid expire time in 'hsetex' command"),
        ("HSETEX h FIELDS 2 a b", "wrong number of arguments"),
        ("HGETEX h EX 10 a b", "unknown argument: a"),
        ("HEXPIRE text 10 FIELDS 1 a", "Operation against a key holding the wrong kind of value"),
    ],
)
def test_errors(client: redis.Redis, words: str, error: str) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError) as raised:
        client.execute_command(*words.split())
    assert error in str(raised.value)


def test_expired_fields_are_gone_for_every_command_and_take_the_key_with_them(client: redis.Redis) -> None:
    client.execute_command("HPEXPIRE", "h", 30, "FIELDS", 2, "a", "b")
    client.hset("all", "x", 1)
    client.execute_command("HPEXPIRE", "all", 30, "FIELDS", 1, "x")
    time.sleep(0.06)
    assert client.hlen("h") == 1
    assert client.hkeys("h") == [b"c"]
    assert client.hexists("h", "a") == 0
    assert client.hrandfield("h", 5) == [b"c"]
    assert client.exists("all") == 0


def test_the_background_cycle_removes_fields_that_nobody_asks_for(server: RotomServer, client: redis.Redis) -> None:
    for number in range(200):
        client.hset(f"many:{number}", "f", 1)
        client.execute_command("HPEXPIRE", f"many:{number}", 20, "FIELDS", 1, "f")
    deadline = time.monotonic() + 5
    while client.dbsize() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.dbsize() == 1


def test_writing_a_field_ends_its_time_but_incrementing_keeps_it(client: redis.Redis) -> None:
    client.execute_command("HEXPIRE", "h", 100, "FIELDS", 3, "a", "b", "c")
    client.hset("h", "a", 5)
    client.hincrby("h", "b", 5)
    client.hincrbyfloat("h", "c", 0.5)
    assert client.execute_command("HTTL", "h", "FIELDS", 3, "a", "b", "c") == [-1, 100, 100]


def test_reading_and_writing_with_times(client: redis.Redis) -> None:
    assert client.execute_command("HSETEX", "h", "FNX", "EX", 100, "FIELDS", 1, "a", "9") == 0
    assert client.execute_command("HSETEX", "h", "FXX", "EX", 100, "FIELDS", 2, "a", "9", "b", "8") == 1
    assert client.execute_command("HSETEX", "h", "KEEPTTL", "FIELDS", 1, "a", "7") == 1
    assert client.execute_command("HSETEX", "h", "FIELDS", 1, "b", "6") == 1
    assert client.execute_command("HTTL", "h", "FIELDS", 2, "a", "b") == [100, -1]
    assert client.execute_command("HGETEX", "h", "PX", 50_000, "FIELDS", 2, "b", "none") == [b"6", None]
    assert client.execute_command("HGETEX", "h", "PERSIST", "FIELDS", 1, "a") == [b"7"]
    assert client.execute_command("HTTL", "h", "FIELDS", 2, "a", "b") == [-1, 50]
    assert client.execute_command("HGETDEL", "h", "FIELDS", 3, "a", "b", "none") == [b"7", b"6", None]
    assert client.execute_command("HGETDEL", "h", "FIELDS", 1, "c") == [b"3"]
    assert client.exists("h") == 0


@pytest.mark.parametrize("how", ["log", "rewritten as rdb", "rewritten as commands", "snapshot"])
def test_times_survive(rotom: Callable[..., RotomServer], how: str) -> None:
    server = rotom(
        "--appendonly", "no" if how == "snapshot" else "yes",
        "--aof-use-rdb-preamble", "no" if how == "rewritten as commands" else "yes",
    )  # fmt: skip
    with server.client() as client:
        client.hset("h", mapping={f"f{number}": number for number in range(700)})
        client.execute_command("HPEXPIREAT", "h", 3_000_000_000_000, "FIELDS", 2, "f1", "f2")
        client.execute_command("HPEXPIRE", "h", 1, "FIELDS", 1, "f3")
        client.execute_command("HSETEX", "h", "PXAT", 3_000_000_000_500, "FIELDS", 1, "f4", "text")
        client.execute_command("HINCRBYFLOAT", "h", "f4x", 1)
        client.execute_command("RENAME", "h", "moved")
        client.execute_command("COPY", "moved", "copy")
        client.execute_command("RESTORE", "restored", 0, client.dump("moved"))
        time.sleep(0.01)
        assert client.hlen("moved") == 700
        if how.startswith("rewritten"):
            client.bgrewriteaof()
            server.wait_for("aof_rewrite_in_progress", 0)
        if how == "snapshot":
            client.save()
    digest = server.digest()
    server.kill()
    server.start()
    assert server.digest() == digest
    with server.client() as client:
        for key in ("moved", "copy", "restored"):
            answer = client.execute_command("HPEXPIRETIME", key, "FIELDS", 5, "f1", "f2", "f3", "f4", "f5")
            assert answer == [3_000_000_000_000, 3_000_000_000_000, -2, 3_000_000_000_500, -1]
