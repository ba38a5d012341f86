"""The report of redis-check-rdb (docs/formats.md, section 7.2), line for line, over the one RDB reader."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.engine import Engine
from rotomdb.engine.rdb_decoder import TYPE_NAMES
from rotomdb.errors import RdbError
from rotomdb.storage.rdb import Aux, End, KeyRecord, ModuleAux, RdbReader, SelectDb

Print = Callable[[str], None]


@dataclass
class Totals:
    keys: int = 0
    expires: int = 0
    expired: int = 0
    end: int = 0

    def show(self, out: Print) -> None:
        out(f"[info] {self.keys} keys read")
        out(f"[info] {self.expires} expires")
        out(f"[info] {self.expired} already expired")


def text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def report_rdb(
    data: memoryview | bytes, path: str, out: Print, on_progress: Callable[[int], None] = lambda offset: None
) -> Totals | None:
    """Print the check of an RDB; returns the totals, or None when it is damaged."""
    out(f"[offset 0] Checking RDB file {path}")
    totals = Totals()
    now = time.time() * 1000
    reader: RdbReader | None = None
    try:
        reader = RdbReader(data, path)
        for event in reader.events(Engine(1)):
            if isinstance(event, KeyRecord):
                totals.keys += 1
                if event.expire_ms is not None:
                    totals.expires += 1
                    totals.expired += event.expire_ms < now
                if totals.keys % 10_000 == 0:
                    on_progress(event.end)
            elif isinstance(event, Aux):
                out(f"[offset {reader.decoder.position}] AUX FIELD {text(event.name)} = '{text(event.value)}'")
            elif isinstance(event, SelectDb):
                out(f"[offset {reader.decoder.position}] Selecting DB ID {event.index}")
            elif isinstance(event, ModuleAux):
                out(f"[offset {reader.decoder.position}] MODULE AUX for: {event.module.partition('/')[0]}")
            elif isinstance(event, End):
                totals.end = event.offset
                if event.checksum_stored == 0:
                    out(f"[offset {event.offset}] RDB file was saved with checksum disabled: no check performed.")
                elif event.checksum_stored is not None:
                    out(f"[offset {event.offset}] Checksum OK")
                out(f"[offset {event.offset}] \\o/ RDB looks OK! \\o/")
    except RdbError as error:
        show_failure(error, reader, out)
        totals.show(out)
        return None
    finally:
        if reader is not None:
            reader.close()
    totals.show(out)
    return totals


def show_failure(error: RdbError, reader: RdbReader | None, out: Print) -> None:
    out("--- RDB ERROR DETECTED ---")
    out(f"[offset {error.offset}] {error.reason}")
    if reader is None:
        out("[additional info] While doing: start")
        return
    decoder = reader.decoder
    key = decoder.reading_key
    phase = (
        "check-sum" if error.reason.startswith("checksum") else "read-object-value" if key is not None else "read-type"
    )
    out(f"[additional info] While doing: {phase}")
    if key is not None:
        out(f"[additional info] Reading key '{text(key)}'")
        out(
            f"[additional info] Reading type {decoder.reading_type} ({TYPE_NAMES.get(decoder.reading_type, 'unknown')})"
        )
