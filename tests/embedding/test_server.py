"""rotomdb.Server: a server inside a program, with commands and middleware of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from rotomdb import Server
from rotomdb.commands.dispatch import Context
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import READONLY, REGISTRY, WRITE, Bytes, Int, Key
from rotomdb.engine import sets
from rotomdb.errors import CommandError, ConfigError

Proceed = Callable[[], object]


def test_a_command_of_ones_own_has_arity_keys_and_docs_like_a_built_in_one() -> None:
    server = Server()

    @server.command("MY.REPEAT", since="1.0.0", flags=WRITE)
    def repeat(ctx: Context, key: Key, value: Bytes, times: Int) -> int:
        """Stores a value several times over."""
        ctx.execute("SET", key, value * times)
        return len(value) * times

    with server:
        client = server.client()
        assert client.execute_command("MY.REPEAT", "k", "ab", 3) == 6
        assert client.get("k") == b"ababab"
        assert client.command_getkeys("MY.REPEAT", "k", "v", "1") == ["k"]
        with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'my"):
            client.execute_command("MY.REPEAT", "k")
        with pytest.raises(redis.ResponseError, match="value is not an integer"):
            client.execute_command("MY.REPEAT", "k", "v", "x")
    assert "my.repeat" not in REGISTRY


def test_what_an_own_command_did_is_kept_as_what_it_executed(tmp_path: Path) -> None:
    server = Server(tmp_path)

    @server.command("MY.PAIR", since="1.0.0", flags=WRITE)
    def pair(ctx: Context, key: Key) -> int:
        """Writes two keys."""
        ctx.execute("SET", key, "x")
        ctx.execute("RPUSH", b"list:" + key, "y")
        return 2

    with server:
        assert server.client().execute_command("MY.PAIR", "k") == 2
    with Server(tmp_path) as plain:  # knows nothing of MY.PAIR
        client = plain.client()
        assert client.get("k") == b"x"
        assert client.lrange("list:k", 0, -1) == [b"y"]


def test_an_own_command_has_the_properties_that_its_declaration_names() -> None:
    server = Server(notify_keyspace_events="KEA")

    @server.command("MY.NOW", since="1.0.0", properties=Property.NEVER_QUEUED | Property.WHILE_SUBSCRIBED)
    def now(ctx: Context) -> int:
        """Answers at once, whatever the connection is about."""
        return 7

    @server.command("MY.TAKE", since="1.0.0", flags=WRITE, properties=Property.MAY_EMPTY)
    def take(ctx: Context, key: Key, member: Bytes) -> int:
        """Takes a member from a set."""
        sets.remove(ctx.db, key, [member])
        ctx.changed(key, "move_from")
        return 1

    @server.command("MY.ASK", since="1.0.0", flags=READONLY, properties=Property.ONLY_ASKS)
    def ask(ctx: Context, key: Key) -> int:
        """Asks whether a key is there."""
        return int(ctx.db.exists(key))

    with server, server.client() as client:
        with client.client() as one:
            assert one.execute_command("MULTI")
            assert one.execute_command("MY.NOW") == 7
            assert one.execute_command("MY.ASK", "k") == b"QUEUED"
            assert one.execute_command("EXEC") == [0]
        with client.pubsub() as listener:
            listener.psubscribe("__keyevent@0__:*")
            listener.execute_command("MY.NOW")
            assert [listener.parse_response(), listener.parse_response()] == [
                [b"psubscribe", b"__keyevent@0__:*", 1],
                7,
            ]
            client.sadd("k", "a", "b")
            client.execute_command("MY.TAKE", "k", "a")
            client.execute_command("MY.TAKE", "k", "b")
            events = [listener.parse_response()[2].partition(b":")[2] for _ in range(4)]
        assert events == [b"sadd", b"move_from", b"move_from", b"del"]


def test_middleware_runs_around_every_command_outermost_first() -> None:
    server = Server()
    seen: list[Any] = []

    @server.middleware
    def outer(ctx: Context, request: list[bytes], proceed: Proceed) -> object:
        seen.append(("outer", request[0]))
        return proceed()

    @server.middleware
    def inner(ctx: Context, request: list[bytes], proceed: Proceed) -> object:
        if request[0] == b"FLUSHALL":
            raise CommandError("NOPERM not here")
        value = proceed()
        seen.append(("inner", value))
        return value

    with server:
        client = server.client()
        client.set("k", "v")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command("FLUSHALL")
        assert client.get("k") == b"v"
        pipe = client.pipeline()
        pipe.incr("n")
        assert pipe.execute() == [1]
    assert ("outer", b"SET") in seen
    assert ("inner", b"v") in seen
    assert ("outer", b"INCRBY") in seen


def test_two_servers_in_one_process_share_nothing() -> None:
    with Server() as one, Server() as two:
        one.client().set("k", 1)
        assert two.client().get("k") is None


def test_a_server_can_be_started_again_and_keeps_its_data(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for number in range(3):
        with server:
            assert server.client().incr("starts") == number + 1
    threads = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("rotomdb-") for name in threads)


def test_a_wrong_directive_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="no-such-thing"):
        Server(no_such_thing=1).start()


def test_the_fixture_gives_a_running_server(rotomdb_server: Server) -> None:
    client = rotomdb_server.client()
    assert client.set("k", "v")
    assert client.get("k") == b"v"


def test_two_servers_of_one_process_do_not_read_each_others_requests() -> None:
    interval = sys.getswitchinterval()
    wrong: list[object] = []

    def work(server: Server, tag: str) -> None:
        client = server.client()
        for turn in range(15):
            pipeline = client.pipeline(transaction=False)
            for number in range(300):
                pipeline.set(f"{tag}:{number}", f"{tag}-{turn}-" * 5)
            for number in range(300):
                pipeline.get(f"{tag}:{number}")
            try:
                if pipeline.execute()[300:] != [(f"{tag}-{turn}-" * 5).encode()] * 300:
                    wrong.append((tag, turn))
            except redis.RedisError as error:
                wrong.append(error)

    sys.setswitchinterval(1e-6)  # threads change inside of commands
    try:
        with Server() as one, Server() as other:
            threads = [threading.Thread(target=work, args=pair) for pair in zip((one, other) * 2, "abcd", strict=True)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
