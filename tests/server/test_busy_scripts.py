"""A script that takes long: others are answered meanwhile, and it can be ended as long as it has not written."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import redis

from rotomdb.storage.propagation import encode_command
from tests.differential.transcript import Clients
from tests.processes import RotomServer

BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
KILLED = b"-ERR Script killed by user with SCRIPT KILL... script: "
UNKILLABLE = b"-UNKILLABLE Sorry the script already executed write commands against the dataset."
PATIENCE_S = 10

# Each catches errors in another way, or spends its time elsewhere than in Lua's instructions.
ENDLESS = {
    "a loop": "while true do end",
    "pcall of a loop": "while true do pcall(function() while true do end end) end",
    "pcall of commands": "while true do pcall(redis.call, 'GET', 'x') end",
    "redis.pcall": "while true do redis.pcall('GET', 'x') end",
    "xpcall with an endless handler": "local function loop() while true do end end while true do xpcall(loop, loop) end",
    "coroutine": "local c = coroutine.create(function() while true do end end) coroutine.resume(c) while true do end",
    "many coroutines": "while true do coroutine.wrap(function() for i = 1, 100 do end end)() end",
    "sort": "while true do pcall(table.sort, {1, 2, 3}, function() while true do end end) end",
    "long commands": "while true do redis.call('LRANGE', 'long', 0, -1) end",
}


@pytest.fixture
def server(rotom: Callable[..., RotomServer]) -> RotomServer:
    return rotom("--busy-reply-threshold", "20", "--save", "")


def ask(clients: Clients, name: str, *words: str) -> bytes:
    """One request, and what its client receives."""
    clients.send(name, *words)
    return receive(clients, name)


def receive(clients: Clients, name: str) -> bytes:
    connection = clients.connections[name]
    connection.settimeout(PATIENCE_S)
    return connection.recv(1 << 16)


def make_busy(clients: Clients, script: str) -> None:
    """Run a script that does not end, until the server says so."""
    clients.send("script", "EVAL", script, "0")
    end = time.monotonic() + PATIENCE_S
    while ask(clients, "other", "GET", "x") != BUSY:
        assert time.monotonic() < end, "the server does not get busy"


def test_a_busy_server_says_so_and_kills_any_script_that_has_not_written(server: RotomServer) -> None:
    clients = Clients(server.port)
    ask(clients, "other", "RPUSH", "long", *map(str, range(2000)))
    for kind, script in ENDLESS.items():
        make_busy(clients, script)
        assert ask(clients, "other", "SCRIPT", "KILL") == b"+OK\r\n", kind
        assert receive(clients, "script").startswith(KILLED), kind
        assert ask(clients, "other", "SCRIPT", "KILL") == b"-NOTBUSY No scripts in execution right now.\r\n"
        assert ask(clients, "script", "PING") == b"+PONG\r\n"
    clients.close()
    assert server.log().count("Slow script detected: still in execution after") == len(ENDLESS)
    assert server.log().count("Lua script killed by user with SCRIPT KILL.") == len(ENDLESS)


def test_what_may_run_beside_a_busy_script_runs_and_waiting_requests_keep_their_bytes(server: RotomServer) -> None:
    clients = Clients(server.port)
    # The script and what follows it in the same read: others' requests pass through the same buffer meanwhile.
    clients.send("script", "PING")
    assert receive(clients, "script") == b"+PONG\r\n"
    clients.connections["script"].sendall(
        encode_command("EVAL", "while true do end", "0") + encode_command("ECHO", "kept") * 3
    )
    end = time.monotonic() + PATIENCE_S
    while ask(clients, "other", "GET", "x") != BUSY:
        assert time.monotonic() < end
    assert ask(clients, "new", "PING") == BUSY
    assert ask(clients, "new", "WATCH", "x") == b"+OK\r\n"
    assert ask(clients, "new", "MULTI") == b"+OK\r\n"
    assert ask(clients, "new", "SET", "x", "1") == BUSY
    assert ask(clients, "new", "EXEC") == b"-EXECABORT Transaction discarded because of: " + BUSY[1:]
    assert ask(clients, "new", "HELLO", "2").startswith(b"*14")
    assert ask(clients, "new", "SHUTDOWN") == ask(clients, "new", "SHUTDOWN", "SAVE") == BUSY
    assert ask(clients, "other", "SCRIPT", "KILL") == b"+OK\r\n"
    got = b""
    while got.count(b"kept") < 3:
        got += receive(clients, "script")
    assert got.startswith(KILLED)
    assert got.endswith(b"$4\r\nkept\r\n" * 3)
    assert ask(clients, "new", "SET", "x", "1") == b"+OK\r\n"
    clients.close()


def test_a_script_in_a_transaction_is_killed_alone(server: RotomServer) -> None:
    clients = Clients(server.port)
    for words in (("MULTI",), ("SET", "a", "1"), ("EVAL", "while true do end", "0"), ("SET", "b", "2")):
        ask(clients, "script", *words)
    clients.send("script", "EXEC")
    end = time.monotonic() + PATIENCE_S
    while ask(clients, "other", "GET", "a") != BUSY:
        assert time.monotonic() < end
    ask(clients, "other", "SCRIPT", "KILL")
    reply = receive(clients, "script")
    assert reply.startswith(b"*3\r\n+OK\r\n" + KILLED)
    assert reply.endswith(b"+OK\r\n")
    assert ask(clients, "other", "MGET", "a", "b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    clients.close()


def test_a_script_that_has_written_is_ended_by_shutdown_nosave_only_and_leaves_nothing(server: RotomServer) -> None:
    clients = Clients(server.port)
    make_busy(clients, "redis.call('SET', 'half', 1) while true do redis.call('TTL', 'half') end")
    assert ask(clients, "other", "SCRIPT", "KILL").startswith(UNKILLABLE)
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)  # it waits for the script
    assert ask(clients, "other", "GET", "half") == BUSY
    clients.send("other", "SHUTDOWN", "NOSAVE")
    assert server.wait() == 0
    clients.close()
    server.start()
    with server.client() as client:
        assert client.exists("half") == 0


def test_sigterm_ends_a_script_that_has_not_written_and_then_the_server(server: RotomServer) -> None:
    clients = Clients(server.port)
    ask(clients, "other", "SET", "before", "1")
    make_busy(clients, "while true do pcall(function() while true do end end) end")
    assert server.stop() == 0
    clients.close()
    server.start()
    with server.client() as client:
        assert client.get("before") == b"1"


def test_effects_serve_waiting_clients_when_the_script_has_ended(server: RotomServer) -> None:
    with server.client() as client:
        clients = Clients(server.port)
        clients.send("waiting", "BLPOP", "list", "0")
        clients.send(
            "script", "EVAL",
            "redis.call('RPUSH', 'list', 'x') local t = redis.call('TIME') local s = t[1] * 1e6 + t[2] "
            "repeat t = redis.call('TIME') for i = 1, 1e5 do end until t[1] * 1e6 + t[2] - s > 300000 return 'done'", "0",
        )  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while ask(clients, "other", "GET", "x") != BUSY:
            assert time.monotonic() < end
        assert ask(clients, "other", "WATCH", "y") == b"+OK\r\n"  # a whole command, in the middle of the script
        assert receive(clients, "script") == b"$4\r\ndone\r\n"
        assert receive(clients, "waiting") == b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"
        assert client.exists("list") == 0
        clients.close()


def test_without_a_threshold_no_script_is_interrupted(rotom: Callable[..., RotomServer]) -> None:
    with rotom("--lua-time-limit", "0").client() as client:
        client.eval("for i = 1, 3e6 do end", 0)
        client.config_set("busy-reply-threshold", 1)
        client.eval("for i = 1, 3e6 do end", 0)
        with pytest.raises(redis.exceptions.ResponseError, match="NOTBUSY"):
            client.script_kill()


def test_a_transaction_sends_nothing_of_its_reply_before_it_is_whole(server: RotomServer) -> None:
    clients = Clients(server.port)
    queue = (encode_command("SET", "a", "1"), encode_command("EVAL", "while true do end", "0"))
    ask(clients, "script", "PING")
    clients.connections["script"].sendall(b"PING\r\nMULTI\r\n" + b"".join(queue) + b"EXEC\r\n")
    end = time.monotonic() + PATIENCE_S
    while ask(clients, "other", "GET", "x") != BUSY:
        assert time.monotonic() < end, "the server does not get busy"
    assert clients.received(0.1)["script"] == b"+PONG\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n"
    ask(clients, "other", "SCRIPT", "KILL")
    assert receive(clients, "script").startswith(b"*2\r\n+OK\r\n" + KILLED)
    clients.close()
