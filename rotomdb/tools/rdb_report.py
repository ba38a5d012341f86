"""The report of redis-check-rdb (docs/formats.md, section 7.2), line for line, over the one RDB reader."""

from __future__ import annotations

from collections.abc import Callable

from rotomdb.errors import RdbError
from rotomdb.formats.rdb.check import CheckReport, check_rdb
from rotomdb.formats.rdb.reader import Aux, End, Event, ModuleAux, SelectDb
from rotomdb.formats.rdb.value_types import TYPE_NAMES
from rotomdb.tools.library_trial import LibraryTrial

Print = Callable[[str], None]


def text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def report_rdb(
    data: memoryview | bytes, path: str, out: Print, on_progress: Callable[[int], None] = lambda offset: None
) -> CheckReport | None:
    """Print the check of an RDB; returns what was counted, or None when it is damaged."""
    out(f"[offset 0] Checking RDB file {path}")
    report = CheckReport()

    def on_event(event: Event, offset: int) -> None:
        if isinstance(event, Aux):
            out(f"[offset {offset}] AUX FIELD {text(event.name)} = '{text(event.value)}'")
        elif isinstance(event, SelectDb):
            out(f"[offset {offset}] Selecting DB ID {event.index}")
        elif isinstance(event, ModuleAux):
            out(f"[offset {offset}] MODULE AUX for: {event.module.partition('/')[0]}")
        elif isinstance(event, End):
            if event.checksum_stored == 0:
                out(f"[offset {event.offset}] RDB file was saved with checksum disabled: no check performed.")
            elif event.checksum_stored is not None:
                out(f"[offset {event.offset}] Checksum OK")
            out(f"[offset {event.offset}] \\o/ RDB looks OK! \\o/")

    sound = True
    try:
        check_rdb(data, path, report=report, on_event=on_event, on_progress=on_progress, take_library=LibraryTrial())
    except RdbError as error:
        sound = False
        show_failure(error, report, out)
    out(f"[info] {report.keys} keys read")
    out(f"[info] {report.expires} expires")
    out(f"[info] {report.expired} already expired")
    return report if sound else None


def show_failure(error: RdbError, report: CheckReport, out: Print) -> None:
    out("--- RDB ERROR DETECTED ---")
    out(f"[offset {error.offset}] {error.reason}")
    if report.version == 0:
        out("[additional info] While doing: start")
        return
    phase = "check-sum" if error.reason.startswith("checksum") else "read-object-value" if error.key else "read-type"
    out(f"[additional info] While doing: {phase}")
    if error.key is not None:
        out(f"[additional info] Reading key '{text(error.key)}'")
        out(f"[additional info] Reading type {error.type} ({TYPE_NAMES.get(error.type, 'unknown')})")
