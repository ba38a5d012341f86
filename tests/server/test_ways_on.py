"""A server that refuses its data names the way on: what it advises is run as it is printed, and the next start succeeds."""

from __future__ import annotations

import gzip
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from rotomdb.formats.checksum import crc64
from rotomdb.formats.rdb.encoder import encode_length, encode_string
from rotomdb.storage.propagation import encode_command
from rotomdb.testing.starting import Start, start
from tests.processes import RotomServer
from tests.tools.running import forked

TOOLS = {"rotomdb-aof": "aof", "rotomdb-rdb": "rdb"}
THEN_START = "start with "


def record(key: bytes, value: bytes = b"v") -> bytes:
    return b"\x00" + encode_string(key) + encode_string(value)


def rdb(body: bytes, magic: bytes = b"REDIS0010") -> bytes:
    data = magic + body + b"\xff"
    return data + crc64(data).to_bytes(8, "little")


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x5A
    return bytes(changed)


ZERO = b"\xfe\x00"  # SELECTDB 0
RECORDS = record(b"first") + record(b"second", b"w" * 30) + record(b"third")
SOUND = rdb(ZERO + RECORDS)
MODULE_VALUE = b"\x07" + encode_string(b"module") + encode_length(0x123456 << 10) + b"\x02\x05\x00"
MODULE_DATA = b"\xf7" + encode_length(0x123456 << 10) + b"\x02\x01\x02\x05\x00"
PRE_RELEASE_MODULE = b"\x06" + encode_string(b"old") + encode_length(77) + b"\x03"
LIBRARY = b"redis.register_function('f', function() return 1 end)"
PRE_RELEASE_FUNCTION = b"\xf6" + encode_string(b"lib") + encode_string(b"LUA") + b"\x00" + encode_string(LIBRARY)
HUGE_DATABASE = b"\xfe\x81" + b"\x7f" * 8
ALL = {"first", "second", "third"}
SNAPSHOTS = {
    "gzip": (gzip.compress(SOUND), ALL),
    "zstd": (zstandard.compress(SOUND), ALL),
    "a captured transfer": (b"$EOF:" + b"a" * 40 + b"\r\n" + SOUND + b"a" * 40, ALL),
    "a captured transfer with its length": (b"$%d\r\n" % len(SOUND) + SOUND, ALL),
    "a module's value": (rdb(ZERO + record(b"first") + MODULE_VALUE + record(b"third")), {"first", "third"}),
    "a module's data outside of keys": (rdb(MODULE_DATA + ZERO + RECORDS), ALL),
    "a pre-release module's value": (rdb(ZERO + record(b"first") + PRE_RELEASE_MODULE), {"first"}),
    "a pre-release function": (rdb(PRE_RELEASE_FUNCTION + ZERO + RECORDS), ALL),
    "a damaged header": (flipped(SOUND, 1, 3), ALL),
    "a damaged header that no checksum mends": (flipped(SOUND, 1, 3)[:-8] + bytes(8), ALL),
    "a database that no server has": (rdb(ZERO + record(b"first") + HUGE_DATABASE + RECORDS), {"first"}),
    "a key that is there twice": (rdb(ZERO + RECORDS + b"\xfe\x01" + RECORDS + ZERO + record(b"first", b"2")), ALL),
    "a member that is there twice": (
        rdb(ZERO + record(b"first") + b"\x02" + encode_string(b"set") + b"\x02\x01m\x01m" + record(b"third")),
        {"first", "third"},
    ),
    "a cut end": (SOUND[:40], {"first"}),
    "a wrong checksum": (SOUND[:-8] + b"12345678", ALL),
    "damage": (flipped(SOUND, 25, 26, 27, 28, 29), {"first", "third"}),
}
COMMANDS = [encode_command(b"SET", b"k%d" % number, b"1") for number in range(8)]
EVERY_COMMAND = {f"k{number}" for number in range(8)}
BEFORE = {f"k{number}" for number in range(4)}


def with_command(*words: bytes) -> bytes:
    return around(encode_command(*words))


def around(middle: bytes) -> bytes:
    return b"".join([*COMMANDS[:4], middle, *COMMANDS[4:]])


def transaction(*commands: tuple[bytes, ...]) -> bytes:
    return b"".join(encode_command(*words) for words in [(b"MULTI",), *commands, (b"EXEC",)])


INCREMENTS = {
    "bytes that are no command": (around(b"garbage\r\n"), EVERY_COMMAND),
    "a wrong length": (around(encode_command(b"SET", b"kx", b"1").replace(b"$2", b"$9")), EVERY_COMMAND),
    "a wrong number of words": (around(encode_command(b"SET", b"kx", b"1").replace(b"*3", b"*5")), EVERY_COMMAND),
    "a MULTI in a transaction": (
        around(encode_command(b"MULTI") + encode_command(b"SET", b"m", b"1") + transaction()),
        EVERY_COMMAND,
    ),
    "an unknown command": (with_command(b"NOSUCH", b"x"), EVERY_COMMAND),
    "too few words": (with_command(b"SET", b"x"), EVERY_COMMAND),
    "a number of words that shows when it runs": (with_command(b"MSET", b"a", b"b", b"c"), EVERY_COMMAND),
    "a script that is not known": (with_command(b"EVALSHA", b"0" * 40, b"0"), EVERY_COMMAND),
    "a function that is called": (with_command(b"FCALL", b"f", b"0"), EVERY_COMMAND),
    "SELECT of a word": (with_command(b"SELECT", b"x"), BEFORE),
    "SELECT of a database that no server has": (with_command(b"SELECT", b"99999999999"), BEFORE),
    "a transaction with an unknown command": (
        around(transaction((b"SET", b"m", b"1"), (b"NOSUCH",))),
        EVERY_COMMAND,
    ),
}
BASES = {
    name: SNAPSHOTS[name]
    for name in (
        "a module's value", "a module's data outside of keys", "a pre-release module's value", "a pre-release function",
        "a damaged header", "a database that no server has", "a key that is there twice", "a member that is there twice",
        "a cut end", "a wrong checksum", "damage",
    )
}  # fmt: skip


@dataclass
class Followed:
    """What came of the advice: how the tools ended, and the start behind them."""

    statuses: list[int]
    start: Start


def follow(refused: Start, directory: Path, *arguments: str) -> Followed:
    """Run the advice as it is printed, word by word."""
    statuses, words = [], list(arguments)
    for hint in refused.hints:
        program, *rest = shlex.split(hint)
        if program in TOOLS:
            statuses.append(forked(TOOLS[program], *rest).status)
        elif THEN_START in hint and not hint.startswith("or "):
            words += shlex.split(hint.partition(THEN_START)[2])
    return Followed(statuses, start(directory, *words))


def names(found: Start) -> set[str]:
    assert found.keys is not None, found.log
    return set(found.keys.get(0, ()))


def refused_over(directory: Path, *arguments: str) -> Start:
    refused = start(directory, "--save", "", *arguments)
    assert not refused.loaded
    assert refused.hints, refused.log
    return refused


def make_log(directory: Path, increment: bytes, base: bytes = SOUND, second: bytes | None = None) -> Path:
    """A data directory with a log of two files, or three; returns its append directory."""
    log = directory / "appendonlydir"
    log.mkdir()
    files = {"appendonly.aof.1.base.rdb": base, "appendonly.aof.1.incr.aof": increment}
    lines = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    if second is not None:
        files["appendonly.aof.2.incr.aof"] = second
        lines += "file appendonly.aof.2.incr.aof seq 2 type i\n"
    for name, content in files.items():
        (log / name).write_bytes(content)
    (log / "appendonly.aof.manifest").write_text(lines)
    return log


@pytest.mark.parametrize("kind", SNAPSHOTS)
def test_from_a_snapshot_with(kind: str, tmp_path: Path) -> None:
    content, kept = SNAPSHOTS[kind]
    (tmp_path / "dump.rdb").write_bytes(content)
    done = follow(refused_over(tmp_path), tmp_path)
    assert done.statuses[0] in (0, 1)
    assert names(done.start) == kept
    assert (tmp_path / "dump.rdb").read_bytes() == content


@pytest.mark.parametrize("kind", INCREMENTS)
def test_from_a_log_with(kind: str, tmp_path: Path) -> None:
    content, kept = INCREMENTS[kind]
    log = make_log(tmp_path, content)
    done = follow(refused_over(tmp_path), tmp_path)
    assert done.statuses == [1]
    assert names(done.start) == kept | ALL
    assert (log / "appendonly.aof.1.incr.aof").read_bytes() == content


@pytest.mark.parametrize("kind", BASES)
def test_from_a_base_with(kind: str, tmp_path: Path) -> None:
    content, kept = BASES[kind]
    make_log(tmp_path, b"".join(COMMANDS), content)
    done = follow(refused_over(tmp_path), tmp_path)
    assert done.statuses == [1]
    assert names(done.start) == kept | EVERY_COMMAND


def test_a_base_of_a_version_that_nobody_reads_is_set_aside_as_a_whole(tmp_path: Path) -> None:
    make_log(tmp_path, b"".join(COMMANDS), b"REDIS0099" + SOUND[9:])
    done = follow(refused_over(tmp_path), tmp_path)
    assert names(done.start) == EVERY_COMMAND


def test_what_a_select_in_a_refused_transaction_chose_stays_chosen(tmp_path: Path) -> None:
    make_log(tmp_path, around(transaction((b"SELECT", b"3"), (b"NOSUCH",))))
    done = follow(refused_over(tmp_path), tmp_path)
    assert done.start.keys == {0: sorted(ALL | BEFORE), 3: sorted(EVERY_COMMAND - BEFORE)}


@pytest.mark.parametrize(
    "words",
    [(b"SELECT", b"20"), (b"MOVE", b"k1", b"20"), (b"COPY", b"k1", b"copy", b"DB", b"20"), (b"SWAPDB", b"20", b"1")],
)
def test_a_log_of_a_server_with_more_databases(words: tuple[bytes, ...], tmp_path: Path) -> None:
    make_log(tmp_path, with_command(*words))
    refused = refused_over(tmp_path)
    assert refused.hints == ["start with --databases 21"]
    assert follow(refused, tmp_path).start.loaded


def test_a_snapshot_of_a_server_with_more_databases(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(rdb(ZERO + RECORDS + b"\xfe\x14" + RECORDS))
    found = follow(refused_over(tmp_path), tmp_path).start.keys
    assert found == {0: sorted(ALL), 20: sorted(ALL)}


@pytest.mark.parametrize("content", [bytes(100), b"<html>gone</html>", b"", b"REDIS0099" + SOUND[9:]])
def test_what_is_no_snapshot_at_all_can_only_be_put_back_or_moved_away(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(content)
    refused = refused_over(tmp_path)
    assert refused.hints == [f"put a copy of {tmp_path}/dump.rdb back, or move it away to start without it"]
    (tmp_path / "dump.rdb").rename(tmp_path / "elsewhere")
    assert start(tmp_path).loaded


def test_a_torn_end_that_must_not_be_cut_at_the_start(tmp_path: Path) -> None:
    make_log(tmp_path, b"".join(COMMANDS)[:-5])
    arguments = ("--aof-load-truncated", "no")
    done = follow(refused_over(tmp_path, *arguments), tmp_path, *arguments)
    assert (done.statuses, names(done.start)) == ([0], ALL | EVERY_COMMAND - {"k7"})


def test_a_torn_end_that_others_follow(tmp_path: Path) -> None:
    make_log(tmp_path, b"".join(COMMANDS[:4])[:-5], second=b"".join(COMMANDS[4:]))
    done = follow(refused_over(tmp_path), tmp_path)
    assert (done.statuses, names(done.start)) == ([1], ALL | EVERY_COMMAND - {"k3"})


def test_a_log_in_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(with_command(b"NOSUCH"))
    arguments = ("--aof-layout", "single")
    done = follow(refused_over(tmp_path, *arguments), tmp_path, *arguments)
    assert (done.statuses, names(done.start)) == ([1], EVERY_COMMAND)


@pytest.mark.parametrize("gone", ["1.base.rdb", "1.incr.aof", "2.incr.aof"])
def test_a_file_that_the_manifest_names_is_gone(gone: str, tmp_path: Path) -> None:
    log = make_log(tmp_path, b"".join(COMMANDS[:4]), second=b"".join(COMMANDS[4:]))
    (log / f"appendonly.aof.{gone}").unlink()
    done = follow(refused_over(tmp_path), tmp_path)
    kept = {"1.base.rdb": EVERY_COMMAND, "1.incr.aof": ALL | EVERY_COMMAND - BEFORE, "2.incr.aof": ALL | BEFORE}[gone]
    assert (done.statuses, names(done.start)) == ([0], kept)


def test_an_increment_between_others_is_gone(tmp_path: Path) -> None:
    log = make_log(tmp_path, b"".join(COMMANDS[:4]), second=b"")
    (log / "appendonly.aof.3.incr.aof").write_bytes(b"".join(COMMANDS[4:]))
    with (log / "appendonly.aof.manifest").open("a") as manifest:
        manifest.write("file appendonly.aof.3.incr.aof seq 3 type i\n")
    (log / "appendonly.aof.2.incr.aof").unlink()
    refused = refused_over(tmp_path)
    ended = forked("aof", "rebuild-manifest", tmp_path)
    assert ended.status == 1
    assert "put them back, or go on without what they did: --without-missing" in ended.errors
    done = follow(refused, tmp_path)
    assert (done.statuses, names(done.start)) == ([0], ALL | EVERY_COMMAND)


@pytest.mark.parametrize("content", [None, b"", bytes(90)])
def test_a_manifest_that_is_gone_or_says_nothing(content: bytes | None, tmp_path: Path) -> None:
    manifest = make_log(tmp_path, b"".join(COMMANDS)) / "appendonly.aof.manifest"
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content)
    done = follow(refused_over(tmp_path), tmp_path)
    assert (done.statuses, names(done.start)) == ([0], ALL | EVERY_COMMAND)


def test_snapshot_and_log_that_differ_and_neither_is_the_newer(tmp_path: Path) -> None:
    make_log(tmp_path, b"".join(COMMANDS))
    (tmp_path / "dump.rdb").write_bytes(rdb(b"\xfa\x05ctime\x0a9999999999" + ZERO + RECORDS))
    refused = refused_over(tmp_path)
    assert refused.hints == ["start with --load-from aof", "or start with --load-from rdb"]
    assert names(follow(refused, tmp_path).start) == ALL | EVERY_COMMAND
    assert names(start(tmp_path, "--load-from", "rdb")) == ALL


def test_a_server_process_says_the_same(rotom: Callable[..., RotomServer], tmp_path: Path) -> None:
    make_log(tmp_path, with_command(b"NOSUCH", b"x"))
    refused = refused_over(tmp_path)
    with pytest.raises(RuntimeError) as said:
        rotom("--save", "", directory=tmp_path)
    assert all(f"hint: {hint}" in str(said.value) for hint in refused.hints)
