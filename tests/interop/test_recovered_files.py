"""What a recovery from a power loss leaves on the disk is a log that a real redis-server loads, with the same content."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.testing.crash_states import crash_states
from rotomdb.testing.memory_disk import MemoryDisk, Tree
from rotomdb.testing.simulation import Clock, SimulatedServer, recover, workload
from tests.processes import RedisServer

CRASHES = 6


def torn_disks(setting: dict[str, str], seed: int) -> list[Tree]:
    """A few states that crashes of one workload leave."""
    source = random.Random(seed)
    disk = MemoryDisk()
    found: list[Tree] = []
    server = SimulatedServer(disk, setting)
    server.start()

    def observe(operation: str, path: Path) -> None:
        if source.random() < 0.2:
            states = list(crash_states(disk, source, 4, holes=setting.get("aof-layout") != "single"))
            found.append(source.choice(states))

    disk.observer = observe
    workload(server, source, 40, {})
    server.vanish()
    return source.sample(found, min(CRASHES, len(found)))


def write_tree(tree: Tree, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name, content in tree.items():
        if isinstance(content, dict):
            write_tree(content, directory / name)
        else:
            (directory / name).write_bytes(content)


@pytest.mark.parametrize("layout", ["multi", "single"])
@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_redis_loads_what_a_recovery_leaves(
    redis_server: Callable[..., RedisServer], tmp_path: Path, policy: str, layout: str
) -> None:
    setting = {"appendfsync": policy, "aof-layout": layout}
    trees = torn_disks(setting, 5)
    assert len(trees) == CRASHES
    for number, tree in enumerate(trees):
        disk = MemoryDisk(tree)
        recovered = recover(disk, setting, Clock())
        recovered.run("SET", "written after the recovery", number)
        recovered.turn(10, sync_ends=True)
        digest = recovered.fingerprint()
        recovered.stop()
        data = disk.tree()["data"]
        assert isinstance(data, dict)
        write_tree(data, tmp_path / str(number))
        peer = redis_server("--appendonly", "yes", "--save", "", directory=tmp_path / str(number))
        assert peer.digest() == digest
        peer.kill()
