"""What a server does to keep its promise: owners, fresh data, replies that wait, disks that fill up or fail."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import rotomdb
from rotomdb.errors import StartupError
from tests.processes import ControlledServer, RedisServer, RotomServer

Start = Callable[..., RotomServer]
StartControlled = Callable[..., ControlledServer]
StartRedis = Callable[..., RedisServer]


# One owner per directory


def test_a_second_server_is_refused_and_told_who_the_owner_is(rotom: Start, tmp_path: Path) -> None:
    first = rotom(directory=tmp_path / "shared")
    assert first.process is not None
    with pytest.raises(
        RuntimeError, match=rf"belongs to another server: process {first.process.pid} .*port {first.port}"
    ):
        rotom(directory=tmp_path / "shared")
    first.restart()  # a killed owner leaves nothing that stands in the way


def test_an_embedded_database_is_an_owner_too(tmp_path: Path) -> None:
    with rotomdb.connect(tmp_path / "data") as client:
        client.set("a", 1)
        with pytest.raises(StartupError, match="belongs to another server"):
            rotomdb.connect(tmp_path / "data")
    with rotomdb.connect(tmp_path / "data") as client:
        assert client.get("a") == b"1"


# The freshest data


def test_appendonly_over_an_existing_snapshot_loads_and_converts_it(redis_server: StartRedis, rotom: Start) -> None:
    peer = redis_server("--appendonly", "no")
    with peer.client() as client:
        client.set("a", 1)
        client.save()
    peer.kill()
    server = rotom(directory=peer.directory)
    with server.client() as client:
        assert client.get("a") == b"1"
    assert "No append only file found: going on from the snapshot." in server.log()
    (server.directory / "dump.rdb").unlink()
    server.restart()
    with server.client() as client:
        assert client.get("a") == b"1", "the log holds it now"


def test_a_snapshot_taken_after_the_log_was_turned_off_is_loaded_before_the_stale_log(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client:
        client.set("a", "logged")
        client.config_set("appendonly", "no")
        client.set("a", "saved")
        client.save()
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("a") == b"saved"
    logs = server.directory / "appendonlydir"
    assert list(logs.glob("*.superseded")), "the stale log is kept"
    assert b"logged" in (logs / "appendonly.aof.1.incr.aof.superseded").read_bytes()
    server.restart()
    with server.client() as client:
        assert client.get("a") == b"saved"


def test_a_log_that_goes_on_behind_the_snapshot_is_loaded_although_it_is_off_now(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client:
        client.set("a", "saved")
        client.save()
        client.set("a", "logged")
    server.kill()
    server.arguments = ("--appendonly", "no")
    server.start()
    with server.client() as client:
        assert client.get("a") == b"logged"


@pytest.mark.parametrize("layout", ["multi", "single"])
def test_a_log_that_was_rewritten_without_a_key_rules_over_an_older_snapshot(rotom: Start, layout: str) -> None:
    server = rotom("--aof-use-rdb-preamble", "no", "--aof-layout", layout)
    with server.client() as client:
        client.set("a", 1)
        client.save()
        client.flushdb()
        client.bgrewriteaof()
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.01)
    server.restart()
    with server.client() as client:
        assert client.dbsize() == 0


def test_a_log_shortened_by_hand_after_a_shutdown_is_what_the_operator_wants(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", 1)
        client.flushall()
    server.stop()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    content = log.read_bytes()
    log.write_bytes(content[: content.index(b"*1\r\n$8\r\nFLUSHALL")])
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"


def test_unproven_differences_between_snapshot_and_log_are_refused_and_load_from_decides(
    redis_server: StartRedis, rotom: Start
) -> None:
    peer = redis_server("--appendonly", "yes", "--save", "")
    with peer.client() as client:
        client.set("a", "logged")
        client.config_set("appendonly", "no")
        client.set("a", "saved")
        time.sleep(1.1)
        client.save()
    peer.kill()
    with pytest.raises(RuntimeError, match="nothing proves which of them is the newer"):
        rotom(directory=peer.directory)
    for source, value in (("aof", b"logged"), ("rdb", b"saved")):
        copy = peer.directory.with_name(f"copy-{source}")
        shutil.copytree(peer.directory, copy)
        server = rotom("--load-from", source, directory=copy)
        with server.client() as client:
            assert client.get("a") == value


def test_snapshot_and_log_of_a_redis_that_was_shut_down_agree_and_start(redis_server: StartRedis, rotom: Start) -> None:
    peer = redis_server("--appendonly", "yes", "--save", "3600 1")
    with peer.client() as client:
        client.set("a", 1)
        client.set("gone", 1, px=1)
        time.sleep(1.2)
    digest = peer.digest()
    peer.stop()
    server = rotom(directory=peer.directory)
    assert server.digest() == digest


@pytest.mark.parametrize("missing", ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"])
def test_a_listed_file_that_is_missing_is_refused_by_name(rotom: Start, missing: str) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", 1)
    server.stop()
    (server.directory / "appendonlydir" / missing).unlink()
    with pytest.raises(RuntimeError, match=f"The AOF file {missing} doesn't exist"):
        server.start()


def test_an_unreadable_snapshot_is_refused_and_left_as_it_is(rotom: Start) -> None:
    server = rotom("--appendonly", "no")
    (server.directory / "dump.rdb").write_bytes(b"REDIS0010 this is no snapshot")
    with pytest.raises(RuntimeError, match=r"dump.rdb: offset \d+"):
        server.restart()
    assert (server.directory / "dump.rdb").read_bytes() == b"REDIS0010 this is no snapshot"


def test_a_log_whose_manifest_is_gone_is_not_begun_anew(rotom: Start) -> None:
    server = rotom("--save", "")
    with server.client() as client:
        client.set("a", 1)
        client.bgrewriteaof()
        server.wait_for("aof_rewrite_in_progress", 0)
        client.set("b", 2)
    assert server.stop() == 0
    directory = server.directory / "appendonlydir"
    (directory / "appendonly.aof.manifest").unlink()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(
        RuntimeError, match=r"no appendonly\.aof\.manifest says how they belong together.*rebuild-manifest"
    ):
        server.start()
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    done = subprocess.run([sys.executable, "-m", "rotomdb.tools.aof", "rebuild-manifest", str(directory)], check=False)
    assert done.returncode == 0
    server.start()
    with server.client() as client:
        assert (client.get("a"), client.get("b")) == (b"1", b"2")


def test_a_base_without_a_manifest_is_not_begun_anew_unless_the_snapshot_holds_the_same(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    with server.client() as client:
        client.set("a", 1)
        client.save()
        directory = server.directory / "appendonlydir"
        directory.mkdir()
        shutil.copy(server.directory / "dump.rdb", directory / "appendonly.aof.1.base.rdb")
        client.set("a", 2)
        client.save()
    server.kill()
    server.arguments = ("--save", "")
    with pytest.raises(RuntimeError, match="rebuild-manifest"):
        server.start()
    shutil.copy(server.directory / "dump.rdb", directory / "appendonly.aof.1.base.rdb")
    server.start()
    with server.client() as client:
        assert client.get("a") == b"2"


def test_turning_the_log_on_over_files_that_nobody_names_keeps_them(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    directory = server.directory / "appendonlydir"
    directory.mkdir()
    (directory / "appendonly.aof.1.incr.aof").write_bytes(b"*1\r\n$4\r\nPING\r\n")
    with server.client() as client:
        client.config_set("appendonly", "yes")
        server.wait_for("aof_enabled", 1)
        server.wait_for("aof_rewrite_in_progress", 0)
        client.set("a", 1)
    server.kill()
    server.arguments = ("--save", "")
    server.start()
    with server.client() as client:
        assert client.keys() == [b"a"]
    assert (directory / "appendonly.aof.1.incr.aof.superseded").read_bytes() == b"*1\r\n$4\r\nPING\r\n"


# Replies wait for the disk; others do not


def slowest_get(client: redis.Redis, seconds: float) -> list[float]:
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        client.get("other")
        times.append(time.perf_counter() - start)
    return sorted(times)


def test_writers_wait_for_a_slow_disk_and_readers_of_other_keys_do_not(controlled: StartControlled) -> None:
    server = controlled("--appendfsync", "always")
    with server.client() as writer, server.client() as reader:
        reader.set("other", "x")
        server.control("slow 200")
        writer.set("warm", "up")
        done = threading.Event()
        took: list[float] = []

        def write() -> None:
            for number in range(3):
                start = time.perf_counter()
                writer.set("a", number)
                took.append(time.perf_counter() - start)
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        reads = []
        while not done.is_set():
            start = time.perf_counter()
            reader.get("other")
            reads.append(time.perf_counter() - start)
        thread.join()
    assert min(took) >= 0.15
    assert sorted(reads)[int(len(reads) * 0.99)] < 0.1


def test_a_read_of_what_is_not_on_disk_yet_waits_as_the_writer_does(controlled: StartControlled) -> None:
    server = controlled("--appendfsync", "always")
    with server.client() as first, server.client() as second, server.client() as third:
        first.mset({"a": "old", "other": "x"})
        server.control("slow 400")
        second.set("warm", "up")
        thread = threading.Thread(target=lambda: first.set("a", "new"))
        thread.start()
        time.sleep(0.1)
        start = time.perf_counter()
        assert third.get("other") == b"x"
        assert time.perf_counter() - start < 0.2
        assert second.get("a") == b"new"
        assert time.perf_counter() - start > 0.2, "it must not be seen before it is safe"
        thread.join()


def test_one_fsync_covers_all_who_wait(controlled: StartControlled) -> None:
    server = controlled("--appendfsync", "always")
    server.control("slow 100")
    clients = [server.client() for _ in range(20)]
    clients[0].set("warm", "up")
    start = time.perf_counter()
    threads = [threading.Thread(target=client.incr, args=("n",)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.perf_counter() - start < 1.0, "one after the other they would take two seconds"
    assert clients[0].get("n") == b"20"
    for client in clients:
        client.close()


def test_a_transaction_and_a_blocked_client_wait_for_the_disk_too(controlled: StartControlled) -> None:
    server = controlled("--appendfsync", "always")
    with server.client() as popper, server.client() as pusher:
        pusher.ping()
        popped: list[object] = []
        thread = threading.Thread(target=lambda: popped.append(popper.blpop(["list"])))
        thread.start()
        time.sleep(0.1)
        server.control("slow 300")
        start = time.perf_counter()
        with pusher.pipeline(transaction=True) as pipe:
            pipe.rpush("list", "x").incr("n").execute()
        thread.join()
        assert popped == [(b"list", b"x")]
        assert time.perf_counter() - start > 0.25


def test_waitaof_counts_the_local_disk_and_ends_with_an_error_when_the_log_is_turned_off(
    controlled: StartControlled,
) -> None:
    server = controlled("--appendfsync", "everysec", "--save", "")
    with server.client() as client, server.client() as other:
        client.set("a", 1)
        assert client.execute_command("WAITAOF", 1, 0, 5000) == [1, 0]
        server.control("slow 1500")
        client.set("a", 2)
        assert client.execute_command("WAITAOF", 1, 0, 100) == [0, 0]
        assert client.execute_command("WAITAOF", 1, 0, 8000) == [1, 0]
        assert client.execute_command("WAITAOF", 0, 0, 0) == [1, 0]
        server.control("")
        answers: list[str] = []

        def wait() -> None:
            try:
                answers.append(str(client.execute_command("WAITAOF", 1, 1, 0)))
            except redis.ResponseError as error:
                answers.append(str(error))

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        other.config_set("appendonly", "no")
        thread.join(5)
        assert answers == ["WAITAOF cannot be used when numlocal is set but appendonly is disabled."]
        with pytest.raises(redis.ResponseError, match="appendonly is disabled"):
            client.execute_command("WAITAOF", 1, 0, 0)


# Disks that fill up or fail


def set_when_possible(client: redis.Redis, key: str, value: object) -> None:
    """Set it as soon as writes are accepted."""
    end = time.monotonic() + 20
    while True:
        try:
            client.set(key, value)
            return
        except redis.ResponseError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_full_disk_refuses_writes_and_recovers_by_itself(controlled: StartControlled, policy: str) -> None:
    server = controlled("--appendfsync", policy, "--save", "", "--disk-reserve", "0")
    with server.client() as client, server.client() as other:
        client.set("a", 1)
        server.control("full")
        writer = threading.Thread(target=set_when_possible, args=(client, "a", 2))
        writer.start()
        time.sleep(0.3)
        assert writer.is_alive(), "no reply before it is written"
        with pytest.raises(
            redis.ResponseError, match="MISCONF Errors writing to the AOF file: No space left on device"
        ):
            other.set("b", 1)
        assert other.get("b") is None
        assert other.info("persistence")["aof_last_write_status"] == "err"
        server.control("")
        set_when_possible(other, "b", 1)
        writer.join()
    server.restart()
    with server.client() as client:
        assert client.mget("a", "b") == [b"2", b"1"]


def test_the_reserve_lets_the_log_end_cleanly_and_comes_back(controlled: StartControlled) -> None:
    server = controlled("--disk-reserve", "1mb", "--save", "")
    reserve = server.directory / "rotomdb.reserve"
    assert reserve.stat().st_size == 1 << 20
    with server.client() as client:
        assert client.info("persistence")["disk_reserve_bytes"] == 1 << 20
        server.control("tight")
        client.set("a", 1)
        assert not reserve.exists()
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.set("b", 1)
        assert client.get("a") == b"1"
        server.control("")
        set_when_possible(client, "b", 1)
        assert reserve.stat().st_size == 1 << 20
    assert "the reserve is used to end the log cleanly" in server.log()
    server.restart()
    with server.client() as client:
        assert client.mget("a", "b") == [b"1", b"1"]


def test_a_disk_that_is_filling_up_is_warned_about(rotom: Start) -> None:
    server = rotom("--disk-free-warning", "1000000gb")
    with server.client() as client:
        end = time.monotonic() + 5
        while not client.info("persistence")["disk_low"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert client.info("persistence")["disk_free_bytes"] > 0
    assert "The disk is filling up" in server.log()


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_after_a_failed_fsync_writes_are_refused_until_the_data_is_in_a_fresh_file(
    controlled: StartControlled, policy: str
) -> None:
    server = controlled("--appendfsync", policy, "--save", "")
    with server.client() as client, server.client() as other:
        client.set("a", 1)
        time.sleep(1.1)
        server.control("broken-sync")
        writer = threading.Thread(target=set_when_possible, args=(client, "a", 2))
        writer.start()
        end = time.monotonic() + 10
        while "MISCONF" not in server_answer(other):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert other.info("persistence")["aof_last_write_status"] == "err"
        server.control("")
        while "MISCONF" in server_answer(other):
            assert time.monotonic() < end + 20
            time.sleep(0.1)
        writer.join()
        assert client.get("a") == b"2"
    manifest = (server.directory / "appendonlydir" / "appendonly.aof.manifest").read_text()
    assert "appendonly.aof.1.incr.aof" not in manifest
    server.restart()
    with server.client() as client:
        assert client.get("a") == b"2"


def server_answer(client: redis.Redis) -> str:
    try:
        return str(client.set("probe", 1))
    except redis.ResponseError as error:
        return str(error)


def test_a_failed_fsync_ends_the_server_where_that_is_configured(controlled: StartControlled) -> None:
    server = controlled("--appendfsync", "always", "--aof-disk-error-action", "exit")
    with server.client() as client:
        client.set("a", 1)
        server.control("broken-sync")
        with pytest.raises(redis.ConnectionError):
            client.set("a", 2)
    assert server.wait() == 1
    server.control("")
    server.start()


def test_shutdown_is_refused_while_the_log_cannot_be_written(controlled: StartControlled) -> None:
    server = controlled("--save", "", "--disk-reserve", "0")
    with server.client() as client, server.client() as other:
        client.set("a", 1)
        server.control("full")
        writer = threading.Thread(target=set_when_possible, args=(client, "a", 2))
        writer.start()
        time.sleep(0.3)
        with pytest.raises(redis.ResponseError, match="Errors trying to SHUTDOWN"):
            other.execute_command("SHUTDOWN")
        server.control("")
        writer.join()
        with contextlib.suppress(redis.ConnectionError):
            other.shutdown()
    assert server.wait() == 0
    server.start()
    with server.client() as client:
        assert client.get("a") == b"2"


def test_a_snapshot_is_read_back_before_it_replaces_the_one_before(controlled: StartControlled) -> None:
    server = controlled("--appendonly", "no", "--rdb-verify-after-save", "yes")
    with server.client() as client:
        client.set("a", 1)
        client.save()
        client.bgsave()
        server.wait_for("rdb_bgsave_in_progress", 0)
        assert client.info("persistence")["rdb_last_bgsave_status"] == "ok"
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"


def test_appendonly_is_turned_on_while_writes_go_on(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "", "--rdb-key-save-delay", "2000")
    with server.client() as client:
        client.mset({f"key:{i}": i for i in range(300)})
        client.config_set("appendonly", "yes")
        info = client.info("persistence")
        assert (info["aof_enabled"], info["aof_rewrite_in_progress"]) == (1, 1)
        for i in range(300):
            client.set(f"key:{i}", -i)
        server.wait_for("aof_rewrite_in_progress", 0)
    server.kill()
    server.arguments = ("--save", "")
    server.start()
    with server.client() as client:
        assert client.mget([f"key:{i}" for i in range(300)]) == [b"%d" % -i for i in range(300)]


def test_redis_loads_an_annotated_log_with_marks(rotom: Start, redis_server: StartRedis) -> None:
    server = rotom("--appendfsync", "always")
    with server.client() as client:
        for i in range(200):
            client.set(f"key:{i}", "\0" * (i * 10))
        client.execute_command("SELECT", 5)
        client.rpush("list", *range(100))
    digest = server.digest()
    server.stop()
    content = (server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof").read_bytes()
    assert all(line in content for line in (b"#CRC64:", b"#SYNCED:", b"#ZEROS\r\n"))
    peer = redis_server("--appendonly", "yes", directory=server.directory)
    assert peer.digest() == digest
