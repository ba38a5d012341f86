"""Directives of replication."""

from __future__ import annotations

from rotomdb.server.directives import INT_MAX, Directive, Kind, choice, memory, number, table, text, yes

BACKLOG_MIN = 16 << 10
ONE_CONNECTION = "the snapshot goes over the connection that the commands go over"
AT_ONCE = "a copy is made without a file, and begins at once"

REPLICATION = table((
    Directive("replicaof", Kind.WORDS, (), "Master to follow: host and port.", False).also("slaveof"),
    text("masterauth", "", "Password of the master.", secret=True).also("primaryauth"),
    text("masteruser", "", "User at the master.", secret=True).also("primaryuser"),
    yes("replica-serve-stale-data", True, "Answer while the link is down.").also("slave-serve-stale-data"),
    yes("replica-read-only", True, "Replicas refuse writes.").also("slave-read-only"),
    yes("replica-ignore-maxmemory", True, "Replicas do not evict.").also("slave-ignore-maxmemory"),
    number("replica-priority", 100, "Order in which a Sentinel makes replicas master; 0: never.", high=INT_MAX)
    .also("slave-priority"),
    text("replica-announce-ip", "", "Address that a replica tells.").also("slave-announce-ip"),
    number("replica-announce-port", 0, "Port that a replica tells.", 0, 65535).also("slave-announce-port"),
    yes("replica-announced", True, "Sentinel tells of the replica."),
    choice("repl-diskless-load", "disabled", "disabled on-empty-db swapdb flush-before-load",
           "What is there while a copy is loaded: the old data (swapdb), or none. The copy always goes through a file."),
    number("min-replicas-to-write", 0, "Replicas without which writes are refused.", high=INT_MAX).also("min-slaves-to-write"),
    number("min-replicas-max-lag", 10, "Seconds of silence after which a replica does not count.", high=INT_MAX)
    .also("min-slaves-max-lag"),
    memory("repl-backlog-size", 1 << 20, "Bytes of the history kept for replicas that come back.", 1).standing_for(
        lambda size: max(size, BACKLOG_MIN)),
    number("repl-backlog-ttl", 3600, "Seconds that they are kept without any replica; 0: for ever."),
    number("repl-timeout", 60, "Seconds of silence after which a link is dead.", 1, INT_MAX),
    number("repl-ping-replica-period", 10, "Seconds between pings to replicas.", 1, INT_MAX).also("repl-ping-slave-period"),
    *(row.without_effect(AT_ONCE) for row in (
        yes("repl-diskless-sync", True, "Send snapshots without a file."),
        number("repl-diskless-sync-delay", 5, "Seconds to wait for more replicas.", high=INT_MAX),
        number("repl-diskless-sync-max-replicas", 0, "Replicas not to wait beyond.", high=INT_MAX),
        number("repl-diskless-sync-period", 5, "Seconds between snapshots.", high=INT_MAX).unlisted(),
        yes("rdb-del-sync-files", False, "Remove snapshots that were made for replicas."),
    )),
    *(row.without_effect(ONE_CONNECTION) for row in (
        yes("repl-rdb-channel", False, "Send the snapshot over a second connection.").unlisted(),
        yes("dual-channel-replication-enabled", False, "Send the snapshot over a second connection."),
    )),
    *(row.without_effect(reason) for row, reason in (
        (yes("replica-lazy-flush", False, "Replicas drop old data in the background.").also("slave-lazy-flush"),
         "old data is always dropped in slices"),
        (yes("replica-ignore-disk-write-errors", False, "Replicas go on without a disk."), "they always do"),
        (memory("replica-full-sync-buffer-limit", 0, "Bytes kept by a replica while it loads."),
         "what follows waits at the master"),
        (choice("propagation-error-behavior", "ignore", "ignore panic panic-on-replicas", "What a failing command of the master does."),
         "the log tells of it"),
        (yes("import-mode", False, "Keys of an import do not expire."), "keys of an import expire"),
    )),
    yes("repl-mptcp", False, "Multipath TCP to the master.").without_effect("plain TCP reaches every master"),
    yes("repl-disable-tcp-nodelay", False, "Gather what goes to replicas.").without_effect("nothing is held back"),
))  # fmt: skip
