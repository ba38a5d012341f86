"""The search: run workloads, crash them at every operation on the disk, recover, and hold the result against the promise.

A recovered data set must be one that the server has had: what some number of its writes made, in order. That number must
not be below what was promised:

    always      every acknowledged write
    everysec    every write acknowledged two seconds before the crash
    no          what a snapshot or rewrite that has ended holds
    process killed, any policy: every acknowledged write
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.commands.digest import dataset_digest
from rotomdb.errors import RotomError
from rotomdb.formats.aof.examination import OWN_ZEROS
from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.memory_disk import MemoryDisk, Tree
from rotomdb.testing.mutations import Mutation
from rotomdb.testing.simulation import Clock, SimulatedServer, attempt, recover, refusal, workload

EVERYSEC_LOSS_MS = 2000
TURNED_ON = "turned on at run time"  # no directive: the first life begins without a log
SETTINGS: list[dict[str, str]] = [
    {"appendfsync": policy, "aof-layout": layout, "aof-use-rdb-preamble": preamble}
    for policy in ("always", "everysec", "no")
    for layout in ("multi", "single")
    for preamble in ("yes", "no")
] + [{"appendonly": "no"}, {"appendfsync": "always", "aof-checksum": "no"}, {"appendfsync": "always", TURNED_ON: "yes"}]

STEPS = 25  # of a workload
LIVES = 2
OPERATIONS_IN_A_LIFE = 130  # most have fewer
NAME_OPERATIONS_IN_A_LIFE = 40
Workload = tuple[dict[str, str], int]  # setting and seed


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


def immortal(operation: str, path: Path, size: int) -> int:
    """A process that nobody kills."""
    return size


class ProcessKilled(BaseException):
    """SIGKILL in the middle of something: nothing in the server may catch it, and no cleaning up has an effect."""


class Exploration:
    """One workload under one setting, crashed at its every step.

    It has several lives on one disk. The process of a life ends in order, or is killed behind the workload or at any
    operation on the disk; what it had not synced stays in the page cache, and the next life goes on with that.
    """

    def __init__(
        self, setting: dict[str, str], seed: int, result: Result, *, mixtures: int, nested: float, strict: bool = True
    ) -> None:
        self.setting = setting
        self.directives = {name: value for name, value in setting.items() if name != TURNED_ON}
        self.seed = seed
        self.result = result
        self.mixtures = mixtures
        self.nested = nested
        self.strict = strict  # what a crash leaves has to be healed, not only refused
        self.source = random.Random(seed)
        self.crash_source = random.Random(seed)  # apart, so that a workload does not depend on how it is crashed
        self.tried: dict[bytes, int] = {}
        self.server: SimulatedServer | None = None
        self.mutation: Mutation | None = None
        # Of the life before: until the start has ended, its promises are those to keep.
        self.history = [dataset_digest([])]
        self.promised = 0
        self.starting = True
        self.kept: dict[str, bytes] = {}  # logs that were superseded, by name
        # A log without annotations cannot tell a sector of zeros in a long value from the value: docs/durability.md.
        self.verified = setting.get("aof-layout") != "single" and setting.get("aof-checksum") != "no"

    def run(self, steps: int, lives: int, mutation: Mutation | None = None, *, crashing: bool = True) -> None:
        disk = MemoryDisk()
        self.mutation = mutation
        if mutation is not None:
            mutation.apply_to(disk)
        clock = Clock()
        for life in range(lives):
            begins_without = life == 0 and TURNED_ON in self.setting
            directives = {**self.directives, "appendonly": "no"} if begins_without else self.directives
            self.server = SimulatedServer(disk, directives, clock)
            if crashing and (life == 0 or self.crash_source.random() < 0.7):
                disk.observer = self.crash_here
            disk.fault = self.killer()
            with contextlib.suppress(ProcessKilled):
                self.start(self.server, life)
                if begins_without:
                    workload(self.server, self.source, steps // 5, {})
                    attempt(self.server.persistence.enable_log)
                workload(self.server, self.source, steps, {"toggle": self.logging})
                if self.source.random() < 0.5:
                    attempt(self.server.stop)
            self.server.vanish()
            disk.fault = immortal
            disk.observer = lambda name, path: None
            if crashing:
                self.check_killed(disk)
            if self.result.losses:
                return
            # The next life begins with what a killed process leaves; nothing of it may be durable yet.
            if not self.starting:
                self.promised, self.history = self.required(), self.possible()

    def killer(self) -> Callable[[str, Path, int], int]:
        """In half of the lives: ends it after some operations on the disk, or after some that concern names."""
        if self.source.random() < 0.5:
            return immortal
        names_only = self.source.random() < 0.5
        left = self.source.randrange(1, NAME_OPERATIONS_IN_A_LIFE if names_only else OPERATIONS_IN_A_LIFE)
        dead = False

        def live_or_die(operation: str, path: Path, size: int) -> int:
            nonlocal left, dead
            if not names_only or operation not in ("write", "sync", "read", "open"):
                left -= 1
            dead = dead or left == 0
            if dead:
                raise ProcessKilled
            return size

        return live_or_die

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

    def possible(self) -> list[bytes]:
        """The data sets that the server has had; also what the command that runs right now (FLUSHALL, which saves) made."""
        server = self.server
        assert server is not None
        return self.history if self.starting else [*server.history, server.fingerprint()]

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
        if operation == "rename" and path.name.endswith(".superseded"):
            self.keep(server.disk, path)
        states = list(crash_states(server.disk, self.crash_source, self.mixtures, holes=self.verified))
        history = self.possible()
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
        contents = set(contents_of(tree)) if self.kept else set()
        for name, content in self.kept.items():
            if content not in contents:
                self.lose(point, f"{name}, which was to be kept, is gone")
        nested = self.crash_source.random() < self.nested
        disk = MemoryDisk(tree)
        if nested:
            if self.mutation is not None:
                self.mutation.fresh().apply_to(disk)
            disk.observer = self.crash_recovery(disk, required, history, point)
        self.check(disk, required, history, point)

    def keep(self, disk: MemoryDisk, path: Path) -> None:
        """A log that holds less than the data set was put aside: it must not be lost. What it had not synced may be."""
        inode = disk.inode(path)
        self.kept.pop(path.name, None)
        if not inode.pending:
            self.kept[path.name] = bytes(inode.content)

    def crash_recovery(
        self, disk: MemoryDisk, required: int, history: list[bytes], point: str
    ) -> Callable[[str, Path], None]:
        """Crash the recovery itself, at each of its operations."""

        def observe(operation: str, path: Path) -> None:
            states = list(crash_states(disk, self.crash_source, 2, holes=self.verified))
            self.crash_source.shuffle(states)
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
            recovered = recover(disk, self.directives, clock)
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
        required = self.promised if self.starting else self.required_after_kill()
        self.result.states["process killed"] += 1
        self.check(MemoryDisk(disk.tree()), required, self.possible(), "process killed")

    def lose(self, point: str, problem: str) -> None:
        self.result.losses.append(Loss(describe(self.setting), self.seed, point, problem))


def contents_of(tree: Tree) -> Iterator[bytes]:
    """The contents of all files."""
    for node in tree.values():
        if isinstance(node, dict):
            yield from contents_of(node)
        else:
            yield node


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


def workloads(seed: int, settings: list[dict[str, str]] = SETTINGS) -> Iterator[Workload]:
    """Without an end: each setting in turn, then each with the next seed."""
    for number in itertools.count(seed):
        for setting in settings:
            yield setting, number


def explore(
    states: int,
    tried: Iterable[Workload],
    *,
    mutation: Mutation | None = None,
    mixtures: int = 6,
    nested: float = 0.02,
    steps: int = STEPS,
    lives: int = LIVES,
    progress: Callable[[Result], None] | None = None,
) -> Result:
    """Try at least so many distinct crash states of the workloads; stops at the first loss.

    Args:
        mutation: An fsync to leave out or to put off, to see that its absence is noticed.
        mixtures: Random crash states at each point, beside the systematic ones.
        nested: Share of the states whose recovery is crashed, too.
        steps, lives: Length of a workload, and how often the server is killed and started in it.
    """
    result = Result()
    for setting, seed in tried:
        Exploration(setting, seed, result, mixtures=mixtures, nested=nested).run(steps, lives, mutation)
        if result.losses or result.total >= states:
            break
        if progress is not None:
            progress(result)
    return result


def explore_mutation(states: int, tried: Iterable[Workload], mutation: Mutation) -> Result:
    """As `explore`, so many states under each setting: what an fsync is for may show under one alone."""
    result = Result()
    by_setting = sorted(tried, key=lambda workload: describe(workload[0]))
    for _, group in itertools.groupby(by_setting, key=lambda workload: describe(workload[0])):
        found = explore(states, group, mutation=mutation, nested=0.1)
        result.states += found.states
        result.losses += found.losses
        if found.losses:
            break
    return result


def fsyncs(tried: Iterable[Workload]) -> dict[str, list[Workload]]:
    """The call sites of fsyncs, and the workloads that come by them."""
    found: dict[str, list[Workload]] = {}
    for setting, seed in tried:
        every = Mutation()
        Exploration(setting, seed, Result(), mixtures=0, nested=0).run(STEPS, LIVES, every, crashing=False)
        for site in every.seen:
            found.setdefault(site, []).append((setting, seed))
    return found
