"""Scripts in a server: the cache, what reaches the log, and who is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import redis

from tests.processes import RotomServer


@pytest.fixture
def server(rotom: Callable[..., RotomServer]) -> RotomServer:
    return rotom()


def log_of(server: RotomServer) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(server.directory.rglob("*.incr.aof")))


def test_a_script_is_found_by_its_digest_until_the_cache_is_flushed(server: RotomServer) -> None:
    with server.client() as client:
        code = "return {KEYS[1], ARGV[1]}"
        digest = client.script_load(code)
        assert digest == hashlib.sha1(code.encode()).hexdigest()
        assert client.evalsha(digest.upper(), 1, "k", "v") == [b"k", b"v"]
        assert client.execute_command("SCRIPT", "SHOW", digest) == code.encode()
        client.eval("return 7", 0)
        assert client.script_exists(hashlib.sha1(b"return 7").hexdigest(), digest, "0" * 40) == [True, True, False]
        client.script_flush()
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha(digest, 0)


def test_scripts_of_eval_are_forgotten_beyond_500_and_loaded_ones_are_kept(server: RotomServer) -> None:
    with server.client() as client:
        loaded = client.script_load("return 'loaded'")
        for number in range(501):
            client.eval(f"return {number}", 0)
        digests = [hashlib.sha1(f"return {number}".encode()).hexdigest() for number in (0, 1, 500)]
        assert client.script_exists(loaded, *digests) == [True, False, True, True]
        assert client.info("stats")["evicted_scripts"] == 1


def test_the_effects_of_a_script_are_one_transaction_in_the_log(server: RotomServer) -> None:
    with server.client() as client:
        client.eval("redis.call('SET', 'a', 1) redis.call('SELECT', 3) redis.call('INCR', 'b') return 1", 0)
        client.eval("return redis.call('GET', 'a')", 0)
        client.eval("return redis.call('SET', 'alone', 1)", 0)
    log = log_of(server)
    words = [word for word in log.split(b"\r\n") if word[:1].isalnum()]
    start = words.index(b"MULTI")
    assert words[start:] == [
        b"MULTI", b"SELECT", b"0", b"SET", b"a", b"1", b"SELECT", b"3", b"INCR", b"b", b"EXEC",
        b"SELECT", b"0", b"SET", b"alone", b"1",
    ]  # fmt: skip
    assert b"EVAL" not in log


def test_what_a_script_wrote_before_its_error_stays_and_is_logged(server: RotomServer) -> None:
    with server.client() as client:
        with pytest.raises(redis.exceptions.ResponseError, match="boom"):
            client.eval("redis.call('SET', 'kept', 1) error('boom')", 0)
        assert client.get("kept") == b"1"
    server.stop()
    server.start()
    with server.client() as client:
        assert client.get("kept") == b"1"


def test_set_repl_keeps_writes_out_of_the_log_as_long_as_the_script_runs(server: RotomServer) -> None:
    with server.client() as client:
        client.eval(
            "redis.call('SET', 'a', 1) redis.set_repl(redis.REPL_NONE) redis.call('SET', 'b', 1) "
            "redis.set_repl(redis.REPL_ALL) redis.call('SET', 'c', 1) redis.set_repl(redis.REPL_NONE)", 0,
        )  # fmt: skip
        client.set("d", 1)
        assert client.exists("a", "b", "c", "d") == 4
    server.process.kill()  # type: ignore[union-attr]
    server.wait()
    server.start()
    with server.client() as client:
        assert [client.exists(key) for key in "abcd"] == [1, 0, 1, 1]


def test_memory_without_end_ends_the_script_and_not_the_server(rotom: Callable[..., RotomServer]) -> None:
    with rotom("--lua-memory-limit", "20mb").client() as client:
        for code in (
            "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
            "return string.rep('x', 1e9)",
            "local s = 'x' while true do s = s .. s end",
        ):
            with pytest.raises(redis.exceptions.ResponseError, match="not enough memory"):
                client.eval(code, 0)
        assert client.eval("return 'alive'", 0) == b"alive"


def test_monitor_shows_the_script_and_then_its_commands(server: RotomServer) -> None:
    with server.client() as client, server.client() as watching, watching.monitor() as monitor:
        client.eval("redis.call('SET', 'a', 1)", 0)
        shown = []
        while len(shown) < 2:
            entry = monitor.next_command()
            if shown or entry["command"].startswith("EVAL"):
                shown.append(entry)
    assert [entry["command"] for entry in shown] == ["EVAL redis.call('SET', 'a', 1) 0", "SET a 1"]
    assert [entry["client_type"] for entry in shown] == ["tcp", "lua"]
    assert shown[1]["client_address"] == "lua"


def test_a_script_that_may_not_write_is_refused_its_first_write(server: RotomServer) -> None:
    with server.client() as client:
        for code, command in (
            ("#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)", "EVAL"), ("return redis.call('SET', 'a', 1)", "EVAL_RO"),
        ):  # fmt: skip
            with pytest.raises(redis.exceptions.ResponseError, match="Write commands are not allowed from read-only"):
                client.execute_command(command, code, 0)
        assert client.exists("a") == 0


def test_short_memory_refuses_a_script_before_its_first_write_only(rotom: Callable[..., RotomServer]) -> None:
    with rotom("--maxmemory", "1").client() as client:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.eval("return redis.call('SET', 'a', 1)", 0)
        assert client.eval("redis.call('DEL', 'a') return redis.call('SET', 'a', 1)", 0) == b"OK"
        assert client.eval("#!lua flags=allow-oom\nreturn redis.call('SET', 'a', 2)", 0) == b"OK"
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.eval("#!lua\nreturn 1", 0)


def test_keys_of_a_script_are_those_that_it_is_told(server: RotomServer) -> None:
    with server.client() as client:
        assert client.command_getkeys("EVAL", "return 1", "2", "a", "b", "c") == ["a", "b"]
        assert client.command_getkeys("EVAL", "return 1", "0") == []


def test_a_watched_key_that_a_script_writes_fails_the_transaction(server: RotomServer) -> None:
    with server.client() as client, server.client() as other, client.pipeline() as pipeline:
        pipeline.watch("a")
        other.eval("redis.call('SET', KEYS[1], 1)", 1, "a")
        pipeline.multi()
        pipeline.get("a")
        with pytest.raises(redis.exceptions.WatchError):
            pipeline.execute()
