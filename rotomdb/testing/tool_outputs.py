"""Power lost while a tool makes a data directory: it is there whole under its name, or not under its name at all.

The tools read a log that a simulated server has left, and write on the disk in memory; after each of their operations the power
goes. What has the name that was asked for must load as what the tool was to make; once the tool has ended it must be there.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

from rotomdb.errors import RotomError
from rotomdb.storage.log_location import Source, find_log
from rotomdb.storage.point_in_time import walk, whole, write_restored
from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.exploration import Loss, Result, describe, fingerprint
from rotomdb.testing.memory_disk import MemoryDisk, Tree
from rotomdb.testing.mutations import Mutation
from rotomdb.testing.simulation import DATA, Clock, SimulatedServer, recover, workload
from rotomdb.tools.aof_salvage import write_healed
from rotomdb.tools.aof_undo import write_without

OUTPUT = Path("/made")
STEPS = 12
MIXTURES = 4
LAYOUTS: list[dict[str, str]] = [{"aof-layout": layout, "appendfsync": "always"} for layout in ("multi", "single")]
Make = Callable[[MemoryDisk, Source], None]


def restore(disk: MemoryDisk, source: Source) -> None:
    write_restored(disk, source, whole(disk, source), OUTPUT)


def salvage(disk: MemoryDisk, source: Source) -> None:
    write_healed(disk, source, OUTPUT)


def undo(disk: MemoryDisk, source: Source) -> None:
    number, item = [(number, item) for number, item in walk(disk, source) if item.words[:1] == [b"SET"]][-1]
    write_without(disk, source, number, item, OUTPUT)


TOOLS: dict[str, Make] = {"restore": restore, "salvage": salvage, "undo": undo}


def left_by_a_server(setting: dict[str, str], seed: int) -> Tree:
    """A directory of data whose log can be read, all of it on disk."""
    disk = MemoryDisk()
    server = SimulatedServer(disk, setting)
    server.start()
    server.run("SET", "first", "1")  # there is a command to undo
    workload(server, random.Random(seed), STEPS, {})
    server.run("SELECT", "0")
    server.run("SET", "last", "1")
    with contextlib.suppress(RotomError):
        server.stop()
    server.vanish()
    return disk.tree()


def made_by(make: Make, tree: Tree, setting: dict[str, str]) -> bytes:
    """The data that the tool's directory has to hold."""
    disk = MemoryDisk(tree)
    make(disk, find_log(disk, DATA))
    return held(disk.tree(), setting)


def held(tree: Tree, setting: dict[str, str]) -> bytes:
    """What a server loads from the directory that a tool made. Raises RotomError where it refuses."""
    server = recover(MemoryDisk({DATA.name: tree[OUTPUT.name]}), setting, Clock())
    server.vanish()
    return server.history[0]


def crash_tools(
    seeds: range, *, mutation: Mutation | None = None, tools: dict[str, Make] = TOOLS, result: Result | None = None
) -> Result:
    """Crash each tool after each of its operations, over the logs of random workloads. Ends with the first loss."""
    result = result or Result()
    for seed in seeds:
        for setting in LAYOUTS:
            tree = left_by_a_server(setting, seed)
            for name, make in tools.items():
                crash_one(name, make, tree, setting, seed, mutation, result)
                if result.losses:
                    return result
    return result


def crash_one(
    name: str, make: Make, tree: Tree, setting: dict[str, str], seed: int, mutation: Mutation | None, result: Result
) -> None:
    expected = made_by(make, tree, setting)
    disk = MemoryDisk(tree)
    if mutation is not None:
        mutation.fresh().apply_to(disk)
    source = random.Random(seed)
    tried: set[bytes] = set()

    def lose(point: str, problem: str) -> None:
        result.losses.append(Loss(describe(setting), seed, point, problem))

    def power_goes(point: str, *, required: bool) -> None:
        for state in crash_states(disk, source, MIXTURES):
            key = fingerprint(state) + bytes([required])
            if key in tried or result.losses:
                continue
            tried.add(key)
            result.states[point] += 1
            if OUTPUT.name not in state:
                if required:
                    lose(point, "the directory that was made is gone")
                continue
            try:
                same = held(state, setting) == expected
            except RotomError as error:
                lose(point, f"what has the name of the output is refused: {error}")
                continue
            result.recovered += 1
            if not same:
                lose(point, "what has the name of the output holds something else")

    disk.observer = lambda operation, path: power_goes(f"{name}: {operation}", required=False)
    make(disk, find_log(disk, DATA))
    disk.observer = lambda operation, path: None
    power_goes(f"{name}: the end", required=True)
