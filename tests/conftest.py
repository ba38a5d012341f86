"""Fixtures: servers of both kinds in directories of their own, and the corpus of real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import ControlledServer, RedisServer, RotomServer

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
IN_CI = os.environ.get("CI") == "true"


def missing(what: str) -> None:
    """What a test needs is not here: a failure in CI, where all of it is installed, a visible skip elsewhere."""
    if IN_CI:
        pytest.fail(f"{what} is missing, CI must install it")
    pytest.skip(f"{what} is not installed here")


@pytest.fixture(scope="session")
def corpus() -> Path:
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    return CORPUS


@pytest.fixture(scope="session")
def redis_tools() -> None:
    for name in ("redis-server", "redis-cli", "redis-check-rdb", "redis-check-aof", "redis-benchmark"):
        if shutil.which(name) is None:
            missing(name)


@pytest.fixture
def rotom(tmp_path: Path) -> Iterator[Callable[..., RotomServer]]:
    """Start rotomdb servers; each gets a directory below tmp_path unless one is given."""
    started: list[RotomServer] = []

    def start(*arguments: str, directory: Path | None = None) -> RotomServer:
        server = RotomServer(directory or tmp_path / f"rotom{len(started)}", *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Callable[..., ControlledServer]]:
    """Start rotomdb servers whose disks misbehave when told to."""
    started: list[ControlledServer] = []

    def start(*arguments: str) -> ControlledServer:
        server = ControlledServer(tmp_path / f"controlled{len(started)}", *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def redis_server(tmp_path: Path, redis_tools: None) -> Iterator[Callable[..., RedisServer]]:
    """Start real redis-servers."""
    started: list[RedisServer] = []

    def start(*arguments: str, directory: Path | None = None) -> RedisServer:
        server = RedisServer(directory or tmp_path / f"redis{len(started)}", *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()
