"""Start, stop, save and rewrite, as an operator meets them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rotomdb.formats.checksum import crc64
from tests.processes import RotomServer
from tests.workload import fill

Start = Callable[..., RotomServer]


def test_sigterm_saves_and_ends_with_status_0(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", "1")
    assert server.stop() == 0
    assert (server.directory / "dump.rdb").exists()
    assert "bye bye" in server.log()
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"


def test_a_directory_with_only_a_snapshot_is_taken_over_by_the_log(rotom: Start) -> None:
    server = rotom("--appendonly", "no")
    with server.client() as client:
        client.set("a", "1")
        client.save()
    server.kill()
    server.arguments = ()
    for _ in range(2):
        server.start()
        with server.client() as client:
            assert client.get("a") == b"1"
        server.kill()


def test_a_torn_tail_is_cut_and_kept_beside(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", "1")
    server.kill()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    whole = log.read_bytes()
    log.write_bytes(whole + b"*3\r\n$3\r\nSET\r\n$1\r\nb")
    server.start()
    assert log.read_bytes().removeprefix(whole).startswith(b"#CRC64:"), "what the kill left uncovered is covered now"
    assert (log.parent / f"{log.name}.cut-at-{len(whole)}").read_bytes() == b"*3\r\n$3\r\nSET\r\n$1\r\nb"
    with server.client() as client:
        assert client.get("a") == b"1"


def test_garbage_in_the_log_stops_the_start_with_file_and_offset(rotom: Start) -> None:
    garbage = b"garbage\r\n"
    server = rotom()
    with server.client() as client:
        client.set("a", "1")
    server.kill()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    size = log.stat().st_size
    log.write_bytes(log.read_bytes() + garbage)
    with pytest.raises(RuntimeError, match=rf"appendonly.aof.1.incr.aof: offset {size}: bad file format"):
        server.start()
    assert server.wait() == 1
    assert log.stat().st_size == size + len(garbage)


def test_zeros_that_a_power_loss_left_at_the_end_are_cut_and_kept_beside(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        client.set("a", "1")
    server.kill()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    whole = log.read_bytes()
    log.write_bytes(whole + bytes(3000))
    server.start()
    with server.client() as client:
        assert client.get("a") == b"1"
    assert log.read_bytes().removeprefix(whole).startswith(b"#CRC64:")
    assert (log.parent / f"{log.name}.cut-at-{len(whole)}").read_bytes() == bytes(3000)


def test_a_flipped_bit_in_the_middle_of_the_log_is_found_and_located(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        for i in range(300):
            client.set(f"key:{i}", "value" * 10)
    server.stop()
    log = server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof"
    data = bytearray(log.read_bytes())
    assert b"#CRC64:" in data
    at = data.index(b"valuevalue")
    data[at] ^= 4
    log.write_bytes(data)
    with pytest.raises(
        RuntimeError, match=r"incr.aof: offset 0: checksum of the \d+ bytes from offset 0 is .*quarantine"
    ):
        server.start()
    assert log.read_bytes() == data


def test_checksum_annotations_cover_the_bytes_before_them(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        fill(client, 3, 400)
    server.stop()
    data = (server.directory / "appendonlydir" / "appendonly.aof.1.incr.aof").read_bytes()
    covered = at = 0
    while (at := data.find(b"\n#CRC64:", at) + 1) > 0:
        count, checksum = data[at + 7 : data.index(b"\r", at)].split(b":")
        assert crc64(data[at - int(count) : at]) == int(checksum, 16)
        covered += int(count)
    assert covered > len(data) * 0.9


def test_a_missing_log_file_stops_the_start(rotom: Start) -> None:
    server = rotom()
    server.kill()
    (server.directory / "appendonlydir" / "appendonly.aof.1.base.rdb").unlink()
    with pytest.raises(RuntimeError, match="doesn't exist"):
        server.start()


def test_rewrite_keeps_writes_that_arrive_while_the_child_runs(rotom: Start) -> None:
    server = rotom("--rdb-key-save-delay", "0")
    with server.client() as client:
        fill(client, 1)
        client.bgrewriteaof()
        fill(client, 2)
        server.wait_for("aof_rewrite_in_progress", 0)
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    digest = server.digest()
    server.restart()
    assert server.digest() == digest
    names = sorted(path.name for path in (server.directory / "appendonlydir").iterdir())
    assert names == ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]


def test_the_log_is_rewritten_by_itself_when_it_has_grown(rotom: Start) -> None:
    server = rotom("--auto-aof-rewrite-min-size", "50kb")
    with server.client() as client:
        for _ in range(40):
            pipe = client.pipeline()
            for i in range(100):
                pipe.set("same", f"{i}" * 20)
            pipe.execute()
        while client.info("persistence")["aof_rewrites"] < 1:
            time.sleep(0.02)


def test_save_points_start_a_snapshot(rotom: Start) -> None:
    server = rotom("--save", "1 5", "--appendonly", "no")
    with server.client() as client:
        for i in range(10):
            client.set(f"k{i}", "v")
    server.wait_for("rdb_saves", 1)
    assert "5 changes in 1 seconds. Saving..." in server.log()


def test_a_killed_snapshot_child_is_reported_and_leaves_nothing(rotom: Start) -> None:
    server = rotom("--rdb-key-save-delay", "100000", "--appendonly", "no", "--save", "3600 1")
    with server.client() as client:
        client.mset({f"k{i}": i for i in range(100)})
        client.bgsave()
        with pytest.raises(redis.ResponseError, match="Background save already in progress"):
            client.bgsave()
        time.sleep(0.3)
        child = next(line for line in server.log().splitlines() if "started by pid" in line).rsplit(" ", 1)[1]
        import os

        os.kill(int(child), signal.SIGKILL)
        server.wait_for("rdb_bgsave_in_progress", 0)
        assert client.info("persistence")["rdb_last_bgsave_status"] == "err"
        assert not list(server.directory.glob("temp-*.rdb"))
        server.wait_for("rdb_last_bgsave_status", "err")
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.set("a", "b")
        client.config_set("stop-writes-on-bgsave-error", "no")
        client.execute_command("MULTI")
        client.execute_command("SET", "a", "b")
        with server.client() as other:
            other.config_set("stop-writes-on-bgsave-error", "yes")
        with pytest.raises(redis.ResponseError, match="Transaction discarded because of: MISCONF"):
            client.execute_command("EXEC")
        client.config_set("stop-writes-on-bgsave-error", "no")
        assert client.set("a", "b")


def test_appendonly_can_be_turned_on_and_off_at_run_time(rotom: Start) -> None:
    server = rotom("--appendonly", "no", "--save", "")
    with server.client() as client:
        client.set("a", "1")
        client.config_set("appendonly", "yes")
        client.set("b", "2")
        client.config_set("appendonly", "no")
        client.set("c", "3")
        client.config_set("appendonly", "yes")
        client.set("d", "4")
        server.wait_for("aof_rewrite_in_progress", 0)
    server.kill()
    server.arguments = ()
    server.start()
    with server.client() as client:
        assert client.mget("a", "b", "c", "d") == [b"1", b"2", b"3", b"4"]


def test_debug_reload_and_loadaof_keep_the_data(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        fill(client, 4)
        digest = server.digest()
        client.execute_command("DEBUG", "RELOAD")
        assert server.digest() == digest
        client.execute_command("DEBUG", "LOADAOF")
        assert server.digest() == digest


def test_keys_expire_actively_and_lazily(rotom: Start) -> None:
    server = rotom()
    with server.client() as client:
        for i in range(500):
            client.set(f"k{i}", "v", px=50)
        client.set("stays", "v")
        end = time.monotonic() + 5
        while client.dbsize() > 1 and time.monotonic() < end:
            time.sleep(0.05)
        assert client.dbsize() == 1
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        client.set("lazy", "v", px=20)
        time.sleep(0.05)
        assert client.get("lazy") is None
        assert client.info("stats")["expired_keys"] == 501
    server.restart()
    with server.client() as client:
        assert client.keys() == [b"stays"]


def test_leftover_temporary_files_are_removed_at_start(rotom: Start, tmp_path: Path) -> None:
    directory = tmp_path / "left"
    directory.mkdir()
    (directory / "temp-123.rdb").write_bytes(b"x")
    (directory / "temp-rewriteaof-77.aof").write_bytes(b"x")
    server = rotom(directory=directory)
    assert len(list(directory.glob("temp-*"))) == 2, "without a data set they may be all that is left of one"
    with server.client() as client:
        client.set("a", 1)
    server.restart()
    assert not list(directory.glob("temp-*"))


def test_debug_reload_leaves_keys_past_their_time_to_the_log(rotom: Start) -> None:
    server = rotom("--appendfsync", "always")
    with server.client() as client:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        client.set("key", "a string", px=1)
        client.execute_command("DEBUG", "SLEEP", "0.01")
        client.execute_command("DEBUG", "RELOAD")
        assert client.rpush("key", "element") == 1
    server.restart()
    with server.client() as client:
        assert client.lrange("key", 0, -1) == [b"element"]
    assert "CRITICAL" not in server.log()
