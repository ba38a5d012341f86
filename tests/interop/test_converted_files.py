"""What the tools write is loaded by a real redis-server, with the content that it had: files, commands, payloads."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.errors import RdbError
from rotomdb.formats.rdb.reader import RdbReader
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.memory_model import MODELS, MemorySink
from tests.corpus.files import RDB_FILES
from tests.processes import RedisServer
from tests.tools.running import ALL_KINDS, run, run_raw

Start = Callable[..., RedisServer]
SOME = [
    path
    for path in RDB_FILES
    if path.stem in ("allkinds", "mixed", "streams", "stream-groups", "lists", "hashes", "zsets", "sets")
]


def load(start: Start, directory: Path, name: str, content: bytes) -> RedisServer:
    directory.mkdir()
    (directory / name).write_bytes(content)
    words = ["--appendonly", "yes"] if name.endswith(".aof") else ["--save", ""]
    return start("--databases", "64", "--enable-debug-command", "yes", *words, directory=directory)


def digest(server: RedisServer) -> str:
    with server.client() as client:
        return str(client.execute_command("DEBUG", "DIGEST"))


@pytest.mark.parametrize("path", SOME, ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("plain", [False, True], ids=["copied", "plain"])
def test_redis_loads_a_converted_file_with_the_same_content(
    redis_server: Start, tmp_path: Path, path: Path, plain: bool
) -> None:
    """Files up to version 10 have a reference: what redis-server makes of the file itself."""
    pieces: list[bytes] = []
    data = path.read_bytes()
    reader = RdbReader(data, str(path))
    writer = RdbWriter(pieces.append, TARGETS["redis-7.0"], plain=plain)
    for event in reader.walk(writer.sink):
        writer.take(event, reader.data)
    writer.finish()
    converted = load(redis_server, tmp_path / "converted", "dump.rdb", b"".join(pieces))
    if reader.version <= 10:
        reference = load(redis_server, tmp_path / "reference", "dump.rdb", data)
        if plain:  # a server packs scores anew, and -0 becomes 0
            for server in (converted, reference):
                with server.client() as client:
                    client.save()
            files = [server.directory / "dump.rdb" for server in (converted, reference)]
            assert run("diff", "--ttl-tolerance", "0", *files).stdout == "0 added, 0 removed, 0 changed\n"
        else:
            assert digest(converted) == digest(reference)
    with converted.client() as client:
        held = sum(int(str(row["keys"])) for row in client.info("keyspace").values())
    assert held >= writer.sink.keys - 30  # those whose time has passed are dropped


def test_redis_takes_a_dump_as_commands_through_redis_cli_pipe(redis_server: Start, tmp_path: Path) -> None:
    reference = load(redis_server, tmp_path / "reference", "dump.rdb", ALL_KINDS.read_bytes())
    target = redis_server("--save", "", "--enable-debug-command", "yes")
    commands = run_raw("dump", "-f", "resp", ALL_KINDS).stdout
    done = subprocess.run(
        ["redis-cli", "-p", str(target.port), "--pipe"], input=commands, capture_output=True, timeout=60
    )
    assert b"errors: 0" in done.stdout, done.stdout
    assert digest(target) == digest(reference)


@pytest.mark.parametrize("form", [["--to", "aof"], ["--to", "aof", "--commands"]], ids=["preamble", "commands"])
def test_redis_loads_a_converted_log(redis_server: Start, tmp_path: Path, form: list[str]) -> None:
    reference = load(redis_server, tmp_path / "reference", "dump.rdb", ALL_KINDS.read_bytes())
    assert run("convert", *form, "--target", "redis-7.0", ALL_KINDS, "-o", tmp_path / "a.aof").returncode == 0
    server = load(redis_server, tmp_path / "converted", "appendonly.aof", (tmp_path / "a.aof").read_bytes())
    assert digest(server) == digest(reference)


def test_a_file_is_restored_into_a_live_server_and_taken_back(redis_server: Start, tmp_path: Path) -> None:
    reference = load(redis_server, tmp_path / "reference", "dump.rdb", ALL_KINDS.read_bytes())
    target = redis_server("--save", "", "--enable-debug-command", "yes", "--requirepass", "secret")
    url = f"redis://:secret@127.0.0.1:{target.port}"
    done = run("restore", ALL_KINDS, url)
    assert done.returncode == 0, done.stderr + done.stdout
    subprocess.run(
        ["redis-cli", "-p", str(target.port), "-a", "secret", "config", "set", "requirepass", ""], capture_output=True
    )
    assert digest(target) == digest(reference)
    assert run("diff", ALL_KINDS, f"redis://127.0.0.1:{target.port}").returncode == 0
    again = run("restore", "--json", ALL_KINDS, f"redis://127.0.0.1:{target.port}")
    assert again.returncode == 1
    report = json.loads(again.stdout)
    assert (report["restored"], report["failed"]) == (0, 0)
    assert report["existing"] > 0
    assert run("restore", "--replace", ALL_KINDS, f"redis://127.0.0.1:{target.port}").returncode == 0


def test_a_server_too_old_for_payloads_gets_commands(redis_server: Start, tmp_path: Path) -> None:
    newer = tmp_path / "newer.rdb"
    assert run("convert", "--target", "redis-8.0", ALL_KINDS, "-o", newer).returncode == 0
    target = redis_server("--save", "", "--enable-debug-command", "yes")
    done = run("restore", newer, f"redis://127.0.0.1:{target.port}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("diff", ALL_KINDS, f"redis://127.0.0.1:{target.port}").returncode == 0


def test_a_restore_goes_on_where_it_was_interrupted(redis_server: Start, tmp_path: Path) -> None:
    import rotomdb.rdb

    path, state = tmp_path / "many.rdb", tmp_path / "many.state"
    with rotomdb.rdb.create(path, target="redis-7.0") as writer:
        for number in range(5000):
            writer.add(f"k{number}", "x" * 300, db=number % 2 and 3)
    target = redis_server("--save", "", "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    url = f"redis://127.0.0.1:{target.port}"
    done = run("restore", path, url, "--resume", state)
    assert done.returncode == 3
    assert "OOM" in done.stderr
    assert state.exists()
    with target.client() as client:
        client.config_set("maxmemory", 0)
    done = run("restore", "--replace", path, url, "--resume", state)
    assert (done.returncode, done.stdout) == (0, "5000 keys restored\n")
    assert run("diff", path, url).returncode == 0
    again = run("restore", path, url, "--resume", state)
    assert (again.returncode, again.stdout) == (0, "5000 keys restored\n")
    assert again.stderr == f"{state}: this restore is finished; remove the file to begin anew\n"
    other = run("restore", path, url, "--resume", state, "--db", "3")
    assert (other.returncode, "other options" in other.stderr) == (3, True)


def test_memory_estimates_are_those_of_a_real_server(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server("--save", "")
    source = random.Random(2)

    def word(size: int) -> bytes:
        return source.randbytes(size).hex()[:size].encode()

    with server.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(1500):
            key, many = f"user:{number}", min(int(source.paretovariate(0.8)), 1500)
            kind = number % 6
            if kind == 0:
                pipe.set(key, word(source.choice((1, 20, 44, 45, 300, 5000))))
            elif kind == 1:
                pipe.hset(key, mapping={word(8) + b"%d" % i: word(source.choice((5, 70))) for i in range(many)})
            elif kind == 2:
                pipe.rpush(key, *[word(source.choice((5, 50))) for _ in range(many)])
            elif kind == 3:
                pipe.sadd(key, *[word(10) if number % 4 else source.randrange(10**6) for _ in range(many)])
            elif kind == 4:
                pipe.zadd(key, {word(12): source.random() for _ in range(many)})
            else:
                for _ in range(min(many, 200)):
                    pipe.xadd(key, {"field": word(20)})
        pipe.execute()
        client.save()
        estimates: dict[bytes, int] = {}
        reader = RdbReader((server.directory / "dump.rdb").read_bytes(), "dump.rdb")
        sink = MemorySink(
            MODELS["redis-7.0"], on_key=lambda db, key, kind, used, count, expires: estimates.__setitem__(key, used)
        )
        for _ in reader.walk(sink):
            pass
        for key in estimates:
            pipe.execute_command("MEMORY", "USAGE", key, "SAMPLES", "0")
        real = dict(zip(estimates, pipe.execute(), strict=True))
    assert abs(sum(estimates.values()) / sum(real.values()) - 1) <= 0.05
    errors = sorted(abs(estimates[key] - real[key]) / real[key] for key in real)
    assert errors[int(len(errors) * 0.95)] <= 0.15


def test_a_live_servers_rdb_is_read_over_replication(redis_server: Start) -> None:
    server = redis_server("--save", "")
    with server.client() as client:
        client.set("k", "v")
    rows = json.loads(run("dump", "-f", "json", f"redis://127.0.0.1:{server.port}").stdout)
    assert [(row["key"], row["value"]) for row in rows] == [("k", "v")]


def test_a_refused_file_of_the_corpus_is_an_error() -> None:
    with pytest.raises(RdbError):
        RdbReader(b"REDIS0099" + bytes(20), "x")
