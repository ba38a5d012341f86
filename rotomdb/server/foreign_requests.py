"""Requests of HTTP: a web page can make a browser send them here, with commands in their body.

Cross protocol scripting ends at the first line that only HTTP has, before the body is looked at.
"""

from __future__ import annotations

import time

from rotomdb.commands.dispatch import Context
from rotomdb.server.client import Client
from rotomdb.server.logger import Logger

OF_HTTP = (b"post", b"host:")
COMPLAIN_EVERY_S = 60.0


class ForeignRequests:
    def __init__(self, log: Logger) -> None:
        self.log = log
        self.complained = -COMPLAIN_EVERY_S

    def check(self, context: Context, name: bytes) -> None:
        """End the connection when what it sent, and is no command, is HTTP."""
        if not isinstance(context, Client) or name.lower() not in OF_HTTP:
            return
        context.close_soon()
        now = time.monotonic()
        if now - self.complained >= COMPLAIN_EVERY_S:
            self.complained = now
            self.log(
                "warning",
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is "
                "likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. "
                f"Connection from {context.address} aborted.",
            )
