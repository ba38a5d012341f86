"""Keyspace notifications, event by event as redis-server publishes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import redis

from tests.differential.generator import Command, Generator
from tests.differential.test_commands import Link
from tests.processes import RedisServer, RotomServer

COMMANDS = 4000
PUBLISH_ALL = ("--notify-keyspace-events", "KEA")
# Consumers are made at other moments since 7.2 (docs of XREADGROUP).
LEFT_OUT = {"MULTI", "EXEC", "WATCH", "XREADGROUP", "XCLAIM", "XAUTOCLAIM", "XSETID"}


class Listener:
    """A subscription to every keyspace event of a server."""

    def __init__(self, port: int) -> None:
        self.connection = redis.ConnectionPool(port=port, protocol=2).get_connection()
        self.connection.send_command("PSUBSCRIBE", "__key*__:*")
        self.connection.read_response()

    def events(self) -> list[Any]:
        """What has been published up to now."""
        self.connection.send_command("PING", "end")
        found = []
        while True:
            message = self.connection.read_response()
            if message == [b"pong", b"end"]:
                return found
            found.append((message[2], message[3]))


def compare(ports: tuple[int, int], commands: Iterable[Command]) -> None:
    links = [Link(port, 2) for port in ports]
    listeners = [Listener(port) for port in ports]
    for command in commands:
        for link in links:
            link.run(command)
        expected, got = [listener.events() for listener in listeners]
        assert got == expected, command


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_command_publishes_what_redis_does(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], seed: int
) -> None:
    generator = Generator(seed)
    commands = (command for _ in range(COMMANDS) if (command := generator.next())[0] not in LEFT_OUT)
    compare((redis_server(*PUBLISH_ALL).port, rotom(*PUBLISH_ALL).port), commands)


def test_misses_and_new_keys_are_published_on_request(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    script = """
        GET a | SET a 1 | GET a | SET a 2 | MGET a b b | EXISTS b | TTL b | LPUSH l 1 | LPUSH l 2 | LRANGE none 0 -1
        RENAME l m | COPY m n | COPY none n | SADD s 1 | SUNIONSTORE t s | SUNIONSTORE t s | DEL t | SUNION none s
        INCR c | GETSET g v | GETDEL none | HGET h f | HSET h f v | XADD x 1-1 f v | ZADD z 1 a
        ZRANGESTORE zz z 0 -1 | APPEND ap x | SETBIT b 1 1 | GEOADD geo 1 1 a | TYPE none | STRLEN none | MOVE a 1
    """
    commands: list[Command] = [list(line.split()) for line in script.replace("\n", "|").split("|") if line.strip()]
    options = ("--notify-keyspace-events", "KEAmn")
    compare((redis_server(*options).port, rotom(*options).port), commands)


def test_expiry_is_announced(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--notify-keyspace-events", "Exgh")
    listener = Listener(server.port)
    with server.client() as client:
        client.set("gone", 1, px=20)
        client.hset("h", "f", 1)
        client.execute_command("HPEXPIRE", "h", 20, "FIELDS", 1, "f")
        time.sleep(0.05)
        assert client.exists("gone", "h") == 0
    events = listener.events()
    assert (b"__keyevent@0__:expired", b"gone") in events
    assert events.index((b"__keyevent@0__:hexpired", b"h")) < events.index((b"__keyevent@0__:del", b"h"))


@pytest.mark.parametrize(
    ("given", "shown"), [("KEA", "AKE"), ("g$lshzxetdK", "AK"), ("Elg", "glE"), ("", ""), ("KEAmn", "AKEm")]
)
def test_classes_are_shown_as_redis_shows_them(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], given: str, shown: str
) -> None:
    for server in (rotom(), redis_server()):
        with server.client() as client:
            client.config_set("notify-keyspace-events", given)
            assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": shown}
            with pytest.raises(redis.ResponseError, match="Invalid event class character"):
                client.config_set("notify-keyspace-events", "KQ")
