"""An embedded client or server in a process made by fork: it is the parent's, and the child can neither use nor harm it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rotomdb

LIMIT_S = 60  # for a child that hangs

# What a child tries with the client of its parent. Each has to raise ConnectionError.
CLIENT = """
import contextlib, gc, multiprocessing, os, sys, threading
import redis, rotomdb

path, policy, ending = sys.argv[1:4]
client = rotomdb.connect(path, appendfsync=policy, pidfile=path + "/pid")
client.set("before", 1)
pipeline = client.pipeline()
pipeline.set("queued", 1)
watching = client.pipeline()
watching.watch("before")

USES = {
    "write": lambda: client.set("child", 1),
    "read": lambda: client.get("before"),
    "pipeline": lambda: client.pipeline().set("child", 1).execute(),
    "queued pipeline": pipeline.execute,
    "watching pipeline": lambda: watching.get("before"),
    "save": client.save,
    "shutdown": client.shutdown,
    "close": client.close,
    "close again": client.close,
}

def misuse():
    for name, use in USES.items():
        try:
            use()
        except redis.exceptions.ConnectionError as error:
            assert f"was opened by process {os.getppid()}, and this one was forked" in str(error), (name, error)
        else:
            raise AssertionError(f"{name} went through")
    with client:
        pass                                     # the end of a block is no use
    try:
        rotomdb.connect(path)
    except rotomdb.errors.StartupError as error:
        assert f"process {os.getppid()}" in str(error)
    else:
        raise AssertionError("two owners")
    with rotomdb.connect(path + "-of-the-child") as own:
        own.set("k", 1)

def child():
    misuse()
    gc.collect()

held = threading.Lock() if ending != "held" else client.database.lock
with held:                                       # as another thread would, in the middle of a command
    if ending == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        status = process.exitcode
    else:
        pid = os.fork()
        if pid == 0:
            child()
            if ending in ("_exit", "held"):
                os._exit(0)
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert status == 0, status
for number in range(20):
    client.set(f"after:{number}", 1)
client.close()
"""


def run(script: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        ("always", "_exit"), ("everysec", "exit"), ("no", "multiprocessing"), ("always", "exit"), ("everysec", "held"),
    ],
)  # fmt: skip
def test_a_forked_child_is_refused_whatever_it_tries_and_changes_nothing(
    tmp_path: Path, policy: str, ending: str
) -> None:
    run(CLIENT, tmp_path / "data", policy, ending)
    log = b"".join(path.read_bytes() for path in (tmp_path / "data" / "appendonlydir").glob("*.incr.aof"))
    assert b"child" not in log
    assert b"queued" not in log
    with rotomdb.connect(tmp_path / "data") as again:
        assert sorted(again.keys()) == sorted([b"before", *(b"after:%d" % number for number in range(20))])


def test_a_child_that_outlives_its_parent_holds_neither_lock_nor_log(tmp_path: Path) -> None:
    run(
        """
import os, sys, rotomdb
client = rotomdb.connect(sys.argv[1])
client.set("k", 1)
reading, writing = os.pipe()
forked, arrived = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.write(arrived, b"x")
    os.read(reading, 1)                          # until the parent has looked
    os._exit(0)
os.read(forked, 1)
held = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
assert not [name for name in held if sys.argv[1] in name or "eventpoll" in name], held
client.close()
with rotomdb.connect(sys.argv[1]) as again:      # the child lives, and owns nothing
    assert again.get("k") == b"1"
os.close(writing)
os.waitpid(pid, 0)
""",
        tmp_path / "data",
    )


def test_children_that_save_and_rewrite_work_in_an_embedded_process_and_leave_its_other_databases_alone(
    tmp_path: Path,
) -> None:
    run(
        """
import os, sys, time, rotomdb
one = rotomdb.connect(sys.argv[1] + "/one", rdb_key_save_delay=1000)
two = rotomdb.connect(sys.argv[1] + "/two")
two.set("k", "two")
for number in range(200):
    one.set(f"k:{number}", number)
one.bgsave()
pid = one.database.parts.persistence.child.pid
two.close()                                      # while the child of the first one runs
with rotomdb.connect(sys.argv[1] + "/two") as again:
    assert again.get("k") == b"two"
while one.info("persistence")["rdb_bgsave_in_progress"]:
    time.sleep(0.01)
assert one.info("persistence")["rdb_last_bgsave_status"] == "ok"
one.config_set("rdb-key-save-delay", 0)
one.bgrewriteaof()
while one.info("persistence")["aof_rewrite_in_progress"]:
    time.sleep(0.01)
assert one.info("persistence")["aof_last_bgrewrite_status"] == "ok"
one.set("after", 1)
one.close()
""",
        tmp_path,
    )
    assert (tmp_path / "one" / "dump.rdb").exists()
    with rotomdb.connect(tmp_path / "one") as again:
        assert again.dbsize() == 201


@pytest.mark.parametrize("ending", ["exit", "multiprocessing"])
def test_a_child_can_be_a_client_of_the_server_in_its_parent_and_not_stop_it(tmp_path: Path, ending: str) -> None:
    run(
        """
import gc, multiprocessing, os, socket, sys, rotomdb
from rotomdb.errors import RotomError
kept, temporary = rotomdb.Server(sys.argv[1]).start(), rotomdb.Server().start()
fresh = rotomdb.Server()
place = temporary.parts.config["dir"]
served = temporary.client()
served.set("k", 1)

def child():
    for use in (kept.start, kept.stop, kept.__enter__, temporary.stop):
        try:
            use()
        except RotomError as error:
            assert f"was started by process {os.getppid()}" in str(error)
        else:
            raise AssertionError(use)
    kept.__exit__(None, None, None)
    assert temporary.client().get("k") == b"1"
    with fresh:                                  # it did not run yet: the child may run it
        assert fresh.client().ping()
    gc.collect()

if sys.argv[2] == "multiprocessing":
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    status = process.exitcode
else:
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert status == 0, status
assert os.path.isdir(place), "the child removed it"
assert served.incr("k") == 2
kept.client().set("kept", 1)
kept.stop()
temporary.stop()
assert not os.path.exists(place)
""",
        tmp_path / "data",
        ending,
    )
    with rotomdb.Server(tmp_path / "data") as server:
        assert server.client().get("kept") == b"1"
