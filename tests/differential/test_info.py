"""INFO, MEMORY STATS and the latency figures have the fields of Redis 7.0, in its order and in its form."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.processes import RedisServer, RotomServer, ServerProcess

Both = tuple[RotomServer, RedisServer]
# What describes the build of a C program.
BUILD = {"atomicvar_api", "gcc_version"}


@pytest.fixture
def both(rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]) -> Both:
    return rotom("--appendonly", "yes"), redis_server("--appendonly", "yes")


def fields(server: ServerProcess, section: str) -> list[str]:
    with server.client() as client:
        client.response_callbacks.clear()
        text = client.execute_command("INFO", section).decode()
    return [line.partition(":")[0] for line in text.splitlines() if ":" in line]


@pytest.mark.parametrize(
    "section", ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "cluster", "errorstats"]
)
def test_each_section_of_info_has_redis_s_fields_in_redis_s_order(both: Both, section: str) -> None:
    ours, theirs = fields(both[0], section), [name for name in fields(both[1], section) if name not in BUILD]
    assert [name for name in ours if name in theirs] == theirs


def test_memory_stats_has_redis_s_fields_in_redis_s_order(both: Both) -> None:
    def names(server: ServerProcess) -> list[object]:
        with server.client() as client:
            client.set("key", "value", ex=1000)
            report = client.memory_stats()
        return [(name, list(value)) if isinstance(value, dict) else name for name, value in report.items()]

    assert names(both[0]) == names(both[1])


def test_statistics_of_latency_are_kept_by_subcommand_and_in_redis_s_steps(both: Both) -> None:
    for server in both:
        with server.client() as client:
            client.config_resetstat()
            client.config_get("port")
            client.config_set("hz", 10)
            histogram = client.execute_command("LATENCY", "HISTOGRAM", "config")
            assert set(histogram) == {b"config|resetstat", b"config|get", b"config|set"}
            percentiles = client.info("latencystats")["latency_percentiles_usec_config|get"]
            assert list(percentiles) == ["p50", "p99", "p99.9"]


def test_a_subcommand_that_does_not_exist_leaves_no_statistics(both: Both) -> None:
    for server in both:
        with server.client() as client:
            with pytest.raises(Exception, match="unknown subcommand"):
                client.execute_command("CONFIG", "NONSENSE")
            assert "cmdstat_config" not in client.info("commandstats")
