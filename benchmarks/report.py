"""Plain aligned tables."""

from __future__ import annotations

import platform
import subprocess
import sys

from rotomdb import __version__


def title(text: str) -> None:
    print(f"\n## {text}", flush=True)


def row(*cells: str) -> None:
    print("  ".join(cell.rjust(14) if i else cell.ljust(34) for i, cell in enumerate(cells)), flush=True)


def machine() -> None:
    """Machine and versions, so that a table can be read later."""
    redis_version = subprocess.run(
        ["redis-server", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")  # noqa: SIM115, PTH123
    print(f"rotomdb {__version__}, redis {redis_version}, python {sys.version.split()[0]}, {cpu}, {platform.release()}")
