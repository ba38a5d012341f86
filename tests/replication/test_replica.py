"""This server as a replica: of Redis, of itself, in chains, and as the one that is promoted."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import RedisServer, RotomServer, ServerProcess
from tests.replication.servers import (
    cut_links,
    follow,
    promote,
    refused,
    replication,
    syncs,
    wait_in_step,
    wait_until_linked,
)
from tests.workload import fill


class ConfiguredServer(RotomServer):
    """One with a configuration file, which CONFIG REWRITE writes."""

    def command(self) -> list[str]:
        *before, file = super().command()
        return [*before[:3], file, *before[3:]]


Rotom = Callable[..., RotomServer]
Redis = Callable[..., RedisServer]
StartMaster = Callable[..., ServerProcess]


@pytest.fixture(params=["redis with a file", "redis without a file", "rotomdb"])
def start_master(request: pytest.FixtureRequest, rotom: Rotom, redis_server: Redis) -> StartMaster:
    def start(*arguments: str) -> ServerProcess:
        if request.param == "rotomdb":
            return rotom("--save", "", *arguments)
        without = "no" if request.param == "redis with a file" else "yes"
        return redis_server(
            "--save", "", "--repl-diskless-sync", without, "--repl-diskless-sync-delay", "0", *arguments
        )  # fmt: skip

    return start


def replica_of(start: Callable[..., ServerProcess], master: ServerProcess, *arguments: str) -> ServerProcess:
    replica = start("--save", "", "--replicaof", "127.0.0.1", str(master.port), *arguments)
    wait_until_linked(replica)
    return replica


def write(master: ServerProcess, seed: int, commands: int = 500) -> None:
    with master.client() as client:
        fill(client, seed, commands)


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
def test_a_replica_holds_what_its_master_holds(start_master: StartMaster, rotom: Rotom, load: str) -> None:
    master = start_master()
    write(master, 1)
    with master.client() as client:
        client.function_load("#!lua name=one\nredis.register_function('f', function() return 1 end)")
    replica = replica_of(rotom, master, "--repl-diskless-load", load)
    write(master, 2)
    with master.client() as client:
        client.eval("redis.call('SET', 'by', 'script') redis.call('INCR', 'scripted')", 0)
        assert client.wait(1, 4000) == 1
    wait_in_step(master, replica)
    assert replica.digest() == master.digest()
    with replica.client() as client:
        assert len(client.function_list()) == 1


def test_a_link_that_breaks_at_random_moments_goes_on_where_it_was(start_master: StartMaster, rotom: Rotom) -> None:
    source = random.Random(3)
    master = start_master()
    replica = replica_of(rotom, master)
    for round_number in range(10):
        write(master, round_number, source.randrange(200))
        cut_links(master)
        wait_until_linked(replica)
    wait_in_step(master, replica)
    assert replica.digest() == master.digest()
    assert syncs(master) == (1, 10)


def test_the_log_of_a_replica_starts_over_with_its_masters_data(start_master: StartMaster, rotom: Rotom) -> None:
    master = start_master()
    write(master, 1)
    replica = rotom("--save", "")
    with replica.client() as client:
        client.set("only", "here")
    follow(replica, master)
    write(master, 2)
    wait_in_step(master, replica)
    replica.kill()
    replica.start()
    assert replica.digest() == master.digest()
    with replica.client() as client:
        assert client.get("only") is None


def test_histories_go_on_through_chains_and_promotions(rotom: Rotom, redis_server: Redis) -> None:
    first = redis_server("--save", "", "--repl-diskless-sync-delay", "0")
    write(first, 1)
    middle = replica_of(rotom, first)
    leaves: list[ServerProcess] = [replica_of(redis_server, middle), replica_of(rotom, middle)]
    with first.client(db=3) as client:
        client.set("in", "another database")
    everyone: list[ServerProcess] = [first, middle, *leaves]
    wait_in_step(first, *everyone)
    assert len({server.digest() for server in everyone}) == 1
    assert len({replication(server)["master_replid"] for server in everyone}) == 1
    for leader in (middle, *leaves):
        before = syncs(leader)
        promote(leader)
        others = [server for server in everyone if server is not leader]
        for server in others:
            follow(server, leader)
        write(leader, 2)
        wait_in_step(leader, *others)
        assert len({server.digest() for server in everyone}) == 1
        copies, continued = syncs(leader)
        assert copies == before[0], "everyone went on from where it was"
        assert continued - before[1] >= 3


def test_a_replica_takes_writes_from_its_master_only(rotom: Rotom) -> None:
    master = rotom()
    replica = replica_of(rotom, master)
    with replica.client() as client:
        assert refused(client, "SET", "a", "1") == "You can't write against a read only replica."
        assert "read only replica. script: " in refused(client, "EVAL", "return redis.call('SET', 'a', '1')", "0")
        assert "cannot be used with replica instances" in refused(client, "WAIT", "0", "0")
        client.config_set("replica-read-only", "no")
        assert client.set("local", "1")
    with master.client() as client:
        assert client.get("local") is None


def test_what_is_past_its_time_is_hidden_until_the_master_says_that_it_goes(rotom: Rotom) -> None:
    master = rotom()
    replica = replica_of(rotom, master)
    with master.client() as client, replica.client() as reader:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        client.set("short", "1", px=30)
        wait_in_step(master, replica)
        time.sleep(0.05)
        assert reader.get("short") is None
        assert reader.exists("short") == 0
        assert reader.dbsize() == 1
        assert client.get("short") is None
        wait_in_step(master, replica)
        assert reader.dbsize() == 0


def test_a_replica_without_its_master_answers_as_it_is_told(rotom: Rotom) -> None:
    master = rotom()
    replica = replica_of(rotom, master)
    with replica.client() as client:
        master.kill()
        replica.wait_for("master_link_status", "down", "replication")
        assert client.get("a") is None
        assert "NOMASTERLINK" in refused(client, "PSYNC", "?", "-1")
        client.config_set("replica-serve-stale-data", "no")
        assert "replica-serve-stale-data is set to 'no'" in refused(client, "GET", "a")
        role = client.execute_command("ROLE")
        assert (role[0], role[4]) == (b"slave", -1)
        assert client.info("replication")["master_link_down_since_seconds"] >= 0


def test_a_replica_proves_who_it_is(start_master: StartMaster, rotom: Rotom) -> None:
    master = start_master("--requirepass", "secret")
    replica = rotom("--replicaof", "127.0.0.1", str(master.port))
    while "Unable to AUTH" not in replica.log() and "NOAUTH" not in replica.log():
        time.sleep(0.02)
    assert replication(replica)["master_link_status"] == "down"
    with replica.client() as client:
        client.config_set("masterauth", "secret")
    wait_until_linked(replica)


def test_a_replica_answers_while_it_loads(rotom: Rotom) -> None:
    master = rotom()
    with master.client() as client:
        client.mset({f"key:{number}": "v" for number in range(300)})
    replica = rotom("--key-load-delay", "3000")
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
        while "Loading DB in memory" not in replica.log():
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", replica.port), timeout=20) as link:
            link.sendall(b"GET key:1\r\n")
            assert link.recv(100).startswith(b"-LOADING")
        assert client.info("replication")["master_sync_in_progress"] == 1
    wait_until_linked(replica)
    assert replica.digest() == master.digest()


def test_what_a_sentinel_sends_makes_a_master_and_is_remembered(rotom: Rotom, tmp_path: Path) -> None:
    master = rotom()
    file = tmp_path / "replica.conf"
    file.write_text("appendonly yes\n")
    replica = ConfiguredServer(tmp_path / "replica", str(file))
    replica.start()
    try:
        with replica.client() as client:
            client.response_callbacks.clear()
            for words, line in (
                (("127.0.0.1", str(master.port)), f"replicaof 127.0.0.1 {master.port}"),
                (("NO", "ONE"), "replicaof no one"),
            ):
                client.execute_command("MULTI")
                for request in (("SLAVEOF", *words), ("CONFIG", "REWRITE"), ("CLIENT", "KILL", "TYPE", "pubsub")):
                    assert client.execute_command(*request) == b"QUEUED"
                assert client.execute_command("EXEC") == [b"OK", b"OK", 0]
                assert line in file.read_text().splitlines()
                replica.restart()
                replica.wait_for("role", "slave" if "no one" not in line else "master", "replication")
    finally:
        replica.kill()
