"""What connections may make the server hold: client-output-buffer-limit, maxmemory-clients, timeout.

The native `Client` finds a limit passed at the moment at which it is; here stands what follows from it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rotomdb.commands.client_info import describe
from rotomdb.server.client import check_outputs, tidy_all, weigh_all
from rotomdb.server.directives import LONG_MAX

if TYPE_CHECKING:
    from rotomdb.server.client import Client
    from rotomdb.server.config import Config
    from rotomdb.server.server import Server

REMEMBERED_S = 8  # INFO shows the largest buffers of so many seconds
PEAK_EVERY_S = 5


class ClientLimits:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.evicted = 0
        self.recent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_S)  # (input, output) of the largest, each second
        self.seconds = 0

    def apply(self, config: Config) -> None:
        """Follow the directives in force."""
        limits = config["client-output-buffer-limit"]
        self.server.set_output_limits([limits["normal"], limits["slave"], limits["pubsub"]])
        limit = config["maxmemory-clients"]
        bytes_allowed = config["maxmemory"] * int(limit[:-1]) // 100 if limit.endswith("%") else int(limit)
        self.server.clients_limit = min(bytes_allowed, LONG_MAX)
        if bytes_allowed and not self.server.memory_watched:
            weigh_all(self.server.clients.values())
        self.server.memory_watched = bool(bytes_allowed)

    def overcome(self, client: Client, soon: bool) -> None:
        """The output is above its limit: the client goes, and what it has not read is dropped at once."""
        how = "scheduled to be closed ASAP" if soon else "closed"
        line = describe(self.server, client).rstrip("\n")
        self.server.log("warning", f"Client {line} {how} for overcoming of output buffer limits.")
        self.server.statistics.output_limit_disconnections += 1
        client.close_soon()
        client.drop_output()

    def evict(self) -> None:
        """End the largest clients until all of them together are within maxmemory-clients."""
        server = self.server
        candidates = [
            client for client in server.clients.values()
            if not (client.no_evict or client.is_replica or client.is_master or client.closing)
        ]  # fmt: skip
        for client in sorted(candidates, key=lambda candidate: candidate.memory_bytes, reverse=True):
            if server.clients_memory <= server.clients_limit:
                break
            server.log("notice", f"Evicting client: {describe(server, client)}".rstrip("\n"))
            self.evicted += 1
            server.close_client(client)

    def tick(self) -> None:
        """Ten times a second: what only time brings above a limit."""
        server = self.server
        if server.lowest_limit < 1 << 62:
            check_outputs(list(server.clients.values()))
        if server.memory_watched and server.clients_memory > server.clients_limit:
            self.evict()

    def each_second(self) -> None:
        server = self.server
        self.seconds += 1
        tidy_all(server.clients.values(), self.seconds % PEAK_EVERY_S == 0)
        self.recent.append((server.largest_input, server.largest_output))
        server.largest_input = server.largest_output = 0
        self.close_idle()

    def recent_maxima(self) -> tuple[int, int]:
        """(input, output) bytes of the largest buffers of the last seconds."""
        sizes = [*self.recent, (self.server.largest_input, self.server.largest_output)]
        return max(size for size, _ in sizes), max(size for _, size in sizes)

    def close_idle(self) -> None:
        timeout = self.server.config["timeout"]
        if not timeout:
            return
        now = self.server.engine.now_ms
        for client in list(self.server.clients.values()):
            waits = client.blocked or client.subscribed or client.is_replica or client.is_master
            if not waits and now - client.last_interaction_ms > timeout * 1000:
                self.server.log("verbose", "Closing idle client")
                self.server.close_client(client)

    def clients_bytes(self) -> int:
        """Memory that all connections take."""
        return sum(client.memory_bytes for client in self.server.clients.values())
