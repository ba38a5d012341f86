"""What a connection may make the server hold: output limits while a reply is made, query limits, eviction of clients."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.processes import RotomServer

Start = Callable[..., RotomServer]
WAIT_S = 20
MB = 1 << 20


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def peak_kb(server: RotomServer) -> int:
    """The largest resident set that the process ever had."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def connect(server: RotomServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), WAIT_S)


def disconnections(client: redis.Redis) -> int:
    return int(client.info("stats")["client_output_buffer_limit_disconnections"])


GREEDY = {
    "a pipeline of GETs": b"GET large\r\n" * 2000,
    "a transaction": b"MULTI\r\n" + b"GET large\r\n" * 2000 + b"EXEC\r\n",
    "one reply": b"LRANGE list 0 -1\r\n" * 20,
    "one MGET": b"MGET" + b" large" * 2000 + b"\r\n",
}


@pytest.mark.parametrize("how", GREEDY)
def test_a_client_that_does_not_read_is_closed_while_its_replies_are_made(rotom: Start, how: str) -> None:
    server = rotom("--client-output-buffer-limit", "normal 1mb 0 0", "--appendonly", "no", "--save", "")
    with server.client() as client, connect(server) as greedy:
        client.set("large", b"x" * 300_000)
        client.rpush("list", *[b"y" * 1000] * 3000)
        before = peak_kb(server)
        with contextlib.suppress(ConnectionError):
            greedy.sendall(GREEDY[how])
        until(lambda: disconnections(client) == 1)
        until(lambda: client.info("clients")["connected_clients"] == 1)
        assert peak_kb(server) - before < 40 * 1024  # the replies are 600 MB and 60 MB
        until(lambda: client.info("memory")["mem_clients_normal"] < MB)
    assert "scheduled to be closed ASAP for overcoming of output buffer limits." in server.log()
    assert "# Client id=" in server.log()


@pytest.mark.parametrize("listens", [b"SUBSCRIBE news\r\n", b"MONITOR\r\n", b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n"])
def test_a_listener_that_does_not_read_is_closed(rotom: Start, listens: bytes) -> None:
    server = rotom("--client-output-buffer-limit", "normal 100kb 0 0 pubsub 100kb 0 0")
    with server.client() as client, connect(server) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.sendall(listens)
        until(lambda: client.info("clients")["connected_clients"] == 2)
        end = time.monotonic() + WAIT_S
        while disconnections(client) == 0:
            assert time.monotonic() < end
            client.publish("news", b"x" * 500_000)
            client.set(b"k" * 500_000, b"x")
        assert client.info("clients")["connected_clients"] == 1


def test_without_limits_a_reader_that_comes_late_gets_everything(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    with server.client() as client, connect(server) as late:
        client.set("large", b"x" * 300_000)
        late.sendall(b"GET large\r\n" * 200 + b"ECHO end\r\n")
        assert client.ping()
        expected = (b"$300000\r\n" + b"x" * 300_000 + b"\r\n") * 200 + b"$3\r\nend\r\n"
        received = bytearray()
        while len(received) < len(expected):
            piece = late.recv(1 << 20)
            assert piece
            received += piece
        assert received == expected


def test_a_limit_in_time_closes_who_stays_above_it(rotom: Start) -> None:
    server = rotom("--client-output-buffer-limit", "normal 0 100kb 1")
    with server.client() as client, connect(server) as slow:
        client.set("large", b"x" * 8_000_000)
        slow.sendall(b"GET large\r\n")
        until(lambda: disconnections(client) == 1)
    assert " closed for overcoming of output buffer limits." in server.log()


def test_buffers_count_as_memory_and_keys_make_room_for_them(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "", "--maxmemory-policy", "allkeys-lru")
    with server.client() as client, connect(server) as large:
        for number in range(100):
            client.set(f"key:{number}", b"x" * 100_000)
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", used + MB)
        large.sendall(b"*2\r\n$4\r\nECHO\r\n$20000000\r\n" + b"x" * 5_000_000)
        until(lambda: client.info("memory")["mem_clients_normal"] > 5_000_000)
        client.set("one", "more")
        until(lambda: client.get("key:0") is None or client.info("stats")["evicted_keys"] > 30)
        assert client.info("clients")["client_recent_max_input_buffer"] > 5_000_000


def test_announcing_a_large_argument_takes_no_memory(rotom: Start) -> None:
    server = rotom()
    with server.client() as client, connect(server) as boaster:
        boaster.sendall(b"*2\r\n$4\r\nECHO\r\n$500000000\r\n" + b"x" * 100_000)
        until(lambda: client.info("memory")["mem_clients_normal"] > 100_000)
        assert client.info("memory")["mem_clients_normal"] < MB


LARGE = {
    "an unfinished argument": b"*2\r\n$4\r\nECHO\r\n$20000000\r\n" + b"x" * 3_000_000,
    "arguments of an unfinished request": b"*40\r\n" + (b"$100000\r\n" + b"x" * 100_000 + b"\r\n") * 30,
    "a transaction": b"MULTI\r\n" + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" * 0 + (
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 100_000 + b"\r\n") * 30,
    "output": b"GET large\r\n" * 30,
    "subscriptions": b"SUBSCRIBE " + b" ".join(b"%0100d" % n for n in range(500)) + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("how", LARGE)
@pytest.mark.parametrize("limit", ["2mb", "2%"])
def test_the_largest_client_goes_when_all_take_too_much(rotom: Start, how: str, limit: str) -> None:
    server = rotom("--maxmemory", "100mb", "--maxmemory-clients", limit)
    with server.client() as client, connect(server) as large, connect(server) as small:
        client.set("large", b"x" * 500_000)
        small.sendall(b"PING\r\n")
        assert small.recv(100) == b"+PONG\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(40 if how == "subscriptions" else 1):
                large.sendall(LARGE[how].replace(b"0000", b"%04d" % _) if how == "subscriptions" else LARGE[how])
        until(lambda: client.info("stats")["evicted_clients"] == 1)
        small.sendall(b"PING\r\n")
        assert small.recv(100) == b"+PONG\r\n"
    assert "* Evicting client: id=" in server.log()


def test_a_protected_client_is_not_evicted(rotom: Start) -> None:
    server = rotom("--maxmemory-clients", "2mb")
    with server.client() as client, connect(server) as large:
        client.execute_command("CLIENT", "NO-EVICT", "ON")
        large.sendall(b"CLIENT NO-EVICT ON\r\n")
        assert large.recv(100) == b"+OK\r\n"
        large.sendall(LARGE["an unfinished argument"])
        until(lambda: client.info("memory")["mem_clients_normal"] > 3_000_000)
        assert client.info("stats")["evicted_clients"] == 0


def test_clients_that_are_closed_for_their_output_cost_no_other_its_connection(rotom: Start) -> None:
    server = rotom("--maxmemory-clients", "3mb", "--client-output-buffer-limit", "normal 1mb 0 0")
    with server.client() as client, connect(server) as greedy:
        client.set("large", b"x" * 500_000)
        greedy.sendall(b"GET large\r\n" * 100)
        until(lambda: disconnections(client) == 1)
        assert client.info("stats")["evicted_clients"] == 0


def test_a_limit_that_is_lowered_holds_at_once(rotom: Start) -> None:
    server = rotom()
    with server.client() as client, connect(server) as large:
        large.sendall(LARGE["an unfinished argument"])
        until(lambda: client.info("memory")["mem_clients_normal"] > 3_000_000)
        client.config_set("maxmemory-clients", "1mb")
        assert client.info("stats")["evicted_clients"] == 1


def test_an_unfinished_transaction_counts_for_the_query_limit(rotom: Start) -> None:
    server = rotom("--client-query-buffer-limit", "1mb")
    with server.client() as client, connect(server) as large:
        with contextlib.suppress(ConnectionError):
            large.sendall(LARGE["a transaction"])
        until(lambda: client.info("stats")["client_query_buffer_limit_disconnections"] == 1)
    assert "Closing client that reached max query buffer length: id=" in server.log()


def test_who_has_not_authenticated_leaves_little_unfinished(rotom: Start) -> None:
    server = rotom("--requirepass", "secret")
    with server.client(password="secret") as client, connect(server) as stranger:
        with contextlib.suppress(ConnectionError):
            stranger.sendall((b"x" * 60_000) * 40)
        until(lambda: client.info("clients")["connected_clients"] == 1)


def test_an_idle_query_buffer_is_given_back(rotom: Start) -> None:
    server = rotom()
    with server.client() as client, connect(server) as idle:
        idle.sendall(b"*2\r\n$4\r\nECHO\r\n$3000000\r\n" + b"x" * 600_000)
        number = next(entry["id"] for entry in client.client_list() if int(entry["qbuf"]) > 500_000)

        def spare() -> int:
            return next(int(entry["qbuf-free"]) for entry in client.client_list() if entry["id"] == number)

        until(lambda: spare() == 0)
        idle.sendall(b"x" * 2_400_000 + b"\r\n")
        assert idle.recv(10) == b"$3000000\r\n"


def test_client_list_has_the_fields_of_redis_in_its_order(rotom: Start) -> None:
    server = rotom()
    with connect(server) as link:
        link.sendall(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n")
        line = link.recv(4096).split(b"\r\n")[1].decode()
        fields = dict(word.split("=", 1) for word in line.split())
        assert list(fields) == [
            "id",
            "addr",
            "laddr",
            "fd",
            "name",
            "age",
            "idle",
            "flags",
            "db",
            "sub",
            "psub",
            "ssub",
            "multi",
            "watch",
            "qbuf",
            "qbuf-free",
            "argv-mem",
            "multi-mem",
            "rbs",
            "rbp",
            "obl",
            "oll",
            "omem",
            "tot-mem",
            "events",
            "cmd",
            "user",
            "redir",
            "resp",
            "lib-name",
            "lib-ver",
        ]
        assert (fields["qbuf"], fields["argv-mem"], fields["flags"], fields["events"]) == ("26", "10", "N", "r")
        link.sendall(b"MULTI\r\nSET k 12345\r\n")
        with server.client() as client:
            until(lambda: any(entry["multi-mem"] == "33" for entry in client.client_list()))
