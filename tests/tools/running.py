"""Running the tools as their users do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
ALL_KINDS = DATA / "rdb-redis-7.0.15-allkinds.rdb"
STRINGS = DATA / "rdb-redis-7.0.15-strings.rdb"


def run(*words: str | Path, tool: str = "rdb", stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """`rotomdb-rdb` (or `-aof`) with these words; never with a traceback."""
    done = run_raw(*words, tool=tool, stdin=stdin)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")
    )


def run_raw(*words: str | Path, tool: str = "rdb", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", f"rotomdb.tools.{tool}", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, cwd=ROOT)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def aof(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    return run(*words, tool="aof", stdin=stdin)
