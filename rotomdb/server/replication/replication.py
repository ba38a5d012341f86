"""The replication of one server: its history, whom it follows, who follows it, and what commands ask of all that."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from rotomdb.commands.host import Connection
from rotomdb.errors import CommandError
from rotomdb.formats.rdb.reader import read_aux
from rotomdb.server.client import Client
from rotomdb.server.loading import served_while_loading
from rotomdb.server.replication.backlog import Backlog
from rotomdb.server.replication.copies import FullCopies
from rotomdb.server.replication.identity import Identity
from rotomdb.server.replication.link import Link
from rotomdb.server.replication.replicas import Replica, Replicas
from rotomdb.server.replication.transfer import Transfer
from rotomdb.storage.rdb import HistoryPlace

if TYPE_CHECKING:
    from rotomdb.server.server import Server

NO_REPLICAS = "NOREPLICAS Not enough good replicas to write."
READ_ONLY = "READONLY You can't write against a read only replica."
MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
MARKS_KEPT = 10_000


class Replication:
    """
    Attributes:
        backlog: The history's last bytes; None while nobody has ever followed it, and then it is not counted either.
        link: To the master; None: this server is one.
        marks: (offset of the stream, position) of what a replica has applied: the first tells when the second is on disk.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stream = server.dispatcher.stream
        self.identity = Identity()
        self.backlog: Backlog | None = None
        self.link: Link | None = None
        self.replicas = Replicas(server)
        self.copies = FullCopies(server, self)
        self.alone_since = time.monotonic()  # without replicas
        self.pinged_at = time.monotonic()
        self.marks: deque[tuple[int, int]] = deque()
        self.durable = -1
        self.input_bytes = 0  # of masters, ever

    def begin(self) -> None:
        """The data set is there: follow whom the configuration names."""
        master = self.server.config["replicaof"]
        if master:
            self.follow(master[0], int(master[1]))

    @property
    def position(self) -> int:
        """How much of the history this server has."""
        return self.stream.replica_offset

    @property
    def follows(self) -> bool:
        return self.link is not None

    def owe_position(self, connection: Connection) -> None:
        """GETACK: the master wants to know how far we are, once what it has sent is applied."""
        if self.link is not None and connection.is_master:
            self.link.owes_position = True

    # The history

    def keep_history(self) -> Backlog:
        """Keep it from now on, if it is not kept yet. It is a new one then: nobody can have followed it before."""
        if self.backlog is None:
            if self.link is None:
                self.identity.renew()
            self.backlog = Backlog(self.server.config["repl-backlog-size"], self.position)
            self.alone_since = time.monotonic()
            self.stream.replicating = self.link is None
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
        if self.link is None:
            data = self.stream.take_for_replicas()
            if data:
                backlog.append(data)
        if self.replicas.by_client:
            self.replicas.send(backlog)
            self.replicas.enforce_limits(backlog)
        backlog.trim(self.replicas.oldest_position(backlog.end))

    def begin_copy(self) -> HistoryPlace:
        """A child is about to be forked: the place at which its copy stands."""
        self.keep_history()
        self.pump()
        if self.link is None:
            self.stream.selected = -1  # whoever loads the copy knows of no database that is selected
            return HistoryPlace(self.identity.id, self.position)
        selected = self.link.client.db.index if self.link.client is not None else self.link.database
        return HistoryPlace(self.identity.id, self.position, selected)

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

    def check_may_be_followed(self) -> None:
        """Raises CommandError where there is no history to give: of a replica whose master is not there."""
        if self.link is not None and not self.link.up:
            raise CommandError("NOMASTERLINK Can't SYNC while not connected with my master")

    def drop(self, client: Client) -> None:
        """The connection has gone."""
        self.copies.drop(client)
        if client in self.replicas.by_client:
            self.replicas.drop(client)
            if not self.replicas.by_client:
                self.alone_since = time.monotonic()
            self.judge_state()
        elif self.link is not None:
            self.link.drop(client)

    def acknowledge(self, connection: Connection, position: int, durable: int | None) -> None:
        self.replicas.acknowledge(self.server.clients[connection.id], position, durable)
        self.judge_state()

    def ask_positions(self) -> None:
        """Somebody waits for replicas: have them tell at once how far they are."""
        self.stream.feed_replicas(b"REPLCONF", b"GETACK", b"*")

    # The master

    def follow(self, host: str, port: int) -> bool:
        """REPLICAOF: follow that server from now on; False: that is the one that is followed."""
        if self.link is not None and (self.link.host, self.link.port) == (host, port):
            return False
        if self.link is None:
            self.pump()
            self.stream.replicating = False
            self.server.blocking.release_all(CommandError(ROLE_CHANGED))
        else:
            self.link.end()
        self.replicas.disconnect_all()  # they have to learn what they follow now
        self.server.config.values["replicaof"] = (host, str(port))
        self.link = Link(self, host, port)
        self.marks.clear()
        self.durable = -1
        self.change_role()
        self.server.reactor.call_later(0, self.link.connect)
        return True

    def lead(self) -> None:
        """REPLICAOF NO ONE: from here on the history is our own."""
        if self.link is None:
            return
        self.link.end()
        self.link = None
        self.server.config.values["replicaof"] = ()
        self.replicas.disconnect_all()  # they have to learn that it is another history now
        self.identity.branch(self.position)
        self.server.log("notice", f"Setting secondary replication ID to {self.identity.second_id}, valid up to offset: "
                        f"{self.identity.second_offset}. New replication ID is {self.identity.id}")  # fmt: skip
        self.alone_since = time.monotonic()
        self.stream.selected = -1
        self.stream.replicating = self.backlog is not None
        self.change_role()

    def change_role(self) -> None:
        server, follows = self.server, self.link is not None
        server.dispatcher.follows = follows
        server.engine.expire_on_access, server.engine.hide_expired = not follows, follows
        server.store.memory_limits.apply(server.config)
        server.store.refresh_write_error()
        server.log.role = "S" if follows else "M"
        self.judge_state()

    def wanted(self) -> tuple[str, int]:
        """What PSYNC asks for: the history, and the first byte that is missing (counted from one)."""
        return self.identity.id, self.position + 1

    def continued(self, history: str) -> None:
        """The master goes on from our position, under a new name of the history if it has one."""
        if history and history != self.identity.id:
            self.identity.second_id, self.identity.second_offset = self.identity.id, self.position + 1
            self.identity.id = history
            self.server.log("warning", f"Master replication ID changed to {history}")
            self.replicas.disconnect_all()
        self.keep_history()

    def applied(self, data: bytes) -> None:
        """So much of the master's history has been run: it is ours, and that of those who follow us."""
        self.stream.replica_offset += len(data)
        self.input_bytes += len(data)
        if self.backlog is not None:
            self.backlog.append(data)
        if self.server.persistence.aof.on and len(self.marks) < MARKS_KEPT:
            self.marks.append((self.stream.offset, self.position))
        if self.link is not None and self.link.owes_position:
            self.link.acknowledge()

    def durable_position(self) -> int | None:
        """The position up to which the history is on our disk; None where there is no log that could tell."""
        aof = self.server.persistence.aof
        if not aof.on or aof.waiting:
            return None
        offset = aof.durable_offset
        while self.marks and self.marks[0][0] <= offset:
            self.durable = self.marks.popleft()[1]
        return self.durable if self.durable >= 0 else None

    def take_over(self, transfer: Transfer) -> int:
        """Put a master's copy in the place of all data; returns the database that its history has selected, -1: unknown.

        Raises RotomError, OSError: as Persistence.take_over.
        """
        server, persistence = self.server, self.server.persistence
        mode = server.config["repl-diskless-load"]
        self.identity.renew()  # until the copy is there, nothing here is the place in a history
        empty = not any(len(database) for database in server.engine.databases)
        self.replicas.disconnect_all()
        self.backlog = None
        with persistence.disk.mapped(transfer.path) as data:
            selected = int(read_aux(data, str(transfer.path)).get(b"repl-stream-db", b"-1"))
        for database in server.engine.databases:
            server.dispatcher.touch_database(database.index)
        server.tracking.flushed()
        told = time.monotonic()

        def keep_alive() -> int:
            transfer.keep_alive()
            return 1000

        timer = server.reactor.call_later(1000, keep_alive)
        server.log("notice", "MASTER <-> REPLICA sync: Loading DB in memory")
        server.dispatcher.loading = True
        try:
            with served_while_loading(server):
                persistence.take_over(transfer.path, keep_old=mode == "swapdb" and not empty)
        finally:
            server.dispatcher.loading = False
            server.reactor.cancel(timer)
        server.log("notice", f"The copy was loaded in {time.monotonic() - told:.3f} seconds")
        server.dispatcher.dirty = 0
        self.identity.id = transfer.history
        self.identity.forget_second()
        self.stream.replica_offset = transfer.position
        self.marks.clear()
        self.marks.append((self.stream.offset, self.position))
        self.keep_history()
        return selected

    # What is refused

    def judge_state(self) -> None:
        """What writes, and reads, are refused with in the present state."""
        config, dispatcher, link = self.server.config, self.server.dispatcher, self.link
        if link is not None:
            dispatcher.write_refusal = READ_ONLY if config["replica-read-only"] else None
            dispatcher.stale_refusal = None if link.up or config["replica-serve-stale-data"] else MASTER_DOWN
            return
        wanted, max_lag = config["min-replicas-to-write"], config["min-replicas-max-lag"]
        enough = not wanted or not max_lag or self.replicas.good(max_lag) >= wanted
        dispatcher.write_refusal = None if enough else NO_REPLICAS
        dispatcher.stale_refusal = None

    def apply_config(self) -> None:
        """Follow the directives in force."""
        if self.backlog is not None:
            self.backlog.size = self.server.config["repl-backlog-size"]
        self.judge_state()

    def role(self) -> list[object]:
        """The reply to ROLE."""
        link = self.link
        if link is not None:
            position = self.position if link.up else -1
            return [b"slave", link.host.encode(), link.port, link.state.value.encode(), position]
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
        self.judge_state()
        if self.link is not None:
            self.link.each_second()
        if self.backlog is None:
            return
        if self.replicas.by_client:
            if self.link is None and now - self.pinged_at >= config["repl-ping-replica-period"]:
                self.pinged_at = now
                self.stream.feed_replicas(b"PING")
            self.replicas.give_up_silent(config["repl-timeout"])
        elif self.link is None and config["repl-backlog-ttl"] and now - self.alone_since > config["repl-backlog-ttl"]:
            self.server.log("notice", f"Replication backlog freed after {config['repl-backlog-ttl']} seconds without "
                            "connected replicas.")  # fmt: skip
            self.forget_history()
