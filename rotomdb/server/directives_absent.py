"""Directives of Redis and Valkey for what is not here (yet): cluster, users, modules.

What would guard data or access is refused unless it is off: a server that silently did without would be worse than none.
What only tunes the absent part is accepted, with the reason why it has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rotomdb.server.directives import INT_MAX, ULONG_MAX, Directive, Kind, choice, memory, number, table, text, yes

NO_CLUSTER = "there is no cluster mode yet"
NO_RDMA = "RDMA is not supported"
HOST_NAME_MAX = 256


def check_host_name(value: str) -> str:
    if len(value) >= HOST_NAME_MAX:
        return "Hostnames must be less than 256 characters"
    fine = all(c.isascii() and (c.isalnum() or c in "-.") for c in value)
    return "" if fine else "Hostnames may only contain alphanumeric characters, hyphens or dots"


def check_node_name(value: str) -> str:
    fine = all(c.isascii() and (c.isalnum() or c in "-._") for c in value)
    return "" if fine else "Announced human node name contained invalid character"


def idle(reason: str, rows: Iterable[Directive]) -> Iterator[Directive]:
    return (row.without_effect(reason) for row in rows)


def refused(reason: str, rows: Iterable[Directive]) -> Iterator[Directive]:
    return (row.refused(reason) for row in rows)


ABSENT = table((
    # Cluster
    yes("cluster-enabled", False, "Be a node of a cluster.", mutable=False).refused(NO_CLUSTER),
    *idle(NO_CLUSTER, (
        text("cluster-config-file", "nodes.conf", "File of the cluster's state.", mutable=False),
        number("cluster-node-timeout", 15000, "Milliseconds after which a node counts as failed."),
        number("cluster-port", 0, "Port of the cluster bus; 0: port + 10000.", 0, 65535, mutable=False),
        yes("cluster-require-full-coverage", True, "Refuse when slots are missing."),
        yes("cluster-allow-reads-when-down", False, "Serve reads then."),
        yes("cluster-allow-pubsubshard-when-down", True, "Serve shard channels then."),
        yes("cluster-allow-replica-migration", True, "Replicas move to masters without any."),
        number("cluster-migration-barrier", 1, "Replicas that a master keeps.", high=INT_MAX),
        yes("cluster-replica-no-failover", False, "Never become master.").also("cluster-slave-no-failover"),
        number("cluster-replica-validity-factor", 10, "Age from which a replica is too old.", high=INT_MAX)
        .also("cluster-slave-validity-factor"),
        text("cluster-announce-ip", "", "Address that the node tells."),
        text("cluster-announce-client-ipv4", "", "Address for clients."),
        text("cluster-announce-client-ipv6", "", "Address for clients."),
        number("cluster-announce-client-port", 0, "Port for clients.", 0, 65535),
        number("cluster-announce-client-tls-port", 0, "Port for clients.", 0, 65535),
        number("cluster-announce-port", 0, "Port that the node tells.", 0, 65535),
        number("cluster-announce-tls-port", 0, "TLS port that the node tells.", 0, 65535),
        number("cluster-announce-bus-port", 0, "Bus port that the node tells.", 0, 65535),
        text("cluster-announce-hostname", "", "Name that the node tells.").checked(check_host_name),
        text("cluster-announce-human-nodename", "", "Name for people.").checked(check_node_name),
        choice("cluster-preferred-endpoint-type", "ip", "ip hostname unknown-endpoint", "What MOVED names."),
        memory("cluster-link-sendbuf-limit", 0, "Bytes that may wait on a link.", high=ULONG_MAX),
        choice("cluster-config-save-behavior", "sync", "sync best-effort", "What an unwritable file of the state does."),
        number("cluster-ping-interval", 1000, "Milliseconds between pings.").unlisted(),
        number("cluster-compatibility-sample-ratio", 0, "Percent of commands checked for a cluster.", 0, 100),
        yes("cluster-slot-stats-enabled", False, "Count by slot."),
        number("cluster-databases", 1, "Databases of a cluster.", 1, INT_MAX, mutable=False),
        number("cluster-blacklist-ttl", 60, "Seconds that a forgotten node is kept out.", high=INT_MAX),
        number("cluster-manual-failover-timeout", 5000, "Milliseconds of a failover.", 1, INT_MAX),
        number("cluster-message-gossip-perc", 10, "Percent of nodes in a message.", 1, 100),
        number("cluster-slot-migration-max-archived-tasks", 32, "Migrations remembered.", 1, INT_MAX).unlisted(),
        number("cluster-slot-migration-log-max-len", 1000, "Migrations remembered."),
        number("cluster-slot-migration-write-pause-timeout", 10000, "Milliseconds that writes wait."),
        number("cluster-slot-migration-sync-buffer-drain-timeout", 60000, "Milliseconds to catch up.").unlisted(),
        memory("cluster-slot-migration-handoff-max-lag-bytes", 1 << 20, "Bytes behind at which writes wait."),
        memory("slot-migration-max-failover-repl-bytes", 0, "Bytes behind at which slots change hands.", -1),
    )),
    # TLS
    yes("tls-replication", False, "TLS to the master.").refused("the link to a master is not encrypted yet"),
    yes("tls-cluster", False, "TLS on the cluster bus.").refused(NO_CLUSTER),
    *idle("the server makes no connections that would use it", (
        text("tls-client-cert-file", "", "Certificate as a client."),
        text("tls-client-key-file", "", "Its key."),
        text("tls-client-key-file-pass", "", "Password of the key.", secret=True),
    )),
    *refused(NO_RDMA, (
        Directive("rdma-bind", Kind.WORDS, (), "Addresses for RDMA."),
        number("rdma-port", 0, "Port for RDMA.", 0, 65535),
    )),
    *idle(NO_RDMA, (
        number("rdma-rx-size", 1 << 20, "Bytes of a buffer.", 64 << 10, 16 << 20, mutable=False),
        number("rdma-completion-vector", -1, "Vector of completions.", -1, INT_MAX),
    )),
    # Users, modules, and what earlier versions had
    yes("vset-force-single-threaded-execution", False, "One thread for vector sets.").unlisted().without_effect(
        "there are no vector sets"),
    text("req-res-logfile", "", "File of all requests and replies.").fixed().unlisted().refused("requests are not recorded"),
    *idle("no version that has it does anything with it", (
        yes("gopher-enabled", False, "Serve the Gopher protocol.").unlisted(),
        yes("lua-replicate-commands", True, "Log effects of scripts.").unlisted(),
        number("list-max-ziplist-entries", 512, "Elements of a packed list.").unlisted(),
        number("list-max-ziplist-value", 64, "Longest element of a packed list.").unlisted(),
        text("port-range", "", "Ports.").unlisted(),
        number("tcp-fastopen", 0, "TCP Fast Open.").unlisted(),
    )),
))  # fmt: skip

# Directives of modules that Redis 8 loads by itself, by how their names begin.
MODULE_PREFIXES = ("search-", "bf-", "cf-", "ts-", "json-")
