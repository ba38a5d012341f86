"""Stream commands beyond 7.0, from their documentation, and what the log keeps of consumer groups."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.processes import RotomServer


@pytest.fixture
def client(rotom: Callable[..., RotomServer]) -> redis.Redis:
    return rotom().client()


def filled(client: redis.Redis) -> None:
    """Five entries; group g has read all and acknowledged 1-0, group h has read 1-0 to 3-0 and acknowledged 2-0."""
    for number in range(1, 6):
        client.xadd("s", {"n": number}, id=f"{number}-0")
    for group in ("g", "h"):
        client.xgroup_create("s", group, "0")
    client.xreadgroup("g", "c", {"s": ">"})
    client.xreadgroup("h", "c", {"s": ">"}, count=3)
    client.xack("s", "g", "1-0")
    client.xack("s", "h", "2-0")


def ids(client: redis.Redis) -> list[bytes]:
    return [entry_id for entry_id, _ in client.xrange("s")]


def pending(client: redis.Redis, group: str) -> list[bytes]:
    return [row["message_id"] for row in client.xpending_range("s", group, "-", "+", 100)]


def test_xdelex_keeps_drops_or_respects_references(client: redis.Redis) -> None:
    filled(client)
    assert client.execute_command("XDELEX", "s", "KEEPREF", "IDS", 2, "1-0", "9-0") == [1, -1]
    assert pending(client, "h") == [b"1-0", b"3-0"]
    assert client.execute_command("XDELEX", "s", "DELREF", "IDS", 1, "3-0") == [1]
    assert pending(client, "g") == [b"2-0", b"4-0", b"5-0"]
    assert pending(client, "h") == [b"1-0"]
    # 2-0 is pending in g; 4-0 has not been read by h.
    assert client.execute_command("XDELEX", "s", "ACKED", "IDS", 2, "2-0", "4-0") == [2, 2]
    client.xack("s", "g", "2-0")
    assert client.execute_command("XDELEX", "s", "ACKED", "IDS", 1, "2-0") == [1]
    assert ids(client) == [b"4-0", b"5-0"]
    assert client.execute_command("XDELEX", "absent", "IDS", 2, "1-0", "2-0") == [-1, -1]


def test_xackdel_acknowledges_and_deletes_what_nobody_else_needs(client: redis.Redis) -> None:
    filled(client)
    assert client.execute_command("XACKDEL", "s", "g", "ACKED", "IDS", 3, "2-0", "3-0", "9-0") == [1, 2, -1]
    assert ids(client) == [b"1-0", b"3-0", b"4-0", b"5-0"]
    assert client.execute_command("XACKDEL", "s", "g", "IDS", 1, "4-0") == [1]
    assert client.execute_command("XACKDEL", "s", "h", "DELREF", "IDS", 1, "1-0") == [1]
    assert pending(client, "g") == [b"5-0"]
    assert pending(client, "h") == [b"3-0"]
    assert client.execute_command("XACKDEL", "s", "none", "IDS", 1, "1-0") == [-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("XDELEX", "s", "IDS", "0", "1-0"), "Number of IDs must be a positive integer"),
        (("XDELEX", "s", "IDS", "2", "1-0"), "The `numids` parameter must match the number of arguments"),
        (("XDELEX", "s", "IDS", "1", "x"), "Invalid stream ID specified as stream command argument"),
        (("XDELEX", "s", "BAD", "1", "1-0"), "syntax error"),
    ],
)
def test_xdelex_refuses_malformed_id_blocks(client: redis.Redis, words: tuple[str, ...], error: str) -> None:
    with pytest.raises(redis.ResponseError, match=error):
        client.execute_command(*words)


def test_trimming_with_references(client: redis.Redis) -> None:
    filled(client)
    assert client.execute_command("XTRIM", "s", "MAXLEN", "2", "ACKED") == 0
    client.xack("s", "h", "1-0")
    assert client.execute_command("XTRIM", "s", "MAXLEN", "2", "ACKED") == 1
    assert client.execute_command("XTRIM", "s", "MINID", "4-0", "DELREF") == 2
    assert pending(client, "g") == [b"4-0", b"5-0"]
    assert client.execute_command("XADD", "s", "DELREF", "MAXLEN", "1", "6-0", "n", "6") == b"6-0"
    assert pending(client, "g") == []


def test_xread_plus_reads_the_last_entry(client: redis.Redis) -> None:
    filled(client)
    assert client.execute_command("XREAD", "STREAMS", "s", "+") == [[b"s", [(b"5-0", {b"n": b"5"})]]]
    client.xdel("s", "5-0")
    assert client.execute_command("XREAD", "STREAMS", "s", "+") == [[b"s", [(b"4-0", {b"n": b"4"})]]]
    with pytest.raises(redis.ResponseError, match="The \\+ ID is meaningless in the context of XREADGROUP"):
        client.xreadgroup("g", "c", {"s": "+"})


def test_lag_counts_what_a_group_has_not_read_also_after_trimming(client: redis.Redis) -> None:
    filled(client)
    client.xgroup_create("s", "late", "0")
    lags = {group["name"]: group["lag"] for group in client.xinfo_groups("s")}
    assert lags == {b"g": 0, b"h": 2, b"late": 5}
    client.xtrim("s", maxlen=2, approximate=False)
    lags = {group["name"]: group["lag"] for group in client.xinfo_groups("s")}
    assert lags == {b"g": 0, b"h": 2, b"late": 2}
    client.xdel("s", "5-0")
    assert {group["name"]: group["lag"] for group in client.xinfo_groups("s")}[b"h"] is None


def test_reading_without_success_makes_the_consumer_and_marks_it_seen_not_active(client: redis.Redis) -> None:
    client.xgroup_create("s", "g", "0", mkstream=True)
    assert client.xreadgroup("g", "idle", {"s": ">"}) == []
    (consumer,) = client.xinfo_consumers("s", "g")
    assert (consumer["name"], consumer["pending"], consumer["inactive"]) == (b"idle", 0, -1)
    client.xadd("s", {"n": 1})
    client.xreadgroup("g", "idle", {"s": ">"})
    assert client.xinfo_consumers("s", "g")[0]["inactive"] >= 0


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_groups_and_pending_entries_survive_a_crash_and_a_rewrite(
    rotom: Callable[..., RotomServer], preamble: str
) -> None:
    server = rotom("--aof-use-rdb-preamble", preamble)

    def state() -> object:
        with server.client() as client:
            groups = client.xinfo_groups("s")
            pending = [client.xpending_range("s", g["name"], "-", "+", 99) for g in groups]
            rows = [[(row["message_id"], row["consumer"], row["times_delivered"]) for row in part] for part in pending]
            consumers = [[c["name"] for c in client.xinfo_consumers("s", g["name"])] for g in groups]
            return client.xinfo_stream("s"), groups, rows, consumers

    with server.client() as client:
        filled(client)
        client.xautoclaim("s", "g", "thief", 0, count=2)
        client.xclaim("s", "h", "thief", 0, ["3-0"], retrycount=9)
        client.xgroup_createconsumer("s", "h", "nobody")
        client.xreadgroup("g", "reader", {"s": ">"}, noack=True)
        client.xadd("s", {"n": 6}, maxlen=4, approximate=False)
        client.xreadgroup("g", "reader", {"s": ">"}, noack=True)
        client.xdel("s", "4-0")
        for group in ("g", "h"):
            client.xack("s", group, "1-0", "2-0", "4-0")  # commands cannot express that a deleted entry is pending
        client.xgroup_create("empty", "g", "$", mkstream=True)
    before = state()
    server.kill()
    server.start()
    assert state() == before
    with server.client() as client:
        client.bgrewriteaof()
    server.wait_for("aof_rewrite_in_progress", 0)
    server.kill()
    server.start()
    assert state() == before
    with server.client() as client:
        assert client.xlen("empty") == 0
        assert client.exists("empty")
