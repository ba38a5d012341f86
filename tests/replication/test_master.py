"""This server as the master of real Redis replicas."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable

import pytest
import redis

from tests.processes import RedisServer, RotomServer
from tests.replication.servers import cut_links, refused, replication, syncs, wait_in_step, wait_until_linked
from tests.workload import fill

Rotom = Callable[..., RotomServer]
Redis = Callable[..., RedisServer]


def replica_of(start: Redis, master: RotomServer, *arguments: str) -> RedisServer:
    replica = start("--save", "", "--replicaof", "127.0.0.1", str(master.port), *arguments)
    wait_until_linked(replica)
    return replica


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("log", ["yes", "no"])
def test_a_redis_replica_holds_what_its_master_holds(rotom: Rotom, redis_server: Redis, load: str, log: str) -> None:
    master = rotom("--appendonly", log, "--aof-timestamp-enabled", "yes")
    with master.client() as client:
        fill(client, 1)
        client.function_load("#!lua name=one\nredis.register_function('f', function() return 1 end)")
    replica = replica_of(redis_server, master, "--repl-diskless-load", load)
    with master.client() as client:
        fill(client, 2)
        client.eval("redis.call('SET', 'by', 'script') redis.call('INCR', 'scripted')", 0)
        assert client.wait(1, 5000) == 1
        listed = client.client_list(_type="replica")
    wait_in_step(master, replica)
    assert replica.digest() == master.digest()
    assert [client["flags"] for client in listed] == ["S"]
    with replica.client() as client:
        assert len(client.function_list()) == 1


def test_links_that_break_at_random_moments_go_on_where_they_were(rotom: Rotom, redis_server: Redis) -> None:
    source = random.Random(7)
    master = rotom()
    replica = replica_of(redis_server, master)
    for round_number in range(10):
        with master.client() as client:
            fill(client, round_number, source.randrange(300))
        cut_links(master)
        wait_until_linked(replica)
    wait_in_step(master, replica)
    assert replica.digest() == master.digest()
    copies, continued = syncs(master)
    assert copies == 1
    assert continued >= 10


def test_a_replica_that_is_further_behind_than_the_backlog_gets_a_copy(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom("--repl-backlog-size", "16kb")
    replica = replica_of(redis_server, master)
    port = replication(master)["slave0"]["port"]  # type: ignore[index]
    assert port == replica.port
    with replica.client() as client, master.client() as writer:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        for number in range(20):
            writer.set(f"key:{number}", "x" * 10_000)
        client.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
    wait_until_linked(replica)
    assert replica.digest() == master.digest()
    assert syncs(master) == (2, 0)


def test_wait_counts_replicas_that_have_it(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom()
    with master.client() as client:
        client.set("a", "1")
        assert client.wait(1, 10) == 0
        replica_of(redis_server, master)
        client.set("a", "2")
        assert client.wait(1, 5000) == 1
        assert client.wait(2, 10) == 1
        assert client.execute_command("WAITAOF", 1, 0, 5000) == [1, 0]
        role, _, replicas = client.execute_command("ROLE")
        assert (role, len(replicas)) == (b"master", 1)


def test_writes_are_refused_while_too_few_replicas_are_there(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom("--min-replicas-to-write", "1")
    with master.client() as client:
        assert refused(client, "SET", "a", "1") == "NOREPLICAS Not enough good replicas to write."
        assert "NOREPLICAS" in refused(client, "EVAL", "return redis.call('SET', 'a', '1')", "0")
        assert client.get("a") is None
        replica_of(redis_server, master)
        while replication(master)["min_slaves_good_slaves"] != 1:
            time.sleep(0.01)
        assert client.set("a", "1")


def test_what_is_published_reaches_who_listens_at_a_replica(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom()
    replica = replica_of(redis_server, master)
    with replica.client() as listener, master.client() as client:
        channel = listener.pubsub()
        channel.subscribe("news")
        assert channel.get_message(timeout=5)["type"] == "subscribe"
        client.publish("news", "hello")
        assert channel.get_message(timeout=5)["data"] == b"hello"
    wait_in_step(master, replica)


def test_a_replica_that_does_not_read_is_closed_at_its_limit(rotom: Rotom) -> None:
    master = rotom("--client-output-buffer-limit", "replica 3mb 0 0")
    with socket.create_connection(("127.0.0.1", master.port), timeout=20) as link, master.client() as client:
        link.sendall(b"SYNC\r\n")
        header, _, rest = link.recv(1 << 16).lstrip(b"\n").partition(b"\r\n")
        while len(rest) < int(header[1:]):
            rest += link.recv(1 << 16)
        client.set("small", "1")
        assert b"small" in link.recv(1000), "what follows the copy is sent"
        while replication(master)["connected_slaves"]:
            client.set("large", "x" * 500_000)
        assert "for overcoming of output buffer limits" in master.log()


def test_the_history_is_forgotten_without_replicas(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom("--repl-backlog-ttl", "1")
    replica = replica_of(redis_server, master)
    before = replication(master)
    replica.stop()
    master.wait_for("repl_backlog_active", 0, "replication")
    assert replication(master)["master_replid"] != before["master_replid"]


def test_redis_cli_follows_as_a_replica(rotom: Rotom, redis_tools: None) -> None:
    master = rotom()
    with (
        subprocess.Popen(["redis-cli", "-p", str(master.port), "--replica"], stdout=subprocess.PIPE) as follower,
        master.client() as client,
    ):
        try:
            while replication(master)["connected_slaves"] == 0:
                time.sleep(0.01)
            client.set("by", "hand")
            assert follower.stdout is not None
            seen = b""
            while b'"set","by","hand"' not in seen.lower():
                seen += follower.stdout.readline()
        finally:
            follower.kill()


def test_keys_that_expire_go_on_the_replica_as_well(rotom: Rotom, redis_server: Redis) -> None:
    master = rotom()
    replica = replica_of(redis_server, master)
    with master.client() as client, replica.client() as reader:
        client.set("short", "1", px=30)
        client.hset("other", mapping={"a": "1"})
        while client.exists("short"):
            time.sleep(0.01)
        wait_in_step(master, replica)
        assert reader.dbsize() == 1
        assert isinstance(reader, redis.Redis)
