"""One judgement about a file: server, tools and library say the same of the same bytes, and what one advises works in the next.

A row of the table is what all of them make of one input (verdicts.py). Where they may differ the rules below say why; no other
difference is let through. Inputs: every damaged file of the corpus, the damages that `test_ways_on` and `test_manifests` know, and
logs and snapshots that are damaged here.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotomdb.formats.checksum import crc64
from rotomdb.storage.propagation import encode_command
from rotomdb.testing.bit_flips import flip, written_log
from tests.corpus.files import DAMAGED, damaged
from tests.corpus.verdicts import REFUSED, SOUND, TORN, Row, log_row, snapshot_row
from tests.server.test_ways_on import INCREMENTS, SNAPSHOTS, make_log
from tests.server.test_ways_on import SOUND as SOUND_SNAPSHOT
from tests.tools.test_manifests import DAMAGES as MANIFESTS
from tests.tools.test_manifests import MANIFEST, data_directory

pytestmark = pytest.mark.slow

# What a reader that only reads does not look for, or has no business with: words of the server's refusal.
MODULES = ("module value", "matching module")
READ_ALL_THE_SAME = {
    "rdb info": ("duplicate", "out of range", "Failed loading library", "Pre-release", "module"),
    "library": ("duplicate key", "out of range", "Failed loading library", "Pre-release", "module"),
    # A file of another server, with what no server of this kind can hold, is a sound file.
    "rdb check": MODULES,
    "rdb salvage": MODULES,
}
WRAPPED = ("gzip-compressed", "zstd-compressed", "captured transfer")  # the tools unwrap it
# Commands that can be read, and that no server takes: who reads commands does not know which there are, nor what the base holds.
ONLY_READ = ("aof stat", "library")
TAKEN_AS_IT_IS = "A server takes all of AOF"
NOT_MENDED = "does not mend"


def differences(row: Row) -> Iterator[str]:
    """What of a snapshot's row is not explained."""
    server, said = row.verdicts["server"], row.words["server"]
    for reader in ("rdb check", "rdb salvage", "rdb info", "library"):
        verdict = row.verdicts[reader]
        if verdict == server or any(words in said for words in READ_ALL_THE_SAME.get(reader, ())):
            continue
        if server == REFUSED and any(words in said for words in WRAPPED):
            continue
        yield f"{reader} says {verdict}, the server {server}"
    advice = row.verdicts.get("advice", "none")
    if advice == "fails" or (advice == "none" and server == REFUSED and "put a copy of" not in said):
        yield f"advice: {advice}"


def differences_of_log(row: Row) -> Iterator[str]:
    """What of a log's row is not explained."""
    verdicts, said = row.verdicts, row.words["server"]
    server = verdicts["server"]
    found = SOUND if server == SOUND else REFUSED
    expected = {
        "server, strict": found, "aof check": server, "aof salvage": found, "aof-check": found,
        "aof stat": SOUND if server == TORN else server, "library": SOUND if server == TORN else server,
    }  # fmt: skip
    if server == SOUND and TAKEN_AS_IT_IS in row.words["aof-check"]:
        del expected["aof-check"]  # redis-check-aof wants line ends that no server looks at
    in_base = server == REFUSED and ".base.rdb: offset" in said
    if in_base or "a server refuses it" in row.words["aof check --deep"]:
        for reader in ONLY_READ:
            expected.pop(reader)
    if "salvage --deep" in said:  # what only executing it shows
        expected |= {"aof check --deep": REFUSED}
        for reader in ("aof check", "aof salvage", "aof-check"):
            expected.pop(reader)
    if any(words in said for words in MODULES):
        for reader in ("aof check", "aof-check"):
            expected.pop(reader)
    for reader, verdict in expected.items():
        if verdicts[reader] != verdict:
            yield f"{reader} says {verdicts[reader]}, the server {server}"
    for advice in ("advice", "advice, strict"):
        if verdicts.get(advice, "works") != "works":
            yield f"{advice}: {verdicts[advice]}"
    if server != REFUSED and verdicts["quarantine"] != server:
        yield f"quarantine says {verdicts['quarantine']}, the server {server}"
    advised = "--aof-load-corrupt quarantine" in said and "a server refuses it" not in row.words["aof check"]
    if advised and verdicts["quarantine"] == REFUSED:
        yield "quarantine is advised and refuses"
    if verdicts.get("salvaged", SOUND) != SOUND and "salvage --deep" not in said:
        yield f"what salvage made is {verdicts['salvaged']}"
    yield from differences_of_content(row)
    rebuilt = verdicts.get("rebuild-manifest", SOUND)
    if rebuilt != SOUND and "--without-missing" not in row.words["rebuild-manifest"]:
        yield f"rebuild-manifest: {rebuilt}"


def differences_of_content(row: Row) -> Iterator[str]:
    """All that load it hold the same, save where a checksum let salvage put bytes right."""
    put_right = "can be put right" in row.words["aof salvage"]
    digests = {
        reader: row.digests[reader] for reader in ("server", "quarantine", "salvaged") if row.digests.get(reader)
    }
    if put_right:
        digests.pop("quarantine", None)
    if len(set(digests.values())) > 1:
        yield f"the contents differ: {digests}"


def explain(row: Row, found: Iterator[str]) -> None:
    unexplained = list(found)
    assert not unexplained, "\n".join([*unexplained, "", row.told()])


@pytest.mark.parametrize("case", damaged("rdb"), ids=lambda case: case["case"])
def test_readers_agree_about_the_snapshot(case: dict[str, Any]) -> None:
    row = snapshot_row((DAMAGED / case["path"]).read_bytes())
    explain(row, differences(row))


@pytest.mark.parametrize("case", damaged("aof"), ids=lambda case: case["case"])
def test_readers_agree_about_the_log(case: dict[str, Any], tmp_path: Path) -> None:
    source = DAMAGED / case["path"]
    single = (source / "appendonly.aof").exists()
    row = log_row(source, *(("--aof-layout", "single") if single else ()))
    explain(row, differences_of_log(row))


def resealed(data: bytearray) -> bytes:
    return bytes(data[:-8]) + crc64(bytes(data[:-8])).to_bytes(8, "little")


def damaged_snapshots() -> dict[str, bytes]:
    found = {name: content for name, (content, _) in SNAPSHOTS.items()}
    found |= {
        "zeros": bytes(300),
        "html": b"<!DOCTYPE html><html>404</html>",
        "empty": b"",
        "text": b"hello\n",
        "rows": b'{"db":0}\n',
    }
    found |= {f"cut at {at}": SOUND_SNAPSHOT[:at] for at in range(1, len(SOUND_SNAPSHOT), 7)}
    rng = random.Random(1)
    for at in range(0, len(SOUND_SNAPSHOT), 3):
        flipped = bytearray(flip(SOUND_SNAPSHOT, 8 * at + rng.randrange(8)))
        found[f"bit of byte {at}"] = bytes(flipped)
        if at < len(SOUND_SNAPSHOT) - 8:
            found[f"bit of byte {at}, checksum right"] = resealed(flipped)
    return found


SNAPSHOT_INPUTS = damaged_snapshots()


@pytest.mark.parametrize("name", SNAPSHOT_INPUTS)
def test_readers_agree_about_the_snapshot_with(name: str) -> None:
    row = snapshot_row(SNAPSHOT_INPUTS[name])
    explain(row, differences(row))


BROKEN_LIBRARY = encode_command(b"FUNCTION", b"LOAD", b"#!lua name=broken\nthis is no Lua")
LIBRARY = encode_command(
    b"FUNCTION", b"LOAD", b"#!lua name=sound\nredis.register_function('f', function() return 1 end)"
)
OF_LIBRARIES = {
    "a library that cannot be loaded": BROKEN_LIBRARY,
    "a library": LIBRARY,
    "a library that is there twice": LIBRARY + LIBRARY,
}


@pytest.mark.parametrize("name", [*INCREMENTS, *OF_LIBRARIES])
def test_readers_agree_about_the_log_with(name: str, tmp_path: Path) -> None:
    content = OF_LIBRARIES[name] if name in OF_LIBRARIES else INCREMENTS[name][0]
    make_log(tmp_path, content)
    row = log_row(tmp_path)
    explain(row, differences_of_log(row))


@pytest.mark.parametrize("name", [name for name in SNAPSHOTS if "compressed" not in name and "transfer" not in name])
def test_readers_agree_about_the_base_with(name: str, tmp_path: Path) -> None:
    make_log(tmp_path, encode_command(b"SET", b"behind", b"1"), SNAPSHOTS[name][0])
    row = log_row(tmp_path)
    explain(row, differences_of_log(row))


CHECKSUMMED = written_log("always", 3)


def damage_of_log() -> dict[str, Callable[[bytes], bytes]]:
    rng = random.Random(2)
    found: dict[str, Callable[[bytes], bytes]] = {}
    for bit in sorted(rng.sample(range(8 * len(CHECKSUMMED)), 30)):
        found[f"bit {bit}"] = lambda log, bit=bit: flip(log, bit)
    for at in sorted(rng.sample(range(len(CHECKSUMMED)), 8)):
        found[f"cut at {at}"] = lambda log, at=at: log[:at]
        found[f"zeros from {at} on"] = lambda log, at=at: log[:at] + bytes(len(log) - at)
        found[f"a sector of zeros at {at}"] = lambda log, at=at: (
            log[: at & ~511] + bytes(512) + log[(at & ~511) + 512 :]
        )
        found[f"html at {at}"] = lambda log, at=at: log[:at] + b"<html>" + log[at:]
    return found


LOG_DAMAGES = damage_of_log()


@pytest.mark.parametrize("name", LOG_DAMAGES)
def test_readers_agree_about_the_log_with_checksums_and(name: str, tmp_path: Path) -> None:
    make_log(tmp_path, LOG_DAMAGES[name](CHECKSUMMED))
    row = log_row(tmp_path)
    explain(row, differences_of_log(row))


def line(number: int, kind: str) -> bytes:
    return MANIFEST.splitlines(keepends=True)[number].replace(
        b"type " + b"bi"[number : number + 1], b"type " + kind.encode()
    )


MANIFEST_TEXTS = {name: content for name, (content, _) in MANIFESTS.items()} | {
    "two bases": MANIFEST + MANIFEST.splitlines(keepends=True)[0],
    "a file twice": MANIFEST + MANIFEST.splitlines(keepends=True)[1],
    "an increment called a base": line(0, "b") + line(1, "b"),
    "a type that there is not": line(0, "q") + line(1, "i"),
    "a path": MANIFEST.replace(b"file a", b"file ../a"),
    "a name that is not there": MANIFEST.replace(b"1.incr", b"7.incr"),
    "a number that is none": MANIFEST.replace(b"seq 1 type i", b"seq x type i"),
    "carriage returns": MANIFEST.replace(b"\n", b"\r\n"),
    "nothing wrong": MANIFEST,
}


@pytest.mark.parametrize("name", MANIFEST_TEXTS)
def test_readers_agree_about_the_manifest_with(name: str, tmp_path: Path) -> None:
    place = data_directory(tmp_path / "data", MANIFEST_TEXTS[name])
    row = log_row(place)
    explain(row, differences_of_log(row))


@pytest.mark.parametrize("beside", ["appendonlydir.bak", "copy", "appendonly.aof"])
def test_readers_agree_where_something_lies_beside_the_log(beside: str, tmp_path: Path) -> None:
    place = data_directory(tmp_path / "data")
    if beside == "appendonly.aof":
        (place / beside).write_bytes(b"nonsense")
    else:
        shutil.copytree(place / "appendonlydir", place / beside)
        (place / beside / "appendonly.aof.1.incr.aof").write_bytes(b"nonsense")
    row = log_row(place)
    explain(row, differences_of_log(row))
    assert row.verdicts["server"] == SOUND
