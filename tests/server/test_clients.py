"""Real clients against a rotomdb process: redis-py, redis-cli, redis-benchmark."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable

import pytest
import redis

from tests.processes import RotomServer

Start = Callable[..., RotomServer]


def cli(server: RotomServer, *words: str, text: str = "", timeout: float = 60) -> str:
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), *words], input=text, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stat_lines(server: RotomServer) -> str:
    """What `redis-cli --stat` shows on a terminal; it goes on until it is stopped."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(["redis-cli", "-p", str(server.port), "--stat", "-i", "0.1"], stdout=inside)
    os.close(inside)
    shown = b""
    try:
        while shown.count(b"\n") < 4:
            shown += os.read(terminal, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown.decode()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_basic_operations(rotom: Start, protocol: int) -> None:
    with rotom().client(protocol=protocol, decode_responses=True) as client:
        assert client.set("a", "1", ex=100)
        assert client.get("a") == "1"
        assert client.incr("a") == 2
        assert 0 < client.ttl("a") <= 100
        assert client.hset("h", mapping={"x": "1", "y": "2"}) == 2
        assert client.hgetall("h") == {"x": "1", "y": "2"}
        assert client.sadd("s", "m", "n") == 2
        assert client.smembers("s") == {"m", "n"}
        assert client.zadd("z", {"one": 1, "two": 2.5}) == 2
        assert [tuple(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [("one", 1.0), ("two", 2.5)]
        assert client.zscore("z", "two") == 2.5
        assert client.rpush("l", "1", "2", "3") == 3
        assert client.lrange("l", 0, -1) == ["1", "2", "3"]
        with client.pipeline() as pipe:
            assert pipe.multi() is None
            pipe.incr("a").lpop("l")
            assert pipe.execute() == [3, "1"]
        assert client.type("z") == "zset"
        assert sorted(client.scan_iter("*")) == ["a", "h", "l", "s", "z"]
        assert client.config_get("maxclients") == {"maxclients": "10000"}
        assert client.info("server")["redis_mode"] == "standalone"
        assert client.client_list()[0]["resp"] == str(protocol)


def test_watch_fails_a_transaction_when_another_client_writes(rotom: Start) -> None:
    server = rotom()
    with server.client() as one, server.client() as two:
        pipe = one.pipeline()
        pipe.watch("k")
        two.set("k", "other")
        pipe.multi()
        pipe.set("k", "mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
        assert two.get("k") == b"other"


def test_redis_cli_modes(rotom: Start, redis_tools: None) -> None:
    server = rotom()
    commands = "".join(f"SET key:{i} value:{i}\r\n" for i in range(2000))
    assert "errors: 0, replies: 2000" in cli(server, "--pipe", text=commands)
    assert len(cli(server, "--scan", "--pattern", "key:*").split()) == 2000
    assert "2000 strings with" in cli(server, "--bigkeys")
    assert "2000 strings with" in cli(server, "--memkeys")
    assert "2000" in stat_lines(server)
    assert cli(server, "-3", "HELLO").startswith("server")


@pytest.mark.slow
def test_redis_benchmark_default_list_runs_without_an_error(rotom: Start, redis_tools: None) -> None:
    server = rotom()
    done = subprocess.run(
        ["redis-benchmark", "-q", "-p", str(server.port), "-n", "2000", "-P", "4"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "rror" not in done.stdout + done.stderr.replace("WARNING: Could not fetch server CONFIG", "")
    assert "MSET (10 keys)" in done.stdout
