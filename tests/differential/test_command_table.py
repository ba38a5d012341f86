"""COMMAND INFO, DOCS and GETKEYSANDFLAGS say of each command what Redis 7.0 says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.processes import RedisServer, RotomServer, ServerProcess

# What later versions changed, or what is not a fact but prose: (command, column of COMMAND INFO).
LATER = {
    ("wait", "flags"): "blocking since 7.2",
    ("wait", "categories"): "blocking since 7.2",
    ("zrank", "arity"): "WITHSCORE since 7.2",
    ("zrevrank", "arity"): "WITHSCORE since 7.2",
}
LATER_SYNTAX = {
    "zrank": "WITHSCORE since 7.2",
    "zrevrank": "WITHSCORE since 7.2",
    "command|getkeys": "has arguments since 7.2",
    "command|getkeysandflags": "has arguments since 7.2",
}
COLUMNS = ("name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys")


def plain(value: Any) -> Any:
    """Replies with text for bytes and with sets in order."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if key not in NOT_COMPARED}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


NOT_COMPARED = {b"notes", b"since", b"deprecated_since", b"display_text"}


def ask(server: ServerProcess, *words: str) -> Any:
    with redis.Redis(port=server.port, protocol=3) as client:
        client.response_callbacks.clear()
        return plain(client.execute_command(*words))


def rows(listed: list[list[Any]]) -> Iterator[list[Any]]:
    for row in listed:
        yield row
        yield from rows(row[9])


def documented(listed: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in listed.items():
        yield name, entry
        yield from documented(entry.get("subcommands", {}))


Both = tuple[RotomServer, RedisServer]


@pytest.fixture
def both(rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]) -> Both:
    return rotom(), redis_server()


def test_every_column_of_command_info_is_redis_s(both: Both) -> None:
    ours, theirs = ({row[0]: row for row in rows(ask(server, "COMMAND", "INFO"))} for server in both)
    known = sorted(ours.keys() & theirs.keys())
    assert len(known) > 280
    differing = {
        (name, column): (mine, real)
        for name in known
        for column, mine, real in zip(COLUMNS, ours[name], theirs[name], strict=False)
        if (sorted(mine) != sorted(real) if column in ("flags", "categories", "tips") else mine != real)
    }
    assert differing.keys() == LATER.keys(), differing


def test_every_argument_tree_of_command_docs_is_redis_s(both: Both) -> None:
    ours, theirs = (dict(documented(ask(server, "COMMAND", "DOCS"))) for server in both)
    known = sorted(ours.keys() & theirs.keys())
    differing = {
        name: (ours[name].get("arguments"), theirs[name].get("arguments"))
        for name in known
        if ours[name].get("arguments") != theirs[name].get("arguments") or ours[name]["group"] != theirs[name]["group"]
    }
    assert differing.keys() == LATER_SYNTAX.keys(), differing


REQUESTS = ["SORT k BY w_* GET # STORE d", "SORT k STORE a STORE b", "SORT k LIMIT 0 STORE STORE x", "SORT_RO k",
     "GEORADIUS k 1 1 1 km STORE d STOREDIST e", "GEORADIUSBYMEMBER k m 1 km STORE d", "MIGRATE h 1 k 0 1",
     "MIGRATE h 1 k 0 1 KEYS a", "SET k v", "SET k v GET", "BITFIELD k GET u8 0", "BITFIELD k GET u8 0 SET u8 0 1",
     "BITFIELD k INCRBY u8 0 1", "XREADGROUP GROUP g c STREAMS a b 1 2", "XREAD COUNT 1 STREAMS a 1", "LCS a b",
     "ZUNIONSTORE d 2 a b", "ZINTER 3 a b", "ZINTER x a b", "ZINTER 0 a", "SSUBSCRIBE a b", "SPUBLISH a b", "OBJECT FREQ a",
     "OBJECT HELP a", "MEMORY USAGE a", "PING a", "NOSUCH a", "CLIENT KILL a", "XINFO STREAM k", "BLMPOP 0 2 a b LEFT",
     "MSET a 1 b 2", "DEL a", "GETEX a", "GET a b", "PFMERGE d a b", "PFCOUNT a", "CONFIG GET a", "COMMAND COUNT a"]  # fmt: skip


def test_the_keys_of_a_request_are_redis_s(both: Both) -> None:
    def answer(server: ServerProcess, request: str) -> object:
        try:
            found = ask(server, "COMMAND", "GETKEYSANDFLAGS", *request.split())
            assert ask(server, "COMMAND", "GETKEYS", *request.split()) == [key for key, _ in found]
            return [[key, sorted(flags)] for key, flags in found]
        except redis.ResponseError as error:
            return str(error)

    ours, theirs = both
    for request in REQUESTS:
        assert answer(ours, request) == answer(theirs, request), request
