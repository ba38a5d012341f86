"""The orderly end: SHUTDOWN, SIGTERM and SIGINT, what is brought to the disk before it, and when it is refused.

An end that would lose something is refused unless it is forced: the log cannot be synced, the snapshot cannot be written, or
the first base of a log that was turned on is not there yet.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotomdb.errors import SaveError
from rotomdb.storage.aof_options import ALL_OFFSETS

if TYPE_CHECKING:
    from rotomdb.server.server import Server


@dataclass(frozen=True)
class Manner:
    """How to end.

    Attributes:
        save: Write a snapshot; None: where there are save points.
        force: End also where something is lost by it.
        now: Wait for no replica.
    """

    save: bool | None = None
    force: bool = False
    now: bool = False


def manner_of(words: Iterable[str]) -> Manner:
    """From the words of SHUTDOWN. Raises ValueError for unknown and contradicting ones."""
    given = set(words)
    if given - {"save", "nosave", "force", "now"} or {"save", "nosave"} <= given:
        raise ValueError("no such way to shut down")
    save = True if "save" in given else False if "nosave" in given else None
    return Manner(save, "force" in given, "now" in given)


class Shutdown:
    """Ends a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.signal = 0  # that asked for the end and was not answered yet

    # Signals

    def install_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)
        for number in (signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

    def on_signal(self, number: int, frame: object) -> None:
        log = self.server.log
        if self.signal and number == signal.SIGINT:
            log("warning", "You insist... exiting now.")
            self.server.persistence.kill_child()
            os._exit(1)
        if self.server.dispatcher.loading:
            log("warning", "Received shutdown signal during loading, exiting now.")
        else:
            log("warning", f"Received {signal.Signals(number).name} scheduling shutdown...")
        self.signal = number

    def answer_signal(self) -> None:
        """End as the signal that came wants it, if one came and the end is not refused."""
        if not self.signal or self.server.dispatcher.busy is not None:
            return  # a script ends first: of its own, or at the signal if it has not written
        how = self.server.config["shutdown-on-sigterm" if self.signal == signal.SIGTERM else "shutdown-on-sigint"]
        try:
            self.run(manner_of(set(how.split() if isinstance(how, str) else how) - {"default"}))
        except SaveError:
            self.signal = 0  # the log says why

    # The end

    def run(self, manner: Manner) -> None:
        """Save what has to be saved and stop. Raises SaveError when that is refused; everything goes on then."""
        server = self.server
        if server.dispatcher.loading:
            server.reactor.stopping = True  # the loading ends at this, and everything with it; there is nothing to save
            return
        server.log("notice", "User requested shutdown...")
        try:
            safe = server.store.bring_to_disk(save=manner.save, force=manner.force)
        except SaveError:
            server.log("warning", "Errors trying to shut down the server. Check the logs for more information.")
            raise
        if safe:
            server.released_offset = ALL_OFFSETS  # replies that waited for the disk leave as the connections close
        server.persistence.aof.abandon()
        server.stop()
