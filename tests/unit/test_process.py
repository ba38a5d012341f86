"""What directives of the process and its sockets do: processors, addresses, the unix socket, the rhythm of background work."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from rotomdb.engine import Engine
from rotomdb.errors import ConfigError
from rotomdb.server.config import Config
from rotomdb.server.listeners import listen_tcp, listen_unix
from rotomdb.server.process import processors, run_on, tell_systemd
from rotomdb.server.server import Server
from rotomdb.store.expire_cycle import ExpireCycle
from tests.processes import free_port


@pytest.mark.parametrize(
    ("words", "found"),
    [("0-3,8", {0, 1, 2, 3, 8}), ("0-7:2", {0, 2, 4, 6}), ("1 2", {1, 2}), ("", set()), ("a", None), ("1-", None), ("0-3:0", None)],
)  # fmt: skip
def test_a_list_of_processors_is_numbers_ranges_and_steps(words: str, found: set[int] | None) -> None:
    assert processors(words) == found


def test_processors_that_are_not_here_change_nothing() -> None:
    before = os.sched_getaffinity(0)
    assert not run_on("99999")
    assert not run_on("nonsense")
    assert os.sched_getaffinity(0) == before


def test_only_an_address_of_another_machine_is_excused_by_a_minus() -> None:
    port = free_port()
    sockets = listen_tcp(("127.0.0.1", "-192.0.2.1"), port, 5)
    assert [each.getsockname() for each in sockets] == [("127.0.0.1", port)]
    with pytest.raises(ConfigError, match=os.strerror(errno.EADDRINUSE)):
        listen_tcp(("-127.0.0.1",), port, 5)
    with pytest.raises(ConfigError, match="none of the addresses"):
        listen_tcp(("-192.0.2.1",), free_port(), 5)
    with pytest.raises(ConfigError, match="null character"):
        listen_tcp(("127.0.0.1\0",), free_port(), 5)
    for each in sockets:
        each.close()


def test_a_dead_unix_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    listen_unix(str(place), 0, "", 5).close()
    listen_unix(str(place), 0, "", 5).close()
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigError, match=os.strerror(errno.EADDRINUSE)):
        listen_unix(str(file), 0, "", 5)
    assert file.read_text() == "mine"


def test_effort_takes_more_time_and_more_samples_for_fewer_stale_keys() -> None:
    cycle = ExpireCycle(Engine(1))
    assert (cycle.time_share, cycle.samples, cycle.stale_share) == (0.25, 20, 0.10)
    cycle.set_effort(10)
    assert (cycle.time_share, cycle.samples, round(cycle.stale_share, 9)) == (0.43, 65, 0.01)


def test_many_clients_make_the_periodic_task_run_more_often_where_dynamic_hz_is_on(tmp_path: Path) -> None:
    config = Config()
    config.values.update({"dir": str(tmp_path), "hz": 10})
    server = Server(config)
    server.clients.update(dict.fromkeys(range(9000)))  # type: ignore[arg-type]
    for dynamic, expected in ((True, 80), (False, 10)):
        config.values["dynamic-hz"] = dynamic
        server.adapt_hz()
        assert server.hz == expected
    server.clients.clear()


def test_the_service_manager_is_told_where_it_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        config = Config()
        tell_systemd(config, "READY=1\n")
        for supervised in ("systemd", "auto"):
            config.values["supervised"] = supervised
            tell_systemd(config, f"STATUS={supervised}\n")
        assert [manager.recv(100) for _ in range(2)] == [b"STATUS=systemd\n", b"STATUS=auto\n"]
