"""Memory does not grow with the file: each command and form reads far more than it may hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

import rotomdb.aof
import rotomdb.rdb
from rotomdb.formats.rdb.encoder import encode_length
from tests.tools.running import ROOT, run

VALUES, VALUE_BYTES = 1600, 1 << 16
ALLOWED_MB = 80  # and the files have more than 100
MEASURE = (
    "import resource,subprocess,sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
    "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("memory")
    with rotomdb.rdb.create(place / "in.rdb") as snapshot, rotomdb.aof.create(place / "in.aof") as log:
        for number in range(VALUES):
            value = b64encode(os.urandom(VALUE_BYTES * 3 // 4))
            name = b"%08d" % number
            # As it is: to look for repetitions in it takes seconds.
            snapshot._writer.copy(b"\x00\x08" + name + encode_length(VALUE_BYTES) + value)
            snapshot._writer.sink.flush()
            log.command("SET", name, value)
    for torn in ("torn", "cut"):
        shutil.copy(place / "in.aof", place / f"{torn}.aof")
        os.truncate(place / f"{torn}.aof", (place / "in.aof").stat().st_size - 3)
    for form in ("ndjson", "csv", "python"):
        assert run("dump", "-f", form, place / "in.rdb", "-o", place / f"rows.{form}").returncode == 0
    return place


@pytest.mark.parametrize(
    "words",
    [
        "rdb dump -f json in.rdb",
        "rdb dump -f csv in.rdb",
        "rdb dump -f python in.rdb",
        "rdb dump -f table in.rdb",
        "rdb info rows.ndjson",
        "rdb info rows.csv",
        "rdb info rows.python",
        "aof_check in.aof",
        "aof check in.aof",
        "aof stat in.aof",
        "aof fix torn.aof",
        "aof_check --fix --yes cut.aof",
        "aof salvage in.aof -o salvaged",
        "aof restore in.aof -o restored",
        "aof undo in.aof --last SET -o undone",
    ],
)
def test_a_command_holds_less_than_its_file_has(place: Path, words: str) -> None:
    tool, *rest = words.split()
    command = [sys.executable, "-m", f"rotomdb.tools.{tool}", *rest]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    status, kilobytes = done.stdout.split()
    assert status == "0"
    assert done.stderr == "" or (done.stderr.startswith("A copy of the file") and done.stderr.count("\n") == 1)
    assert int(kilobytes) >> 10 < ALLOWED_MB


def test_a_table_is_shown_as_it_is_read(place: Path) -> None:
    """On a terminal: the first rows are there while the others are still to be made."""
    command = f"{sys.executable} -m rotomdb.tools.rdb dump -f table {place / 'in.rdb'}"
    with subprocess.Popen(["script", "-qefc", command, "/dev/null"], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        shown = b""
        while b"00000000" not in shown:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            assert piece, shown
            shown += piece
        assert b"00001599" not in shown
        process.stdout.close()
        process.terminate()
