"""While the data set is loaded the server listens: clients connect, see `-LOADING`, ask for INFO, and may end it.

The loading runs on the event loop's own thread and gives it a turn every few milliseconds. What belongs to a data set that is
there (expiry, eviction, snapshots, the log) waits until it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rotomdb.errors import LoadingInterrupted
from rotomdb.storage.load_progress import no_turn
from rotomdb.storage.machine import monotonic_ms

if TYPE_CHECKING:
    from rotomdb.server.server import Server

CRON_INTERVAL_MS = 100


@contextmanager
def served_while_loading(server: Server) -> Iterator[None]:
    """Serve what can be served while the body of the `with` loads. LoadingInterrupted: the server is to end."""
    reactor, progress, engine = server.reactor, server.persistence.loader.progress, server.engine
    loading = True

    def give_turn(microseconds: int) -> None:
        end_ms = monotonic_ms() + microseconds // 1000
        left_ms = microseconds // 1000
        while True:
            reactor.turn(left_ms)
            if reactor.stopping:
                raise LoadingInterrupted
            left_ms = end_ms - monotonic_ms()
            if left_ms <= 0:
                break
        no_turn(microseconds % 1000)

    def cron() -> int | None:
        if not loading:
            return None
        server.cron_while_loading()
        return CRON_INTERVAL_MS

    before, engine.expire_on_access = engine.expire_on_access, False  # a client that watches a key must not delete it
    progress.give_turn = give_turn
    reactor.call_later(CRON_INTERVAL_MS, cron, retry_ms=CRON_INTERVAL_MS)
    try:
        yield
    finally:
        loading = False
        progress.give_turn = no_turn
        engine.expire_on_access = before
