"""What others' tests observe beside the reply: changes since the last save, latencies by subcommand, the order of checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import ResponseError

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
