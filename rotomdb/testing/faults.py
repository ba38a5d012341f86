"""A disk that fails: every call of a workload in turn, each in several ways, and what the server makes of it.

Whatever fails, the server goes on or refuses to start with an explanation, says MISCONF while it cannot keep its promise,
comes back by itself once the disk works again, and has lost nothing that it acknowledged.
"""

from __future__ import annotations

import enum
import errno
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.errors import CommandError, RotomError
from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.exploration import Exploration, Result, describe
from rotomdb.testing.memory_disk import MemoryDisk
from rotomdb.testing.mutations import call_site
from rotomdb.testing.simulation import Clock, SimulatedServer, attempt, workload, write_something

RECOVERY_TURNS = 60
STARTS = 20
FAULT_SETTINGS: list[dict[str, str]] = [
    {"appendfsync": policy, "aof-layout": layout}
    for policy in ("always", "everysec", "no")
    for layout in ("multi", "single")
]


class Fault(enum.Enum):
    """How a call fails."""

    NO_SPACE = "ENOSPC"
    BROKEN = "EIO"
    INTERRUPTED = "EINTR"
    SHORT_WRITE = "short write, then ENOSPC"
    FULL_FOR_A_WHILE = "ENOSPC for 12 calls"
    NO_FORK = "fork fails"


ERRNO = {Fault.BROKEN: errno.EIO, Fault.INTERRUPTED: errno.EINTR}
NEED_SPACE = {"write", "create", "mkdir", "link", "sync"}


def failure(fault: Fault) -> OSError:
    number = ERRNO.get(fault, errno.ENOSPC)
    return OSError(number, os.strerror(number))


class FaultPlan:
    """Fails the call of that number.

    Attributes:
        hit: Where the call came from; empty while it has not come.
    """

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.calls = 0
        self.hit = ""

    def __call__(self, operation: str, path: Path, size: int) -> int:
        self.calls += 1
        behind = self.calls - 1 - self.number
        if behind < 0:
            return size
        if behind == 0:
            self.hit = f"{operation} in {call_site(3)}"
        if self.fault is Fault.SHORT_WRITE:
            if behind == 0 and operation == "write" and size > 1:
                return size // 2
            if behind == 1 and operation == "write":
                raise failure(self.fault)
            return size
        if self.fault is Fault.FULL_FOR_A_WHILE:
            if behind < 12 and operation in NEED_SPACE:
                raise failure(self.fault)
            return size
        if behind == 0:
            raise failure(self.fault)
        return size


@dataclass
class FaultResult:
    tried: Counter[str] = field(default_factory=Counter)  # faults injected, by call site
    kinds: Counter[str] = field(default_factory=Counter)
    refused_starts: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.kinds.values())


class FaultCase:
    """One workload with one fault."""

    def __init__(self, setting: dict[str, str], seed: int, plan: FaultPlan, result: FaultResult) -> None:
        self.setting = setting
        self.seed = seed
        self.plan = plan
        self.result = result
        self.disk = MemoryDisk()
        self.clock = Clock()
        self.promised: list[bytes] | None = None  # data sets that the next start may come up with

    def run(self) -> None:
        source = random.Random(self.seed)
        self.disk.fault = self.plan
        try:
            for _ in range(2):
                server = self.start()
                if server is None:
                    return
                self.live(server, source)
        except Exception:
            self.problem(f"crashed: {traceback.format_exc()}")

    def start(self) -> SimulatedServer | None:
        """Start as an operator would: again, when it refuses."""
        for _ in range(STARTS):
            try:
                server = SimulatedServer(self.disk, self.setting, self.clock)
                server.start()
            except (RotomError, OSError):
                self.result.refused_starts += 1
                continue
            if self.promised is not None and server.history[0] not in self.promised:
                self.problem("a restart lost something")
                return None
            return server
        self.problem("does not start any more")
        return None

    def live(self, server: SimulatedServer, source: random.Random) -> None:
        if self.plan.fault is Fault.NO_FORK and self.plan.number == 0:
            self.plan.hit = "fork"
            server.fork_error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        workload(server, source, 14, {"toggle": True})
        attempt(server.persistence.start_rewrite)
        for _ in range(4):
            write_something(server, source)
            server.turn(200, sync_ends=True, child_steps=6)
        server.fork_error = None
        self.recovers(server)
        self.check(server, source)
        if source.random() < 0.5:
            attempt(server.stop)
        server.vanish()
        first = server.acknowledged.at(1 << 60) if server.persistence.aof.on else 0
        self.promised = server.history[first:]

    def recovers(self, server: SimulatedServer) -> None:
        """The disk works again: within a minute writes are accepted, acknowledged and logged as before."""
        for _ in range(RECOVERY_TURNS):
            self.pass_second(server)
            answer = server.run("SET", "probe", len(server.history))
            self.pass_second(server)
            written = len(server.history) - 1
            healthy = server.persistence.aof.status_error is None  # a failed fsync is being made good by a rewrite
            if healthy and not isinstance(answer, CommandError) and server.acknowledged.at(1 << 60) == written:
                return
        self.problem(f"writes are still refused: {server.server.dispatcher.write_error}; {server.messages[-3:]}")

    @staticmethod
    def pass_second(server: SimulatedServer) -> None:
        """Ten turns of the timer, as a server takes them."""
        for _ in range(10):
            server.turn(100, sync_ends=True, child_steps=10)

    def check(self, server: SimulatedServer, source: random.Random) -> None:
        """Nothing acknowledged is lost, whether the process is killed or the power goes."""
        found = Result()
        exploration = Exploration(self.setting, self.seed, found, mixtures=0, nested=0)
        exploration.server = server
        exploration.starting = False
        exploration.check_killed(self.disk)
        for tree in crash_states(self.disk, source, 2, holes=exploration.verified):
            exploration.check(MemoryDisk(tree), exploration.required(), server.history, "power lost")
        for loss in found.losses[:1]:
            self.problem(f"{loss.point}: {loss.problem}")

    def problem(self, text: str) -> None:
        self.result.problems.append(
            f"{describe(self.setting)}, {self.plan.fault.value} at call {self.plan.number} ({self.plan.hit}): {text}"
        )


def inject_faults(
    seed: int = 1,
    settings: list[dict[str, str]] | None = None,
    *,
    every: int = 1,
    progress: Callable[[FaultResult, int], None] | None = None,
) -> FaultResult:
    """Fail each call (or one of `every`) of the workload, in each way.

    Args:
        progress: Called with the result so far and the number of faults there will be.
    """
    result = FaultResult()
    chosen = settings or FAULT_SETTINGS
    calls = []
    for setting in chosen:
        plan = FaultPlan(1 << 60, Fault.BROKEN)
        FaultCase(setting, seed, plan, FaultResult()).run()
        calls.append(plan.calls)
    expected = sum(count // every for count in calls) * (len(Fault) - 1)
    for setting, count in zip(chosen, calls, strict=True):
        for fault in Fault:
            for number in range(0, 1 if fault is Fault.NO_FORK else count, every):
                plan = FaultPlan(number, fault)
                FaultCase(setting, seed, plan, result).run()
                if plan.hit:
                    result.tried[plan.hit] += 1
                    result.kinds[fault.value] += 1
                if progress is not None:
                    progress(result, expected)
    return result
