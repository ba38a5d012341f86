"""Readers fed with damaged input: no crash, no hang, no wrong exception, no unbounded memory.

Half of the inputs are real files changed in several ways that formats are sensitive to (bits, lengths, cuts, copied pieces,
numbers at the edge); the other half is made with wrong structure from the beginning (payloads.py, logs.py). A child process
with a limit on memory and time reads them. An input that breaks a reader is kept, and its number makes it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomdb.engine import Engine
from rotomdb.errors import ManifestError, RdbError
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.manifest import parse_manifest
from rotomdb.formats.aof.salvage import salvage_log
from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.check import CheckSink
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.formats.sinks.digest import DigestSink
from rotomdb.formats.sinks.json import JsonSink
from rotomdb.formats.sinks.memory_model import MODELS, MemorySink
from rotomdb.formats.sinks.restore import RestoreSink
from rotomdb.formats.sinks.summary import SummarySink
from rotomdb.storage.rdb_salvage import Salvage
from rotomdb.storage.rdb_source import payload_as_rdb
from rotomdb.testing.logs import structured_log, structured_manifest
from rotomdb.testing.payloads import ENCODINGS, file_of, payload_of, sound_body_of
from rotomdb.testing.restores import PayloadUser
from rotomdb.testing.script_inputs import INPUTS

MEMORY_BYTES = 1 << 30
ROUND_SECONDS = 10  # of processor time, so that a busy machine is no hang
STUCK_SECONDS = 300  # without any progress: it waits for something that does not come
ROUNDS_PER_CHILD = 2000
PROBLEMS_MAX = 20  # then it is time to look at them
STRUCTURED_SEEDS = 64  # where there are no files to damage
BODY_BYTES = 4096  # of a real value that is changed
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")  # its shadow memory is larger than any limit
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
    """A DUMP payload."""
    payload = payload_as_rdb(memoryview(data))
    with contextlib.suppress(RdbError), contextlib.closing(RdbReader(payload, "fuzzed")) as reader:
        for _ in reader.walk(CheckSink()):
            pass


def read_log(data: bytes) -> None:
    with contextlib.suppress(EOFError, ValueError):
        reader = LogItems(data)
        try:
            while reader.take() is not None:
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


@dataclass(frozen=True)
class Reader:
    """Attributes:
    read: What must stand every input.
    pattern: The files whose damaged versions it gets; empty: nothing but `structured` makes inputs, and they are damaged.
    structured: Makes an input of its kind with wrong structure.
    """

    read: Callable[[bytes], None]
    pattern: str
    structured: Callable[[random.Random], bytes] | None = None


def structured_file(rng: random.Random) -> bytes:
    return file_of(tuple(ENCODINGS), rng)


def structured_payload(rng: random.Random) -> bytes:
    return payload_of(rng.choice(tuple(ENCODINGS)), rng)


READERS: dict[str, Reader] = {
    "rdb": Reader(read_rdb, "*.rdb", structured_file),
    "rdb-load": Reader(load_rdb, "*.rdb", structured_file),
    "rdb-salvage": Reader(salvage_rdb, "*.rdb", structured_file),
    "payload": Reader(read_payload, "*.rdb", structured_payload),
    "aof": Reader(read_log, "*.aof", structured_log),
    "aof-salvage": Reader(salvage, "*.aof", structured_log),
    "manifest": Reader(read_manifest_text, "*.manifest", structured_manifest),
    **{name: Reader(read, "", structured) for name, (read, structured) in INPUTS.items()},
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


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        input_of: The input of a round, the same whenever it is asked for.
        open: Makes, in the child, what takes the input and the round's number.
    """

    name: str
    input_of: Callable[[int], bytes]
    open: Callable[[], Callable[[bytes, int], None]]


def reader_target(name: str, directory: Path, seed: int = 0, seed_bytes: int = 64 << 10) -> Target:
    """A reader, fed with damaged versions of the files below a directory, and with its own kind of structures."""
    reader = READERS[name]
    seeds = seeds_of(reader, directory, seed_bytes)

    def input_of(number: int) -> bytes:
        rng = random.Random(f"{name}:{seed}:{number}")
        if reader.structured is not None and number % 2:
            return reader.structured(rng)
        return mutated(rng.choice(seeds), seeds, rng)

    return Target(name, input_of, lambda: lambda data, number: reader.read(data))


def seeds_of(reader: Reader, directory: Path, seed_bytes: int) -> list[bytes]:
    files = sorted(directory.rglob(reader.pattern)) if reader.pattern else []
    seeds = [path.read_bytes() for path in files if 0 < path.stat().st_size <= seed_bytes]
    if not seeds and reader.structured is not None:
        seeds = [reader.structured(random.Random(i)) for i in range(STRUCTURED_SEEDS)]
    if not seeds:
        raise FileNotFoundError(f"{directory}: no {reader.pattern} of at most {seed_bytes} bytes")
    return seeds


def restore_target(encodings: Sequence[str], directory: Path | None = None, seed: int = 0) -> Target:
    """RESTORE and commands on the result; every fourth payload is a damaged version of a real one, with its checksum."""
    bodies = list(real_bodies(encodings, directory))

    def input_of(number: int) -> bytes:
        rng = random.Random(f"restores:{seed}:{number}")
        if number % 4 == 0 and bodies:
            return seal(mutated(rng.choice(bodies), bodies, rng), 11)
        return payload_of(encodings[number % len(encodings)], rng)

    def open_user() -> Callable[[bytes, int], None]:
        user = PayloadUser()
        return lambda data, number: user.use(data, random.Random(f"commands:{seed}:{number}"))

    return Target("restores", input_of, open_user)


def real_bodies(encodings: Sequence[str], directory: Path | None) -> Iterable[bytes]:
    """Type bytes and values: one that is sound of each encoding, and those in the files below a directory."""
    for name in encodings:
        yield from (sound_body_of(name, random.Random(f"sound:{name}:{i}")) for i in range(4))
    for path in sorted(directory.rglob("*.rdb")) if directory is not None else ():
        with contextlib.suppress(RdbError), contextlib.closing(RdbReader(path.read_bytes(), path.name)) as reader:
            for item in reader.records():
                if isinstance(item, KeyRecord):
                    end = reader.visit(CheckSink())
                    if end - item.value_start <= BODY_BYTES:
                        yield bytes([item.type]) + bytes(reader.data[item.value_start : end])


def run_rounds(target: Target, start: int, count: int, progress: Any) -> None:
    """In a child: rounds from `start` on; the number of the one that runs is in `progress`."""
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    read = target.open()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
    for number in range(start, start + count):
        progress.value = number
        signal.setitimer(signal.ITIMER_PROF, ROUND_SECONDS)
        try:
            read(target.input_of(number), number)
        except Exception as error:
            sys.stderr.write(f"{target.name}: round {number}: {error!r}\n")
            os._exit(1)


def fuzz(
    target: Target, keep: Path, *, cpu_seconds: float = math.inf, rounds: int | None = None, first: int = 0
) -> FuzzReport:
    """Feed a target for so much processor time, or so many rounds, whichever comes first."""
    report = FuzzReport()
    context = multiprocessing.get_context("fork")
    wanted = rounds if rounds is not None else sys.maxsize
    while report.cpu_seconds < cpu_seconds and report.rounds < wanted and len(report.problems) < PROBLEMS_MAX:
        start, count = first + report.rounds, min(ROUNDS_PER_CHILD, wanted - report.rounds)
        progress = context.Value("q", start)
        child = context.Process(target=run_rounds, args=(target, start, count, progress))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child.start()
        last, since = -1, time.monotonic()
        while child.is_alive():
            child.join(0.2)
            if progress.value != last:
                last, since = progress.value, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                child.kill()
                child.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report.cpu_seconds += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if child.exitcode == 0:
            report.rounds += count
            continue
        number = progress.value
        data = target.input_of(number)
        keep.mkdir(parents=True, exist_ok=True)
        path = keep / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        reason = "hangs" if child.exitcode in (-signal.SIGPROF, -signal.SIGKILL) else f"ends with {child.exitcode}"
        report.problems.append(f"{target.name}: round {number}: {reason}: {path}")
        report.rounds = number + 1 - first
    return report
