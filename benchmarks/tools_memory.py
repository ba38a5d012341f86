"""Peak resident memory and time of every command of the tools, in every form, on files of a gigabyte with values of all kinds.

The snapshot and the log hold the same: some 1.5 million keys, a few of them with hundreds of thousands of elements. They are made by
packing values once, as a server does, and repeating them under other names. Set ROTOMDB_TOOLS_MEMORY_MB for smaller files.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rotomdb
from benchmarks.report import row, title
from benchmarks.servers import Peer
from benchmarks.workbench import TOOL
from rotomdb.formats.rdb.dump_payload import unseal
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.formats.rdb.format import OPCODE_SELECTDB
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter

FILE_BYTES = int(os.environ.get("ROTOMDB_TOOLS_MEMORY_MB", "1024")) << 20
TEMPLATES = 2000
LARGE_ELEMENTS = 200_000
EXPIRE_TIME_MS = b"\xfc"
EXPIRES_AT_MS = 1_900_000_000_000
DATABASES = 4
ALLOWED_MB = 80

EXPLAINED = {
    "names": "remembers a hash of every key, or the place of each that several files have",
    "replayed": "the log is replayed: the data set is in memory",
    "parquet": "pyarrow, with a group of rows and the largest value",
    "row": "holds the row of the largest value",
    "element": "holds the text of the largest element, in which a byte can take four",
    "payload": "holds the payload of the largest value, which has a checksum at its end",
    "block": "holds the largest command",
}


@dataclass(frozen=True)
class Case:
    """A command to measure.

    Attributes:
        words: Behind the tool's name; OUT stands for an output, which is removed afterwards.
        explained: Key in EXPLAINED, of what may take more than is allowed.
        terminal: Whether it thinks that a person looks on.
    """

    tool: str
    words: tuple[str, ...]
    explained: str = ""
    terminal: bool = False


@dataclass(frozen=True)
class Measured:
    megabytes: float
    seconds: float
    first_output_s: float
    status: int


def run() -> None:
    directory = Path(tempfile.mkdtemp(prefix="rotomdb-tools-memory-"))
    try:
        measure_all(directory)
    finally:
        shutil.rmtree(directory)


def measure_all(directory: Path) -> None:
    snapshot, log = directory / "big.rdb", directory / "big.aof"
    keys = write_snapshot(snapshot)
    tool("rdb", "convert", snapshot, "--commands", "-o", log)
    sizes = f"RDB {snapshot.stat().st_size >> 20} MB, AOF {log.stat().st_size >> 20} MB, {keys:,} keys"
    title(f"Peak memory of the tools, {sizes}; more than {ALLOWED_MB} MB is explained")
    row("command", "peak MB", "seconds", "first output", "status", "")
    for case in snapshot_cases(snapshot, directory):
        show(case, directory)
    for form in ("json", "ndjson", "csv", "python"):
        rows = directory / f"rows.{form}"
        tool("rdb", "dump", "-f", form, snapshot, "-o", rows)
        show(Case("rdb", ("convert", str(rows), "-o", "OUT"), "row"), directory)
        rows.unlink()
    for case in log_cases(log, directory):
        show(case, directory)
    with_server(snapshot, directory)


def snapshot_cases(snapshot: Path, directory: Path) -> Iterator[Case]:
    file = str(snapshot)
    yield Case("rdb", ("check", file), "names")
    yield Case("rdb", ("info", file))
    for form in ("json", "ndjson", "csv", "resp", "commands", "python", "table"):
        yield Case("rdb", ("dump", "-f", form, file), "element" if form in ("commands", "python") else "")
    yield Case("rdb", ("dump", file), terminal=True)
    yield Case("rdb", ("memory", file))
    yield Case("rdb", ("memory", "--per-key", file))
    yield Case("rdb", ("report", file, "-o", "OUT"))
    for target in (("--target", "redis-6.2"), ("--to", "aof"), ("--to", "aof", "--commands"), ("--to", "aof-dir")):
        yield Case("rdb", ("convert", file, *target, "-o", "OUT"))
    yield Case("rdb", ("convert", file, "--to", "parquet", "-o", "OUT"), "parquet")
    yield Case("rdb", ("filter", file, "--key", "*7*", "-o", "OUT"))
    for parts in (("db",), ("prefix",), ("slot", "--parts", "16")):
        yield Case("rdb", ("split", file, "--by", *parts, "-o", "OUT"))
    yield Case("rdb", ("salvage", file, "-o", "OUT"))
    yield Case("rdb", ("merge", file, "-o", "OUT"))
    yield Case("rdb", ("merge", "--on-conflict", "last", file, file, "-o", "OUT"), "names")
    yield Case("rdb", ("diff", file, file))
    for packer in ("gzip -1", "zstd -1"):
        packed = directory / "packed"
        with packed.open("wb") as out:
            subprocess.run([*packer.split(), "-c", file], stdout=out, check=True)
        yield Case("rdb", ("info", str(packed)))
        packed.unlink()


def log_cases(log: Path, directory: Path) -> Iterator[Case]:
    file = str(log)
    yield Case("aof_check", (file,))
    yield Case("aof", ("check", file))
    yield Case("aof", ("check", "--deep", file), "replayed")
    yield Case("aof", ("stat", file))
    yield Case("aof", ("history", file, "string:1:1"))
    yield Case("aof", ("follow", "--once", file))
    yield Case("aof", ("salvage", file, "-o", "OUT"), "block")
    yield Case("aof", ("restore", file, "-o", "OUT"))
    yield Case("aof", ("undo", file, "--last", "SET", "-o", "OUT"))
    yield Case("aof", ("convert", file, "-o", "OUT"), "replayed")
    torn = directory / "torn.aof"
    shutil.copy(log, torn)
    os.truncate(torn, torn.stat().st_size - 3)
    yield Case("aof", ("fix", str(torn)))
    torn.unlink()
    parts = directory / "appendonlydir"
    parts.mkdir()
    (parts / "appendonly.aof.1.incr.aof").hardlink_to(log)
    yield Case("aof", ("rebuild-manifest", str(parts)))


def with_server(snapshot: Path, directory: Path) -> None:
    server = Peer("redis", "--appendonly", "no", "--save", "", directory=directory)
    try:
        url = f"redis://127.0.0.1:{server.port}"
        show(Case("rdb", ("restore", str(snapshot), url), "payload"), directory)
        show(Case("rdb", ("restore", "--as-commands", "--replace", str(snapshot), url)), directory)
        show(Case("rdb", ("info", url)), directory)
        show(Case("rdb", ("info", f"{url}/1")), directory)
    finally:
        server.stop()


# Measuring


def tool(name: str, *words: str | Path) -> None:
    subprocess.run([*TOOL[name], *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def show(case: Case, directory: Path) -> None:
    output = directory / "OUT"
    found = measured(case, [str(output) if word == "OUT" else word for word in case.words])
    shutil.rmtree(output, ignore_errors=True)
    output.unlink(missing_ok=True)
    why = "" if found.megabytes <= ALLOWED_MB else EXPLAINED.get(case.explained, "NOT EXPLAINED")
    named = " ".join(Path(word).name if word.startswith(str(directory)) else word for word in case.words)
    row(
        f"rotomdb-{case.tool.replace('_', '-')} {named}{' (terminal)' if case.terminal else ''}".ljust(60),
        f"{found.megabytes:.0f}", f"{found.seconds:.1f}", f"{found.first_output_s:.1f}", str(found.status), why,
    )  # fmt: skip


def measured(case: Case, words: list[str]) -> Measured:
    """Below a small process of its own, so that the largest child so far is the command."""
    command = [*TOOL[case.tool], *words]
    if case.terminal:
        command = ["script", "-qec", shlex.join(command), "/dev/null"]
    code = (
        "import resource,subprocess,sys; done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode, file=sys.stderr)"
    )
    begun = time.perf_counter()
    first = 0.0
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        while piece := process.stdout.read1(1 << 20):
            first = first or (time.perf_counter() - begun if piece else 0.0)
        process.wait()
        seconds = time.perf_counter() - begun
        errors.seek(0)
        kilobytes, status = errors.read().splitlines()[-1].split()
    return Measured(int(kilobytes) / 1024, seconds, first, int(status))


# The files


def write_snapshot(path: Path) -> int:
    """Repeat the templates under new names until the file is large enough; returns the number of keys."""
    packed, large = templates()
    keys = 0
    with path.open("wb") as file:
        writer = RdbWriter(file.write, TARGETS["redis-7.0"])
        for database in range(DATABASES):
            writer.copy(bytes([OPCODE_SELECTDB]) + encode_length(database))
            writer.copy(b"".join(record(f"large-{kind}", body) for kind, body in large))
            keys += len(large)
            number = 0
            while file.tell() < FILE_BYTES * (database + 1) // DATABASES:
                writer.copy(
                    b"".join(
                        record(f"{kind}:{number}:{index}", body, expires=index % 4 == 0)
                        for index, (kind, body) in enumerate(packed)
                    )
                )
                writer.sink.flush()
                keys += len(packed)
                number += 1
        writer.finish()
    return keys


def record(name: str, body: bytes, *, expires: bool = False) -> bytes:
    head = EXPIRE_TIME_MS + EXPIRES_AT_MS.to_bytes(8, "little") if expires else b""
    return head + body[:1] + encode_string(name.encode()) + body[1:]


def templates() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Type bytes and values as an engine packs them: of usual sizes, and large ones."""
    source = random.Random(7)
    with tempfile.TemporaryDirectory() as place, rotomdb.connect(place, appendonly="no") as client:

        def text() -> str:
            return "".join(source.choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=source.choice((5, 12, 40, 150))))

        def packed(kind: str, size: int) -> tuple[str, bytes]:
            client.delete("k")
            if kind == "string":
                value = source.choice((str(source.randrange(10**9)), text(), source.randbytes(200), text() * 20))
                client.set("k", value if size < LARGE_ELEMENTS else source.randbytes(LARGE_ELEMENTS * 50))
            for _ in range(0, size if kind != "string" else 0, 1000):
                few = range(min(size, 1000))
                if kind == "list":
                    client.rpush("k", *(text() for _ in few))
                elif kind == "set":
                    client.sadd("k", *(text() for _ in few))
                elif kind == "intset":
                    client.sadd("k", *(source.randrange(1 << 40) for _ in few))
                elif kind == "hash":
                    client.hset("k", mapping={f"field:{source.randrange(1 << 30)}": text() for _ in few})
                elif kind == "zset":
                    client.zadd("k", {text(): source.random() * 1000 for _ in few})
                elif kind == "stream":
                    for _ in few:
                        client.xadd("k", {"sensor": source.randrange(100), "value": text()})
            if kind == "stream":
                client.xgroup_create("k", "readers", "0")
                client.xreadgroup("readers", "ada", {"k": ">"}, count=10)
            payload = unseal(client.dump("k"))
            assert payload is not None
            return kind, bytes(payload.body)

        kinds = ("string",) * 12 + ("list", "set", "intset", "hash", "hash", "zset", "stream")
        usual = [packed(kinds[i % len(kinds)], source.choice((3, 10, 60))) for i in range(TEMPLATES)]
        return usual, [packed(kind, LARGE_ELEMENTS) for kind in ("string", "list", "set", "hash", "zset", "stream")]
