"""rotomdb.connect: redis-py over an engine in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import rotomdb
from tests.processes import RedisServer


def test_replies_are_redis_py_s(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path) as client:
        assert client.set("k", "v") is True
        assert client.get("k") == b"v"
        assert client.get("none") is None
        assert client.hset("h", mapping={"a": 1, "b": 2}) == 2
        assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
        assert client.zadd("z", {"m": 1.5}) == 1
        assert client.zrange("z", 0, -1, withscores=True) == [(b"m", 1.5)]
        assert client.smembers("none") == set()
        assert client.expire("k", 100)
        assert client.ttl("k") == 100
        assert client.xadd("s", {"f": "v"}, id="1-1") == b"1-1"
        assert client.xrange("s") == [(b"1-1", {b"f": b"v"})]
        assert client.info("server")["redis_mode"] == "standalone"
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert sorted(client.scan_iter()) == [b"h", b"k", b"s", b"z"]
        assert client.blpop("none", 1) is None  # nobody could end the wait


def test_errors_are_redis_py_s(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path) as client:
        client.set("k", "v")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.lpush("k", 1)
        with pytest.raises(redis.ResponseError, match="unknown command"):
            client.execute_command("NOSUCH")
    with pytest.raises(redis.exceptions.ConnectionError):
        client.get("k")


def test_a_client_of_a_client_is_another_connection_to_the_same_data(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path, db=2, decode_responses=True) as client:
        with client.client() as other:
            other.set("k", "v")
            assert (client.get("k"), other.get("k")) == ("v", "v")
            other.select(5)
            other.execute_command("MULTI")
            assert other.execute_command("APPEND", "k", "other") == "QUEUED"
            assert client.get("k") == "v"
            assert other.execute_command("EXEC") == [5]
            assert client.get("k") == "v"
            other.execute_command("MULTI")
        del other
        assert client.set("k", "still open")
    with pytest.raises(redis.exceptions.ConnectionError):
        client.client().get("k")


def test_pipelines_and_transactions(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path) as client:
        with client.pipeline() as pipe:
            pipe.set("a", 1)
            pipe.incr("a")
            pipe.lpush("a", "x")
            replies = pipe.execute(raise_on_error=False)
        assert replies[:2] == [True, 2]
        assert isinstance(replies[2], redis.ResponseError)
        with client.pipeline() as pipe:
            pipe.watch("a")
            client.set("a", "changed")
            pipe.multi()
            pipe.set("a", "lost")
            with pytest.raises(redis.WatchError):
                pipe.execute()
        assert client.get("a") == b"changed"


def test_decoding_and_databases(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path, db=3, decode_responses=True) as client:
        client.rpush("l", "é", 1, 2.5)
        assert client.lrange("l", 0, -1) == ["é", "1", "2.5"]
    with rotomdb.connect(tmp_path) as client:
        assert client.dbsize() == 0
        assert client.execute_command("SELECT", 3)
        assert client.dbsize() == 1


def test_what_is_written_survives_without_closing_and_loads_in_redis(
    tmp_path: Path, redis_server: Callable[..., RedisServer]
) -> None:
    client = rotomdb.connect(tmp_path / "data")
    client.set("k", "v", ex=1000)
    client.sadd("s", *range(1000))
    shutil.copytree(tmp_path / "data", tmp_path / "crashed")  # as a kill would leave it
    client.close()
    theirs = redis_server("--appendonly", "yes", directory=tmp_path / "crashed")
    with theirs.client() as reader:
        assert reader.get("k") == b"v"
        assert reader.scard("s") == 1000
