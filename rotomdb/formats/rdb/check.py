"""Verifying an RDB as a server would read it: with one walk, up to the first damage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.errors import DATABASES_MAX, RdbDatabaseError, RdbValueError
from rotomdb.formats.rdb.reader import End, Event, Function, Progress, RdbReader, SelectDb, judge_function
from rotomdb.formats.sinks.check import CheckSink


@dataclass
class CheckReport:
    """What a check has found up to where it came."""

    version: int = 0
    keys: int = 0
    expires: int = 0
    expired: int = 0  # before now
    empty: int = 0  # values without elements, which servers drop
    end: int = 0  # offset behind the trailer; 0: not reached
    checksum_stored: int | None = None


def check_rdb(
    data: memoryview | bytes,
    path: str,
    *,
    report: CheckReport | None = None,
    on_event: Callable[[Event, int], None] = lambda event, offset: None,
    on_progress: Progress | None = None,
    release: Callable[[int, int], None] | None = None,
    as_snapshot: bool = False,
    take_library: Callable[[bytes], object] | None = None,
) -> CheckReport:
    """Verify structure, lengths, encodings, duplicate members and keys, databases, function libraries and the checksum.

    Args:
        take_library: Called with each library; raises CommandError for one that a server refuses.
        as_snapshot: What a server will load as its snapshot, and not as the base of a log: keys whose time is over are
            dropped then, and are no duplicates of others.
        report: Filled in; what it holds also counts when the check ends with an error.
        on_event: Called with what is no key, and the offset behind it.

    Raises:
        RdbError: the first damage.
    """
    report = report or CheckReport()
    reader = RdbReader(data, path, release)
    now_ms = int(time.time() * 1000)
    sink = CheckSink(unique_keys=True, expire_before_ms=now_ms if as_snapshot else -1)
    try:
        report.version = reader.version
        reader.walker.now_ms = now_ms
        for event in reader.walk(sink, None, on_progress):
            try:
                judge_event(event, reader.walker.position, take_library)
            except RdbValueError as error:
                raise reader.failure(error, reader.walker) from None
            on_event(event, reader.walker.position)
            if isinstance(event, End):
                report.end, report.checksum_stored = event.offset, event.checksum_stored
    finally:
        walker = reader.walker
        report.keys, report.expires, report.expired, report.empty = (
            walker.keys,
            walker.expires,
            walker.expired,
            sink.empty,
        )
        reader.close()
    return report


def judge_event(event: Event, offset: int, take_library: Callable[[bytes], object] | None) -> None:
    """Raises RdbValueError for what no server takes. Offset: behind it."""
    if isinstance(event, SelectDb) and event.index >= DATABASES_MAX:
        raise RdbDatabaseError(event.offset, event.index, DATABASES_MAX)
    if isinstance(event, Function):
        judge_function(event, offset, take_library or len)
