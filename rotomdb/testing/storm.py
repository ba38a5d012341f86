"""A connection storm against a real server: does it stay, does its memory stay, is everybody else served rightly?

    python -m rotomdb.testing storm --minutes 10

Attackers (`storm_attacks.py`) misbehave all the time, in threads of their own. In turns a crowd of thousands connects at once,
beyond what `maxclients` allows, and the server's descriptors are made to run out. Meanwhile witnesses (`storm_witnesses.py`)
compare every reply that they get with the bytes that they must get.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.errors import SourceError
from rotomdb.storage.live_server import connected
from rotomdb.testing.storm_attacks import ATTACKS, Target, connect, prepare, reset
from rotomdb.testing.storm_witnesses import Subscriber, Testimony, Transactor, Witness

OPTIONS = (
    "--bind", "127.0.0.1", "--tcp-backlog", "4096", "--enable-debug-command", "yes", "--loglevel", "notice", "--save", "",
    "--client-output-buffer-limit", "normal", "8mb", "4mb", "10", "pubsub", "8mb", "2mb", "10", "--client-query-buffer-limit", "64mb",
    "--maxmemory-clients", "256mb", "--auto-aof-rewrite-min-size", "16mb",
)  # fmt: skip
START_S = 60
ATTACKERS = 3
CROWD_PATIENCE_S = 60
SPARE_DESCRIPTORS = 5
SAMPLE_S = 0.2
CALM_S = 1.0  # for what is closed late, before memory is compared
GROWTH_MB = 16  # between the first calm and the last that is no leak: the allocator's leftovers
OWN_DESCRIPTORS = 200
FAULTS = {"internal errors": "internal error", "tracebacks": "Traceback", "crash reports": "BUG REPORT START"}


@dataclass
class StormReport:
    """What came of it."""

    seconds: float = 0.0
    attacks: Counter[str] = field(default_factory=Counter)
    crowds: int = 0
    largest_crowd: int = 0  # connections that were served at once
    turned_away: int = 0
    shortages: int = 0
    accepted: int = 0
    start_mb: float = 0.0
    first_calm_mb: float = 0.0
    peak_mb: float = 0.0
    end_mb: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    testimony: Testimony = field(default_factory=Testimony)
    problems: list[str] = field(default_factory=list)


class Storm:
    def __init__(self, directory: Path, *, seconds: float, crowd: int, seed: int) -> None:
        self.directory = directory
        self.seconds = seconds
        self.crowd_size = crowd
        self.seed = seed
        self.report = StormReport()
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.paused = threading.Event()  # attackers rest while memory is compared

    def run(self, progress: Callable[[float], None] = lambda seconds: None) -> StormReport:
        """Start a server in the directory and let the storm go over it."""
        make_room(self.crowd_size)
        with self.served() as server:
            self.process, self.report.start_mb = server, resident_mb(server.pid)
            prepare(self.port)
            witnesses: list[threading.Thread] = [
                kind(f"{kind.__name__.lower()}{number}", self.port, self.seed, self.over, self.report.testimony)
                for number in range(2) for kind in (Witness, Transactor, Subscriber)
            ]  # fmt: skip
            attackers = [threading.Thread(target=self.attack, args=(n,), daemon=True) for n in range(ATTACKERS)]
            sampler = threading.Thread(target=self.sample, daemon=True)
            threads = [*witnesses, *attackers, sampler]
            for thread in threads:
                thread.start()
            started = time.monotonic()
            try:
                self.turns(started + self.seconds, lambda: progress(time.monotonic() - started))
            finally:
                self.report.seconds = time.monotonic() - started
                self.over.set()
                for thread in threads:
                    thread.join(CROWD_PATIENCE_S)
            self.conclude()
        return self.report

    @contextlib.contextmanager
    def served(self) -> Iterator[subprocess.Popen[bytes]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        with (self.directory / "storm.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rotomdb", "--port", str(self.port), "--maxclients", str(self.crowd_size), *OPTIONS],
                cwd=self.directory, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        try:
            end = time.monotonic() + START_S
            while not self.answers():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the server does not start, see {self.directory / 'storm.log'}")
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait()

    def answers(self) -> bool:
        try:
            return self.ask(b"PING") == b"PONG"
        except (SourceError, OSError):
            return False

    def ask(self, *words: bytes) -> object:
        """The reply to a command on a connection of its own. Raises OSError, SourceError."""
        with connected(f"redis://127.0.0.1:{self.port}") as server:
            server.send(*words)
            return server.reply()

    def attack(self, number: int) -> None:
        target = Target(self.port, self.process.pid, random.Random(f"{self.seed}/{number}"))
        while not self.over.is_set():
            if self.paused.is_set():
                self.over.wait(SAMPLE_S)
                continue
            attack = target.random.choice(ATTACKS)
            try:
                attack(target)
            except AssertionError as error:
                self.report.testimony.complain(str(error))
            except OSError:
                self.over.wait(0.01)  # refused, closed or out of ports: as it should be
            with self.lock:
                self.report.attacks[attack.__name__] += 1

    def sample(self) -> None:
        while not self.over.wait(SAMPLE_S):
            self.report.peak_mb = max(self.report.peak_mb, resident_mb(self.process.pid))

    def turns(self, end: float, progress: Callable[[], None]) -> None:
        """Crowd, shortage, calm; over again until the time has come."""
        while True:
            for turn in (self.crowd, self.shortage, self.calm):
                turn()
                progress()
                if self.process.poll() is not None or self.report.testimony.complaints:
                    return
            if time.monotonic() >= end:
                return

    def crowd(self) -> None:
        """More connections at once than are allowed, each of which is answered; they leave in every way."""
        links: list[socket.socket] = []
        selector = selectors.DefaultSelector()
        with contextlib.suppress(OSError):
            for _ in range(self.crowd_size):
                link = connect(self.port, CROWD_PATIENCE_S)
                link.sendall(b"PING\r\n")
                links.append(link)
                selector.register(link, selectors.EVENT_READ)
        served = away = 0
        end = time.monotonic() + CROWD_PATIENCE_S
        waiting = len(links)
        while waiting and time.monotonic() < end:
            for key, _ in selector.select(1.0):
                link = key.fileobj  # type: ignore[assignment]
                selector.unregister(link)
                waiting -= 1
                with contextlib.suppress(OSError):
                    answer = link.recv(1000)
                    served += answer == b"+PONG\r\n"
                    away += answer == b"-ERR max number of clients reached\r\n"
        selector.close()
        if served + away < len(links):
            self.report.problems.append(f"{len(links) - served - away} of {len(links)} connections were not answered")
        for number, link in enumerate(links):
            (reset if number % 2 else socket.socket.close)(link)
        self.report.crowds += 1
        self.report.largest_crowd = max(self.report.largest_crowd, served)
        self.report.turned_away += away

    def shortage(self) -> None:
        """The server has hardly a descriptor left for a moment."""
        pid = self.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - not a directory of files
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + SPARE_DESCRIPTORS, hard))
        links = []
        try:
            with contextlib.suppress(OSError):
                for _ in range(100):
                    links.append(connect(self.port))
                    links[-1].sendall(b"PING\r\n")
            self.over.wait(CALM_S)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        for link in links:
            reset(link)
        self.report.shortages += 1

    def calm(self) -> None:
        """Only the witnesses are there for a moment; then memory is what it was."""
        self.paused.set()
        self.over.wait(3 * CALM_S)
        self.report.end_mb = resident_mb(self.process.pid)
        self.report.first_calm_mb = self.report.first_calm_mb or self.report.end_mb
        self.paused.clear()

    def conclude(self) -> None:
        """What the server itself, and its log, say in the end."""
        report = self.report
        try:
            text = self.ask(b"INFO", b"stats")
            assert isinstance(text, bytes)
            report.accepted = int(text.partition(b"total_connections_received:")[2].split(b"\r\n")[0])
        except (SourceError, OSError) as error:
            report.problems.append(f"the server does not answer: {error}")
        log = (self.directory / "storm.log").read_text(errors="replace")
        report.faults = {name: log.count(words) for name, words in FAULTS.items()}
        report.problems += [f"{name}: {count}" for name, count in report.faults.items() if count]
        report.problems += report.testimony.complaints
        if report.end_mb > report.first_calm_mb + GROWTH_MB:
            report.problems.append(f"memory grew from {report.first_calm_mb:.1f} MB to {report.end_mb:.1f} MB")
        if self.process.poll() is not None:
            report.problems.append(f"the server ended with {self.process.returncode}")


def make_room(connections: int) -> None:
    """Allow this process so many descriptors. Raises ValueError where the system does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 once it has gone."""
    try:
        words = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return int(words[1]) * resource.getpagesize() / 1e6 if len(words) > 1 else 0.0
