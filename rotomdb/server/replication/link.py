"""The way to the master: connected to, greeted, copied from, followed, and found again when it is lost.

    connect      nobody is connected to; it is tried again every second
    connecting   the socket is on its way
    handshake    `conversation.py` says who we are and asks for the history
    sync         a full copy is being received, or loaded
    connected    the history comes and is applied

What has been applied stays the place from which the next connection asks to go on.
"""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING

from rotomdb.errors import CommandError, LoadingInterrupted, RotomError
from rotomdb.formats.quoting import quoted
from rotomdb.server.replication.conversation import Conversation
from rotomdb.server.replication.master_client import MasterClient
from rotomdb.server.replication.transfer import Transfer

if TYPE_CHECKING:
    import socket

    from rotomdb.server.client import Client
    from rotomdb.server.replication.replication import Replication


class State(enum.Enum):
    """As ROLE names them."""

    CONNECT = "connect"
    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    SYNC = "sync"
    CONNECTED = "connected"


class Link:
    """
    Attributes:
        client: The connection, once the history comes over it.
        database: That the history has selected, where a connection has been lost.
    """

    def __init__(self, replication: Replication, host: str, port: int) -> None:
        self.replication = replication
        self.server = replication.server
        self.host, self.port = host, port
        self.state = State.CONNECT
        self.conversation: Conversation | None = None
        self.transfer: Transfer | None = None
        self.client: MasterClient | None = None
        self.database = 0
        self.down_since: float | None = time.time()
        self.heard_at = time.monotonic()
        self.loading = False
        self.ended = False
        self.owes_position = False  # the master has asked for it in what is being applied
        self.failures_told = 0.0

    @property
    def up(self) -> bool:
        return self.state is State.CONNECTED

    # Connecting

    def connect(self) -> None:
        """Begin, unless it has begun."""
        if self.state is not State.CONNECT or self.ended or self.server.dispatcher.loading:
            return
        self.server.log("notice", f"Connecting to MASTER {self.host}:{self.port}")
        self.heard_at = time.monotonic()
        self.state = State.CONNECTING
        try:
            self.conversation = Conversation(self)
        except OSError as error:
            self.state = State.CONNECT
            self.server.log("warning", f"Unable to connect to MASTER: {error.strerror or error}")

    def greeted(self) -> None:
        """The socket is there."""
        self.state = State.HANDSHAKE
        self.heard_at = time.monotonic()

    def lost(self, reason: str) -> None:
        """Whatever there was of a connection has gone; it is tried again."""
        self.server.log("warning", reason)
        self.let_go()
        if self.down_since is None:
            self.down_since = time.time()
        self.replication.judge_state()
        if not self.ended:
            self.server.reactor.call_later(0, self.connect)

    def failed(self, reason: str) -> None:
        """It did not come to a connection: the next attempt comes with the timer."""
        self.server.log("warning", reason)
        self.let_go()

    def let_go(self) -> None:
        self.state = State.CONNECT
        if self.conversation is not None:
            self.conversation.close()
            self.conversation = None
        if self.transfer is not None:
            self.transfer.close()
            self.transfer = None
        client, self.client = self.client, None
        if client is not None:
            self.database = client.db.index
            self.server.close_client(client)

    def end(self) -> None:
        """Follow no more."""
        self.ended = True
        self.let_go()

    # What the master answers

    def continue_with(self, connection: socket.socket, rest: bytes, history: str) -> None:
        """Our place is known: the history goes on from there."""
        self.conversation = None
        self.server.log("notice", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
        self.replication.continued(history)
        self.follow(connection, rest, self.database)

    def copy_from(self, connection: socket.socket, rest: bytes, history: str, position: int) -> None:
        """A full copy comes: what it holds is the history up to there."""
        self.conversation = None
        self.state = State.SYNC
        self.server.log("notice", f"Full resync from master: {history}:{position}")
        self.transfer = Transfer(self, connection, history, position)
        self.transfer.take(rest)

    def received(self, transfer: Transfer) -> None:
        """The copy is in a file, and on disk: it takes the place of the data."""
        self.loading = True
        try:
            database = self.replication.take_over(transfer)
        except LoadingInterrupted:
            self.server.stop()  # told to end while it was loading: the log still holds what was before
            return
        except (RotomError, OSError) as error:
            self.failed(f"Failed trying to load the MASTER synchronization DB: {error}")
            return
        finally:
            self.loading = False
        if self.ended or self.transfer is not transfer:
            return  # told to follow somebody else while it was loading
        self.transfer = None
        transfer.discard()
        self.server.log("notice", "MASTER <-> REPLICA sync: Finished with success")
        self.follow(transfer.connection, transfer.rest, max(database, 0))
        self.acknowledge()

    def follow(self, connection: socket.socket, rest: bytes, database: int) -> None:
        """From now on the master is a client, whose requests are the history."""
        client = MasterClient(
            self.server.dispatcher, self.server, connection, self.server.accepting.next_number(), self.replication.applied,
            self.complain,
        )  # fmt: skip
        client.address = f"{self.host}:{self.port}"
        client.select(database)
        self.server.clients[client.id] = client
        self.server.reactor.add(client.handler)
        self.client = client
        self.state = State.CONNECTED
        self.down_since = None
        self.replication.judge_state()
        if rest:
            client.take(rest)

    def complain(self, words: list[bytes], error: CommandError) -> None:
        """A command of the history failed here: the two data sets may not be the same any more."""
        self.server.log(
            "warning",
            f"== CRITICAL == This replica is sending an error to its master: '{error}' after processing the command "
            f"{quoted(words[0])}",
        )

    # Telling the master

    def acknowledge(self) -> None:
        """How far we are."""
        self.owes_position = False
        if self.client is not None:
            position, durable = self.replication.position, self.replication.durable_position()
            words = [b"REPLCONF", b"ACK", b"%d" % position]
            if durable is not None:
                words += [b"FACK", b"%d" % durable]
            self.client.push_bytes(request(*words))

    # Time

    def drop(self, client: Client) -> None:
        """A connection has gone; if it was this one, find the master again."""
        if client is self.client and self.client is not None:
            self.database = self.client.db.index
            self.client = None
            self.lost("Connection with master lost.")

    def silence_s(self) -> float:
        """Since the master was heard last."""
        if self.client is not None:
            return (self.server.engine.now_ms - self.client.last_interaction_ms) / 1000
        return time.monotonic() - self.heard_at

    def each_second(self) -> None:
        timeout = self.server.config["repl-timeout"]
        if self.state is State.CONNECT:
            self.connect()
        elif self.loading:
            return
        elif self.silence_s() > timeout:
            if self.up:
                self.lost("MASTER timeout: no data nor PING received...")
            elif self.state is State.SYNC:
                self.failed("Timeout receiving bulk data from MASTER... If the problem persists try to set the "
                            "'repl-timeout' parameter in redis.conf to a larger value.")  # fmt: skip
            else:
                self.failed("Timeout connecting to the MASTER...")
        elif self.up:
            self.acknowledge()


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
