"""DEBUG RELOAD and DEBUG LOADAOF: the data of the file, or the data that was there, and nothing between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.processes import RotomServer

Start = Callable[..., RotomServer]


def damage(path: Path, at: int) -> None:
    """Cut it in the middle of a record: what is before can be loaded."""
    path.write_bytes(path.read_bytes()[:at])


def refused(client: redis.Redis, *words: str) -> str:
    with pytest.raises(redis.ResponseError, match="check server logs") as error:
        client.execute_command("DEBUG", *words)
    return str(error.value)


def fill(client: redis.Redis) -> None:
    client.set("plain", "v" * 100)
    client.set("volatile", 1, ex=1000)
    client.rpush("list", *range(100))
    client.hset("hash", mapping={str(i): i for i in range(600)})
    client.xadd("stream", {"f": "v"})
    client.execute_command("SELECT", 3)
    client.set("elsewhere", 1)
    client.execute_command("SELECT", 0)


def test_a_snapshot_that_is_not_there_or_damaged_leaves_the_data(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    snapshot = server.directory / "dump.rdb"
    with server.client() as client:
        fill(client)
        digest = server.digest()
        assert "No such file" in refused(client, "RELOAD", "NOSAVE")
        assert server.digest() == digest
        client.save()
        for at in (0, 8, 60, snapshot.stat().st_size - 12):
            client.save()
            damage(snapshot, at)
            for words in (("NOSAVE",), ("NOSAVE", "NOFLUSH", "MERGE")):
                assert "dump.rdb" in refused(client, "RELOAD", *words)
                assert server.digest() == digest
        assert client.ttl("volatile") > 0
        assert client.hget("hash", "5") == b"5"
        client.execute_command("DEBUG", "RELOAD")  # which saves first
        assert server.digest() == digest
        client.set("after", 1)
        assert client.dbsize() == 6


def test_a_snapshot_of_a_key_that_is_there_is_merged_or_refused_as_a_whole(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client:
        client.mset({"both": "old", "saved": 1})
        client.save()
        client.delete("saved")
        client.mset({"both": "new", "unsaved": 1})
        digest = server.digest()
        assert "a key that is there already" in refused(client, "RELOAD", "NOSAVE", "NOFLUSH")
        assert server.digest() == digest
        client.execute_command("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")
        assert client.mget("both", "saved", "unsaved") == [b"old", b"1", b"1"]
        server.wait_for("aof_rewrite_in_progress", 0)
        server.wait_for("aof_rewrite_scheduled", 0)
        server.wait_for("aof_rewrite_in_progress", 0)
    server.restart()
    with server.client() as client:
        assert client.mget("both", "saved", "unsaved") == [b"old", b"1", b"1"]


def test_a_log_that_is_damaged_or_gone_leaves_the_data(rotom: Start) -> None:
    server = rotom("--save", "")
    increment = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    with server.client() as client:
        fill(client)
        digest = server.digest()
        client.execute_command("DEBUG", "LOADAOF")
        assert server.digest() == digest
        client.set("after", 1)
        digest = server.digest()
        whole = increment.read_bytes()
        increment.write_bytes(whole.replace(b"$3\r\nSET", b"$3\r\nSIT", 1))
        refused(client, "LOADAOF")
        assert server.digest() == digest
        increment.rename(increment.with_suffix(".away"))
        assert "doesn't exist" in refused(client, "LOADAOF")
        assert server.digest() == digest
        increment.with_suffix(".away").rename(increment)
        increment.write_bytes(whole)


def test_with_the_log_off_its_files_are_loaded_where_there_are_any(rotom: Start) -> None:
    server = rotom("--save", "", "--appendonly", "no")
    with server.client() as client:
        client.set("a", "in memory")
        assert "there are no files of a log" in refused(client, "LOADAOF")
        assert client.get("a") == b"in memory"
        client.config_set("appendonly", "yes")
        server.wait_for("aof_rewrite_in_progress", 0)
        client.config_set("appendonly", "no")
        client.set("a", "changed")
        client.execute_command("DEBUG", "LOADAOF")
        assert client.get("a") == b"in memory"
