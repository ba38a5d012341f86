"""Real directives of Redis and Valkey that have no meaning here (yet): accepted with a warning."""

from __future__ import annotations

NAMES = """
acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min
active-defrag-ignore-bytes active-defrag-max-scan-fields active-defrag-threshold-lower
active-defrag-threshold-upper activedefrag aof-load-corrupt-tail-max-size aof-rewrite-cpulist
aof_rewrite_cpulist bgsave-cpulist bgsave_cpulist bind-source-addr bio-cpulist bio_cpulist
busy-reply-threshold close-on-replica-write cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down
cluster-allow-replica-migration cluster-announce-bus-port cluster-announce-hostname
cluster-announce-human-nodename cluster-announce-ip cluster-announce-port cluster-announce-tls-port
cluster-config-file cluster-enabled cluster-link-sendbuf-limit cluster-migration-barrier cluster-node-timeout
cluster-port cluster-preferred-endpoint-type cluster-replica-no-failover cluster-replica-validity-factor
cluster-require-full-coverage cluster-slave-no-failover cluster-slave-validity-factor
crash-memcheck-enabled enable-module-command enable-protected-configs gopher-enabled ignore-warnings
io-threads io-threads-do-reads jemalloc-bg-thread loadmodule locale-collate
lua-time-limit masterauth masteruser max-new-connections-per-cycle max-new-tls-connections-per-cycle
min-replicas-max-lag min-replicas-to-write
min-slaves-max-lag min-slaves-to-write oom-score-adj oom-score-adj-values port-range
proc-title-template propagation-error-behavior rdb-del-sync-files rdb-version-check rename-command
repl-backlog-size repl-backlog-ttl repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync
repl-diskless-sync-delay repl-diskless-sync-max-replicas repl-diskless-sync-period repl-ping-replica-period
repl-ping-slave-period repl-timeout replica-announce-ip replica-announce-port replica-announced
replica-full-sync-buffer-limit replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush
replica-priority replica-read-only replica-serve-stale-data replicaof req-res-logfile sanitize-dump-payload
server-cpulist server_cpulist set-proc-title slave-announce-ip slave-announce-port slave-priority
slave-read-only slave-serve-stale-data slaveof socket-mark-id
supervised syslog-enabled syslog-facility syslog-ident tcp-fastopen tls-auth-clients tls-ca-cert-dir
tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file tls-client-key-file
tls-client-key-file-pass tls-cluster tls-dh-params-file tls-key-file tls-key-file-pass tls-port
tls-prefer-server-ciphers tls-protocols tls-replication tls-session-cache-size tls-session-cache-timeout
tls-session-caching unixsocketgroup use-exit-on-panic user watchdog-period
"""

FOREIGN = frozenset(NAMES.split())
