"""The directives of the default configuration files of Redis 6.0 to 8.6 and Valkey 8.0 to 9.1 start the server.

The data file has each version's active lines, and the names that its CONFIG GET knows; comments are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.server.config import ALIASES, DIRECTIVES, Config
from rotomdb.server.config_file import load_text
from tests.processes import RotomServer

FACTS = json.loads((Path(__file__).parents[1] / "data" / "configurations.json").read_text())
FILES: dict[str, list[str]] = FACTS["default files"]
EDITS = (
    "bind 0.0.0.0 -::1\nrequirepass foobared\nsave 900 1 300 10\nappendonly yes\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n"
    'unixsocketperm 700\nappendfsync always\nio-threads 4\nrename-command CONFIG ""\nclient-output-buffer-limit normal 0 0 0\n'
    "lazyfree-lazy-user-del yes\ntcp-keepalive 60\nnotify-keyspace-events Ex\nloglevel warning\nmaxclients 20000\n"
)
NEEDS_ITS_MACHINE = ("daemonize", "dir", "logfile", "pidfile", "include", "port")


def file_of(version: str) -> str:
    return "\n".join(FILES[version]) + "\n"


@pytest.mark.parametrize("version", FILES)
def test_a_default_file_is_read_whole_also_with_the_usual_edits(version: str) -> None:
    config = Config()
    load_text(config, (file_of(version) + EDITS).encode(), "redis.conf")
    assert len(FILES[version]) > 60
    assert (config["requirepass"], config["maxmemory"], config["save"][-2:]) == (
        "foobared",
        256 << 20,
        ((900, 1), (300, 10)),
    )
    real = ("io-threads", "repl", "replica", "lazyfree")
    assert all(line.startswith(tuple(f"'{word}" for word in real)) for line in config.warnings), config.warnings


@pytest.mark.parametrize("version", FACTS["directives"])
def test_every_directive_that_a_version_shows_is_known(version: str) -> None:
    names = set(FACTS["directives"][version])
    assert len(names) > 200
    assert names <= DIRECTIVES.keys() | ALIASES.keys()


def test_the_server_starts_with_a_default_file_of_each_family(
    rotom: Callable[..., RotomServer], tmp_path: Path
) -> None:
    for number, version in enumerate(
        ("Redis 6.2", "Redis 7.0.15 (Debian)", "Redis 8.6.3 (Debian)", "Valkey 9.1.2 (Debian)")
    ):
        kept = [line for line in FILES[version] if line.split()[0] not in NEEDS_ITS_MACHINE]
        path = tmp_path / f"{number}.conf"
        path.write_text("\n".join(kept) + "\n")
        server = RotomServer(tmp_path / f"server{number}", "--save", "")
        server.command = (
            lambda server=server, path=path: [  # type: ignore[method-assign]
                *RotomServer.command(server)[:3],
                str(path),
                *RotomServer.command(server)[3:],
            ]
        )
        server.start()
        try:
            with server.client() as client:
                assert client.set("a", "1")
                assert client.info("server")["config_file"] == str(path)
        finally:
            server.kill()
        assert not re.search(r"Traceback|internal error", server.log())
