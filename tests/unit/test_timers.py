"""What is done when its time has come, on simulated time."""

from __future__ import annotations

import errno

from rotomdb.storage.child import Job
from rotomdb.testing.memory_disk import MemoryDisk
from rotomdb.testing.simulation import SimulatedServer


def started(**directives: str) -> SimulatedServer:
    server = SimulatedServer(MemoryDisk(), directives)
    server.start()
    return server


def test_a_save_point_saves_once_its_seconds_have_passed_and_its_changes_are_there() -> None:
    server = started(save="60 2")
    server.turn(61_000)
    assert server.run("SET", "a", "1")
    server.turn(1)
    assert server.persistence.child is None  # time enough, and one change too few
    assert server.run("SET", "b", "2")
    server.turn(1)
    assert server.persistence.child is not None
    assert server.persistence.child.kind is Job.SNAPSHOT
    server.turn(1, child_steps=1000)
    assert server.persistence.status.saves == 1
    server.run("SET", "a", "3")
    server.run("SET", "b", "4")
    server.turn(59_000)
    assert server.persistence.child is None
    server.turn(2_000)
    assert server.persistence.child is not None


def test_a_save_that_failed_is_tried_again_after_five_seconds() -> None:
    server = started(save="60 1")
    server.run("SET", "a", "1")
    server.fork_error = OSError(errno.EAGAIN, "no process to be had")
    server.turn(61_000)
    assert not server.persistence.status.last_save_ok
    server.fork_error = None
    server.turn(4_000)
    assert server.persistence.child is None
    server.turn(2_000)
    assert server.persistence.child is not None
