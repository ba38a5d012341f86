"""A script that takes long makes the server busy, not deaf: from `busy-reply-threshold` on the event loop takes turns inside it.

Connections are accepted, requests read, and replies written. What has the flag ALLOW_BUSY runs, and everything else is refused. Timers
rest: expiry, eviction, snapshots and time-outs of waiting clients must not see data in the middle of a command. What the script has
written reaches the log when it ends and not before, so an end of the server meanwhile leaves nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotomdb.scripting.script_run import ScriptRun
from rotomdb.server.client import Client

if TYPE_CHECKING:
    from rotomdb.server.server import Server

SERVER_ENDS = b"ERR Script killed, the server is shutting down"


class BusyScripts:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.known = 0  # the run that the log was told of
        server.scripting.run.give_turn = self.give_turn

    def give_turn(self, run: ScriptRun) -> None:
        """Serve what waits, in the middle of a script."""
        server, caller = self.server, run.context.caller
        client = caller if isinstance(caller, Client) else None  # None: the script stands in a log
        if self.known != run.number:
            self.known = run.number
            server.log(
                "warning",
                f"Slow script detected: still in execution after {run.elapsed_ms} milliseconds. You can try killing the "
                f"script using the {'FUNCTION' if run.function else 'SCRIPT'} KILL command. Script name is: {run.name}.",
            )
        kept = b"" if client is None else client.keep_input()
        suspended = server.dispatcher.suspend(server.scripting.busy_refusal)
        try:
            server.reactor.turn(0, timers=False)
        finally:
            server.dispatcher.take_up(suspended, drop_effects=server.reactor.stopping)
            if client is not None:
                client.give_back_input(kept)
        if server.reactor.stopping or (server.ending.signal and not run.wrote):
            run.kill(SERVER_ENDS)
