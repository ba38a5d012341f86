"""The same random commands go to rotomdb and to a real redis-server; every reply and the data sets must agree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.differential.generator import Command, Generator
from tests.processes import RedisServer, RotomServer

COMMANDS_PER_SEED = int(os.environ.get("ROTOMDB_DIFFERENTIAL_COMMANDS", "4000"))
SEEDS = range(int(os.environ.get("ROTOMDB_DIFFERENTIAL_SEEDS", "4")))
DIGEST_EVERY = 500
UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "KEYS", "HGETALL", "SPOP"}


class Link:
    """A raw connection: sends words, returns the reply with errors as text."""

    def __init__(self, port: int, protocol: int) -> None:
        self.pool = redis.ConnectionPool(port=port, protocol=protocol)
        self.connection = self.pool.get_connection()

    def run(self, command: Command) -> Any:
        self.connection.send_command(*command)
        return self.receive()

    def receive(self) -> Any:
        """The next reply."""
        try:
            return plain(self.connection.read_response(disable_decoding=True))
        except redis.ResponseError as error:
            return plain(error)


def plain(reply: Any) -> Any:
    """Errors as text, so that replies compare."""
    if isinstance(reply, redis.ResponseError):
        return f"error {type(reply).__name__}: {reply}"
    if isinstance(reply, list):
        return [plain(part) for part in reply]
    if isinstance(reply, dict):
        return {repr(plain(key)): plain(value) for key, value in reply.items()}
    return reply


TIMES = {b"idle", b"inactive", b"seen-time", b"active-time"}
# Since 7.2 a consumer exists from its first attempt to read, before only from its first success; its releases also
# corrected the counters of groups whose stream was trimmed.
NOT_ALIKE = TIMES | {b"consumers", b"radix-tree-nodes", b"entries-read", b"lag"}


def without_times(command: Command, reply: Any) -> Any:
    """Replies about streams without what depends on the clock, on 7.2's additions or on Redis's radix tree."""
    if command[0] == "XPENDING" and isinstance(reply, list) and len(command) > 3:
        return [[entry_id, consumer, deliveries] for entry_id, consumer, _, deliveries in reply]
    if command[0] == "XGROUP" and command[1] == "CREATECONSUMER" and isinstance(reply, int):
        return "created or there"
    if command[0] == "XINFO" and command[1] == "CONSUMERS" and isinstance(reply, list):
        consumers = [without_times(["XINFO", ""], consumer) for consumer in reply]
        return [consumer for consumer in consumers if 0 not in consumer.values()]
    if command[0] != "XINFO":
        return reply
    if isinstance(reply, dict):
        return {
            name: value
            for name, value in ((name, without_times(command, value)) for name, value in reply.items())
            if not any(repr(other) == name for other in NOT_ALIKE)
        }
    if not isinstance(reply, list):
        return reply
    if reply and reply[0] in (b"name", b"length"):
        pairs = dict(zip(reply[::2], reply[1::2], strict=True))
        return {name: without_times(command, value) for name, value in pairs.items() if name not in NOT_ALIKE}
    if len(reply) in (3, 4) and isinstance(reply[-1], int) and isinstance(reply[-2], int):
        return [*reply[:-2], reply[-1]]  # a pending entry: delivery time, then deliveries
    return [without_times(command, part) for part in reply]


def comparable(command: Command, reply: Any) -> Any:
    """The reply without what may differ: the order of hash tables, and 17 against fewer digits of a double."""
    reply = without_times(command, reply)
    if isinstance(reply, str) and "Unbalanced" in reply:
        return "error Unbalanced"  # worded differently since 7.2
    if isinstance(reply, list):
        parts = [comparable(["inner"], part) for part in reply]
        if command[0] == "HGETALL":
            return sorted(map(repr, zip(parts[::2], parts[1::2], strict=True)))
        return sorted(map(repr, parts)) if command[0] in UNORDERED else parts
    if isinstance(reply, set):
        return sorted(map(repr, reply))
    if isinstance(reply, bytes) and b"." in reply:
        try:
            return float(reply)
        except ValueError:
            return reply
    return reply


def agree(command: Command, queue: list[Command], left: Any, right: Any) -> bool:
    if command[0] == "EXEC" and isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            comparable(queued, a) == comparable(queued, b) for queued, a, b in zip(queue, left, right, strict=True)
        )
    return bool(comparable(command, left) == comparable(command, right))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_reply_and_leave_data_as_redis_does(
    rotom: Callable[..., RotomServer],
    redis_server: Callable[..., RedisServer],
    tmp_path: Path,
    seed: int,
    protocol: int,
) -> None:
    reference = Link(redis_server("--save", "", "--appendonly", "no").port, protocol)
    server = rotom("--save", "")
    ours = Link(server.port, protocol)
    generator = Generator(seed * 2 + protocol)
    queue: list[Command] = []
    history: list[Command] = []
    for number in range(COMMANDS_PER_SEED):
        command = generator.next()
        history.append(command)
        expected, got = reference.run(command), ours.run(command)
        if expected == b"QUEUED":
            queue.append(command)
        assert agree(command, queue, expected, got), f"{command}: redis {expected!r}, rotomdb {got!r}; {history[-6:]}"
        if command[0] in ("MULTI", "EXEC", "DISCARD") and expected != b"QUEUED":
            queue = [] if not str(expected).startswith("error") else queue
        if number % DIGEST_EVERY == DIGEST_EVERY - 1:
            for link in (reference, ours):
                link.run(["DISCARD"])
            queue = []
            if reference.run(["DEBUG", "DIGEST"]) != ours.run(["DEBUG", "DIGEST"]):
                pytest.fail(f"other data: {differing_keys(reference, ours)}; after {history[-6:]}")
    for link in (reference, ours):
        link.run(["DISCARD"])
        link.run(["SELECT", "0"])
    # With a busy disk `everysec` holds writes back for up to two seconds: a kill may cost them.
    assert ours.run(["WAITAOF", "1", "0", "30000"]) == [1, 0]
    survives_every_way(server, rotom, redis_server, tmp_path)


def survives_every_way(
    server: RotomServer,
    rotom: Callable[..., RotomServer],
    redis_server: Callable[..., RedisServer],
    directory: Path,
) -> None:
    """The data come back the same from the log, a snapshot and a rewritten log, here and in redis-server."""
    digest = server.digest()
    server.kill()
    server.start()
    assert server.digest() == digest, "from the log"
    with server.client() as client:
        client.save()
    for start, name in ((rotom, "ours"), (redis_server, "theirs")):
        shutil.copytree(
            server.directory, directory / f"{name}-snapshot", ignore=shutil.ignore_patterns("appendonlydir")
        )
        loaded = start("--appendonly", "no", directory=directory / f"{name}-snapshot")
        assert loaded.digest() == digest, f"from the snapshot, {name}"
        loaded.stop()
    with server.client() as client:
        client.bgrewriteaof()
    server.wait_for("aof_rewrite_in_progress", 0)
    server.kill()
    shutil.copytree(server.directory, directory / "theirs-log", ignore=shutil.ignore_patterns("dump.rdb"))
    theirs = redis_server("--appendonly", "yes", directory=directory / "theirs-log")
    assert theirs.digest() == digest, "from the rewritten log, theirs"
    server.start()
    assert server.digest() == digest, "from the rewritten log"


def differing_keys(reference: Link, ours: Link) -> list[Any]:
    """Keys of the selected database whose values are not the same."""
    keys = {*reference.run(["KEYS", "*"]), *ours.run(["KEYS", "*"])}
    digests = [(key, *(link.run(["DEBUG", "DIGEST-VALUE", key]) for link in (reference, ours))) for key in keys]
    return [(key, reference.run(["TYPE", key]), ours.run(["TYPE", key])) for key, one, other in digests if one != other]
