"""Readers fed with damaged files: no crash, no hang, no wrong exception, no unbounded memory.

Seeds are real files; each round changes one in several ways that formats are sensitive to (bits, lengths, cuts, copied
pieces, numbers at the edge) and hands it to a reader, in a child process with a limit on memory and time. An input that breaks
a reader is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomdb.engine import Engine
from rotomdb.engine.memory_model import MODELS, MemorySink
from rotomdb.engine.rdb_sinks import CheckSink, DigestSink, JsonSink
from rotomdb.engine.summary_sink import SummarySink
from rotomdb.errors import ManifestError, RdbError
from rotomdb.storage.command_sink import CommandSink, RestoreSink
from rotomdb.storage.dump_payload import seal
from rotomdb.storage.log_examination import examine
from rotomdb.storage.log_salvage import salvage_log
from rotomdb.storage.manifest import parse_manifest
from rotomdb.storage.rdb_reader import RdbReader
from rotomdb.storage.rdb_salvage import Salvage
from rotomdb.storage.rdb_source import payload_as_rdb
from rotomdb.storage.rdb_writer import TARGETS, RdbWriter
from rotomdb.storage.request import LogReader

MEMORY_BYTES = 1 << 30
ROUND_SECONDS = 10
ROUNDS_PER_CHILD = 2000
PROBLEMS_MAX = 20  # then it is time to look at them
EDGES = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xBF, 0xC0, 0xC3, 0xF0, 0xF1, 0xFE, 0xFF)


def discard(data: bytes) -> int:
    return len(data)


def read_rdb(data: bytes) -> None:
    """Everything that takes an RDB apart."""
    sinks = (
        CheckSink(), JsonSink(discard), DigestSink(), CommandSink(discard), RestoreSink(discard), SummarySink(0),
        MemorySink(MODELS["redis-7.0"], depth=2, top=3), RdbWriter(discard, TARGETS["redis-6.2"]).sink,
        RdbWriter(discard, TARGETS["redis-7.0"], plain=True).sink,
    )  # fmt: skip
    for sink in sinks:
        with contextlib.suppress(RdbError):
            reader = RdbReader(data, "fuzzed")
            with contextlib.closing(reader):
                for _ in reader.walk(sink):
                    pass


def load_rdb(data: bytes) -> None:
    with contextlib.suppress(RdbError), contextlib.closing(RdbReader(data, "fuzzed")) as reader:
        reader.load_into(Engine(64))


def salvage_rdb(data: bytes) -> None:
    with contextlib.suppress(RdbError), contextlib.closing(RdbReader(data, "fuzzed")) as reader:
        for _ in Salvage(reader).records():
            pass


def read_payload(data: bytes) -> None:
    """A DUMP payload whose checksum is right, whatever is in it."""
    payload = payload_as_rdb(memoryview(seal(data[9:200], 11)))
    with contextlib.suppress(RdbError), contextlib.closing(RdbReader(payload, "fuzzed")) as reader:
        for _ in reader.walk(CheckSink()):
            pass


def read_log(data: bytes) -> None:
    with contextlib.suppress(EOFError, ValueError):
        reader = LogReader(data)
        try:
            while reader.next_item() is not None:
                pass
        finally:
            reader.close()
    examine(data)


def salvage(data: bytes) -> None:
    for _ in salvage_log(memoryview(data)):
        pass


def read_manifest_text(data: bytes) -> None:
    with contextlib.suppress(ManifestError):
        parse_manifest(data, "fuzzed")


READERS: dict[str, tuple[Callable[[bytes], None], str]] = {
    "rdb": (read_rdb, "*.rdb"),
    "rdb-load": (load_rdb, "*.rdb"),
    "rdb-salvage": (salvage_rdb, "*.rdb"),
    "payload": (read_payload, "*.rdb"),
    "aof": (read_log, "*.aof"),
    "aof-salvage": (salvage, "*.aof"),
    "manifest": (read_manifest_text, "*.manifest"),
}


def mutated(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """A seed with a few changes."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not data:
            return b""
        at = rng.randrange(len(data))
        how = rng.randrange(8)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice(EDGES)
        elif how == 2:
            data[at] = rng.randrange(256)
        elif how == 3:
            del data[at : at + rng.choice((1, 2, 4, 8, 64))]
        elif how == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))
        elif how == 5:
            other = rng.choice(seeds)
            start = rng.randrange(max(len(other), 1))
            data[at : at + rng.choice((0, 8, 40))] = other[start : start + rng.choice((4, 30, 200))]
        elif how == 6:
            data[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x80\xff\xff\xff\xff", b"\x81" + b"\xff" * 8)
            )
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


@dataclass
class FuzzReport:
    """What a run has seen."""

    rounds: int = 0
    cpu_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def run_rounds(name: str, seeds: list[bytes], start: int, progress: Any) -> None:
    """In a child: rounds from `start` on; the number of the one that runs is in `progress`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    read, _ = READERS[name]
    for number in range(start, start + ROUNDS_PER_CHILD):
        progress.value = number
        try:
            read(input_of(name, seeds, number))
        except Exception as error:
            sys.stderr.write(f"{name}: round {number}: {error!r}\n")
            os._exit(1)


def input_of(name: str, seeds: list[bytes], number: int) -> bytes:
    rng = random.Random(f"{name}:{number}")
    return mutated(rng.choice(seeds), seeds, rng)


def fuzz(name: str, directory: Path, cpu_seconds: float, keep: Path, seed_bytes: int = 64 << 10) -> FuzzReport:
    """Feed a reader with damaged versions of the files below a directory for so much processor time."""
    _, pattern = READERS[name]
    seeds = [path.read_bytes() for path in sorted(directory.rglob(pattern)) if 0 < path.stat().st_size <= seed_bytes]
    if not seeds:
        raise FileNotFoundError(f"{directory}: no {pattern} of at most {seed_bytes} bytes")
    report = FuzzReport()
    context = multiprocessing.get_context("fork")
    while report.cpu_seconds < cpu_seconds and len(report.problems) < PROBLEMS_MAX:
        progress = context.Value("q", report.rounds)
        child = context.Process(target=run_rounds, args=(name, seeds, report.rounds, progress))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child.start()
        last, since = -1, time.monotonic()
        while child.is_alive():
            child.join(0.2)
            if progress.value != last:
                last, since = progress.value, time.monotonic()
            elif time.monotonic() - since > ROUND_SECONDS:
                child.kill()
                child.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report.cpu_seconds += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if child.exitcode == 0:
            report.rounds += ROUNDS_PER_CHILD
            continue
        number = progress.value
        data = input_of(name, seeds, number)
        keep.mkdir(parents=True, exist_ok=True)
        path = keep / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        reason = "hangs" if child.exitcode == -9 else f"ends with {child.exitcode}"
        report.problems.append(f"{name}: round {number}: {reason}: {path}")
        report.rounds = number + 1
    return report
