"""CONFIG GET and SET answer for every directive of Redis 7.0 what redis-server answers, nonsense included."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from tests.processes import RedisServer, RotomServer, ServerProcess

WORDS = (
    "", " ", "yes", "NO", "maybe", '"1"', "a b c d", "1.5", "{title}", "{nope}", "x {port}", "../x", "a" * 300, "bad_host!",
    "\xff\n", "nosave force", "save nosave", "gxE", "Q", "always", "DEBUG", "volatile-lru", "relative", "swapdb", "-1x", "hostname",
)  # fmt: skip
NUMBERS = (
    "0", "1", "-1", "65536", "+1", "01", "1 ", "50%", "101%", "1kb", "3M", "1tb", "b", "2147483648", "-2147483649",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 130, "777",
)  # fmt: skip
LISTS = (
    "900 1 300", "900 1 300 10", "0 1", "normal 1000000000 0 0", "replica 1 2 3", "normal 1mb 1mb -1", "nobody 0 0 0", "0 0 0",
    "-2001 0 0", "50 99 99.9", "50 101",
)  # fmt: skip
VALUES = (*WORDS, *NUMBERS, *LISTS)

# Values that are not tried: they would close the connection that asks, or take the machine's ports or memory.
NOT_TRIED: dict[str, Callable[[str], bool]] = {
    "port": lambda value: value.isdigit() and value != "65536",
    "tls-port": lambda value: value.isdigit() and value != "65536",
    "maxclients": lambda value: value.isdigit() and value not in ("0", "100"),
    "maxmemory-clients": lambda value: value not in ("0", "0%", "101%", "-5%", "abc", ""),
    "appendonly": lambda value: value.lower() == "yes",
    "bind": lambda value: not value or value[:1] == "-",  # no address: nobody could ask any more
}
LATER = {
    "loglevel": ("nothing", "since 7.2 the level `nothing` exists"),
    "repl-diskless-load": ("flush-before-load", "since 8.0 the way `flush-before-load` exists"),
}
NOT_HERE = "' cannot be honoured: "  # refused rather than accepted without effect
SETTINGS_OF_THE_TEST = ("port", "bind", "dir", "logfile", "pidfile", "appendonly")

Answer = tuple[str, str]


@pytest.fixture
def both(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> tuple[RotomServer, RedisServer]:
    return rotom("--save", "", "--appendonly", "no"), redis_server("--save", "")


def connect(server: ServerProcess) -> redis.Redis:
    client = server.client(protocol=2)
    client.response_callbacks.clear()
    return client


def shown(reply: object) -> str:
    if isinstance(reply, list):
        return " = ".join(item.decode("utf-8", "surrogateescape") for item in reply)
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def names_of(server: ServerProcess) -> list[str]:
    with connect(server) as client:
        return sorted(name.decode() for name in client.execute_command("CONFIG", "GET", "*")[::2])


def answers(server: ServerProcess, name: str) -> Iterator[tuple[str, Answer]]:
    """(value, (reply to CONFIG SET, what CONFIG GET shows then)), each from what was in force at first."""
    skip = NOT_TRIED.get(name, lambda value: False)
    with connect(server) as client:
        before = client.execute_command("CONFIG", "GET", name)[1]
        values = [value for value in VALUES if not skip(value)]
        pipeline = client.pipeline(transaction=False)
        for value in values:
            for words in (("SET", name, value), ("GET", name), ("SET", name, before)):
                pipeline.execute_command("CONFIG", *words)
        replies = [shown(reply) for reply in pipeline.execute(raise_on_error=False)]
    for value, reply, got in zip(values, replies[::3], replies[1::3], strict=True):
        yield value, (reply, got)


def test_each_directive_is_set_refused_and_shown_as_redis_does_it(both: tuple[RotomServer, RedisServer]) -> None:
    ours, theirs = both
    names = names_of(theirs)
    assert len(names) == 192
    assert set(names) <= set(names_of(ours))
    differing, not_here = [], set()
    for name in names:
        for (value, mine), (_, real) in zip(answers(ours, name), answers(theirs, name), strict=True):
            if name in LATER:
                mine = (mine[0].replace(f", {LATER[name][0]}", ""), mine[1])
            if NOT_HERE in mine[0] and real != mine:
                not_here.add(name)
            elif mine != real and not (name in SETTINGS_OF_THE_TEST and mine[0] == real[0]):
                differing.append((name, value[:40], mine, real))
    assert not differing
    assert not_here == {
        "tls-ciphersuites", "tls-cluster",
        "tls-replication",
    }  # fmt: skip


SEVERAL = [
    "hz 20 timeout 5", "hz 20 hz 30", "hz 20 HZ 30", "slave-priority 1 replica-priority 2", "replica-priority 2 slave-priority 1",
    "hz 20 timeout x", "hz x timeout y", "hz", "hz 20 timeout", "nope 1", "hz 20 nope 1", "databases 20", "hz 20 databases 20",
    "databases x hz y", "dir /tmp", "dbfilename x.rdb", "hz 20 dir /tmp", "DIR /nowhere hz 1", "maxmemory 1gb maxmemory-clients 5%",
    "save 1\\ 1 hz 50", "hash-max-ziplist-entries 5 hash-max-listpack-entries 6", "zset-max-ziplist-value 7", "loglevel debug hz 2",
    "min-slaves-max-lag 9", "slave-read-only no replica-read-only yes", "lua-time-limit 7", "busy-reply-threshold 8",
    "enable-debug-command yes", "rename-command x", "include /x", "user x", "replicaof no one", "slaveof x", "unixsocket /x",
    "bind-source-addr 1.2.3.4 notify-keyspace-events KEA", "client-output-buffer-limit replica\\ 1\\ 2\\ 3 hz 3", "* 1", "h?z 1",
]  # fmt: skip
ASKED = [
    "*", "hz", "HZ", "h?", "*max-*-entries", "slave*", "SLAVE-priority", "slave-priority replica-priority", "hz hz", "hz H* HZ",
    "[hz]*z", "hz[", "nope", "nope hz", "save", "rename-command", "user", "include", "*-*-*-*-*", "\\hz", "client-output-buffer-limit",
    "tls-*", "lua-time-limit busy*", "io-threads*", "maxmemory*", "*ziplist*",
]  # fmt: skip


def test_several_pairs_aliases_and_patterns_are_answered_as_by_redis(both: tuple[RotomServer, RedisServer]) -> None:
    ours, theirs = (connect(server) for server in both)
    known = set(names_of(both[1]))

    def ask(client: redis.Redis, *words: str) -> object:
        try:
            reply = client.execute_command(*words)
        except redis.ResponseError as error:
            return str(error)
        if not isinstance(reply, list):
            return reply
        return sorted(
            (name, value)
            for name, value in zip(reply[::2], reply[1::2], strict=True)
            if name.decode().lower() in known and name.decode() not in SETTINGS_OF_THE_TEST
        )

    for request in SEVERAL:
        words = [word.replace("\\ ", " ") for word in request.replace("\\ ", "\0").split(" ")]
        words = [word.replace("\0", " ") for word in words]
        assert ask(ours, "CONFIG", "SET", *words) == ask(theirs, "CONFIG", "SET", *words), request
        assert ask(ours, "CONFIG", "GET", "*") == ask(theirs, "CONFIG", "GET", "*"), request
    for request in ASKED:
        assert ask(ours, "CONFIG", "GET", *request.split()) == ask(theirs, "CONFIG", "GET", *request.split()), request
    for client in (ours, theirs):
        client.close()
