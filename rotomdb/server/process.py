"""The server as a process of the system: descriptors, background, supervision, title, processors, the OOM killer."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path

from rotomdb.server.config import Config
from rotomdb.storage.child import Job

OWN_DESCRIPTORS = 32  # files and sockets that are no clients
DEFAULT_PID_FILE = "/var/run/redis.pid"
CPUS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?::([1-9][0-9]{0,4}))?", re.ASCII)
OOM_SCORE = Path("/proc/self/oom_score_adj")
OOM_SCORE_MAX = 1000
MASTER, CHILD = 0, 2  # places in oom-score-adj-values

CHILD_TITLES = {Job.SNAPSHOT: "rotomdb-rdb-bgsave", Job.REWRITE: "rotomdb-aof-rewrite"}

runs_server = False  # the process is a server and nothing else, so that its title is the server's
original_oom_score: int | None = None  # before anything was adjusted


def disable_huge_pages() -> None:
    """Huge pages make a fork copy 2 MB where 4 KB were written."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE


def take_process() -> None:
    """From now on the process is the server's own."""
    global runs_server
    runs_server = True


def descriptors_for(clients: int) -> int:
    """Raise the limit of open files for so many clients and our own files; returns for how many clients it is enough."""
    wanted = clients + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return clients
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    for maximum in (max(hard, wanted), hard):  # the administrator may go beyond the hard limit
        with contextlib.suppress(OSError, ValueError, OverflowError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if maximum >= wanted else limit, maximum))
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return clients if soft >= wanted else max(soft - OWN_DESCRIPTORS, 1)


def become_child(config: Config, kind: Job) -> None:
    """In a child that saves (`rdb`) or rewrites the log (`aof`): it gives way to the server that clients wait for."""
    with contextlib.suppress(OSError):
        apply_oom_scores(config, CHILD)
    run_on(config["bgsave-cpulist" if kind is Job.SNAPSHOT else "aof-rewrite-cpulist"])
    if config["set-proc-title"] and runs_server:
        write_title(process_title(config, CHILD_TITLES.get(kind, kind)))


def daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def executable() -> str:
    """The program that was started, as INFO shows it."""
    return str(Path(sys.argv[0]).absolute())


# Supervision


def supervisor(config: Config) -> str:
    """Who supervises the process: `systemd`, `upstart` or `no`."""
    wanted = config["supervised"]
    if wanted in ("upstart", "auto") and os.environ.get("UPSTART_JOB"):
        return "upstart"
    if wanted in ("systemd", "auto") and os.environ.get("NOTIFY_SOCKET"):
        return "systemd"
    return "no"


def stop_for_upstart() -> None:
    """Upstart takes a process that stops itself as ready, and lets it go on."""
    del os.environ["UPSTART_JOB"]
    os.kill(os.getpid(), signal.SIGSTOP)


def tell_systemd(config: Config, message: str) -> None:
    """Words of sd_notify(3), such as `READY=1`; nobody listens unless the service manager asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if supervisor(config) != "systemd" or address[:1] not in ("/", "@"):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending,
    ):
        sending.sendto(message.encode(), "\0" + address[1:] if address[0] == "@" else address)


# Title


def process_title(config: Config, title: str = "rotomdb-server") -> str:
    """What `ps` shows, from proc-title-template."""
    address = next((entry.removeprefix("-") for entry in config["bind"]), "*")
    port = config["port"] or config["tls-port"]
    listening = f"{address}:{port}" if port or not config["unixsocket"] else config["unixsocket"]
    shown = {
        "title": title, "listen-addr": listening, "server-mode": "", "port": config["port"], "tls-port": config["tls-port"],
        "unixsocket": config["unixsocket"], "config-file": config.path or "",
    }  # fmt: skip
    template: str = config["proc-title-template"]
    for name, value in shown.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template.rstrip()


def show_process_title(config: Config) -> None:
    """What the process is, for `ps`; a program that embeds a server keeps its own title."""
    if config["set-proc-title"] and runs_server:
        write_title(process_title(config))


def write_title(title: str) -> None:
    """Write over the command line that the process was started with, as far as there is room; Linux shows it from there."""
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5), counted behind the name
    except (OSError, ValueError, IndexError):
        return
    if start and end > start:
        room = end - start - 1
        ctypes.memmove(start, title.encode("utf-8", "surrogateescape")[:room].ljust(room + 1, b"\0"), room + 1)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(
                15, title.partition(" ")[0].encode("utf-8", "surrogateescape"), 0, 0, 0
            )  # PR_SET_NAME


# The OOM killer


def apply_oom_scores(config: Config, place: int = MASTER) -> None:
    """Raises OSError where the system does not let us."""
    global original_oom_score
    mode = config["oom-score-adj"]
    if mode == "no" and original_oom_score is None:
        return
    if original_oom_score is None:
        original_oom_score = int(OOM_SCORE.read_text())
    score = original_oom_score if mode != "absolute" else 0
    if mode != "no":
        score += config["oom-score-adj-values"][place]
    OOM_SCORE.write_text(str(max(min(score, OOM_SCORE_MAX), -OOM_SCORE_MAX)))


# Processors


def processors(words: str) -> set[int] | None:
    """`0-3,8` or `0-7:2` as numbers; None: it is no such list."""
    found: set[int] = set()
    for part in filter(None, words.replace(" ", ",").split(",")):
        match = CPUS.fullmatch(part)
        if match is None:
            return None
        first = int(match[1])
        found.update(range(first, int(match[2] or first) + 1, int(match[3] or 1)))
    return found


def run_on(words: str) -> bool:
    """Bind the calling thread to processors; False: that cannot be, and it runs where it did."""
    wanted = processors(words)
    if wanted and sys.platform == "linux":
        try:
            os.sched_setaffinity(0, wanted)
        except (OSError, OverflowError):
            return False
    return wanted is not None
