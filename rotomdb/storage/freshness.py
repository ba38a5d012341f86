"""Which data set to load where a snapshot and a log lie side by side: the one that provably holds more, or neither.

A snapshot notes where the log stood when it was taken, in an auxiliary field that other servers skip:

    on FILE:BYTES      the log was on, and everything up to there is in the snapshot
    closed FILE:BYTES  the same at a shutdown, after the log had been synced and closed
    off FILE:BYTES     the log was off and ended there; the snapshot holds what the log does, and what came later
    off                there was no log

So the log knows more exactly when it now ends behind that place. One that ends before it has lost its end in a crash,
and the snapshot knows more; but one that had been closed can only have been cut by somebody who meant it. Files of other servers have no such note. Theirs are
settled by the save time inside the snapshot: a log that was written later holds more where the log is on (Redis logs
everything then). Where that does not settle it, both are loaded and compared; if they differ, the operator has to say which.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rotomdb.errors import EitherSourceError, RdbError
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.replay import has_rdb_preamble
from rotomdb.formats.rdb.format import AUX_LOG_POSITION, AUX_SAVED_AT
from rotomdb.formats.rdb.reader import Progress, read_aux
from rotomdb.storage.aof import AppendOnlyFile
from rotomdb.storage.disk import Disk

SEQUENCE = re.compile(r".*\.(\d+)\.incr\.aof")


class Source(enum.Enum):
    NOTHING = "nothing"
    LOG = "append only file"
    SNAPSHOT = "disk"
    EITHER = "either"  # the two have to be compared


@dataclass(frozen=True)
class Choice:
    """What to load, and why where that is not obvious."""

    source: Source
    reason: str = ""


@dataclass(frozen=True)
class Position:
    """A place in a log, as a snapshot notes it."""

    state: str  # on, closed or off
    file: str
    size: int


def parse_position(text: bytes) -> Position | None:
    """Read the note; None when it is none of ours."""
    state, _, place = text.decode("utf-8", "replace").partition(" ")
    file, _, size = place.rpartition(":")
    if state not in ("on", "closed", "off") or (place and not size.isdigit()) or (state != "off" and not place):
        return None
    return Position(state, file, int(size or 0))


def sequence_of(name: str) -> int:
    found = SEQUENCE.fullmatch(name)
    return int(found[1]) if found else 0


def choose(
    disk: Disk,
    aof: AppendOnlyFile,
    snapshot: Path,
    log_files: list[Path],
    log_wanted: bool,
    on_progress: Progress | None = None,
) -> Choice:
    """Say which of the two holds more.

    Args:
        log_wanted: Whether writes will be logged (`appendonly yes`).
        on_progress: Called every few ms, where a log has to be read for it.
    """
    if not log_files:
        if not disk.exists(snapshot):
            return Choice(Source.NOTHING)
        return Choice(Source.SNAPSHOT, "No append only file found: going on from the snapshot." if log_wanted else "")
    if not disk.exists(snapshot):
        return Choice(Source.LOG, "" if log_wanted else "There is no snapshot, but an append only file: it is loaded.")
    try:
        with disk.mapped(snapshot) as data:
            aux = read_aux(data, str(snapshot))
    except RdbError as error:
        if log_wanted:
            return Choice(Source.LOG, f"The snapshot beside the append only file is unreadable: {error}")
        raise
    position = parse_position(aux.get(AUX_LOG_POSITION, b""))
    if position is not None and not aof.options.single_file:
        return by_position(disk, position, log_files, log_wanted, on_progress)
    if position is not None and log_wanted:
        # A single file may have been rewritten since, so that its size tells little.
        untouched = position.size == disk.size(log_files[-1])
        return Choice(Source.SNAPSHOT if position.state == "off" and untouched else Source.LOG)
    return by_time(disk, aux, log_files, log_wanted)


def by_position(
    disk: Disk, position: Position, log_files: list[Path], log_wanted: bool, on_progress: Progress | None
) -> Choice:
    last = log_files[-1]
    there, end = sequence_of(last.name), log_end(disk, last, on_progress)
    noted = sequence_of(position.file)
    log_is_behind = there < noted or (there == noted and end < position.size)
    if log_is_behind and position.state == "closed" and log_wanted:
        return Choice(
            Source.LOG, f"The log was shortened after the last shutdown, from {position.file}:{position.size} to "
            f"{last.name}:{end}. It is loaded as it is; the snapshot beside it holds what was cut.",
        )  # fmt: skip
    if log_is_behind:
        return Choice(
            Source.SNAPSHOT,
            f"The snapshot holds the log up to {position.file}:{position.size}, but the log ends at {last.name}:{end}. "
            "The snapshot knows more and is loaded.",
        )
    if there == noted and end == position.size:
        if position.state != "off" and log_wanted:
            return Choice(Source.LOG)
        reason = "The snapshot was taken after the log was turned off, and is loaded." if log_wanted else ""
        return Choice(Source.SNAPSHOT, reason)
    return Choice(Source.LOG, "" if log_wanted else "The append only file goes on behind the snapshot, and is loaded.")


def log_end(disk: Disk, path: Path, on_progress: Progress | None = None) -> int:
    """Where a log file ends once a torn end is cut."""
    with disk.mapped(path) as data:
        return len(data) if has_rdb_preamble(data) else examine(data, on_progress=on_progress).usable


def by_time(disk: Disk, aux: dict[bytes, bytes], log_files: list[Path], log_wanted: bool) -> Choice:
    saved = int(aux[AUX_SAVED_AT]) if aux.get(AUX_SAVED_AT, b"").isdigit() else 0
    written = max(int(disk.modified(path)) for path in log_files)
    if log_wanted:
        return Choice(Source.LOG if written >= saved else Source.EITHER)
    return Choice(Source.SNAPSHOT if saved >= written else Source.EITHER)


def settle(choice: Choice, wanted: str, same: Callable[[], bool], log_wanted: bool) -> Choice:
    """Bring the operator's word (load-from) and, where it has to be, a comparison to bear.

    Raises:
        EitherSourceError: the two differ, and nothing tells which is the right one.
    """
    if wanted != "auto" and choice.source is not Source.NOTHING:
        source = Source.LOG if wanted == "aof" else Source.SNAPSHOT
        return choice if source is choice.source else Choice(source, f"load-from {wanted}: as the configuration says.")
    if choice.source is not Source.EITHER:
        return choice
    if same():
        return Choice(Source.LOG if log_wanted else Source.SNAPSHOT)
    raise EitherSourceError(
        "The snapshot and the append only file hold different data, and nothing proves which of them is the newer. "
        "Nothing was loaded or changed. Look at both (rotomdb-rdb info, rotomdb-aof-check), then start with "
        "`--load-from aof` or `--load-from rdb`; the other is kept."
    )
