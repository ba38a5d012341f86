"""Fixtures: servers of both kinds in directories of their own, and the corpus of real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import ControlledServer, RedisServer, RotomServer, ServerProcess

# What the clock on the wall says of a busy machine is no property of the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

INTERNAL_ERROR = "internal error"  # what a server logs of an exception that it did not foresee
IN_CI = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


def missing(what: str) -> None:
    """What a test needs is not here: a failure in CI, where all of it is installed, a visible skip elsewhere."""
    if IN_CI:
        pytest.fail(f"{what} is missing, CI must install it")
    pytest.skip(f"{what} is not installed here")


@pytest.fixture(scope="session")
def redis_tools() -> None:
    for name in ("redis-server", "redis-cli", "redis-check-rdb", "redis-check-aof", "redis-benchmark"):
        if shutil.which(name) is None:
            missing(name)


Server = TypeVar("Server", bound=ServerProcess)


def started_by(make: Callable[..., Server], place: Path, name: str) -> Iterator[Callable[..., Server]]:
    """A function that starts servers; each gets a directory below `place` unless one is given."""
    started: list[Server] = []

    def start(*arguments: str, directory: Path | None = None) -> Server:
        server = make(directory or place / f"{name}{len(started)}", *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        crashed = server.crashed()
        server.kill()
        log = server.log()
        assert not crashed, f"a server crashed:\n{log}"
        assert server.internal_errors_expected or INTERNAL_ERROR not in log, f"an error that is a bug:\n{log}"


@pytest.fixture
def rotom(tmp_path: Path) -> Iterator[Callable[..., RotomServer]]:
    """Start rotomdb servers."""
    yield from started_by(RotomServer, tmp_path, "rotom")


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Callable[..., ControlledServer]]:
    """Start rotomdb servers whose disks misbehave when told to."""
    yield from started_by(ControlledServer, tmp_path, "controlled")


@pytest.fixture
def redis_server(tmp_path: Path, redis_tools: None) -> Iterator[Callable[..., RedisServer]]:
    """Start real redis-servers."""
    yield from started_by(RedisServer, tmp_path, "redis")
