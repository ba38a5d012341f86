"""What the tests of replication do with their servers."""

from __future__ import annotations

import time

import redis

from tests.processes import ServerProcess

WAIT_S = 20


def replication(server: ServerProcess) -> dict[str, object]:
    with server.client() as client:
        return client.info("replication")  # type: ignore[no-any-return]


def wait_until_linked(*replicas: ServerProcess) -> None:
    for replica in replicas:
        replica.wait_for("master_link_status", "up", "replication", WAIT_S)


def wait_in_step(master: ServerProcess, *replicas: ServerProcess) -> None:
    """Until every replica has all that the master has, pings included."""
    end = time.monotonic() + WAIT_S
    for replica in replicas:
        while replication(replica)["master_repl_offset"] != replication(master)["master_repl_offset"]:
            assert time.monotonic() < end, f"{replication(replica)}\n{replication(master)}\n{replica.log()}"
            time.sleep(0.01)


def follow(replica: ServerProcess, master: ServerProcess) -> None:
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
    wait_until_linked(replica)


def promote(replica: ServerProcess) -> None:
    with replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")


def syncs(master: ServerProcess) -> tuple[int, int]:
    """How many copies the master has sent, and how many replicas went on from where they were."""
    with master.client() as client:
        stats = client.info("stats")
        return stats["sync_full"], stats["sync_partial_ok"]


def cut_links(master: ServerProcess) -> None:
    with master.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")


def refused(client: redis.Redis, *words: str) -> str:
    """The error that a command is answered with."""
    try:
        client.execute_command(*words)
    except redis.ResponseError as error:
        return str(error)
    raise AssertionError(f"{words} was not refused")
