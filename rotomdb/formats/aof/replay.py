"""Reading append-only files: replay into a data set through a callable that the caller gives.

A file is an optional RDB preamble, then commands and `#` annotations. It is examined as a whole before its commands run, so
that nothing damaged is ever applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rotomdb.engine import Engine
from rotomdb.errors import AofCommandError, AofError, CommandRefusedError
from rotomdb.formats.aof.examination import Examination, examine
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.passing import passing
from rotomdb.formats.rdb.reader import Progress, RdbReader

SELECT_FIRST = [b"SELECT", b"0"]
Execute = Callable[[list[bytes]], None]
Judge = Callable[[Examination], None]


@dataclass
class ReplayReport:
    """What was replayed.

    Attributes:
        valid_bytes: Offset behind what was applied and belongs to no open transaction.
        examination: What was found before the replay.
    """

    commands: int = 0
    valid_bytes: int = 0
    preamble_bytes: int = 0
    examination: Examination = field(default_factory=lambda: Examination(0, 0))


def has_rdb_preamble(data: memoryview | bytes) -> bool:
    return bytes(data[:5]) == b"REDIS" or bytes(data[:6]) == b"VALKEY"


def refuse_damage(path: str) -> Judge:
    """A judge that lets nothing pass but a torn end."""

    def judge(examination: Examination) -> None:
        for damage in examination.damages:
            raise AofError(path, damage.start, damage.reason)

    return judge


def replay(
    data: memoryview | bytes,
    path: str,
    engine: Engine,
    execute: Execute,
    *,
    judge: Judge | None = None,
    corrupt_tail_max: int = 0,
    on_progress: Progress | None = None,
    while_examining: Progress | None = None,
) -> ReplayReport:
    """Apply one file front to back, without what is torn or damaged.

    A transaction is applied when its EXEC has been read, so an unfinished one leaves no trace.

    Args:
        execute: Called with each command's words.
        judge: Called with what the examination found, before any command runs; it raises to refuse. By default damage is
            refused and a torn end is not.
        on_progress: Called every few ms with the offset up to which the file is applied; true: call again after the next
            command.
        while_examining: The same for the examination, which goes over the file first.

    Raises:
        RdbError: the preamble is damaged.
        AofError: refused damage.
        AofCommandError: a command that cannot be replayed.
    """
    report = ReplayReport()
    if has_rdb_preamble(data):
        reader = RdbReader(data, path)
        try:
            report.preamble_bytes = reader.load_into(engine, on_progress=on_progress).end
        finally:
            reader.close()
        report.valid_bytes = report.preamble_bytes
    found = report.examination = examine(data, report.preamble_bytes, corrupt_tail_max, while_examining)
    (judge or refuse_damage(path))(found)
    start = report.preamble_bytes
    for damage in found.damages:
        replay_part(data, start, damage.start, path, execute, report, on_progress)
        if damage.before_block:
            execute(SELECT_FIRST)
        start = damage.end
    replay_part(data, start, found.usable, path, execute, report, on_progress)
    return report


def replay_part(
    data: memoryview | bytes,
    start: int,
    end: int,
    path: str,
    execute: Execute,
    report: ReplayReport,
    on_progress: Progress | None,
) -> None:
    """Apply the units from `start` to `end`, which the examination found sound."""
    items = LogItems(data, start, end, passing(data, on_progress))
    transaction: list[tuple[int, list[bytes]]] = []
    at = start
    try:
        while (item := items.take()) is not None:
            if isinstance(item, bytes):
                continue
            at = items.at
            if items.in_transaction:
                if at != items.unit:
                    transaction.append((at, item))
                continue
            if items.unit == at:
                execute(item)
                report.commands += 1
            else:
                for place, command in transaction:
                    at = place
                    execute(command)
                report.commands += len(transaction)
                transaction.clear()
            report.valid_bytes = items.offset
    except (EOFError, ValueError) as error:
        raise AofError(path, items.offset, f"bad file format: {error}") from None
    except CommandRefusedError as error:
        raise AofCommandError(path, at, error) from None
    finally:
        items.close()
