"""What reaches the log: the deterministic form of every command (docs/formats, section 6.9)."""

from __future__ import annotations

import time

import pytest

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.engine import Engine
from rotomdb.formats.aof.items import LogItems


@pytest.fixture
def context() -> Context:
    load_all()
    dispatcher = Dispatcher(Engine(4), REGISTRY.values())
    dispatcher.stream.active = True
    return Context(dispatcher)


def logged(context: Context) -> list[list[bytes]]:
    """Commands in the stream since the last call, without SELECT."""
    reader = LogItems(context.dispatcher.stream.take())
    items: list[list[bytes]] = []
    while (item := reader.take()) is not None:
        if isinstance(item, list) and item[0] != b"SELECT":
            items.append(item)
    return items


def run(context: Context, line: str) -> list[list[bytes]]:
    context.execute(*line.split())
    return logged(context)


def test_a_command_that_changes_nothing_is_not_logged(context: Context) -> None:
    assert run(context, "DEL absent") == []
    assert run(context, "GET absent") == []
    run(context, "SADD s m")
    assert run(context, "SADD s m") == []
    assert run(context, "FLUSHALL") == [[b"FLUSHALL"]]
    assert run(context, "FLUSHALL") == [[b"FLUSHALL"]]


def test_relative_expiry_is_logged_as_absolute_milliseconds(context: Context) -> None:
    now = context.now_ms
    (command,) = run(context, "SET k v EX 100")
    assert command[:4] == [b"SET", b"k", b"v", b"PXAT"]
    assert 0 <= int(command[4]) - now - 100_000 < 1000
    (command,) = run(context, "EXPIRE k 50 XX")
    assert (command[0], command[3]) == (b"PEXPIREAT", b"XX")
    assert run(context, "EXPIRE k -1") == [[b"DEL", b"k"]]
    assert run(context, "SETEX k 10 v")[0][3] == b"PXAT"


def test_random_and_floating_point_effects_are_logged_as_their_result(context: Context) -> None:
    run(context, "SADD s a")
    run(context, "SADD s b c")
    (command,) = run(context, "SPOP s")
    assert command[:2] == [b"SREM", b"s"]
    assert run(context, "SPOP s 5") == [[b"DEL", b"s"]]
    assert run(context, "INCRBYFLOAT f 1.5") == [[b"SET", b"f", b"1.5", b"KEEPTTL"]]
    assert run(context, "HINCRBYFLOAT h f 0.1") == [[b"HSET", b"h", b"f", b"0.1"]]
    assert run(context, "GETSET f x") == [[b"SET", b"f", b"x"]]
    assert run(context, "SET f y GET") == [[b"SET", b"f", b"y"]]
    run(context, "RPUSH l 1 2 3")
    assert run(context, "LMPOP 1 l LEFT COUNT 2") == [[b"LPOP", b"l", b"2"]]


def test_an_expired_key_is_deleted_in_the_same_unit_as_what_follows(context: Context) -> None:
    run(context, "SET n 5 PX 1")
    time.sleep(0.01)
    context.dispatcher.update_clock()
    assert run(context, "INCR n") == [[b"MULTI"], [b"DEL", b"n"], [b"INCR", b"n"], [b"EXEC"]]


def test_a_transaction_is_wrapped_when_it_has_several_effects(context: Context) -> None:
    for line in ("MULTI", "SET a 1", "GET a", "INCR a"):
        context.execute(*line.split())
    assert run(context, "EXEC") == [[b"MULTI"], [b"SET", b"a", b"1"], [b"INCR", b"a"], [b"EXEC"]]
    for line in ("MULTI", "SET a 1", "GET a"):
        context.execute(*line.split())
    assert run(context, "EXEC") == [[b"SET", b"a", b"1"]]


def test_select_is_logged_when_the_database_changes(context: Context) -> None:
    context.execute("SET", "a", "1")
    context.execute("SELECT", "2")
    context.execute("SET", "b", "1")
    reader = LogItems(context.dispatcher.stream.take())
    names = []
    while (item := reader.take()) is not None:
        names.append(item)
    assert names[0] == [b"SELECT", b"0"]
    assert names[2] == [b"SELECT", b"2"]


def test_long_streams_are_cut_between_commands_and_each_part_names_its_database(context: Context) -> None:
    stream = context.dispatcher.stream
    stream.cut_every = 100
    context.execute("SELECT", "2")
    for number in range(20):
        context.execute("SET", f"key:{number}", "v" * 30)
    context.execute("MULTI")
    for number in range(20):
        context.execute("SET", f"other:{number}", "v" * 30)
    context.execute("EXEC")
    data, cuts = stream.take(), stream.take_cuts()
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert len(parts) > 5
    for part in parts:
        assert part.startswith((b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n", b"*1\r\n$5\r\nMULTI"))
        assert part.count(b"MULTI") == part.count(b"EXEC")
    assert stream.take_cuts() == []
