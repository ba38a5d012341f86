"""The commands of docs/replication.md run as they are printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.processes import ROOT, RotomServer, free_port


class PageServer(RotomServer):
    """Started by a line of the page."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "rotomdb", *self.arguments]


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, redis_tools: None) -> None:
    page = (ROOT / "docs" / "replication.md").read_text()
    ports = {"6379": str(free_port()), "6380": str(free_port())}
    serve, ask = (
        re.sub("6379|6380", lambda found: ports[found[0]], block)
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    )
    servers = []
    try:
        for name, line in zip(("first", "second"), serve.strip().splitlines(), strict=True):
            (tmp_path / name).mkdir()
            server = PageServer(tmp_path, *shlex.split(line)[1:])
            server.port = int(line.split("--port ")[1].split()[0])
            servers.append(server)
            server.start()
        first, second = servers
        second.wait_for("master_link_status", "up", "replication")
        answers = [
            subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout.strip()
            for line in ask.strip().splitlines()
        ]
        assert answers == ["OK", "1", "hello", "OK", "OK"]
        first.wait_for("master_link_status", "up", "replication")
        with second.client() as client:
            while client.info("stats")["sync_partial_ok"] == 0:
                time.sleep(0.01)
            assert client.info("stats")["sync_full"] == 0
    finally:
        for server in servers:
            server.kill()
