"""The reactor: nothing that a handler, a timer or a hook raises ends the loop."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotomdb.server.listeners import Listener
from rotomdb.server.logger import Logger
from rotomdb.server.reactor import Handler, Reactor


class Remembering(Logger):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__("debug")
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)


class Broken(Handler):
    """Raises at every event; `failed` says how it takes that."""

    def __init__(self, end: socket.socket, failed: Callable[[Exception], None] | None = None) -> None:
        super().__init__(end.fileno())
        self.on_failed = failed

    def readable(self) -> None:
        raise ZeroDivisionError("in the handler")

    def failed(self, error: Exception) -> None:
        if self.on_failed is None:
            raise error
        self.on_failed(error)


@pytest.fixture
def reports() -> list[tuple[str, Exception]]:
    return []


@pytest.fixture
def reactor(reports: list[tuple[str, Exception]]) -> Iterator[Reactor]:
    made = Reactor()
    made.report = lambda what, error: reports.append((what, error))
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize("descriptor", [0, 1023, 500_000, 2**31 - 1, -1, -(2**31)])
def test_a_handler_that_was_never_added_is_removed_without_effect(reactor: Reactor, descriptor: int) -> None:
    handler = Handler(descriptor)
    reactor.remove(handler)
    reactor.want_write(handler, True)
    assert not handler.wants_write


def test_another_handler_of_the_same_descriptor_removes_nothing(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], reports: list[tuple[str, Exception]]
) -> None:
    reactor.add(Broken(pair[0]))
    reactor.remove(Handler(pair[0].fileno()))
    pair[1].send(b"x")
    reactor.turn(0)
    assert len(reports) == 1


def test_what_cannot_be_watched_is_not_added(reactor: Reactor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no descriptor"):
        reactor.add(Handler(-1))
    with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):  # epoll takes no regular files
        reactor.add(Handler(file.fileno()))
    with pytest.raises(OSError, match="Bad file descriptor"):
        reactor.add(Handler(900_000))
    reactor.turn(0)


def test_a_handler_that_fails_is_told_and_the_loop_goes_on(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], reports: list[tuple[str, Exception]]
) -> None:
    told: list[Exception] = []
    reactor.add(Broken(pair[0], told.append))
    pair[1].send(b"x")
    reactor.turn(0)
    assert isinstance(told[0], ZeroDivisionError)
    assert not reports


def test_a_handler_that_cannot_even_take_its_failure_is_reported(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], reports: list[tuple[str, Exception]]
) -> None:
    reactor.add(Broken(pair[0]))
    pair[1].send(b"x")
    reactor.turn(0)
    assert [type(error) for _, error in reports] == [ZeroDivisionError]


def test_a_timer_that_raises_is_called_again_when_it_is_to_be(
    reactor: Reactor, reports: list[tuple[str, Exception]]
) -> None:
    calls: list[str] = []

    def periodic() -> int:
        calls.append("periodic")
        raise ZeroDivisionError

    def once() -> None:
        calls.append("once")
        raise ZeroDivisionError

    reactor.call_later(0, once)
    reactor.call_later(0, periodic, retry_ms=1)
    while calls.count("periodic") < 3:
        reactor.turn(100)
    assert calls.count("once") == 1
    assert len(reports) == len(calls)


def test_a_timer_of_no_end_does_not_come_at_once(reactor: Reactor) -> None:
    calls: list[int] = []
    reactor.call_later(2**63 - 1, lambda: calls.append(1))
    reactor.turn(1)
    assert not calls


def test_a_hook_that_raises_keeps_no_event_from_its_handler(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], reports: list[tuple[str, Exception]]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    told: list[Exception] = []
    reactor.before_sleep = broken
    reactor.add(Broken(pair[0], told.append))
    pair[1].send(b"x")
    reactor.turn(0)
    assert len(told) == len(reports) == 1


def test_a_report_that_fails_ends_nothing(reactor: Reactor, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(what: str, error: Exception) -> None:
        raise OSError(errno.ENOSPC, "no room for the log")

    def timer() -> None:
        raise ZeroDivisionError

    reactor.report = broken
    reactor.call_later(0, timer)
    reactor.turn(100)
    assert "no room for the log" in capfd.readouterr().err


class Exhausted:
    """A listening socket for which there is no descriptor any more."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.asked = 0
        self.full = True

    def fileno(self) -> int:
        return self.real.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.full:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()


def test_without_descriptors_the_listener_rests_and_does_not_spin(reactor: Reactor) -> None:
    log = Remembering()
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as real, socket.create_connection(real.getsockname()):
        real.setblocking(False)
        listening = Exhausted(real)
        Listener(listening, lambda link, _: accepted.append(link), reactor, log)  # type: ignore[arg-type]
        for _ in range(50):
            reactor.turn(0)
        assert listening.asked == 1  # though its event is there all the time
        assert [line.split("# ")[1] for line in log.lines] == ["Accepting client connection: Too many open files\n"]
        listening.full = False
        while not accepted:
            reactor.turn(1000)
        accepted[0].close()
