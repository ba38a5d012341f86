"""What a data set holds, in digests that do not depend on encodings, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable

from rotomdb.formats.rdb.reader import Event, KeyRecord, RdbReader
from rotomdb.formats.sinks.digest import DigestSink

Digests = dict[tuple[int, bytes], tuple[int, int, int | None, int]]


def digests_of(reader: RdbReader, events: Iterable[Event | KeyRecord] | None = None) -> Digests:
    """Of each key: a digest of its value, type, expire time, and where its record begins.

    Args:
        events: What the reader comes by; by default all there is.
    """
    sink = DigestSink()
    found = {}
    for event in reader.records() if events is None else events:
        if isinstance(event, KeyRecord):
            reader.visit(sink)
            found[event.db, event.key] = sink.digest, event.type, event.expire_ms, event.start
    return found
