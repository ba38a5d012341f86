"""COMMAND, CONFIG, INFO and CLIENT against the declarations and against redis-server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from rotomdb.commands import load_all
from rotomdb.commands.registry import REGISTRY
from tests.processes import RedisServer, RotomServer

Start = Callable[..., RotomServer]
SINCE_7_2 = {"zrank", "zrevrank"}  # WITHSCORE came then


def test_command_info_agrees_with_redis_on_arity_and_keys(
    rotom: Start, redis_server: Callable[..., RedisServer]
) -> None:
    with rotom().client() as ours, redis_server().client() as theirs:
        names = [name for name in ours.command_list() if b"|" not in name]
        theirs_by_name = {row["name"]: row for row in theirs.command().values()}
        ours_by_name = {row["name"]: row for row in ours.command().values()}
        compared = 0
        for name in names:
            text = name.decode()
            if text not in theirs_by_name or text in SINCE_7_2:
                continue
            expected, got = theirs_by_name[text], ours_by_name[text]
            assert got["arity"] == expected["arity"], text
            assert (got["first_key_pos"], got["last_key_pos"], got["step_count"]) == (
                expected["first_key_pos"], expected["last_key_pos"], expected["step_count"],
            ), text  # fmt: skip
            assert ("write" in got["flags"]) == ("write" in expected["flags"]), text
            compared += 1
        assert compared > 150


def test_command_list_and_docs_cover_every_declared_command(rotom: Start) -> None:
    load_all()
    with rotom().client() as client:
        assert {name.decode() for name in client.command_list()} == set(REGISTRY)
        assert client.command_count() == len([name for name in REGISTRY if "|" not in name])
        assert client.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
        assert client.command_getkeys("ZUNIONSTORE", "d", "2", "a", "b") == ["d", "a", "b"]


def test_config_set_takes_all_or_nothing(rotom: Start) -> None:
    with rotom().client() as client:
        with pytest.raises(redis.ResponseError, match="argument must be 'yes' or 'no'"):
            client.execute_command("CONFIG", "SET", "hz", "50", "rdbcompression", "maybe")
        assert client.config_get("hz") == {"hz": "10"}
        assert client.execute_command("CONFIG", "SET", "hz", "50", "save", "") == b"OK"
        assert client.config_get("hz", "save") == {"hz": "50", "save": ""}
        with pytest.raises(redis.ResponseError, match="can't set immutable config"):
            client.config_set("databases", 1)
        with pytest.raises(redis.ResponseError, match="Unknown option"):
            client.config_set("nonsense", 1)


def test_config_rewrite_keeps_comments_and_survives_a_restart(rotom: Start, tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "rotomdb.conf"  # type: ignore[operator]
    path.write_text("# mine\nhz 20\n")
    server = rotom()
    server.kill()
    server.arguments = ()
    server.command = lambda: [*RotomServer.command(server)[:3], str(path), *RotomServer.command(server)[3:]]  # type: ignore[method-assign]
    server.start()
    with server.client() as client:
        client.config_set("hz", 77)
        client.config_rewrite()
    assert path.read_text().startswith("# mine\nhz 77\n")
    server.restart()
    with server.client() as client:
        assert client.config_get("hz") == {"hz": "77"}


def test_info_has_redis_s_sections_and_counts(rotom: Start) -> None:
    with rotom().client() as client:
        client.set("a", "1")
        client.get("a")
        client.get("b")
        everything = client.info("everything")
        assert everything["keyspace_hits"] == 1
        assert everything["keyspace_misses"] == 1
        assert everything["db0"]["keys"] == 1
        assert everything["cmdstat_set"]["calls"] == 1
        assert everything["redis_mode"] == "standalone"
        client.config_resetstat()
        assert client.info("stats")["keyspace_hits"] == 0


def test_slow_commands_are_logged(rotom: Start) -> None:
    with rotom("--slowlog-log-slower-than", "1000").client() as client:
        client.execute_command("DEBUG", "SLEEP", "0.01")
        (entry,) = client.slowlog_get()
        assert entry["command"] == b"DEBUG SLEEP 0.01"
        assert entry["duration"] >= 10_000


def test_client_list_kill_and_names(rotom: Start) -> None:
    server = rotom()
    with server.client(client_name="one") as one, server.client(client_name="two") as two:
        one.ping()
        two.ping()
        names = {row["name"]: row for row in one.client_list()}
        assert {"one", "two"} <= set(names)
        assert one.client_kill_filter(_id=names["two"]["id"]) == 1
        assert "two" not in {row["name"] for row in one.client_list()}


def test_clients_are_listed_and_killed_by_type_and_age(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    client, listener = server.client(), server.client().pubsub()
    listener.subscribe("channel")
    listener.get_message(timeout=1)
    kinds = {kind: len(client.client_list(_type=kind)) for kind in ("normal", "pubsub", "replica")}
    assert kinds["pubsub"] == 1
    assert kinds["normal"] >= 1
    assert kinds["replica"] == 0
    assert client.execute_command("CLIENT", "KILL", "MAXAGE", "1000") == 0
    assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    assert client.client_list(_type="pubsub") == []
