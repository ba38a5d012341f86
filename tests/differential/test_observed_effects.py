"""What others' tests observe beside the reply: changes since the last save, latencies by subcommand, the order of checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import ResponseError

from tests.differential.transcript import Clients
from tests.processes import RedisServer, RotomServer

# Each line counts for as many changes as the same line does in redis-server.
WRITES = """
SETBIT new 0 0
SETBIT new 0 0
SETBIT new 0 1
SETBIT new 90 0
BITFIELD field SET i5 0 0
BITFIELD field SET i5 0 0
BITFIELD field SET i5 0 1
BITFIELD counter INCRBY i5 0 1
BITFIELD counter INCRBY i5 0 1
BITFIELD counter SET i5 200 0 SET i5 0 3
BITFIELD counter GET i5 0
PFADD sketch
PFADD sketch
PFADD sketch a b c a
FLUSHDB
FLUSHDB
MSET a 1 b 2
FLUSHALL
FLUSHALL ASYNC
"""


def test_commands_count_as_many_changes_as_in_redis(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with redis_server("--save", "").client() as theirs, rotom("--save", "").client() as ours:
        for line in WRITES.strip().splitlines():
            counts = []
            for client in (theirs, ours):
                before = client.info("persistence")["rdb_changes_since_last_save"]
                client.execute_command(*line.split())
                counts.append(client.info("persistence")["rdb_changes_since_last_save"] - before)
            assert counts[0] == counts[1], line


def test_a_command_that_waited_counts_as_one_call(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    for server in (redis_server(), rotom()):
        with server.client() as waiter, server.client() as other:
            waiter.execute_command("BLPOP", "l", "0.01")
            connection = waiter.connection_pool.get_connection()
            connection.send_command("BLPOP", "l", "0")
            server.wait_for("blocked_clients", 1, "clients")
            other.rpush("l", "x")
            connection.read_response()
            assert other.info("commandstats")["cmdstat_blpop"]["calls"] == 2
            connection.disconnect()


def test_restore_takes_any_checksum_while_debug_says_so(rotom: Callable[..., RotomServer]) -> None:
    with rotom("--enable-debug-command", "yes").client() as client:
        client.set("key", "value")
        payload = client.dump("key")
        assert payload is not None
        wrong = payload[:-8] + bytes(8)
        client.execute_command("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1")
        assert client.restore("copy", 0, wrong)
        client.execute_command("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "0")
        with pytest.raises(ResponseError, match="DUMP payload version or checksum are wrong"):
            client.restore("another", 0, wrong)


def test_info_counts_who_watches_listens_and_waits(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    clients = Clients(server.port)
    clients.send("watcher", "WATCH", "a", "b")
    clients.send("listener", "SUBSCRIBE", "channel")
    clients.send("other", "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    clients.received()
    clients.send("waiter", "BLPOP", "l", "m", "10")
    clients.send("reader", "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">")
    server.wait_for("blocked_clients", 2, "clients")
    with server.client() as client:
        counts = client.info("clients")
    assert {name: counts[name] for name in (
        "watching_clients", "total_watched_keys", "pubsub_clients", "clients_in_timeout_table", "total_blocking_keys",
        "total_blocking_keys_on_nokey",
    )} == {
        "watching_clients": 1, "total_watched_keys": 2, "pubsub_clients": 1, "clients_in_timeout_table": 1,
        "total_blocking_keys": 3, "total_blocking_keys_on_nokey": 1,
    }  # fmt: skip
    clients.close()


def test_latency_histogram_finds_subcommands_by_name(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with redis_server().client() as theirs, rotom().client() as ours:
        for words in ("client|id", "CLIENT|ID", "client|id get", "none|id", "client|none"):
            names = []
            for client in (theirs, ours):
                client.client_id()
                client.client_list()
                client.get("k")
                names.append(set(client.execute_command("LATENCY HISTOGRAM", *words.split())))
            assert names[0] == names[1], words


def test_bitpos_judges_the_unit_before_the_end(rotom: Callable[..., RotomServer]) -> None:
    with rotom().client() as client:
        client.set("text", "1")
        for words in ("none 0 1 hello hello2", "text 0 1 hello hello2", "text 0 0 1 hello"):
            with pytest.raises(ResponseError, match="syntax error"):
                client.execute_command("BITPOS", *words.split())
