"""A server without replicas, cluster and modules: known commands, Redis's replies, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.processes import RedisServer, RotomServer

REQUESTS = [
    "REPLICAOF NO ONE", "SLAVEOF no one", "REPLICAOF a b", "REPLICAOF a 99999", "SLAVEOF a -1", "REPLICAOF a", "ROLE",
    "FAILOVER", "FAILOVER ABORT", "FAILOVER TO a", "FAILOVER TO a 1 TIMEOUT 5", "FAILOVER TO a x", "FAILOVER TIMEOUT x",
    "FAILOVER TIMEOUT -1", "FAILOVER FORCE", "FAILOVER nonsense", "CLUSTER", "CLUSTER HELP", "CLUSTER INFO", "CLUSTER MYID",
    "CLUSTER NODES", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER KEYSLOT a", "CLUSTER ADDSLOTS", "CLUSTER ADDSLOTS 1",
    "CLUSTER MEET a", "CLUSTER NONSENSE", "CLUSTER RESET HARD", "ASKING", "READONLY", "MODULE LIST", "MODULE HELP", "MODULE",
    "MODULE NONSENSE", "MODULE UNLOAD x", "MODULE LOAD", "SENTINEL MASTERS", "COMMAND GETKEYS CLUSTER KEYSLOT a",
]  # fmt: skip


def answer(client: redis.Redis, request: str) -> object:
    try:
        return client.execute_command(*request.split())
    except redis.ResponseError as error:
        return str(error)


def raw(server: RotomServer | RedisServer) -> redis.Redis:
    client = server.client(protocol=2)
    client.response_callbacks.clear()
    return client


def test_a_server_alone_answers_as_redis_alone_does(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    allowed = ("--enable-module-command", "yes")
    with raw(rotom(*allowed)) as ours, raw(redis_server(*allowed)) as theirs:
        for request in REQUESTS:
            assert answer(ours, request) == answer(theirs, request), request
        assert answer(ours, "MODULE LOAD /x.so") == "Error loading the extension: modules cannot be loaded"
        assert answer(ours, "ROLE") == [b"master", 0, []], "nothing was followed"


def test_what_a_sentinel_sends_in_a_transaction_is_taken(rotom: Callable[..., RotomServer]) -> None:
    with raw(rotom()) as client:
        for request in ("MULTI", "SLAVEOF NO ONE", "CLIENT KILL TYPE pubsub"):
            answer(client, request)
        assert answer(client, "EXEC") == [b"OK", 0]


@pytest.mark.parametrize("words", ["LOAD /x.so", "LOADEX /x.so", "UNLOAD x"])
def test_modules_are_not_touched_unless_the_configuration_allows_it(
    rotom: Callable[..., RotomServer], words: str
) -> None:
    with raw(rotom()) as client:
        assert "MODULE command not allowed" in str(answer(client, f"MODULE {words}"))
        assert answer(client, "MODULE LIST") == []
