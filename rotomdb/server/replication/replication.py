"""The replication of one server: its history, who follows it, and what commands ask of both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rotomdb.commands.host import Connection
from rotomdb.server.client import Client
from rotomdb.server.replication.backlog import Backlog
from rotomdb.server.replication.copies import FullCopies
from rotomdb.server.replication.identity import Identity
from rotomdb.server.replication.replicas import Replica, Replicas
from rotomdb.storage.rdb import HistoryPlace

if TYPE_CHECKING:
    from rotomdb.server.server import Server

NO_REPLICAS = "NOREPLICAS Not enough good replicas to write."


class Replication:
    """
    Attributes:
        backlog: The history's last bytes; None while nobody has ever followed it, and then it is not counted either.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stream = server.dispatcher.stream
        self.identity = Identity()
        self.backlog: Backlog | None = None
        self.replicas = Replicas(server)
        self.copies = FullCopies(server, self)
        self.alone_since = time.monotonic()  # without replicas
        self.pinged_at = time.monotonic()

    @property
    def position(self) -> int:
        """How much of the history this server has."""
        return self.stream.replica_offset

    # The history

    def keep_history(self) -> Backlog:
        """Keep it from now on, if it is not kept yet. It is a new one then: nobody can have followed it before."""
        if self.backlog is None:
            self.identity.renew()
            self.backlog = Backlog(self.server.config["repl-backlog-size"], self.position)
            self.alone_since = time.monotonic()
            self.stream.replicating = True
        return self.backlog

    def forget_history(self) -> None:
        self.stream.replicating = False
        self.stream.take_for_replicas()
        self.backlog = None
        self.identity.renew()

    def pump(self) -> None:
        """Bring what was written into the backlog, and what of it there is room for on its way."""
        backlog = self.backlog
        if backlog is None:
            return
        data = self.stream.take_for_replicas()
        if data:
            backlog.append(data)
        if self.replicas.by_client:
            self.replicas.send(backlog)
            self.replicas.enforce_limits(backlog)
        if data:
            backlog.trim(self.replicas.oldest_position(backlog.end))

    def begin_copy(self) -> HistoryPlace:
        """A child is about to be forked: the place at which its copy stands."""
        self.keep_history()
        self.pump()
        self.stream.selected = -1  # whoever loads the copy knows of no database that is selected
        return HistoryPlace(self.identity.id, self.position)

    # Replicas

    def request(self, connection: Connection, history: str, offset: int) -> None:
        """PSYNC: go on from `offset` (counted from one) of the history, or begin with a copy."""
        client = self.server.clients[connection.id]
        log, backlog = self.server.log, self.backlog
        shared = backlog is not None and self.identity.shares(history, offset)
        if shared and backlog is not None and backlog.holds(offset - 1):
            self.go_on_with(client, offset - 1)
            return
        if history != "?":
            self.replicas.partial_refused += 1
            if not shared:
                log("notice", f"Partial resynchronization not accepted: Replication ID mismatch (Replica asked for "
                    f"'{history}', my replication IDs are '{self.identity.id}' and '{self.identity.second_id}')")  # fmt: skip
            else:
                log("notice", f"Unable to partial resync with replica {client.address} for lack of backlog "
                    f"(Replica request was: {offset}).")  # fmt: skip
        self.copies.request(client, partial=True)

    def go_on_with(self, client: Client, position: int) -> None:
        wishes = self.copies.wishes_of(client)
        replica = Replica(client, wishes.port, wishes.address, position=position, acknowledged=position)
        self.replicas.partial_ok += 1
        self.replicas.add(replica)
        tells = f" {self.identity.id}" if wishes.knows_new_ids else ""
        client.push_bytes(f"+CONTINUE{tells}\r\n".encode())
        backlog = self.keep_history()
        self.server.log("notice", f"Partial resynchronization request from {client.address} accepted. Sending "
                        f"{backlog.end - position} bytes of backlog starting from offset {position + 1}.")  # fmt: skip
        self.replicas.begin_sending(replica)

    def drop(self, client: Client) -> None:
        """The connection has gone."""
        self.copies.drop(client)
        if client in self.replicas.by_client:
            self.replicas.drop(client)
            if not self.replicas.by_client:
                self.alone_since = time.monotonic()
            self.judge_writes()

    def acknowledge(self, connection: Connection, position: int, durable: int | None) -> None:
        self.replicas.acknowledge(self.server.clients[connection.id], position, durable)
        self.judge_writes()

    def ask_positions(self) -> None:
        """Somebody waits for replicas: have them tell at once how far they are."""
        self.stream.feed_replicas(b"REPLCONF", b"GETACK", b"*")

    def judge_writes(self) -> None:
        """min-replicas-to-write: whether there are enough that have told their position lately."""
        config = self.server.config
        wanted, max_lag = config["min-replicas-to-write"], config["min-replicas-max-lag"]
        enough = not wanted or not max_lag or self.replicas.good(max_lag) >= wanted
        self.server.dispatcher.write_refusal = None if enough else NO_REPLICAS

    def apply_config(self) -> None:
        """Follow the directives in force."""
        if self.backlog is not None:
            self.backlog.size = self.server.config["repl-backlog-size"]
        self.judge_writes()

    def role(self) -> list[object]:
        """The reply to ROLE."""
        online = [replica for replica in self.replicas if replica.online]
        return [
            b"master",
            self.position,
            [[replica.host.encode(), b"%d" % replica.port, b"%d" % replica.acknowledged] for replica in online],
        ]

    # Time

    def cron(self) -> None:
        self.copies.cron()
        if self.backlog is not None:
            self.replicas.enforce_limits(self.backlog)

    def each_second(self) -> None:
        config, now = self.server.config, time.monotonic()
        self.judge_writes()
        if self.backlog is None:
            return
        if self.replicas.by_client:
            if now - self.pinged_at >= config["repl-ping-replica-period"]:
                self.pinged_at = now
                self.stream.feed_replicas(b"PING")
            self.replicas.give_up_silent(config["repl-timeout"])
        elif config["repl-backlog-ttl"] and now - self.alone_since > config["repl-backlog-ttl"]:
            self.server.log("notice", f"Replication backlog freed after {config['repl-backlog-ttl']} seconds without "
                            "connected replicas.")  # fmt: skip
            self.forget_history()
