"""Simulated power loss: what was promised is there whatever the disk kept, and a missing fsync would be noticed.

ROTOMDB_CRASH_STATES sets the number of states for a recorded run (100,000 and more).
"""

from __future__ import annotations

import itertools
import os

import pytest

from rotomdb.testing.exploration import SETTINGS, Workload, describe, explore, explore_mutation, fsyncs, workloads
from rotomdb.testing.faults import FAULT_SETTINGS, inject_faults
from rotomdb.testing.mutations import Kind, Mutation
from rotomdb.testing.tool_outputs import TOOLS, crash_tools

STATES = int(os.environ.get("ROTOMDB_CRASH_STATES", "1200"))
# Sites that a short search notices; `python -m rotomdb.testing mutations` goes through all of them.
NOTICED_SOON = [
    "aof.begin_waiting", "aof.keep_superseded", "aof.name_as_log", "aof.open_increment", "aof.rotate",
    "disk.make_directory", "disk.make_directory < aof.open", "disk.make_directory < aof.open_waiting",
    "disk.put_in_place < disk.replace_atomically < manifest_file.save_manifest", "disk.put_in_place < rdb.save_snapshot",
    "disk.replace_atomically < manifest_file.save_manifest", "rdb.save_snapshot", "rewrite.finish_multi_part", "rewrite.finish_single",
    "rewrite.write_commands", "sync_thread.run", "the fsync thread",
]  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS, ids=describe)
def test_a_power_loss_takes_nothing_that_was_promised(setting: dict[str, str]) -> None:
    result = explore(STATES, workloads(1, [setting]))
    assert not result.losses, "\n".join(map(str, result.losses))
    assert result.total >= STATES
    assert result.recovered > 0.9 * result.total


@pytest.fixture(scope="module")
def sites() -> dict[str, list[Workload]]:
    return fsyncs(itertools.islice(workloads(1), 300))


@pytest.mark.parametrize("site", NOTICED_SOON)
def test_the_search_notices_an_fsync_that_is_left_out(site: str, sites: dict[str, list[Workload]]) -> None:
    result = explore_mutation(4_000, sites[site], Mutation(site, Kind.LEFT_OUT))
    assert result.losses, f"{result.total} states, and nothing noticed"


@pytest.mark.parametrize("setting", FAULT_SETTINGS, ids=describe)
def test_a_failing_disk_call_loses_nothing_and_is_survived(setting: dict[str, str]) -> None:
    result = inject_faults(1, [setting], every=17)
    assert result.total > 30
    assert not result.problems, "\n".join(result.problems[:3])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_power_loss_leaves_no_half_made_directory_of_a_tool(tool: str) -> None:
    result = crash_tools(range(1, 2), tools={tool: TOOLS[tool]})
    assert not result.losses, "\n".join(map(str, result.losses))
    assert result.states[f"{tool}: the end"] > 0
    assert result.total > 20


@pytest.mark.parametrize(
    "site",
    [
        "disk.put_in_place < disk.directory_beside", "disk.replace_atomically < manifest_file.save_manifest", "disk.write_new < disk.copy",
        "output.settle",
    ],
)  # fmt: skip
def test_the_search_notices_an_fsync_of_the_tools_that_is_left_out(site: str) -> None:
    result = crash_tools(range(1, 3), mutation=Mutation(site, Kind.LEFT_OUT))
    assert result.losses, f"{result.total} states, and nothing noticed"
