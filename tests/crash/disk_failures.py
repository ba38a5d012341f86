"""Every system call under every operation of a running server is made to fail, in every way: outside CI in full,

    python -m tests.crash.disk_failures                       # all of it, for hours
    python -m tests.crash.disk_failures --operation BGSAVE    # those whose name begins so

An operation is done once to see which calls it makes. Then each of these fails with each error, once or until it is lifted.
Whatever happens: the server lives and answers; what it acknowledged is there after a SIGKILL at any moment, what it refused
is not; and once the failure is over it takes writes again and answers who waited. Exit status 1 when it is otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.failing_disk import CHANGING, FailingServer, Link, Nursery

ERRORS = (
    errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.EINTR
)  # fmt: skip
UNTIL_LIFTED = -1
INTERRUPTIONS = 3  # in a row: nobody interrupts for ever
ANSWER_S = 0.3  # to a write that may have to wait for the disk
SETTLE_S = 8.0
RECOVERY_S = 15.0
NUDGE_S = 1.0  # after so long of refused writes an operator asks for what makes them accepted
NEVER_LOGGED = ("Traceback", "internal error")


class Expected:
    """Which keys the data set must and may hold, by what clients were told."""

    def __init__(self) -> None:
        self.certain: set[bytes] = set()
        self.possible: set[bytes] = set()
        self.number = 0
        self.waiting: list[tuple[Link, bytes]] = []  # requests without an answer yet; b"" flushes

    def write(self, link: Link, seconds: float = ANSWER_S) -> object:
        """Set a new key; returns the answer, None while there is none."""
        self.number += 1
        key = b"key:%d" % self.number
        link.send("SET", key, self.number)
        return self.answered(link, key, seconds)

    def flush(self, link: Link, seconds: float = ANSWER_S) -> object:
        link.send("FLUSHALL")
        return self.answered(link, b"", seconds)

    def answered(self, link: Link, key: bytes, seconds: float) -> object:
        try:
            answer = link.reply(seconds)
        except TimeoutError:
            self.waiting.append((link, key))
            if key:
                self.possible.add(key)
            else:
                self.possible |= self.certain
                self.certain.clear()
            return None
        if answer == b"OK":
            self.done(key)
        return answer

    def done(self, key: bytes) -> None:
        if key:
            self.certain.add(key)
        else:
            self.certain.clear()
            self.possible.clear()

    def difference(self, found: set[bytes]) -> str:
        """How a data set differs from what it must be; empty when it does not."""
        lost, risen = self.certain - found, found - self.certain - self.possible
        texts = [f"lost: {sorted(lost)[:3]} of {len(lost)}"] if lost else []
        texts += [f"there although refused or flushed: {sorted(risen)[:3]} of {len(risen)}"] if risen else []
        return "; ".join(texts)


class Case:
    """One server, what its clients know, and the connections to it."""

    def __init__(self, server: FailingServer) -> None:
        self.server = server
        self.expected = Expected()
        self.logged = 0
        self.link = server.link()

    def ask(self, *words: object, seconds: float = 3.0) -> object:
        """On a connection of its own, since the answer may not come while the disk fails; None then."""
        link = self.server.link()
        with contextlib.suppress(TimeoutError, ConnectionError):
            return link.ask(*words, seconds=seconds)
        return None

    def idle(self) -> bool:
        """No child, and nothing that waits for one."""
        state = self.server.persistence(self.link)
        return (
            state["rdb_bgsave_in_progress"] == state["aof_rewrite_in_progress"] == state["backup_in_progress"] == "0"
            and state["aof_rewrite_scheduled"] == "0"
        )

    def childless(self) -> bool:
        state = self.server.persistence(self.link)
        return state["rdb_bgsave_in_progress"] == state["aof_rewrite_in_progress"] == state["backup_in_progress"] == "0"


Step = Callable[[Case], object]


def nothing(case: Case) -> None:
    """No preparation."""


def commands(*requests: str) -> Step:
    def run(case: Case) -> None:
        for request in requests:
            case.ask(*request.split())
        case.server.until(case.childless, 2)

    return run


def write(case: Case) -> None:
    case.expected.write(case.server.link())


def write_and_wait_for_sync(case: Case) -> None:
    write(case)
    time.sleep(1.1)


def flushall(case: Case) -> None:
    answer = case.expected.flush(case.server.link())
    if isinstance(answer, Exception) and not str(answer).startswith("MISCONF"):
        raise AssertionError(f"FLUSHALL was answered with {answer}")


def full_copy(case: Case) -> None:
    link = case.server.link()
    link.send("REPLCONF", "rdb-only", "1")
    link.send("SYNC")
    link.socket.settimeout(3)
    with contextlib.suppress(OSError):
        while link.socket.recv(1 << 16):
            pass


def wait_for(pattern: str) -> Step:
    """The timer does it."""

    def run(case: Case) -> None:
        write(case)
        start = len(case.server.log())
        case.server.until(lambda: pattern in case.server.log()[start:], 2.5)
        case.server.until(case.childless, 2)

    return run


@dataclass(frozen=True)
class Operation:
    """What is done while a call fails.

    Attributes:
        arguments: Of the server, beyond the common ones.
        prepare: Done before, while everything works.
        logged: Whether every acknowledged write is in a log; else those are safe that a snapshot holds.
        slow: It waits for a clock, so that fewer combinations are tried.
    """

    name: str
    run: Step
    arguments: tuple[str, ...] = ()
    prepare: Step = nothing
    logged: bool = True
    slow: bool = False


def on(*words: str) -> tuple[str, ...]:
    return ("--save", "", *words)


ALWAYS, SINGLE, OFF = ("--appendfsync", "always"), ("--aof-layout", "single"), ("--appendonly", "no")
POINTS = ("--save", "3600", "1000000")

OPERATIONS = (
    Operation("write, always", write, on(*ALWAYS)),
    Operation("write, always, one file", write, on(*ALWAYS, *SINGLE)),
    Operation("write, everysec", write_and_wait_for_sync, on(), slow=True),
    Operation("write, no", write, on("--appendfsync", "no")),
    Operation("write, everysec, one file", write, on(*SINGLE)),
    Operation("BGREWRITEAOF", commands("BGREWRITEAOF"), on()),
    Operation("BGREWRITEAOF, always", commands("BGREWRITEAOF"), on(*ALWAYS)),
    Operation("BGREWRITEAOF, one file", commands("BGREWRITEAOF"), on(*SINGLE)),
    Operation("BGREWRITEAOF, as commands", commands("BGREWRITEAOF"), on("--aof-use-rdb-preamble", "no")),
    Operation("BGSAVE", commands("BGSAVE"), on()),
    Operation("BGSAVE, read back", commands("BGSAVE"), on("--rdb-verify-after-save", "yes")),
    Operation("BGSAVE without a log", commands("BGSAVE"), (*POINTS, *OFF), logged=False),
    Operation("SAVE", commands("SAVE"), on()),
    Operation("SAVE without a log", commands("SAVE"), (*POINTS, *OFF), logged=False),
    Operation("CONFIG SET appendonly yes", commands("CONFIG SET appendonly yes"), on(), commands("CONFIG SET appendonly no", "SAVE")),
    Operation("CONFIG SET appendonly yes, always", commands("CONFIG SET appendonly yes"), on(*ALWAYS), commands("CONFIG SET appendonly no", "SAVE")),
    Operation("CONFIG SET appendonly yes, one file", commands("CONFIG SET appendonly yes"), on(*SINGLE), commands("CONFIG SET appendonly no", "SAVE")),
    Operation("CONFIG SET appendonly no", commands("CONFIG SET appendonly no"), on(), commands("CONFIG SET appendonly yes")),
    Operation("CONFIG REWRITE", commands("CONFIG REWRITE"), ("CONFIG",)),
    Operation("FLUSHALL", flushall, on()),
    Operation("FLUSHALL, always", flushall, on(*ALWAYS)),
    Operation("FLUSHALL with save points", flushall, POINTS),
    Operation("FLUSHALL without a log", flushall, (*POINTS, *OFF), logged=False),
    Operation("DEBUG RELOAD", commands("DEBUG RELOAD"), on()),
    Operation("DEBUG LOADAOF", commands("DEBUG LOADAOF"), on()),
    Operation("BACKUP CREATE", commands("BACKUP CREATE one"), on(), commands("BACKUP DELETE one")),
    Operation("BACKUP CREATE, one file", commands("BACKUP CREATE one"), on(*SINGLE), commands("BACKUP DELETE one")),
    Operation("BACKUP LIST", commands("BACKUP LIST"), on(), commands("BACKUP CREATE one")),
    Operation("BACKUP DELETE", commands("BACKUP DELETE one"), on(), commands("BACKUP CREATE one")),
    Operation("INFO", commands("INFO everything"), on()),
    Operation("SYNC", full_copy, on()),
    Operation("the timer of save points", wait_for("Background saving"), ("--save", "1", "1"), slow=True),
    Operation("the timer of rewrites", wait_for("rewriting"), on("--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "1")),
    Operation("the server's log", commands("CONFIG SET loglevel debug", "BGSAVE"), on("--logfile", "server.log")),
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    calls: tuple[str, ...]
    error: int
    skip: int = 0
    times: int = UNTIL_LIFTED

    def __str__(self) -> str:
        which = f", from the {self.skip + 1}. on" if self.skip else ""
        how_long = "until lifted" if self.times == UNTIL_LIFTED else f"{self.times} times"
        return f"{'/'.join(self.calls)} {errno.errorcode[self.error]} {how_long}{which}"


@dataclass
class Report:
    cases: int = 0
    failed_calls: int = 0
    problems: list[str] = field(default_factory=list)
    by_operation: dict[str, int] = field(default_factory=dict)


class Matrix:
    """Tries operations on servers below `place`."""

    def __init__(self, place: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self.place = place
        self.nursery = Nursery(place / "nursery")
        self.control = self.nursery.control
        self.tell = tell
        self.report = Report()
        self.servers = 0

    def close(self) -> None:
        self.nursery.close()

    def begin(self, operation: Operation) -> Case:
        """A server with a key, a log and a snapshot."""
        self.servers += 1
        place = self.place / f"server{self.servers}"
        arguments = operation.arguments
        if arguments == ("CONFIG",):
            (place / "data").mkdir(parents=True)
            (place / "data" / "server.conf").write_text("save 3600 1000000\nhz 100\n")
            arguments = ()
        server = FailingServer(self.nursery, place, *arguments)
        self.control.watch(server.data)
        server.start()
        case = Case(server)
        case.expected.write(case.link, 5)
        case.ask("SAVE")
        return case

    def end(self, case: Case) -> None:
        self.control.lift()
        case.server.kill()
        shutil.rmtree(case.server.place)

    # One case

    def try_failure(self, case: Case, operation: Operation, failure: Failure) -> bool:
        """Whether the server is fit for the next case."""
        self.report.cases += 1
        self.report.by_operation[operation.name] = self.report.by_operation.get(operation.name, 0) + 1
        found: list[str] = []
        try:
            found += self.problems(case, operation, failure)
        except (AssertionError, OSError, RuntimeError) as error:
            found.append(f"{type(error).__name__}: {error}")
        self.control.lift()
        case.server.forget_links(case.link)
        case.expected.waiting.clear()
        for problem in found:
            text = f"{operation.name}: {failure}: {problem}"
            self.report.problems.append(text)
            self.tell(f"{text}\n{case.server.log()[case.logged :][-3000:]}")
        case.logged = len(case.server.log())
        return not found

    def problems(self, case: Case, operation: Operation, failure: Failure) -> Iterator[str]:
        server, expected = case.server, case.expected
        operation.prepare(case)
        server.until(case.idle, SETTLE_S)
        if expected.write(case.link, 5) != b"OK":
            yield "a write is refused before anything fails"
            return
        snapshot_only = not operation.logged or operation.name.startswith("CONFIG SET appendonly")
        if snapshot_only:
            case.ask("SAVE")
        self.control.fail(failure.calls, failure.error, skip=failure.skip, times=failure.times)
        saved = set(expected.certain)
        operation.run(case)
        answer = expected.write(server.link())
        if isinstance(answer, Exception) and not str(answer).startswith("MISCONF"):
            yield f"a write is answered with {answer}"
        yield from self.serves(case)
        server.until(case.childless, SETTLE_S)
        if snapshot_only:
            expected.possible |= expected.certain  # as far as a snapshot or a log does not hold it
            if operation.name != "FLUSHALL without a log":
                certain, expected.certain = expected.certain, saved
                yield from self.survives(case, "killed while it fails")
                expected.certain = certain
        else:
            yield from self.survives(case, "killed while it fails")
        self.report.failed_calls += self.control.lift()
        yield from self.recovers(case)
        if not operation.logged and case.ask("SAVE") != b"OK":
            yield "SAVE fails although nothing fails any more"
        elif operation.logged and snapshot_only:
            case.ask("CONFIG", "SET", "appendonly", "yes")  # it may have been refused
        server.until(case.idle, SETTLE_S)
        yield from self.survives(case, "killed later")
        expected.possible.clear()
        yield from self.logged(case)

    def serves(self, case: Case) -> Iterator[str]:
        """The process lives, answers, and serves reads."""
        answer = case.ask("PING")  # is refused as a write is, as in Redis: load balancers ask so
        if answer != b"PONG" and not (isinstance(answer, Exception) and str(answer).startswith("MISCONF")):
            yield f"PING is answered with {answer}"
        elif case.ask("DBSIZE", seconds=0.1) is None and not case.expected.waiting:
            yield "a read is not answered"
        if case.server.status() is not None:
            yield "the process has ended"

    def recovers(self, case: Case) -> Iterator[str]:
        """Nothing fails any more: writes are accepted, and everybody has an answer."""
        expected = case.expected
        start = time.monotonic()
        answer: object = None
        while time.monotonic() < start + RECOVERY_S:
            link = case.server.link()
            answer = expected.write(link)
            if answer == b"OK":
                break
            if time.monotonic() > start + NUDGE_S:
                for words in (("BGSAVE",), ("BGREWRITEAOF",)):
                    case.ask(*words)
                    case.server.until(case.childless, 3)
            time.sleep(0.01)
        else:
            yield f"writes are not accepted again: {answer}"
            return
        waiting, expected.waiting = expected.waiting, []
        for link, key in waiting:
            try:
                if link.reply(5) == b"OK":
                    expected.possible.discard(key)
                    if key:
                        expected.certain.add(key)
            except (TimeoutError, ConnectionError) as error:
                yield f"who waited has no answer: {type(error).__name__}"

    def survives(self, case: Case, when: str) -> Iterator[str]:
        """What a SIGKILL now leaves to the next start is what clients were told."""
        other = case.server.copy_to(self.place / "copy")
        rules = bytes(self.control.memory[:20])
        self.control.memory[:4] = bytes(4)
        try:
            other.start()
            link = other.link()
            keys = link.ask("KEYS", "*")
            assert isinstance(keys, list)
            if difference := case.expected.difference(set(keys)):
                yield f"{when}, {difference}"
        except RuntimeError as error:
            yield f"{when}, it does not start: {error}"
        finally:
            other.kill()
            self.control.memory[4:16] = rules[4:16]
            self.control.memory[:4] = rules[:4]

    def logged(self, case: Case) -> Iterator[str]:
        text = case.server.log()[case.logged :]
        yield from (f"the log has {word!r}" for word in NEVER_LOGGED if word in text)

    # Many

    def calls_of(self, operation: Operation) -> dict[str, int]:
        """Which calls the operation makes, and how often."""
        case = self.begin(operation)
        operation.prepare(case)
        case.server.until(case.idle, SETTLE_S)
        self.control.forget_seen()
        operation.run(case)
        case.expected.write(case.link, 5)
        case.server.until(case.idle, SETTLE_S)
        seen = self.control.seen()
        self.end(case)
        return {call: count for call, count in seen.items() if count}

    def failures_of(self, operation: Operation, *, thorough: bool) -> Iterator[tuple[str, list[Failure]]]:
        """By call: once at each place, and at the first one until it is lifted."""
        for call, count in self.calls_of(operation).items():
            failures = []
            places = range(min(count, 12))
            for skip in places:
                errors: Iterable[int] = ERRORS
                if skip and (operation.slow or not thorough):
                    errors = (errno.EIO, errno.ENOSPC)
                for error in errors:
                    failures.append(Failure((call,), error, skip, 1))
                    if error == errno.EINTR:
                        failures.append(Failure((call,), error, skip, INTERRUPTIONS))
                    elif skip == 0 or thorough:
                        failures.append(Failure((call,), error, skip))
            yield call, failures

    def try_few(self, operation: Operation, first: int, count: int) -> None:
        """So many of the operation's calls, each with an error: others for another `first`."""
        calls = list(self.calls_of(operation).items())
        failures = []
        for turn in range(first, first + count):
            call, times = calls[turn * 5 % len(calls)]
            error = ERRORS[turn % len(ERRORS)]
            failures.append(Failure((call,), error, turn % min(times, 12), 1 if turn % 2 else INTERRUPTIONS))
        self.try_on_one_server(operation, failures)

    def try_sample(self, operation: Operation, first: int, least: int = 1) -> None:
        """Each call, `least` times at the least, with another error and at another place from one to the next."""
        failures = []
        for number, (call, count) in enumerate(self.calls_of(operation).items()):
            for each in range(least):
                turn = first + number * least + each
                error = ERRORS[turn % len(ERRORS)]
                times = 1 if error == errno.EINTR or turn // len(ERRORS) % 2 == 0 else UNTIL_LIFTED
                failures.append(Failure((call,), error, turn % min(count, 12), times))
        failures.append(Failure(CHANGING, errno.EROFS))
        self.try_on_one_server(operation, failures)
        self.tell(f"{operation.name}: {len(failures)} failures, {len(self.report.problems)} problems so far")

    def try_all(self, operation: Operation, *, thorough: bool = False) -> None:
        for call, failures in self.failures_of(operation, thorough=thorough):
            self.try_on_one_server(operation, failures)
            self.tell(
                f"{operation.name}: {call}: {len(failures)} failures, {len(self.report.problems)} problems so far"
            )

    def try_on_one_server(self, operation: Operation, failures: Iterable[Failure]) -> None:
        """One server lives through all of them."""
        case = self.begin(operation)
        for failure in failures:
            if not self.try_failure(case, operation, failure):
                self.end(case)
                case = self.begin(operation)
        self.end(case)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fail every system call under every operation of a running server.")
    parser.add_argument("--operation", default="", help="those whose names begin so")
    parser.add_argument("--sample", type=int, default=0, help="so many failures of each call, instead of all")
    parser.add_argument("--thorough", action="store_true", help="each error at each place, not only at the first")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="disk-failures-"))
    matrix = Matrix(place, lambda line: print(line, flush=True))
    try:
        for operation in OPERATIONS:
            if not operation.name.startswith(options.operation):
                continue
            if options.sample:
                matrix.try_sample(operation, len(operation.name), options.sample)
            else:
                matrix.try_all(operation, thorough=options.thorough)
    finally:
        matrix.close()
    report = matrix.report
    print(f"{report.cases} cases, {report.failed_calls} calls failed, {len(report.problems)} problems")
    shutil.rmtree(place)
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
