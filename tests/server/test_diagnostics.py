"""WAIT, WAITAOF, LATENCY, MEMORY, MIGRATE and what COMMAND tells of keys."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
import redis

from tests.differential.test_commands import Link
from tests.processes import RedisServer, RotomServer


def test_wait_returns_at_once_when_nothing_is_asked_for_and_after_the_timeout_otherwise(
    rotom: Callable[..., RotomServer],
) -> None:
    link = Link(rotom().port, 2)
    assert link.run(["WAIT", "0", "0"]) == 0
    start = time.monotonic()
    assert link.run(["WAIT", "1", "60"]) == 0
    assert 0.05 < time.monotonic() - start < 1
    link.run(["MULTI"])
    link.run(["WAIT", "1", "0"])
    assert link.run(["EXEC"]) == [0]
    assert "timeout is negative" in link.run(["WAIT", "1", "-1"])


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_waitaof_returns_once_the_write_is_on_disk(rotom: Callable[..., RotomServer], policy: str) -> None:
    link = Link(rotom("--appendfsync", policy).port, 2)
    assert link.run(["WAITAOF", "1", "0", "0"]) == [1, 0]  # nothing written by this client
    for number in range(3):
        link.run(["SET", "k", str(number)])
        start = time.monotonic()
        assert link.run(["WAITAOF", "1", "0", "5000"]) == [1, 0]
        assert time.monotonic() - start < 2.5
    link.run(["SET", "k", "x"])
    local, replicas = link.run(["WAITAOF", "0", "1", "20"])
    assert local in (0, 1)
    assert replicas == 0


def test_waitaof_without_a_log(rotom: Callable[..., RotomServer]) -> None:
    link = Link(rotom("--appendonly", "no").port, 2)
    assert link.run(["WAITAOF", "0", "0", "0"]) == [0, 0]
    assert "cannot be used when numlocal is set but appendonly is disabled" in link.run(["WAITAOF", "1", "0", "0"])
    assert "out of range" in link.run(["WAITAOF", "2", "0", "0"])


def test_slow_commands_become_latency_events(rotom: Callable[..., RotomServer]) -> None:
    client = rotom("--latency-monitor-threshold", "20", "--enable-debug-command", "yes").client()
    assert client.execute_command("LATENCY", "LATEST") == []
    client.execute_command("DEBUG", "SLEEP", "0.05")
    (event,) = client.execute_command("LATENCY", "LATEST")
    assert event[0] == b"command"
    assert event[2] >= 50
    assert client.execute_command("LATENCY", "HISTORY", "command")[0][1] == event[2]
    assert b"command - high" in client.execute_command("LATENCY", "GRAPH", "command")
    assert b"1. command: 1 latency spikes" in client.execute_command("LATENCY", "DOCTOR")
    assert client.execute_command("LATENCY", "RESET") == 1
    assert client.execute_command("LATENCY", "LATEST") == []


def test_latency_histograms_count_every_call(rotom: Callable[..., RotomServer]) -> None:
    client = rotom().client()
    for _ in range(50):
        client.set("k", 1)
    reply = client.execute_command("LATENCY", "HISTOGRAM", "set", "nosuch")
    name, details = reply[:2] if isinstance(reply, list) else next(iter(reply.items()))
    details = details if isinstance(details, dict) else dict(zip(details[::2], details[1::2], strict=True))
    assert name == b"set"
    assert details[b"calls"] == 50
    steps = details[b"histogram_usec"]
    counts = list(steps.values()) if isinstance(steps, dict) else steps[1::2]
    assert counts == sorted(counts)
    assert counts[-1] == 50
    assert {"p50", "p99", "p99.9"} == set(client.info("latencystats")["latency_percentiles_usec_set"])


def test_memory_reports(rotom: Callable[..., RotomServer]) -> None:
    client = rotom().client()
    assert b"empty or is using very little memory" in client.execute_command("MEMORY", "DOCTOR")
    client.sadd("s", *range(200_000))
    assert b"Sam" in client.execute_command("MEMORY", "DOCTOR")
    stats = client.memory_stats()
    assert stats["keys.count"] == 1
    assert stats["total.allocated"] > 1_000_000
    assert client.memory_purge()


def test_migrate_moves_keys_to_redis_and_back(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    ours, theirs = rotom(), redis_server()
    here, there = ours.client(), theirs.client()
    here.rpush("l", 1, 2, 3)
    here.set("s", "v", ex=1000)
    here.xadd("x", {"f": "v"}, id="1-1")
    assert here.execute_command("MIGRATE", "127.0.0.1", theirs.port, "absent", 0, 1000) == b"NOKEY"
    assert here.execute_command("MIGRATE", "127.0.0.1", theirs.port, "", 2, 1000, "KEYS", "l", "s", "x") == b"OK"
    assert here.dbsize() == 0
    there.select(2)
    assert there.lrange("l", 0, -1) == [b"1", b"2", b"3"]
    assert 990 < there.ttl("s") <= 1000
    assert there.xlen("x") == 1
    here.set("s", "busy")
    with pytest.raises(redis.ResponseError, match="Target instance replied with error: BUSYKEY"):
        there.execute_command("MIGRATE", "127.0.0.1", ours.port, "s", 0, 1000)
    assert there.execute_command("MIGRATE", "127.0.0.1", ours.port, "s", 0, 1000, "COPY", "REPLACE") == b"OK"
    assert here.get("s") == there.get("s") == b"v"
    with pytest.raises(redis.ResponseError, match="IOERR error or timeout connecting to the client"):
        here.execute_command("MIGRATE", "127.0.0.1", 1, "s", 0, 100)
    ours.kill()
    ours.start()
    assert ours.client().dbsize() == 1


@pytest.mark.parametrize(
    "request_",
    ["SET a b", "GET a", "DEL a b", "LPUSH a 1", "LPOP a", "RENAME a b", "LMOVE a b LEFT LEFT", "SUNIONSTORE a b c",
     "HSET a f v", "TTL a", "COPY a b", "ZADD z 1 m", "INCR a", "EXPIRE a 1", "XADD s * f v", "ZUNIONSTORE d 2 a b"],
)  # fmt: skip
def test_keys_and_their_flags_are_redis_s(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], request_: str
) -> None:
    words = ["COMMAND", "GETKEYSANDFLAGS", *request_.split()]

    def answer(port: int) -> object:
        return [[key, sorted(flags)] for key, flags in Link(port, 2).run(list(words))]

    assert answer(rotom().port) == answer(redis_server().port)


def test_passwords_are_not_kept_in_the_slow_log_nor_shown_by_monitor(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--slowlog-log-slower-than", "0")
    with server.client() as client, server.client() as watched:
        with watched.monitor() as monitor:
            for request in (
                "AUTH user-word pass-word", "HELLO 3 AUTH user-word pass-word", "CONFIG SET requirepass pass-word hz 10",
                "MIGRATE 127.0.0.1 1 key 0 1 AUTH pass-word", "MIGRATE 127.0.0.1 1 key 0 1 AUTH2 user-word pass-word",
                "ACL SETUSER user-word >pass-word",
            ):  # fmt: skip
                with contextlib.suppress(redis.RedisError):
                    client.execute_command(*request.split())
            client.echo("the end")
            seen = ""
            while "the end" not in seen:
                seen = monitor.next_command()["command"]
                assert "pass-word" not in seen and "user-word" not in seen
        client.execute_command("CONFIG", "SET", "requirepass", "")
        kept = b" ".join(word for entry in client.slowlog_get(100) for word in entry["command"].split())
    assert b"pass-word" not in kept and b"user-word" not in kept
    assert kept.count(b"(redacted)") >= 7 and b"hz" in kept


def test_a_command_that_waits_is_not_in_the_slow_log_for_its_waiting(rotom: Callable[..., RotomServer]) -> None:
    with rotom("--slowlog-log-slower-than", "0").client() as client:
        client.blpop(["absent"], timeout=0.01)
        assert not any(b"BLPOP" in entry["command"] for entry in client.slowlog_get(100))
