"""The directory of the data: links are not followed there, it may be read-only, and CONFIG SET dir moves all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.processes import RotomServer

Start = Callable[..., RotomServer]
WRITES_NOTHING = ("--appendonly", "no", "--save", "")
MOVABLE = ("--enable-protected-configs", "yes", "--save", "")


# What the server creates


def test_a_lock_that_is_a_symbolic_link_is_not_followed_and_its_target_stays_whole(
    rotom: Start, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("content")
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "rotomdb.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(
        RuntimeError, match=r"rotomdb\.lock cannot be taken: it is a symbolic link, which is not followed"
    ):
        rotom(directory=directory)
    assert (tmp_path / "precious").read_text() == "content"
    (directory / "rotomdb.lock").unlink()
    (directory / "rotomdb.lock").symlink_to(tmp_path / "new")
    with pytest.raises(RuntimeError, match="symbolic link"):
        rotom(directory=directory)
    assert not (tmp_path / "new").exists()


def test_a_pid_file_that_is_a_symbolic_link_is_not_followed(rotom: Start, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "pid").symlink_to(tmp_path / "precious")
    server = rotom("--pidfile", str(tmp_path / "pid"))
    assert "Failed to write PID file: it is a symbolic link" in server.log()
    assert server.stop() == 0
    assert (tmp_path / "precious").read_text() == "content"
    assert (tmp_path / "pid").is_symlink()


def test_files_have_the_modes_of_redis_under_the_umask(rotom: Start, tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        server = rotom("--pidfile", "pid", "--save", "60 1")
    finally:
        os.umask(before)
    with server.client() as client:
        client.save()
        client.bgrewriteaof()
        server.wait_for("aof_rewrite_in_progress", 0)
    found = {path.name: path.stat().st_mode & 0o777 for path in server.directory.rglob("*")}
    assert {name: oct(found[name]) for name in (
        "dump.rdb", "pid", "appendonlydir", "appendonly.aof.manifest", "appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"
    )} == {
        "dump.rdb": "0o664", "pid": "0o664", "appendonlydir": "0o755", "appendonly.aof.manifest": "0o644",
        "appendonly.aof.2.base.rdb": "0o664", "appendonly.aof.2.incr.aof": "0o644",
    }  # fmt: skip
    assert server.stop() == 0
    assert not (server.directory / "pid").exists()


# A directory that nobody can write


class WithoutOverride(RotomServer):
    """A server for whom modes count, although root starts it."""

    def command(self) -> list[str]:
        dropped = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        return [*dropped, *super().command()]

    def launch(self) -> None:
        log = (self.directory.parent / "server.log").open("ab")
        self.process = subprocess.Popen(
            self.command(), cwd=self.directory, stdout=log, stderr=log, env=self.environment()
        )
        log.close()

    def log(self) -> str:
        return (self.directory.parent / "server.log").read_text(errors="replace")


class OnReadOnlyMount(WithoutOverride):
    """A server in a mount namespace of its own, where its directory is mounted read-only."""

    def command(self) -> list[str]:
        place = str(self.directory)
        mount = f'mount --bind "{place}" "{place}" && mount -o remount,ro,bind "{place}" && cd "{place}" && exec "$@"'
        return ["unshare", "-m", "sh", "-c", mount, "sh", *RotomServer.command(self)]


def read_only_server(kind: type[WithoutOverride], directory: Path, *arguments: str) -> WithoutOverride:
    """Not started yet; skips where this system cannot make a directory read-only in that way."""
    server = kind(directory, *arguments)
    probe = [*server.command()[: -len(RotomServer.command(server))], "touch", str(directory / "probe")]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if "Permission denied" not in done.stderr and "Read-only file system" not in done.stderr:
        pytest.skip(f"no read-only directory can be made here: {done.stderr or 'writing goes on'}")
    return server


@pytest.fixture
def loaded(rotom: Start, tmp_path: Path) -> Path:
    """A directory with a snapshot and nothing else."""
    server = rotom(*WRITES_NOTHING)
    with server.client() as client:
        client.set("k", "v")
        client.save()
    server.kill()
    directory = tmp_path / "readonly"
    directory.mkdir()
    shutil.copy(server.directory / "dump.rdb", directory)
    (directory / "temp-1.rdb").write_bytes(b"left by a crash")
    directory.chmod(0o555)
    return directory


@pytest.mark.parametrize("kind", [WithoutOverride, OnReadOnlyMount])
def test_without_persistence_a_read_only_directory_is_read_and_served(
    loaded: Path, kind: type[WithoutOverride]
) -> None:
    server = read_only_server(kind, loaded, *WRITES_NOTHING)
    try:
        server.start()
        with server.client() as client:
            assert client.get("k") == b"v"
            client.set("k", "in memory")
            assert client.get("k") == b"in memory"
            for write in (
                client.save,
                client.bgsave,
                client.bgrewriteaof,
                lambda: client.config_set("appendonly", "yes"),
            ):
                with pytest.raises(redis.ResponseError):
                    write()
            assert client.ping()
        assert "What is there is loaded, and nothing can be saved" in server.log()
        assert "internal error" not in server.log()
        assert server.stop() == 0
    finally:
        server.kill()
    assert sorted(path.name for path in loaded.iterdir()) == ["dump.rdb", "temp-1.rdb"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--appendonly", "yes", "--save", ""), "appendonly yes"), (("--appendonly", "no"), "save points")],
)
def test_what_would_write_refuses_a_read_only_directory_and_says_how_to_start(
    loaded: Path, arguments: tuple[str, ...], reason: str
) -> None:
    server = read_only_server(WithoutOverride, loaded, *arguments)
    try:
        with pytest.raises(
            RuntimeError, match=f"rotomdb.lock cannot be taken: Permission denied.*as {reason} would have it"
        ):
            server.start()
    finally:
        server.kill()


def test_once_the_directory_can_be_written_a_save_takes_the_lock_first(loaded: Path, rotom: Start) -> None:
    server = read_only_server(WithoutOverride, loaded, *WRITES_NOTHING)
    try:
        server.start()
        loaded.chmod(0o755)
        with server.client() as client:
            client.set("k", "saved")
            client.save()
            assert json.loads((loaded / "rotomdb.lock").read_text())["port"] == server.port
            with pytest.raises(RuntimeError, match="belongs to another server"):
                rotom(directory=loaded)
            assert client.get("k") == b"saved"
    finally:
        server.kill()


def test_an_embedded_client_reads_where_nothing_can_be_written(loaded: Path) -> None:
    dropped = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    script = f"import rotomdb; print(rotomdb.connect({str(loaded)!r}, appendonly='no').get('k'))"
    done = subprocess.run([*dropped, sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "b'v'" in done.stdout, done.stderr


# CONFIG SET dir


def refusal(client: redis.Redis, directory: Path) -> str:
    with pytest.raises(redis.ResponseError) as refused:
        client.config_set("dir", str(directory))
    return str(refused.value)


def test_the_directory_changes_with_lock_and_reserve(rotom: Start, tmp_path: Path) -> None:
    server = rotom("--appendonly", "no", *MOVABLE)
    free = tmp_path / "free"
    free.mkdir()
    with server.client() as client:
        client.set("k", 1)
        client.config_set("dir", str(free))
        assert client.config_get("dir") == {"dir": str(free)}
        client.save()
    assert json.loads((free / "rotomdb.lock").read_text())["port"] == server.port
    assert (free / "dump.rdb").exists()
    assert (free / "rotomdb.reserve").exists()
    assert not (server.directory / "rotomdb.reserve").exists()
    other = rotom(directory=server.directory)  # what was left is free for another
    with other.client() as client:
        assert client.get("k") is None
    assert server.stop() == 0


def test_a_directory_that_cannot_be_had_leaves_everything_as_it_was(rotom: Start, tmp_path: Path) -> None:
    server, owner = rotom("--appendonly", "no", "--disk-reserve", "1mb", *MOVABLE), rotom()
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "rotomdb.reserve").mkdir()  # the reserve cannot be made there
    with server.client() as client:
        assert "belongs to another server" in refusal(client, owner.directory)
        assert "No such file or directory" in refusal(client, tmp_path / "none")
        assert "Is a directory" in refusal(client, taken)
        assert client.config_get("dir") == {"dir": str(server.directory)}
        client.save()
        with pytest.raises(redis.ResponseError, match=r"port|address"):
            (tmp_path / "free").mkdir()
            client.execute_command("CONFIG", "SET", "dir", str(tmp_path / "free"), "port", str(owner.port))
        assert client.config_get("dir") == {"dir": str(server.directory)}
        client.save()
    assert (server.directory / "dump.rdb").exists()
    assert (server.directory / "rotomdb.reserve").stat().st_size == 1 << 20
    assert not (tmp_path / "free" / "dump.rdb").exists()
    with pytest.raises(RuntimeError, match="belongs to another server"):
        rotom(directory=server.directory)
    rotom(directory=tmp_path / "free")


def test_the_directory_stays_while_something_is_written_there(rotom: Start, tmp_path: Path) -> None:
    server = rotom("--rdb-key-save-delay", "1000000", *MOVABLE)
    (tmp_path / "free").mkdir()
    with server.client() as client:
        client.mset({f"k:{number}": number for number in range(10)})
        assert "can't be changed while the append only file is on" in refusal(client, tmp_path / "free")
        client.bgrewriteaof()
        server.wait_for("aof_rewrite_in_progress", 0, timeout=60)
        client.config_set("appendonly", "no")
        client.bgsave()
        assert "can't be changed while a child is saving" in refusal(client, tmp_path / "free")
        client.config_set("rdb-key-save-delay", 0)
    server.kill()


@pytest.mark.parametrize("layout", ["multi", "single"])
def test_a_log_that_is_turned_on_in_another_directory_keeps_the_files_that_were_there(
    rotom: Start, tmp_path: Path, layout: str
) -> None:
    theirs = rotom("--aof-layout", layout)
    with theirs.client() as client:
        client.set("theirs", "precious")
    assert theirs.stop() == 0
    server = rotom("--appendonly", "no", "--aof-layout", layout, *MOVABLE)
    with server.client() as client:
        client.set("ours", 1)
        client.config_set("dir", str(theirs.directory))
        client.config_set("appendonly", "yes")
        server.wait_for("aof_rewrite_in_progress", 0)
        client.set("ours", 2)
    server.kill()
    assert any(b"precious" in path.read_bytes() for path in theirs.directory.rglob("*.superseded"))
    again = rotom("--aof-layout", layout, "--load-from", "aof", directory=theirs.directory)
    with again.client() as client:
        assert client.keys() == [b"ours"]
