"""The tools beside redis-check-rdb and redis-check-aof: time, memory, and how much salvage recovers.

The data sets are made once: 2 million keys as commands (120 MB) and as a snapshot (68 MB) that redis-server made of them, and a
snapshot of 1 GB for the memory.
"""

from __future__ import annotations

import bisect
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rotomdb.aof
import rotomdb.rdb
from benchmarks.report import row, title
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.salvage import salvage_log
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.digest import DigestSink
from rotomdb.storage.rdb_salvage import Salvage, locate_burst
from rotomdb.testing.digests import digests_of

KEYS = 2_000_000
BIG_KEYS = 9_000_000
SALVAGE_KEYS = 100_000
TRIALS = 5
TOOL = {name: [sys.executable, "-m", f"rotomdb.tools.{name}"] for name in ("rdb", "aof", "aof_check")}


def run(rounds: int) -> None:
    directory = Path(tempfile.mkdtemp(prefix="rotomdb-workbench-"))
    try:
        speed(directory, rounds)
        memory(directory)
        salvage_figures(directory)
    finally:
        shutil.rmtree(directory)


def write_log(path: Path) -> None:
    source = random.Random(5)
    with rotomdb.aof.create(path) as log:
        for i in range(KEYS):
            kind = i % 20
            if kind < 14:
                log.command(
                    "SET", f"user:{i}:name", source.choice((f"anna{i}", "bert-something-longer", i * 7, "x" * 20))
                )
            elif kind < 16:
                log.command("SET", f"session:{i}", f"tok{i:08d}")
            elif kind == 16:
                log.command("HSET", f"h:{i}", "name", f"n{i}", "age", i % 90)
            elif kind == 17:
                log.command("RPUSH", f"l:{i}", f"a{i}", i, "c")
            elif kind == 18:
                log.command("ZADD", f"z:{i}", i * 0.5, f"m{i}", i, "k")
            else:
                log.command("SADD", f"s:{i}", i, i + 1, i + 2, i + 3)


def snapshot_by_redis(log: Path, directory: Path) -> Path:
    """What redis-server makes of the log."""
    place = directory / "redis"
    place.mkdir()
    words = ["redis-server", "--port", "0", "--unixsocket", str(place / "s"), "--save", "", "--dir", str(place)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while not (place / "s").exists():
        time.sleep(0.05)
    client = ["redis-cli", "-s", str(place / "s")]
    with log.open("rb") as file:
        subprocess.run([*client, "--pipe"], stdin=file, check=True, capture_output=True)
    subprocess.run([*client, "save"], check=True, capture_output=True)
    subprocess.run([*client, "shutdown", "nosave"], capture_output=True)
    process.wait()
    return place / "dump.rdb"


def timed(command: list[str]) -> float:
    begun = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        subprocess.run(command, stdout=nowhere, stderr=nowhere, check=True)
    return time.perf_counter() - begun


def speed(directory: Path, rounds: int) -> None:
    log = directory / "big.aof"
    write_log(log)
    snapshot = snapshot_by_redis(log, directory)
    title(
        f"Tools beside Redis's own: {KEYS:,} keys, RDB {snapshot.stat().st_size >> 20} MB, AOF {log.stat().st_size >> 20} MB, {rounds} rounds"
    )
    row("command", "seconds", "Redis's", "ratio", "wanted")
    cases = [
        ("rotomdb-rdb check", [*TOOL["rdb"], "check", str(snapshot)], "redis-check-rdb", snapshot, "1.0"),
        ("rotomdb-rdb info", [*TOOL["rdb"], "info", str(snapshot)], "redis-check-rdb", snapshot, "-"),
        ("rotomdb-rdb dump -f ndjson", [*TOOL["rdb"], "dump", "-f", "ndjson", str(snapshot)], "redis-check-rdb", snapshot, "5"),
        ("rotomdb-rdb dump -f resp", [*TOOL["rdb"], "dump", "-f", "resp", str(snapshot)], "redis-check-rdb", snapshot, "1.5"),
        ("rotomdb-rdb memory", [*TOOL["rdb"], "memory", str(snapshot)], "redis-check-rdb", snapshot, "3"),
        ("rotomdb-aof-check", [*TOOL["aof_check"], str(log)], "redis-check-aof", log, "1.0"),
        ("rotomdb-aof check", [*TOOL["aof"], "check", str(log)], "redis-check-aof", log, "1.0"),
        ("rotomdb-aof check --deep", [*TOOL["aof"], "check", "--deep", str(log)], "redis-check-aof", log, "-"),
    ]  # fmt: skip
    for name, command, reference, path, wanted in cases:
        pairs = [(timed(command), timed([reference, str(path)])) for _ in range(rounds)]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        row(name, f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}", wanted)
    for name, command in TOOL.items():
        seconds = statistics.median(timed([*command, "--help"]) for _ in range(rounds))
        row(f"{name} --help", f"{seconds:.3f}", "-", "-", "0.2 s")


def memory(directory: Path) -> None:
    """Peak resident memory of each command on a large file."""
    path = directory / "gigabyte.rdb"
    with path.open("wb") as file:
        writer = RdbWriter(file.write, TARGETS["redis-7.0"])
        pieces = []
        for i in range(BIG_KEYS):
            key, value = (
                b"customer:%09d:profile" % i,
                b"%032x" % (i * 2654435761) + b"abcdefghijklmnopqrstuvwxyz0123456789" * 2,
            )
            pieces.append(b"\x00" + bytes([len(key)]) + key + b"\x40" + bytes([len(value)]) + value)
            if len(pieces) == 20_000:
                writer.copy(b"".join(pieces))
                writer.sink.flush()
                pieces.clear()
        writer.copy(b"".join(pieces))
        writer.finish()
    title(f"Peak memory on an RDB of {path.stat().st_size >> 20} MB")
    row("command", "MB", "seconds")
    out = str(directory / "out")
    for words in (
        ["check"], ["info"], ["dump", "-f", "ndjson"], ["dump", "-f", "resp"], ["memory"], ["salvage"],
        ["filter", "--key", "*1:*", "-o", out], ["convert", "--target", "redis-6.2", "-o", out], ["report", "-o", out],
    ):  # fmt: skip
        begun = time.perf_counter()
        megabytes = peak_megabytes([*TOOL["rdb"], *words, str(path)])
        row(f"rotomdb-rdb {' '.join(words[:3])}", f"{megabytes:.0f}", f"{time.perf_counter() - begun:.1f}")
    path.unlink()


def peak_megabytes(command: list[str]) -> float:
    """Of a process of its own, so that the largest child so far is that one."""
    code = "import resource,subprocess,sys; subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


# Salvage


def salvage_figures(directory: Path) -> None:
    title(f"Salvage: {SALVAGE_KEYS:,} keys, {TRIALS} trials each")
    row("file", "corruptions", "of one to", "undamaged keys recovered", "wrong ones taken")
    snapshot = make_snapshot(directory / "salvage.rdb")
    log = make_log(directory)
    for corruptions in (1, 10, 100):
        row("RDB", str(corruptions), "1 byte", *rdb_trial(snapshot, corruptions))
    for burst in (1, 3, 16):
        for corruptions in (1, 10, 100):
            row("AOF with checksums", str(corruptions), f"{burst} bytes", *log_trial(log, corruptions, burst))
    plain = b"".join(piece for piece in log.splitlines(keepends=True) if not piece.startswith(b"#"))
    for corruptions in (1, 10, 100):
        row("AOF without", str(corruptions), "1 byte", *log_trial(plain, corruptions, 1))


def make_snapshot(path: Path) -> bytes:
    source = random.Random(3)
    with rotomdb.rdb.create(path, target="redis-7.0") as writer:
        for i in range(SALVAGE_KEYS):
            kind, key = source.random(), f"key:{i}"
            when = 1_900_000_000_000 + i if source.random() < 0.2 else None
            if kind < 0.6:
                writer.add(
                    key,
                    source.choice((i * 7, "text", "".join(source.choices("abcdefghij 0123", k=60)))),
                    expire_ms=when,
                )
            elif kind < 0.8:
                writer.add(key, {f"f{j}": source.random() for j in range(source.choice((2, 5, 40)))}, expire_ms=when)
            elif kind < 0.9:
                writer.add(key, [source.randrange(1000) for _ in range(12)], expire_ms=when)
            else:
                writer.add(key, rotomdb.rdb.SortedSet({f"m{j}": source.random() for j in range(5)}), expire_ms=when)
    return path.read_bytes()


def make_log(directory: Path) -> bytes:
    """By the server, so that it has its checksums."""
    place = directory / "log"
    place.mkdir()
    words = [
        sys.executable,
        "-m",
        "rotomdb",
        "--port",
        "0",
        "--unixsocket",
        str(place / "s"),
        "--dir",
        str(place),
        "--save",
        "",
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while not (place / "s").exists():
        time.sleep(0.05)
    source = random.Random(2)
    commands = "".join(f"SET key:{i} value-{i}-{'x' * source.choice((5, 20, 60))}\n" for i in range(SALVAGE_KEYS))
    subprocess.run(
        ["redis-cli", "-s", str(place / "s"), "--pipe"], input=commands.encode(), check=True, capture_output=True
    )
    subprocess.run(["redis-cli", "-s", str(place / "s"), "shutdown", "nosave"], capture_output=True)
    process.wait()
    return next((place / "appendonlydir").glob("*.incr.aof")).read_bytes()


def corrupted(
    data: bytes, places: list[tuple[int, int, bytes]], corruptions: int, burst: int, source: random.Random
) -> tuple[bytes, set[bytes]]:
    """The data with so many random bursts, and the keys whose bytes were hit."""
    starts = [place[0] for place in places]
    changed, hit = bytearray(data), set()
    for _ in range(corruptions):
        at = source.randrange(9, len(data) - burst - 8)
        for i in range(at, at + burst):
            changed[i] ^= source.randrange(1, 256)
            number = bisect.bisect(starts, i) - 1
            if number >= 0 and i < places[number][1]:
                hit.add(places[number][2])
    return bytes(changed), hit


def rdb_trial(whole: bytes, corruptions: int) -> tuple[str, str]:
    reader, sink, places, digests = RdbReader(whole, "whole"), DigestSink(), [], {}
    for event in reader.records():
        if isinstance(event, KeyRecord):
            places.append((event.start, reader.visit(sink), event.key))
            digests[event.key] = sink.digest
    reader.close()
    recovered = total = wrong = 0
    for trial in range(TRIALS):
        data, hit = corrupted(whole, places, corruptions, 1, random.Random(trial * 1000 + corruptions))
        burst = locate_burst(memoryview(data))
        if burst is not None:
            fixed = bytearray(data)
            for i, error in enumerate(burst[1]):
                fixed[burst[0] + i] ^= error
            data = bytes(fixed)
        reader = RdbReader(data, "damaged")
        got = {key: one[0] for (_, key), one in digests_of(reader, Salvage(reader).records()).items()}
        reader.close()
        undamaged = digests.keys() - hit
        total += len(undamaged)
        recovered += sum(got.get(key) == digests[key] for key in undamaged)
        wrong += sum(got[key] != digests.get(key) for key in got)
    return f"{recovered / total:.4%}", f"{wrong} (in bytes that were hit; no checksum tells)" if wrong else "0"


def commands_by_key(data: bytes) -> dict[bytes, list[bytes]]:
    reader, found = LogItems(data), {}
    while (item := reader.take()) is not None:
        if isinstance(item, list) and len(item) > 2:
            found[item[1]] = item
    reader.close()
    return found


def log_trial(whole: bytes, corruptions: int, burst: int) -> tuple[str, str]:
    wanted = commands_by_key(whole)
    reader, places = LogItems(whole), []
    while True:
        at = reader.offset
        item = reader.take()
        if item is None:
            break
        if isinstance(item, list) and len(item) > 2:
            places.append((at, reader.offset, item[1]))
    reader.close()
    recovered = total = wrong = 0
    for trial in range(TRIALS):
        data, hit = corrupted(whole, places, corruptions, burst, random.Random(trial * 1000 + corruptions + burst))
        got: dict[bytes, list[bytes]] = {}
        for piece in salvage_log(memoryview(data)):
            if piece.content is not None:
                got.update(commands_by_key(piece.content))
        undamaged = wanted.keys() - hit
        total += len(undamaged)
        recovered += sum(got.get(key) == wanted[key] for key in undamaged)
        wrong += sum(got[key] != wanted.get(key) for key in got)
    return f"{recovered / total:.4%}", str(wrong)
