"""The replicas of this server: how far each is, what it is sent, and when it is given up.

A replica begins with a full copy or goes on from where it is, and is `online` from then on: it is sent the history from its own
position in the backlog, a part at a time, so that one that is slow holds nothing but its position.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rotomdb.server.client import Client

if TYPE_CHECKING:
    from rotomdb.server.replication.backlog import Backlog
    from rotomdb.server.server import Server

OUTPUT_BYTES = 256 << 10  # that are put into a replica's own output at a time
ADDRESSES = 46


class State(enum.Enum):
    """As INFO names them."""

    WAITING = "wait_bgsave"  # for the copy to begin
    RECEIVING = "send_bulk"
    ONLINE = "online"


@dataclass(eq=False)
class Replica:
    """A connection that follows the history.

    Attributes:
        position: Of the history: what it has been sent, or holds with its copy.
        sent_to: Whether the history is sent; one that has a copy with a mark says first that it has read it.
        acknowledged: The position that it told, and `durable` the one that it has on disk.
        acknowledges: Whether it tells its position at all; one that came by SYNC does not.
    """

    client: Client
    port: int = 0
    address: str = ""
    state: State = State.WAITING
    position: int = 0
    sent_to: bool = False
    acknowledged: int = 0
    durable: int = 0
    told_at: float = field(default_factory=time.monotonic)
    acknowledges: bool = True
    over_soft_limit_since: float = 0.0

    @property
    def host(self) -> str:
        return self.address or self.client.address.rpartition(":")[0].strip("[]")

    @property
    def online(self) -> bool:
        return self.state is State.ONLINE

    def lag(self) -> int:
        """Seconds since it has told its position."""
        return int(time.monotonic() - self.told_at)


class Replicas:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.by_client: dict[Client, Replica] = {}
        self.output_bytes = 0  # sent to all of them, ever
        self.partial_ok = self.partial_refused = 0

    def __len__(self) -> int:
        return len(self.by_client)

    def __iter__(self) -> Iterator[Replica]:
        return iter(self.by_client.values())

    def add(self, replica: Replica) -> None:
        self.by_client[replica.client] = replica
        replica.client.is_replica = True

    def drop(self, client: Client) -> None:
        """The connection has gone."""
        if self.by_client.pop(client, None) is not None:
            self.server.log("notice", f"Connection with replica {client.address} lost.")

    def disconnect_all(self) -> None:
        """What they follow is another history now, or this server's place in it has changed."""
        for replica in list(self):
            self.server.close_client(replica.client)

    # Sending

    def send(self, backlog: Backlog) -> None:
        """Put into the replicas' output what there is room for."""
        for replica in self:
            client = replica.client
            if not replica.sent_to:
                continue
            while replica.position < backlog.end and client.output_pending < OUTPUT_BYTES and not client.closing:
                part = backlog.part(replica.position, OUTPUT_BYTES)
                client.push_bytes(part)
                replica.position += len(part)
                self.output_bytes += len(part)

    def oldest_position(self, otherwise: int) -> int:
        """What has to be kept of the history for those that are on their way."""
        return min((replica.position for replica in self if replica.state is not State.WAITING), default=otherwise)

    def begin_sending(self, replica: Replica) -> None:
        """It has all up to its position: the history follows."""
        replica.state = State.ONLINE
        replica.sent_to = True
        replica.told_at = time.monotonic()
        self.server.log("notice", f"Synchronization with replica {replica.client.address} succeeded")

    # What they tell

    def acknowledge(self, client: Client, position: int, durable: int | None) -> None:
        replica = self.by_client.get(client)
        if replica is None:
            return
        replica.acknowledged = max(replica.acknowledged, position)
        if durable is not None:
            replica.durable = max(replica.durable, durable)
        replica.told_at = time.monotonic()
        if replica.online and not replica.sent_to:
            self.begin_sending(replica)

    def with_position(self, position: int) -> int:
        """How many have acknowledged it."""
        return sum(replica.online and replica.acknowledged >= position for replica in self)

    def with_durable(self, position: int) -> int:
        """How many have it on their disk, as far as they say."""
        return sum(replica.online and replica.durable >= position for replica in self)

    def good(self, max_lag_s: int) -> int:
        """How many have told their position lately."""
        return sum(replica.online and replica.lag() <= max_lag_s for replica in self)

    # Limits

    def enforce_limits(self, backlog: Backlog) -> None:
        """client-output-buffer-limit replica, of what waits for each; less than the backlog is never enforced."""
        limits = self.server.config["client-output-buffer-limit"]["slave"]
        hard, soft, seconds = limits
        now = time.monotonic()
        for replica in list(self):
            if replica.state is State.WAITING:
                continue
            waiting = backlog.end - replica.position + replica.client.output_pending
            over = bool(hard) and waiting >= max(hard, backlog.size)
            if soft and waiting >= max(soft, backlog.size):
                replica.over_soft_limit_since = replica.over_soft_limit_since or now
                over = over or now - replica.over_soft_limit_since > seconds
            else:
                replica.over_soft_limit_since = 0.0
            if over:
                self.server.client_limits.overcome(replica.client, True)

    def give_up_silent(self, timeout_s: int) -> None:
        """repl-timeout: end those that have not told their position for so long."""
        for replica in list(self):
            heard_ms = self.server.engine.now_ms - replica.client.last_interaction_ms  # one that loads sends line feeds
            silent_s = min(time.monotonic() - replica.told_at, heard_ms / 1000)
            if replica.online and replica.acknowledges and silent_s > timeout_s:
                self.server.log("warning", f"Disconnecting timedout replica (streaming sync): {replica.client.address}")
                self.server.close_client(replica.client)
