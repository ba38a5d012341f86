"""SYNC and PSYNC: who waits for a full copy of the data set, and the child that sends it.

Who asked for nothing but a copy is let go behind it. A replica gets the history that follows: from the position at which the
child was forked, once the child is done with the connection. Over TLS the child's encryption has gone on without us, so that the
connection ends with the copy; the replica comes back and goes on from there.
"""

from __future__ import annotations

import functools
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotomdb.commands.host import Connection
from rotomdb.engine.memory import used_memory
from rotomdb.server.client import Client
from rotomdb.server.replication.replicas import Replica, State
from rotomdb.storage.child import Child, Outcome
from rotomdb.storage.full_copy import Reader, send_copy
from rotomdb.storage.rdb import SnapshotOptions

if TYPE_CHECKING:
    from rotomdb.server.replication.replication import Replication
    from rotomdb.server.server import Server

CLOSING_MS = 5000  # that a reader has to close its side once it has everything
KEEP_ALIVE_TICKS = 10


@dataclass
class Wishes:
    """What a connection said with REPLCONF.

    Attributes:
        only: Parts of the data set that are wanted, `functions`; None: all of it.
    """

    knows_mark: bool = False
    knows_new_ids: bool = False  # that a master's history may be another one from some place on
    copy_only: bool = False
    only: frozenset[bytes] | None = None
    port: int = 0
    address: str = ""


class FullCopies:
    def __init__(self, server: Server, replication: Replication) -> None:
        self.server = server
        self.replication = replication
        self.wishes: dict[Connection, Wishes] = {}
        self.waiting: dict[Client, bool] = {}  # whether the reply tells the history and the place in it
        self.receiving: list[Client] = []
        self.requested = 0  # copies since the start
        server.persistence.on_copy_end = self.ended

    def wishes_of(self, client: Connection) -> Wishes:
        return self.wishes.setdefault(client, Wishes())

    def drop(self, client: Client) -> None:
        """The connection has gone; the child notices by itself."""
        self.wishes.pop(client, None)
        self.waiting.pop(client, None)
        if client in self.receiving:
            self.receiving.remove(client)

    def request(self, connection: Connection, *, partial: bool) -> None:
        """Send a copy as soon as there is no other child.

        Args:
            partial: PSYNC: the reply names the history and the place in it.
        """
        client = self.server.clients[connection.id]
        self.server.log("notice", f"Replica {client.address} asks for synchronization")
        client.blocked = True  # what it sends from now on is not answered
        self.waiting[client] = partial
        self.requested += 1
        wishes = self.wishes_of(client)
        if not wishes.copy_only:
            replica = Replica(client, wishes.port, wishes.address, acknowledges=partial)
            self.replication.replicas.add(replica)
        else:
            client.no_evict = True
        self.server.reactor.call_later(0, self.start)

    def cron(self) -> None:
        if self.waiting:
            self.start()
            if self.server.ticks % KEEP_ALIVE_TICKS == 0:
                for client in self.waiting:
                    if not client.output_pending:
                        client.push_bytes(b"\n")

    def start(self) -> None:
        """Begin the copy for all who wait and want the same."""
        persistence = self.server.persistence
        # What was said to them before has to be out: the child writes to the same sockets.
        ready = [client for client in self.waiting if not client.output_pending]
        if not ready or persistence.child is not None:
            return
        only = self.wishes_of(ready[0]).only
        group = [client for client in ready if self.wishes_of(client).only == only]
        place = self.replication.begin_copy()
        readers = [self.reader(client, place.greeting) for client in group]
        options = SnapshotOptions(
            self.server.config["rdbcompression"],
            self.server.config["rdbchecksum"],
            incremental_sync=False,
            key_save_delay_us=persistence.settings.key_save_delay_us,
            saved_at=time.time(),
            used_memory=used_memory(),
            keys=only is None,
            functions=only is None or b"functions" in only,
            replication=place,
        )
        self.server.log("notice", "Starting BGSAVE for SYNC with target: replicas sockets")
        try:
            child = persistence.start_copy(
                lambda reporter, disk: send_copy(self.server.engine, readers, options, reporter.report)
            )
        except OSError as error:
            self.server.log("warning", f"BGSAVE for replication failed: fork: {error.strerror}")
            for client in group:
                self.server.close_client(client)
            return
        self.server.log("notice", f"Background RDB transfer started by pid {child.pid}")
        for client in group:
            del self.waiting[client]
            if client.channel is not None:
                client.channel.leave_to_child()
            replica = self.replication.replicas.by_client.get(client)
            if replica is not None:
                replica.state, replica.position = State.RECEIVING, place.position
        self.receiving = group

    def reader(self, client: Client, greeting: bytes) -> Reader:
        knows_mark, channel = self.wishes_of(client).knows_mark, client.channel
        greeting = greeting if self.waiting[client] else b""
        if channel is not None:
            return Reader(client.fd, knows_mark, greeting, channel.write, channel.end)
        return Reader(client.fd, knows_mark, greeting, functools.partial(os.write, client.fd))

    def ended(self, child: Child, outcome: Outcome) -> None:
        """The child is done: the readers have everything, or are cut off."""
        log, whole = self.server.log, outcome.status == 0
        if whole:
            log("notice", "Background RDB transfer terminated with success")
        else:
            by = f"by signal {outcome.signal}" if outcome.signal else "with error"
            log("warning", f"Background transfer terminated {by}")
        readers, self.receiving = self.receiving, []
        for client in readers:
            if client.closed:
                continue
            replica = self.replication.replicas.by_client.get(client)
            if whole and replica is not None and client.channel is None:
                self.go_on(replica)
                continue
            if whole:
                log(
                    "notice", f"RDB transfer completed, rdb only replica ({client.address}) should be disconnected asap"
                )
            self.let_go(client)

    def go_on(self, replica: Replica) -> None:
        """The copy is out: what follows it is the history."""
        client = replica.client
        client.blocked = False
        if self.wishes_of(client).knows_mark:
            replica.state = State.ONLINE  # and it tells when it has found the mark: nothing may follow before
            replica.told_at = time.monotonic()
        else:
            self.replication.replicas.begin_sending(replica)
        client.resume_later()

    def let_go(self, client: Client) -> None:
        """Close our side, so that what was sent arrives, and the connection when the reader closes its own."""
        client.blocked = False
        client.close_after_reply = True  # from now on it is only drained
        try:
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.server.close_client(client)
            return
        self.server.reactor.call_later(CLOSING_MS, lambda: self.server.close_client(client))
