"""maxmemory and its policies, and deleting large values without making anybody wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import redis

from tests.differential.test_commands import Link
from tests.processes import RotomServer

VALUE = b"x" * 1000


def used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def limit(client: redis.Redis, extra: int, policy: str) -> None:
    """Allow `extra` bytes more than now."""
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", used(client) + extra)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_keys_are_evicted_to_stay_below_the_limit(rotom: Callable[..., RotomServer], policy: str) -> None:
    server = rotom()
    with server.client() as client:
        limit(client, 1_000_000, policy)
        ceiling = int(client.config_get("maxmemory")["maxmemory"])
        for number in range(3000):
            client.set(f"key:{number}", VALUE)
        assert used(client) <= ceiling + 20_000  # the buffers of the question and its answer count, too
        assert 700 < client.dbsize() < 1000
        assert client.info("stats")["evicted_keys"] == 3000 - client.dbsize()
        digest = server.digest()
        client.config_set("maxmemory", 0)
    server.kill()
    server.start()
    assert server.digest() == digest  # evictions are in the log


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"])
def test_volatile_policies_evict_only_keys_that_expire(rotom: Callable[..., RotomServer], policy: str) -> None:
    client = rotom().client()
    for number in range(300):
        client.set(f"stays:{number}", VALUE)
    limit(client, 200_000, policy)
    for number in range(300):
        client.set(f"goes:{number}", VALUE, ex=1000)
    assert len(client.keys("stays:*")) == 300
    assert 0 < len(client.keys("goes:*")) < 250
    with pytest.raises(redis.exceptions.OutOfMemoryError, match="command not allowed when used memory > 'maxmemory'"):
        for number in range(300):
            client.set(f"more:{number}", VALUE)


def test_the_shortest_time_to_live_goes_first(rotom: Callable[..., RotomServer]) -> None:
    client = rotom("--maxmemory-samples", "64").client()
    limit(client, 300_000, "volatile-ttl")
    for number in range(400):
        client.set(f"key:{number}", VALUE, ex=10_000 - number)
    left = sorted(int(key.split(b":")[1]) for key in client.keys("*"))
    assert sum(left) / len(left) < 170  # the earliest written live longest


def test_recently_used_keys_survive(rotom: Callable[..., RotomServer]) -> None:
    client = rotom("--maxmemory-samples", "20").client()
    for number in range(300):
        client.set(f"key:{number}", VALUE)
    time.sleep(2.1)  # the LRU clock counts seconds
    for number in range(100):
        client.get(f"key:{number}")
    limit(client, 0, "allkeys-lru")
    for number in range(150):
        client.set(f"new:{number}", VALUE)
    assert sum(client.exists(f"key:{number}") for number in range(100)) >= 90


def test_often_used_keys_survive(rotom: Callable[..., RotomServer]) -> None:
    client = rotom("--maxmemory-policy", "allkeys-lfu", "--maxmemory-samples", "20").client()
    for number in range(100):
        client.set(f"hot:{number}", VALUE)
    limit(client, 300_000, "allkeys-lfu")
    for round_ in range(20):
        for number in range(100):
            client.get(f"hot:{number}")
        for number in range(50):
            client.set(f"cold:{round_}:{number}", VALUE)
    assert sum(client.exists(f"hot:{number}") for number in range(100)) >= 80


def test_without_a_policy_writes_are_refused_and_reads_served(rotom: Callable[..., RotomServer]) -> None:
    client = rotom().client()
    client.set("k", VALUE)
    limit(client, 0, "noeviction")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("other", VALUE)
        client.set("another", VALUE)
    assert client.get("k") == VALUE
    pipe = client.pipeline()
    pipe.set("a", VALUE)
    with pytest.raises(redis.exceptions.ResponseError):
        pipe.execute()
    assert client.delete("k") == 1


def test_access_frequency_is_kept_by_snapshots(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--maxmemory-policy", "allkeys-lfu", "--appendonly", "no")
    with server.client() as client:
        client.set("k", 1)
        for _ in range(1000):
            client.get("k")
        frequency = client.object("freq", "k")
        assert 10 < frequency < 60
        with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is selected"):
            client.object("idletime", "k")
        client.save()
    server.kill()
    server.start()
    with server.client() as client:
        assert abs(client.object("freq", "k") - frequency) <= 1


def test_large_clients_are_closed_when_all_take_too_much(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--maxmemory-clients", "2mb")
    with server.client() as small:
        link = Link(server.port, 2)
        link.run(["MULTI"])
        with pytest.raises(redis.exceptions.ConnectionError):
            for _ in range(60):
                link.run(["SET", "k", b"x" * 100_000])
                time.sleep(0.02)
        assert small.ping()
        assert small.info("stats")["evicted_clients"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["DEL", "UNLINK", "SET", "FLUSHALL ASYNC", "expire"])
def test_deleting_a_large_value_does_not_make_others_wait(rotom: Callable[..., RotomServer], how: str) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    client = server.client()
    pipe = client.pipeline(transaction=False)
    for number in range(0, 500_000, 1000):
        pipe.sadd("set", *range(number, number + 1000))
        pipe.zadd("zset", {f"member:{number + i}": i for i in range(0, 1000, 5)})
        pipe.hset("hash", mapping={f"field:{number + i}": i for i in range(0, 1000, 5)})
    pipe.execute()
    before = used(client)
    for key in ("set", "zset", "hash"):
        if how == "SET":
            client.set(key, "x")
        elif how == "expire":
            client.pexpire(key, 1)
        elif how in ("DEL", "UNLINK"):
            client.execute_command(how, key)
    if how == "FLUSHALL ASYNC":
        client.execute_command("FLUSHALL", "ASYNC")
    time.sleep(0.01)
    assert client.exists("set", "zset", "hash") == (3 if how == "SET" else 0)
    deadline = time.monotonic() + 20
    while client.info("memory")["lazyfree_pending_objects"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert used(client) < before * 0.05
    slow = [entry for entry in client.slowlog_get(128) if entry["duration"] > 10_000]
    assert not [entry for entry in slow if entry["command"].split()[0] in (b"DEL", b"UNLINK", b"FLUSHALL", b"EXISTS")]


def test_what_waits_to_be_freed_is_freed_when_the_server_stops(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    client = server.client()
    client.sadd("big", *range(200_000))
    pings = threading.Thread(target=lambda: [client.ping() for _ in range(50)])
    client.delete("big")
    pings.start()
    pings.join()
    server.stop()
