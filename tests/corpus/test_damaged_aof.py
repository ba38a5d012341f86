"""Damaged append-only files: rotomdb-aof-check says what redis-check-aof says, and the same files load or are refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.files import DAMAGED, damaged
from tests.tools.running import run_forked

CASES = damaged("aof")
CHECKED = [case for case in CASES if "check_aof" in case]


def run(directory: Path, target: str, *options: str, answer: str = "") -> tuple[int, list[str]]:
    status, output, errors = run_forked("aof_check", [*options, target], directory=directory, stdin=answer.encode())
    assert b"Traceback" not in errors, errors.decode()
    return status, output.decode().splitlines()


def prepare(case: dict[str, Any], tmp_path: Path) -> tuple[Path, str]:
    """A writable copy of the case, and what to check in it."""
    source = DAMAGED / case["path"]
    copy = tmp_path / "case"
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        copy.mkdir()
        shutil.copy(source, copy)
    manifests = [path for path in copy.rglob("*.manifest") if not path.name.startswith("temp-")]
    if manifests:
        return copy, str(manifests[0].relative_to(copy))
    if (copy / "appendonlydir").is_dir():
        return copy, "appendonlydir/appendonly.aof.manifest"
    return copy, next(path.name for path in copy.glob("*.aof"))


def without_stale_byte(line: str) -> str:
    """Behind the end of a line that is cut, redis-check-aof shows a byte of uninitialised memory."""
    return re.sub(r"(Expected \\r\\n, got: 00)..$", r"\1", line)


# Commands that can be read and that no server takes: redis-check-aof does not look at them, and calls valid what every server refuses.
REFUSED_COMMANDS = {
    "m70--last-incr-flip-name",
    "m70--last-incr-flip-0",
    "m70--last-incr-unknown-command",
    "m70--last-incr-wrong-arity",
    "m70--last-incr-multi-bad-cmd",
    "s62--single-flip-name",
    "s62--single-unknown-command",
    "s62--single-wrong-arity",
    "s62--single-multi-bad-cmd",
}
# Counts that redis-check-aof reads with atoi and does not look at again, and an annotation that a crash has cut: the server refuses the
# first, and cuts the other.
REFUSED_COUNTS = {
    f"{name}-{what}"
    for name in ("m70--last-incr", "s62--single")
    for what in ("argc-0", "argc-neg", "argc-space", "argc-leading-zero", "ts-cut")
}
# Where a manifest does not name all of the log that lies there, or names nothing, the check is stricter than redis-check-aof:
# the server refuses such a directory, since writes would be left out, and the tool says the same.
STRICTER = (
    REFUSED_COMMANDS
    | REFUSED_COUNTS
    | {
        "m70--manifest-empty",
        "m70--manifest-newline",
        "m70--manifest-no-incr",
        "m70--file-extra",
    }
)
# Only with --fix: as above, once the files that the manifest names are sound.
STRICTER_FIX = STRICTER | {"b70--base-only-cut"}
# The server reads this manifest; redis-check-aof takes it for a log, and --fix would cut it to nothing.
SOUND_TO_THE_SERVER = "m70--manifest-upper-case"


@pytest.mark.slow
@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case["case"])
def test_check_gives_the_verdict_and_the_analysis_of_redis_check_aof(case: dict[str, Any], tmp_path: Path) -> None:
    directory, target = prepare(case, tmp_path)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    status, lines = run(directory, target)
    for reference in case["check_aof"].values():
        if case["case"] in STRICTER or case["case"] == SOUND_TO_THE_SERVER:
            assert status == int(case["case"] in STRICTER), lines
            continue
        assert status == reference["exit"], lines
        if "analysis" in reference:
            assert reference["analysis"] in lines
        if reference.get("error", "").startswith("0x"):
            assert without_stale_byte(reference["error"]) in map(without_stale_byte, lines)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CHECKED if "check_aof_fix" in case], ids=lambda case: case["case"])
def test_fix_cuts_where_redis_check_aof_cuts_and_keeps_a_copy(case: dict[str, Any], tmp_path: Path) -> None:
    for reference in case["check_aof_fix"].values():
        directory, target = prepare(case, tmp_path)
        before = {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
        status, lines = run(directory, target, "--fix", answer="y\n")
        if case["case"] in STRICTER_FIX or case["case"] == SOUND_TO_THE_SERVER:
            assert status == int(case["case"] in STRICTER_FIX), lines
            for name, content in before.items():
                path = next(directory.rglob(name))
                assert path.read_bytes() == content or path.with_name(f"{name}.before-fix").read_bytes() == content
            shutil.rmtree(tmp_path / "case")
            continue
        assert status == reference["exit"], lines
        for name, size in reference.get("sizes_after", {}).items():
            path = next(directory.rglob(Path(name).name))
            assert path.stat().st_size == size
            if size != len(before[path.name]):
                assert path.with_name(f"{path.name}.before-fix").read_bytes() == before[path.name]
        shutil.rmtree(tmp_path / "case")
