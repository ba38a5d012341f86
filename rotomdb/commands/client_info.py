"""The line that tells of a connection: CLIENT LIST, CLIENT INFO and the log have the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rotomdb.commands.host import Connection, Host

if TYPE_CHECKING:
    from rotomdb.commands.tracking import Mode

# (letter, whether it holds), in the order of Redis.
FLAGS: tuple[tuple[str, Callable[[Connection, Mode | None], object]], ...] = (
    ("S", lambda client, mode: client.is_replica),
    ("M", lambda client, mode: client.is_master),
    ("O", lambda client, mode: client.monitoring),
    ("P", lambda client, mode: client.subscribed),
    ("x", lambda client, mode: client.in_multi),
    ("b", lambda client, mode: client.blocked),
    ("t", lambda client, mode: mode is not None),
    ("R", lambda client, mode: mode is not None and mode.broken_redirect),
    ("B", lambda client, mode: mode is not None and mode.broadcast),
    ("d", lambda client, mode: client.watched_changed),
    ("c", lambda client, mode: client.close_after_reply),
    ("A", lambda client, mode: client.closing),
    ("U", lambda client, mode: client.over_unix_socket),
    ("e", lambda client, mode: client.no_evict),
    ("T", lambda client, mode: client.no_touch),
)


def describe(server: Host, client: Connection) -> str:
    """The line of a client, line feed included."""
    now = server.engine.now_ms
    names = server.pubsub.of(client).names
    mode = server.tracking.modes.get(client)
    flags = "".join(letter for letter, holds in FLAGS if holds(client, mode)) or "N"
    buffers = " ".join(f"{name}={size}" for name, size in client.buffers().items())
    command = client.command.name if client.command is not None else "NULL"
    user = "(superuser)" if client.user is None else client.user.shown
    events = "" if client.closed else "rw" if client.wants_write else "r"
    return (
        f"id={client.id} addr={client.address} laddr={client.local_address} fd={client.fd} name={client.name} "
        f"age={(now - client.created_ms) // 1000} idle={(now - client.last_interaction_ms) // 1000} flags={flags} "
        f"db={client.db.index} sub={len(names['channel'])} psub={len(names['pattern'])} ssub={len(names['shard'])} "
        f"multi={len(client.queue) if client.in_multi else -1} watch={len(client.watched)} {buffers} events={events} "
        f"cmd={command} user={user} redir={-1 if mode is None else mode.redirect} resp={client.resp} "
        f"lib-name={client.library_name} lib-ver={client.library_version}\n"
    )
