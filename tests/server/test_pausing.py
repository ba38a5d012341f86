"""What runs later than it was read keeps the promise, too: a unit of its own in the log, and a reply that waits for the disk."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.processes import ControlledServer, RotomServer

SYNC_MS = 150
WAIT_S = 20
LONG = 100_000


class Scene:
    """A server under `always` whose fsync can be slowed down, a client that gives orders, and raw connections."""

    def __init__(self, server: ControlledServer, stack: ExitStack) -> None:
        self.server = server
        self.stack = stack
        self.orders = stack.enter_context(server.client(single_connection_client=True))
        self.orders.flushall()
        self.orders.set("warm", "up")

    def connect(self, prepare: bytes = b"") -> socket.socket:
        """A connection that has said something and taken the answer."""
        link = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.server.port), WAIT_S))
        if prepare:
            link.sendall(prepare)
            answered(link, prepare.count(b"\n"))
        return link

    def send_and_wait(self, link: socket.socket, request: bytes) -> None:
        """Send what has to wait, until it does."""
        waiting = self.orders.info("clients")["blocked_clients"]
        link.sendall(request)
        end = time.monotonic() + WAIT_S
        while self.orders.info("clients")["blocked_clients"] == waiting:
            assert time.monotonic() < end
            time.sleep(0.005)

    def slow_down(self) -> None:
        self.server.control(f"slow {SYNC_MS}")

    def commands(self) -> list[str]:
        """What the log holds, without SELECT, each command as one line."""
        log = Path(self.server.directory, "appendonlydir", "appendonly.aof.1.incr.aof").read_text()
        found, lines = [], iter(log.split("\n"))
        for line in lines:
            if line.startswith("*"):
                found.append(" ".join((next(lines), next(lines).strip())[1] for _ in range(int(line[1:]))))
        return [command for command in found if not command.startswith("SELECT")]


@pytest.fixture(scope="module")
def always(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    place = tmp_path_factory.mktemp("pausing")
    server = ControlledServer(place / "data", "--appendfsync", "always", "--save", "", "--aof-checksum", "no")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def scene(always: ControlledServer) -> Iterator[Scene]:
    always.control("")
    with ExitStack() as stack:
        yield Scene(always, stack)


def answered(link: socket.socket, lines: int) -> bytes:
    """What came up to so many line feeds."""
    received = b""
    while received.count(b"\n") < lines:
        piece = link.recv(4096)
        assert piece
        received += piece
    return received


def unpause_in_a_transaction(orders: redis.Redis) -> None:
    orders.pipeline().execute_command("CLIENT", "UNPAUSE").get("warm").execute()


UNPAUSES: dict[str, Callable[[redis.Redis], object]] = {
    "CLIENT UNPAUSE": lambda orders: orders.execute_command("CLIENT", "UNPAUSE"),
    "CLIENT UNPAUSE in a transaction": unpause_in_a_transaction,
    "the time is over": lambda orders: None,
}
# What was said before the pause, what is said during it, the answer.
HELD_BACK = [
    (b"", b"SET a 1\r\nGET a\r\n", b"+OK\r\n$1\r\n1\r\n"),
    (b"MULTI\r\nSET b 1\r\nINCR b\r\n", b"EXEC\r\n", b"*2\r\n+OK\r\n:2\r\n"),
    (b"", b"EVAL \"redis.call('set', 'c', 1) return redis.call('incr', 'c')\" 0\r\n", b":2\r\n"),
    (b"", b"INCR d\r\n", b":1\r\n"),
]
LOGGED = ["SET a 1", "MULTI", "SET b 1", "INCR b", "EXEC", "MULTI", "set c 1", "incr c", "EXEC", "INCR d"]


@pytest.mark.parametrize("end", UNPAUSES)
def test_what_a_pause_held_back_is_logged_and_answered_as_if_it_came_when_the_pause_ended(
    scene: Scene, end: str
) -> None:
    links = [scene.connect(prepare) for prepare, _, _ in HELD_BACK]
    scene.orders.execute_command("CLIENT", "PAUSE", 700 if end == "the time is over" else LONG, "WRITE")
    for link, (_, request, _) in zip(links, HELD_BACK, strict=True):
        scene.send_and_wait(link, request)
    scene.slow_down()
    before = len(scene.commands())
    UNPAUSES[end](scene.orders)
    start = time.perf_counter()
    replies = [answered(link, reply.count(b"\n")) for link, (_, _, reply) in zip(links, HELD_BACK, strict=True)]
    assert time.perf_counter() - start > SYNC_MS / 1000 * 0.6, "one fsync covers them all, and they wait for it"
    assert replies == [reply for _, _, reply in HELD_BACK]
    assert scene.commands()[before:] == LOGGED


def test_each_that_waits_for_a_key_is_a_unit_and_waits_for_the_disk(scene: Scene) -> None:
    popper, mover, writer = scene.connect(), scene.connect(), scene.connect()
    scene.send_and_wait(popper, b"BLPOP list 0\r\n")
    scene.send_and_wait(mover, b"BLMOVE list other LEFT RIGHT 0\r\n")
    scene.slow_down()
    before = len(scene.commands())
    start = time.perf_counter()
    writer.sendall(b"RPUSH list x y\r\n")
    assert answered(popper, 5) == b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"
    assert time.perf_counter() - start > SYNC_MS / 1000 * 0.6
    assert answered(mover, 2) == b"$1\r\ny\r\n"
    assert answered(writer, 1) == b":2\r\n"
    assert scene.commands()[before:] == ["RPUSH list x y", "LPOP list", "LMOVE list other LEFT RIGHT"]


def test_nobody_is_served_while_writes_are_paused(scene: Scene) -> None:
    popper = scene.connect()
    scene.send_and_wait(popper, b"BLPOP list 0\r\n")
    before = len(scene.commands())
    scene.orders.pipeline().execute_command("CLIENT", "PAUSE", LONG, "WRITE").rpush("list", "x").execute()
    assert scene.commands()[before:] == ["RPUSH list x"]
    scene.slow_down()
    scene.orders.execute_command("CLIENT", "UNPAUSE")
    start = time.perf_counter()
    assert answered(popper, 5) == b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"
    assert time.perf_counter() - start > SYNC_MS / 1000 * 0.6
    assert scene.commands()[before:] == ["RPUSH list x", "LPOP list"]


def test_a_pause_of_writes_keeps_the_data_as_it_is(rotom: Callable[..., RotomServer]) -> None:
    server = rotom("--maxmemory-policy", "allkeys-lru", "--hz", "100")
    with server.client() as client:
        client.set("short", 1, px=30)
        client.execute_command("CLIENT", "PAUSE", LONG, "WRITE")
        client.config_set("maxmemory", "1mb")
        time.sleep(0.1)
        stats = client.info("stats")
        assert (stats["expired_keys"], stats["evicted_keys"]) == (0, 0)
        assert client.config_set("maxmemory", 0)
        client.execute_command("CLIENT", "UNPAUSE")
        server.wait_for("expired_keys", 1, "stats")


def test_a_client_that_waits_for_the_end_of_a_pause_can_go(rotom: Callable[..., RotomServer]) -> None:
    server = rotom()
    with server.client() as client, socket.create_connection(("127.0.0.1", server.port), WAIT_S) as link:
        client.execute_command("CLIENT", "PAUSE", LONG, "WRITE")
        link.sendall(b"SET " + b"k" * 5000 + b" v\r\nGET k\r\n")
        server.wait_for("blocked_clients", 1, "clients")
        (waiting,) = [entry for entry in client.client_list() if entry["flags"] == "b"]
        assert int(waiting["argv-mem"]) > 5000, "what waits counts as memory of the client"
        assert client.client_unblock(int(waiting["id"])) == 0
        assert client.client_kill_filter(_id=waiting["id"]) == 1
        assert link.recv(100) == b""
        client.execute_command("CLIENT", "UNPAUSE")
        assert client.dbsize() == 0
        assert client.info("clients")["blocked_clients"] == 0
