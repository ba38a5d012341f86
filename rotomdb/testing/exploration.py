"""The search: run workloads, crash them at every operation on the disk, recover, and hold the result against the promise.

A recovered data set must be one that the server has had: what some number of its writes made, in order. That number must
not be below what was promised:

    always      every acknowledged write
    everysec    every write acknowledged two seconds before the crash
    no          what a snapshot or rewrite that has ended holds
    process killed, any policy: every acknowledged write
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.commands.digest import dataset_digest
from rotomdb.errors import RotomError
from rotomdb.storage.log_examination import OWN_ZEROS
from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.memory_disk import MemoryDisk, Tree
from rotomdb.testing.mutations import Mutation
from rotomdb.testing.simulation import Clock, SimulatedServer, attempt, recover, refusal, workload

EVERYSEC_LOSS_MS = 2000
SETTINGS: list[dict[str, str]] = [
    {"appendfsync": policy, "aof-layout": layout, "aof-use-rdb-preamble": preamble}
    for policy in ("always", "everysec", "no")
    for layout in ("multi", "single")
    for preamble in ("yes", "no")
] + [{"appendonly": "no"}, {"appendfsync": "always", "aof-checksum": "no"}]


@dataclass(frozen=True)
class Loss:
    """A crash state that breaks the promise."""

    setting: str
    seed: int
    point: str
    problem: str

    def __str__(self) -> str:
        return f"{self.setting}, seed {self.seed}, at {self.point}: {self.problem}"


@dataclass
class Result:
    states: Counter[str] = field(default_factory=Counter)  # distinct states tried, by point
    recovered: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by explanation, without its numbers
    nested: int = 0
    losses: list[Loss] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.states.values())


def describe(setting: dict[str, str]) -> str:
    return " ".join(f"{name} {value}" for name, value in setting.items())


def fingerprint(tree: Tree) -> bytes:
    digest = hashlib.blake2b(digest_size=16)

    def add(node: Tree) -> None:
        for name in sorted(node):
            content = node[name]
            digest.update(name.encode() + b"\0")
            if isinstance(content, dict):
                digest.update(b"(")
                add(content)
                digest.update(b")")
            else:
                digest.update(len(content).to_bytes(8, "big") + content)

    add(tree)
    return digest.digest()


class Exploration:
    """One workload under one setting, crashed at its every step."""

    def __init__(
        self, setting: dict[str, str], seed: int, result: Result, *, mixtures: int, nested: float, strict: bool = True
    ) -> None:
        self.setting = setting
        self.seed = seed
        self.result = result
        self.mixtures = mixtures
        self.nested = nested
        self.strict = strict  # what a crash leaves has to be healed, not only refused
        self.source = random.Random(seed)
        self.tried: dict[bytes, int] = {}
        self.server: SimulatedServer | None = None
        # Of the life before: until the start has ended, its promises are those to keep.
        self.history = [dataset_digest([])]
        self.promised = 0
        self.starting = True
        # A log without annotations cannot tell a sector of zeros in a long value from the value: docs/durability.md.
        self.verified = setting.get("aof-layout") != "single" and setting.get("aof-checksum") != "no"

    def run(self, steps: int, lives: int, mutation: Mutation | None = None) -> None:
        disk = MemoryDisk()
        if mutation is not None:
            disk.syncing = mutation.sync
            disk.settled = mutation.operation_ended
        clock = Clock()
        for life in range(lives):
            self.server = SimulatedServer(disk, self.setting, clock)
            disk.observer = self.crash_here if life == 0 or self.source.random() < 0.7 else lambda name, path: None
            self.start(self.server, life)
            workload(self.server, self.source, steps, {"toggle": self.logging})
            if self.source.random() < 0.5:
                attempt(self.server.stop)
            self.server.vanish()
            self.check_killed(disk)
            disk.observer = lambda name, path: None
            if self.result.losses:
                return
            # The next life begins with what a killed process leaves; nothing of it may be durable yet.
            self.promised = self.required()
            self.history = list(self.server.history)

    def start(self, server: SimulatedServer, life: int) -> None:
        self.starting = True
        try:
            server.start()
        except RotomError as error:
            self.lose("start", f"a killed server's files are refused: {error}")
            return
        self.starting = False
        if life and server.history[0] not in self.history:
            self.lose("start", "the data after a restart is none that the server has had")

    # What is promised

    def required_after_kill(self) -> int:
        server = self.server
        assert server is not None
        if server.clean_end:
            return len(server.history) - 1
        if not server.persistence.aof.on or server.persistence.aof.waiting:
            return self.saved()
        return server.acknowledged.at(1 << 60)

    @property
    def logging(self) -> bool:
        return self.setting.get("appendonly") != "no"

    def saved(self) -> int:
        """What a file that was brought to the disk as a whole holds."""
        server = self.server
        assert server is not None
        if self.setting.get("aof-layout") == "single" and self.logging:
            return server.rewrite_holds  # the log rules there, as in Redis: a snapshot cannot say where it stood
        return max(server.snapshot_holds, server.rewrite_holds)

    def required(self) -> int:
        """Writes that must survive a power loss right now."""
        server = self.server
        assert server is not None
        if server.clean_end:
            return self.required_after_kill()
        if not server.persistence.aof.on or server.persistence.aof.waiting:
            return self.saved()
        policy = self.setting.get("appendfsync", "everysec")
        if policy == "always":
            return max(server.acknowledged.at(server.clock.ms), self.saved())
        if policy == "everysec":
            return max(server.acknowledged.at(server.clock.ms - EVERYSEC_LOSS_MS), self.saved())
        return self.saved()

    # Crashes

    def crash_here(self, operation: str, path: Path) -> None:
        """The power goes right after this operation."""
        server = self.server
        assert server is not None
        point = f"{operation} {kind_of(path)}".strip()
        required = self.promised if self.starting else self.required()
        states = list(crash_states(server.disk, self.source, self.mixtures, holes=self.verified))
        # Also what the command that runs right now (FLUSHALL, which saves) has made of the data.
        history = self.history if self.starting else [*server.history, server.fingerprint()]
        for tree in states:
            self.try_state(tree, required, history, point)
            if self.result.losses:
                return

    def try_state(self, tree: Tree, required: int, history: list[bytes], point: str) -> None:
        key = fingerprint(tree)
        if self.tried.get(key, -1) >= required:
            return
        self.tried[key] = required
        self.result.states[point] += 1
        nested = self.source.random() < self.nested
        disk = MemoryDisk(tree)
        if nested:
            disk.observer = self.crash_recovery(disk, required, history, point)
        self.check(disk, required, history, point)

    def crash_recovery(
        self, disk: MemoryDisk, required: int, history: list[bytes], point: str
    ) -> Callable[[str, Path], None]:
        """Crash the recovery itself, at each of its operations."""

        def observe(operation: str, path: Path) -> None:
            states = list(crash_states(disk, self.source, 2, holes=self.verified))
            self.source.shuffle(states)
            for tree in states[:6]:
                key = fingerprint(tree)
                if self.tried.get(key, -1) >= required:
                    continue
                self.tried[key] = required
                self.result.nested += 1
                self.result.states[f"recovery: {operation} {kind_of(path)}".strip()] += 1
                self.check(MemoryDisk(tree), required, history, f"{point}, then {operation} {kind_of(path)}")

        return observe

    def check(self, disk: MemoryDisk, required: int, history: list[bytes], point: str) -> None:
        """Recover and compare."""
        assert self.server is not None
        clock = Clock()
        clock.ms = self.server.clock.ms
        if not disk.exists(Path("/data")):
            if required > 0:
                self.lose(point, "the data directory is gone")
            return
        try:
            recovered = recover(disk, self.setting, clock)
        except RotomError as error:
            explanation = refusal(error)
            if explanation is None:
                self.lose(point, f"refused without an explanation: {error!r}")
            elif self.strict and OWN_ZEROS not in explanation:
                self.lose(point, f"refused, though a power loss explains it: {explanation}")
            else:
                self.result.refused["".join("#" if c.isdigit() else c for c in explanation)[:150]] += 1
            return
        except Exception:
            self.lose(point, f"recovery crashed: {traceback.format_exc()}")
            return
        self.result.recovered += 1
        held = recovered.history[0]
        found = max((i for i, made in enumerate(history) if made == held), default=-1)
        if found < 0:
            self.lose(point, f"the recovered data is none that the server has had (required {required})")
        elif found < required:
            self.lose(point, f"write {required} was promised, {found} came back of {len(history) - 1}")

    def check_killed(self, disk: MemoryDisk) -> None:
        """The process dies and the page cache survives: nothing acknowledged may be missing."""
        assert self.server is not None
        required = self.required_after_kill()
        self.result.states["process killed"] += 1
        self.check(MemoryDisk(disk.tree()), required, self.server.history, "process killed")

    def lose(self, point: str, problem: str) -> None:
        self.result.losses.append(Loss(describe(self.setting), self.seed, point, problem))


def kind_of(path: Path) -> str:
    """A file's role, so that points can be counted."""
    name = path.name
    for ending, kind in (
        (".manifest", "manifest"), (".incr.aof", "increment"), (".base.rdb", "base"), (".base.aof", "base"),
        ("dump.rdb", "snapshot"), ("appendonly.aof", "single log"), ("appendonlydir", "log directory"), (".incr", "waiting increment"),
    ):  # fmt: skip
        if name.endswith(ending):
            return f"temporary {kind}" if name.startswith("temp-") else kind
    if name.startswith("temp-rewriteaof"):
        return "rewrite"
    if name.startswith("temp-"):
        return "temporary snapshot"
    return "directory" if name == "data" else "kept bytes" if name else ""


def explore(
    states: int,
    seed: int,
    settings: list[dict[str, str]] | None = None,
    *,
    mutation: Mutation | None = None,
    mixtures: int = 6,
    nested: float = 0.02,
    steps: int = 25,
    lives: int = 2,
    progress: Callable[[Result], None] | None = None,
) -> Result:
    """Try at least so many distinct crash states over all settings; stops at the first loss.

    Args:
        mutation: An fsync to leave out or to put off, to see that its absence is noticed.
        mixtures: Random crash states at each point, beside the systematic ones.
        nested: Share of the states whose recovery is crashed, too.
        steps, lives: Length of a workload, and how often the server is killed and started in it.
    """
    result = Result()
    round_number = 0
    while result.total < states and not result.losses:
        for setting in settings or SETTINGS:
            exploration = Exploration(setting, seed + round_number, result, mixtures=mixtures, nested=nested)
            exploration.run(steps, lives, mutation)
            if result.losses or result.total >= states:
                break
            if progress is not None:
                progress(result)
        round_number += 1
    return result
