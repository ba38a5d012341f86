"""Libraries of functions are part of the data set: through every kind of file, start and crash."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import rotomdb
from rotomdb.formats.rdb.library_format import payload_of, record_of
from rotomdb.formats.rdb.reader import Function, KeyRecord, RdbReader
from rotomdb.storage.propagation import encode_command
from tests.differential.transcript import Clients
from tests.processes import RotomServer
from tests.server.test_busy_scripts import PATIENCE_S, ask, receive

Start = Callable[..., RotomServer]
LIBRARY = """#!lua name=mine
redis.register_function('put', function(keys, args) redis.call('SET', keys[1], args[1]) return redis.call('INCR', 'calls') end)
redis.register_function{function_name = 'look', callback = function(keys) return redis.call('GET', keys[1]) end, flags = {'no-writes'}}
redis.register_function('loop', function() while true do end end)
"""
BUSY = b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n"
BROKEN = b"#!lua name=broken\nredis.register_function('f', function() end) if"


def call(client: redis.Redis, *words: object) -> object:
    return client.execute_command("FCALL", *words)


def sources(client: redis.Redis) -> list[bytes]:
    """Of all libraries, as FUNCTION LIST gives them."""
    client.response_callbacks.clear()
    return [
        dict(zip(library[::2], library[1::2], strict=True))[b"library_code"]
        for library in client.execute_command("FUNCTION", "LIST", "WITHCODE")
    ]


def test_libraries_survive_every_way_of_keeping_data(rotom: Start) -> None:
    server = rotom("--enable-debug-command", "yes", "--save", "")
    with server.client() as client:
        client.function_load(LIBRARY)
        assert call(client, "put", 1, "k", "v") == 1
    server.restart()  # from the log, in which the library was loaded
    with server.client() as client:
        assert call(client, "look", 1, "k") == b"v"
        log = b"".join(path.read_bytes() for path in server.directory.rglob("*.incr.aof"))
        assert b"$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n" in log
        assert b"FCALL" not in log
        assert log.count(b"MULTI") == 1  # both writes of the call, together
        client.execute_command("DEBUG", "RELOAD")
        with pytest.raises(redis.exceptions.ResponseError, match="Error trying to load the RDB"):
            client.execute_command("DEBUG", "RELOAD", "NOFLUSH")
        client.execute_command("DEBUG", "RELOAD", "NOFLUSH", "MERGE")
        client.execute_command("DEBUG", "LOADAOF")
        client.flushall()
        assert call(client, "put", 1, "k", "again") == 1
    for field in ("aof_rewrite_scheduled", "aof_rewrite_in_progress"):  # what was merged makes one
        server.wait_for(field, 0)
    for preamble in ("yes", "no"):
        with server.client() as client:
            client.config_set("aof-use-rdb-preamble", preamble)
            client.bgrewriteaof()
            server.wait_for("aof_rewrite_in_progress", 0)
            server.wait_for("aof_last_bgrewrite_status", "ok")
        server.restart()
        with server.client(protocol=2) as client:
            assert call(client, "look", 1, "k") == b"again"
            assert sources(client) == [LIBRARY.encode()]
    with server.client() as client:
        client.function_flush()
        client.flushall()
    server.restart()
    with server.client(protocol=2) as client:
        assert sources(client) == []


def test_a_snapshot_carries_libraries_and_so_does_a_copy_for_redis_cli(
    rotom: Start, tmp_path: Path, redis_tools: None
) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    with server.client() as client:
        client.function_load(LIBRARY)
        client.set("k", "v")
        client.save()
    server.restart()
    copy = tmp_path / "functions.rdb"
    with server.client() as client:
        assert call(client, "look", 1, "k") == b"v"
    subprocess.run(
        ["redis-cli", "-p", str(server.port), "--functions-rdb", str(copy)], check=True, capture_output=True, timeout=20
    )
    events = list(RdbReader(copy.read_bytes(), "copy").records())
    assert [event.code for event in events if isinstance(event, Function)] == [LIBRARY.encode()]
    assert not [event for event in events if isinstance(event, KeyRecord)]


@pytest.mark.parametrize("kept_in", ["snapshot", "log"])
def test_a_library_that_cannot_be_loaded_is_a_refusal_that_names_it(rotom: Start, kept_in: str, tmp_path: Path) -> None:
    directory = tmp_path / "refused"
    directory.mkdir()
    if kept_in == "snapshot":
        (directory / "dump.rdb").write_bytes(b"REDIS0010" + record_of(BROKEN, False) + b"\xff" + bytes(8))
    else:
        log = directory / "appendonlydir"
        log.mkdir()
        (log / "appendonly.aof.1.incr.aof").write_bytes(encode_command("FUNCTION", "LOAD", BROKEN))
        (log / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    with pytest.raises(RuntimeError, match="Error compiling function: user_function:2: unexpected symbol near '<eof>'"):
        rotom("--appendonly", "yes" if kept_in == "log" else "no", directory=directory)


def test_info_and_memory_stats_tell_of_libraries(rotom: Start) -> None:
    with rotom().client() as client:
        client.function_load(LIBRARY)
        memory = client.info("memory")
        assert (memory["number_of_libraries"], memory["number_of_functions"]) == (1, 3)
        assert memory["used_memory_functions"] > len(LIBRARY)
        assert memory["used_memory_scripts"] == memory["used_memory_functions"] + memory["used_memory_scripts_eval"]
        assert memory["used_memory_vm_total"] == memory["used_memory_vm_eval"] + memory["used_memory_vm_functions"]
        assert client.memory_stats()["functions.caches"] == memory["used_memory_functions"]


def test_a_busy_function_is_told_of_and_killed(rotom: Start) -> None:
    server = rotom("--busy-reply-threshold", "20", "--save", "")
    clients = Clients(server.port)
    ask(clients, "other", "FUNCTION", "LOAD", LIBRARY)
    clients.send("caller", "FCALL", "loop", "0")
    end = time.monotonic() + PATIENCE_S
    while ask(clients, "other", "GET", "x") != BUSY:
        assert time.monotonic() < end
    assert ask(clients, "other", "SCRIPT", "KILL") == BUSY
    assert b"*3\r\n$5\r\nFCALL\r\n$4\r\nloop\r\n$1\r\n0\r\n$11\r\nduration_ms\r\n:" in ask(
        clients, "other", "FUNCTION", "STATS"
    )
    assert ask(clients, "other", "FUNCTION", "KILL") == b"+OK\r\n"
    assert receive(clients, "caller").startswith(
        b"-ERR Script killed by user with SCRIPT KILL... script: loop, on @user_function:4."
    )
    clients.send("caller", "EVAL", "while true do end", "0")
    while not (told := ask(clients, "other", "FUNCTION", "KILL")).startswith(b"-BUSY"):
        assert time.monotonic() < end
    assert told == BUSY.replace(b"FUNCTION", b"SCRIPT")
    assert ask(clients, "other", "FUNCTION", "STATS") == told
    ask(clients, "other", "SCRIPT", "KILL")
    clients.close()


def test_functions_work_inside_a_program(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path / "data") as client:
        client.function_load(LIBRARY)
        assert call(client, "put", 1, "k", "v") == 1
    with rotomdb.connect(tmp_path / "data") as client:
        client.function_restore(payload_of([LIBRARY.encode()]), "REPLACE")
        assert call(client, "look", 1, "k") == b"v"
