"""INFO: every number of the server, in Redis's sections, under its field names and in its order.

Fields of what is not here (modules, I/O threads, defragmentation; scripts, replicas and a cluster so far) have the value that
Redis shows while it has none of it: those who read INFO look for the names.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rotomdb import __version__
from rotomdb.server.memory_report import memory_report, total_system_memory
from rotomdb.server.process import executable, supervisor
from rotomdb.storage.child import Job
from rotomdb.storage.rdb import REDIS_VERSION

if TYPE_CHECKING:
    from rotomdb.server.replication.link import Link
    from rotomdb.server.server import Server

Field = tuple[str, object]


def human(size: float) -> str:
    for unit in ("B", "K", "M", "G", "T"):
        if size < 1024 or unit == "T":
            return f"{int(size)}B" if unit == "B" else f"{size:.2f}{unit}"
        size /= 1024
    return ""


def server_section(server: Server) -> Iterator[Field]:
    uptime = int(time.time() - server.statistics.started)
    yield "redis_version", REDIS_VERSION
    yield "redis_git_sha1", "00000000"
    yield "redis_git_dirty", 0
    yield "redis_build_id", "0"
    yield "redis_mode", "standalone"
    yield "rotomdb_version", __version__
    yield "os", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "arch_bits", 64
    yield "monotonic_clock", "POSIX clock_gettime"
    yield "multiplexing_api", "epoll" if sys.platform == "linux" else "poll"
    yield "python_version", platform.python_version()
    yield "process_id", os.getpid()
    yield "process_supervised", supervisor(server.config)
    yield "run_id", server.run_id
    yield "tcp_port", server.config["port"] or server.config["tls-port"]
    yield "server_time_usec", time.time_ns() // 1000
    yield "uptime_in_seconds", uptime
    yield "uptime_in_days", uptime // 86400
    yield "hz", server.hz
    yield "configured_hz", server.config["hz"]
    yield "lru_clock", server.engine.lru_clock
    yield "executable", executable()
    yield "config_file", server.config.path or ""
    yield "io_threads_active", 0


def clients_section(server: Server) -> Iterator[Field]:
    clients = list(server.clients.values())
    yield "connected_clients", len(clients) - len(server.replication.replicas)
    yield "cluster_connections", 0
    yield "maxclients", server.config["maxclients"]
    largest_input, largest_output = server.client_limits.recent_maxima()
    yield "client_recent_max_input_buffer", largest_input
    yield "client_recent_max_output_buffer", largest_output
    yield "blocked_clients", len(server.blocking.waits) + len(server.pausing.waiting)
    yield "tracking_clients", len(server.tracking.modes)
    yield "pubsub_clients", len(server.pubsub.clients)
    yield "watching_clients", sum(1 for client in clients if client.watched)
    yield "clients_in_timeout_table", server.blocking.with_timeout()
    yield "total_watched_keys", len(server.dispatcher.watchers)
    yield "total_blocking_keys", len(server.blocking.waiting)
    yield "total_blocking_keys_on_nokey", server.blocking.on_any_change()


def memory_section(server: Server) -> Iterator[Field]:
    report = memory_report(server)
    limit = server.config["maxmemory"]
    yield "used_memory", report.used
    yield "used_memory_human", human(report.used)
    yield "used_memory_rss", report.resident
    yield "used_memory_rss_human", human(report.resident)
    yield "used_memory_peak", report.peak
    yield "used_memory_peak_human", human(report.peak)
    yield "used_memory_peak_perc", f"{report.peak_percentage:.2f}%"
    yield "used_memory_overhead", report.overhead
    yield "used_memory_startup", report.startup
    yield "used_memory_dataset", report.dataset
    yield "used_memory_dataset_perc", f"{report.dataset_percentage:.2f}%"
    yield "allocator_allocated", report.used
    yield "allocator_active", report.resident
    yield "allocator_resident", report.resident
    yield "total_system_memory", total_system_memory()
    yield "total_system_memory_human", human(total_system_memory())
    scripts = server.scripting
    yield "used_memory_lua", scripts.used_memory
    yield "used_memory_vm_eval", scripts.used_memory
    yield "used_memory_lua_human", human(scripts.used_memory)
    yield "used_memory_scripts_eval", scripts.scripts_memory
    yield "number_of_cached_scripts", len(scripts.scripts)
    yield "number_of_functions", len(scripts.libraries.held.functions)
    yield "number_of_libraries", len(scripts.libraries)
    yield "used_memory_vm_functions", scripts.libraries.used_memory
    yield "used_memory_vm_total", scripts.used_memory + scripts.libraries.used_memory
    yield "used_memory_vm_total_human", human(scripts.used_memory + scripts.libraries.used_memory)
    yield "used_memory_functions", scripts.libraries.libraries_memory
    yield "used_memory_scripts", scripts.scripts_memory + scripts.libraries.libraries_memory
    yield "used_memory_scripts_human", human(scripts.scripts_memory + scripts.libraries.libraries_memory)
    yield "maxmemory", limit
    yield "maxmemory_human", human(limit)
    yield "maxmemory_policy", server.config["maxmemory-policy"]
    yield "allocator_frag_ratio", f"{report.fragmentation:.2f}"
    yield "allocator_frag_bytes", report.resident - report.used
    yield "allocator_rss_ratio", "1.00"
    yield "allocator_rss_bytes", 0
    yield "rss_overhead_ratio", "1.00"
    yield "rss_overhead_bytes", 0
    yield "mem_fragmentation_ratio", f"{report.fragmentation:.2f}"
    yield "mem_fragmentation_bytes", report.resident - report.used
    yield "mem_not_counted_for_evict", server.store.memory_limits.not_counted()
    backlog = server.replication.backlog
    yield "mem_replication_backlog", 0 if backlog is None else backlog.bytes_held
    yield "mem_total_replication_buffers", 0 if backlog is None else backlog.bytes_held
    yield "mem_clients_slaves", 0
    yield "mem_clients_normal", report.clients
    yield "mem_cluster_links", 0
    yield "mem_aof_buffer", report.aof_buffer
    yield "mem_allocator", "libc"
    yield "active_defrag_running", 0
    yield "lazyfree_pending_objects", server.engine.garbage_objects
    yield "lazyfreed_objects", server.engine.garbage_freed


def persistence_section(server: Server) -> Iterator[Field]:
    persistence = server.persistence
    status, child, aof = persistence.status, persistence.child, persistence.aof
    now = time.time()
    saving = child is not None and child.kind is Job.SNAPSHOT
    rewriting = child is not None and child.kind is Job.REWRITE
    if child is not None:
        child.read_progress()
    yield "loading", int(server.dispatcher.loading)
    yield "async_loading", 0
    yield "current_cow_peak", child.progress.cow_bytes if child else 0
    yield "current_cow_size", child.progress.cow_bytes if child else 0
    yield "current_cow_size_age", 0
    total = server.engine.total_keys() if child else 0
    keys = child.progress.keys if child else 0
    yield "current_fork_perc", f"{keys / total * 100 if total else 0:.2f}"
    yield "current_save_keys_processed", keys
    yield "current_save_keys_total", total
    yield "rdb_changes_since_last_save", server.dispatcher.dirty
    yield "rdb_bgsave_in_progress", int(saving)
    yield "rdb_last_save_time", int(status.last_save)
    yield "rdb_last_bgsave_status", "ok" if status.last_save_ok else "err"
    yield "rdb_last_bgsave_time_sec", status.last_save_s
    yield "rdb_current_bgsave_time_sec", int(now - child.started) if child and saving else -1
    yield "rdb_saves", status.saves
    yield "rdb_last_cow_size", status.last_cow_bytes
    yield "rdb_last_load_keys_expired", status.last_load_expired
    yield "rdb_last_load_keys_loaded", status.last_load_keys
    yield "aof_enabled", int(aof.on)
    yield "aof_rewrite_in_progress", int(rewriting)
    yield "aof_rewrite_scheduled", int(Job.REWRITE in persistence.due)
    yield "aof_last_rewrite_time_sec", status.last_rewrite_s
    yield "aof_current_rewrite_time_sec", int(now - child.started) if child and rewriting else -1
    yield "aof_last_bgrewrite_status", "ok" if status.last_rewrite_ok else "err"
    yield "aof_rewrites", status.rewrites
    yield "aof_rewrites_consecutive_failures", persistence.rewriter.failures
    yield "aof_last_write_status", "ok" if aof.status_error is None else "err"
    yield "aof_last_cow_size", status.last_rewrite_cow_bytes
    yield "module_fork_in_progress", 0
    yield "module_fork_last_cow_size", 0
    yield "backup_in_progress", int(bool(server.backups.running))
    yield "backup_last_status", {None: "none", True: "ok", False: "err"}[server.backups.last_ok]
    yield "backup_last_time", server.backups.last_time
    yield "disk_free_bytes", aof.reserve.measure()
    yield "disk_low", int(aof.reserve.low)
    yield "disk_reserve_bytes", aof.reserve.held
    if aof.on:
        yield "aof_current_size", aof.size
        yield "aof_base_size", aof.base_size
        yield "aof_pending_rewrite", int(aof.waiting)
        yield "aof_buffer_length", aof.buffered_bytes
        yield "aof_pending_bio_fsync", int(aof.sync_thread.busy)
        yield "aof_delayed_fsync", aof.delayed_fsyncs
    if server.dispatcher.loading:
        progress = persistence.loader.progress
        yield "loading_start_time", int(progress.started)
        yield "loading_total_bytes", progress.total_bytes
        yield "loading_rdb_used_mem", progress.memory_when_saved
        yield "loading_loaded_bytes", progress.loaded_bytes
        yield "loading_loaded_perc", f"{progress.percentage:.2f}"
        yield "loading_eta_seconds", progress.seconds_left


def stats_section(server: Server) -> Iterator[Field]:
    statistics, engine = server.statistics, server.engine
    tracked_keys, tracked_items, prefixes = server.tracking.counts()
    yield "total_connections_received", statistics.connections
    yield "total_commands_processed", server.dispatcher.commands_processed
    yield "instantaneous_ops_per_sec", statistics.ops_per_second
    yield "total_net_input_bytes", server.input_bytes
    yield "total_net_output_bytes", server.output_bytes
    yield "total_net_repl_input_bytes", server.replication.input_bytes
    yield "total_net_repl_output_bytes", server.replication.replicas.output_bytes
    yield "instantaneous_input_kbps", f"{statistics.input_kbps:.2f}"
    yield "instantaneous_output_kbps", f"{statistics.output_kbps:.2f}"
    yield "instantaneous_input_repl_kbps", "0.00"
    yield "instantaneous_output_repl_kbps", "0.00"
    yield "rejected_connections", statistics.rejected_connections
    yield "sync_full", server.replication.copies.requested
    yield "sync_partial_ok", server.replication.replicas.partial_ok
    yield "sync_partial_err", server.replication.replicas.partial_refused
    yield "expired_subkeys", engine.expired_fields
    yield "expired_keys", engine.expired
    yield "expired_stale_perc", f"{server.expire_cycle.stale_percent:.2f}"
    yield "expired_time_cap_reached_count", server.expire_cycle.cut_short
    yield "expire_cycle_cpu_milliseconds", int(server.expire_cycle.seconds * 1000)
    yield "evicted_keys", server.store.memory_limits.evicted_keys
    yield "evicted_clients", server.client_limits.evicted
    yield "evicted_scripts", server.scripting.evicted
    yield "total_eviction_exceeded_time", 0
    yield "current_eviction_exceeded_time", 0
    yield "keyspace_hits", engine.hits
    yield "keyspace_misses", engine.misses
    yield "pubsub_channels", len(server.pubsub.listeners["channel"])
    yield "pubsub_patterns", len(server.pubsub.listeners["pattern"])
    yield "pubsubshard_channels", len(server.pubsub.listeners["shard"])
    yield "latest_fork_usec", server.persistence.status.last_fork_us
    yield "total_forks", server.persistence.status.forks
    yield "migrate_cached_sockets", 0
    yield "slave_expires_tracked_keys", 0
    yield "active_defrag_hits", 0
    yield "active_defrag_misses", 0
    yield "active_defrag_key_hits", 0
    yield "active_defrag_key_misses", 0
    yield "total_active_defrag_time", 0
    yield "current_active_defrag_time", 0
    yield "tracking_total_keys", tracked_keys
    yield "tracking_total_items", tracked_items
    yield "tracking_total_prefixes", prefixes
    yield "unexpected_error_replies", 0
    yield "total_error_replies", statistics.errors
    yield "dump_payload_sanitizations", 0
    yield "total_reads_processed", server.reads
    yield "total_writes_processed", server.writes
    yield "io_threaded_reads_processed", 0
    yield "io_threaded_writes_processed", 0
    yield "client_query_buffer_limit_disconnections", statistics.query_limit_disconnections
    yield "client_output_buffer_limit_disconnections", statistics.output_limit_disconnections
    yield "reply_buffer_shrinks", 0
    yield "reply_buffer_expands", 0
    for field, reason in (("auth", "auth"), ("cmd", "command"), ("key", "key"), ("channel", "channel")):
        yield f"acl_access_denied_{field}", server.acl_log.denied[reason]


def replication_section(server: Server) -> Iterator[Field]:
    replication = server.replication
    backlog, identity = replication.backlog, replication.identity
    link = replication.link
    yield "role", "master" if link is None else "slave"
    if link is not None:
        yield from link_fields(server, link)
    yield "connected_slaves", len(replication.replicas)
    wanted = server.config["min-replicas-to-write"]
    if link is None and wanted and server.config["min-replicas-max-lag"]:
        yield "min_slaves_good_slaves", replication.replicas.good(server.config["min-replicas-max-lag"])
    for number, replica in enumerate(replication.replicas):
        lag = replica.lag() if replica.online else 0
        yield (
            f"slave{number}",
            f"ip={replica.host},port={replica.port},state={replica.state.value},offset={replica.acknowledged},lag={lag}",
        )
    yield "master_failover_state", "no-failover"
    yield "master_replid", identity.id
    yield "master_replid2", identity.second_id
    yield "master_repl_offset", replication.position
    yield "second_repl_offset", identity.second_offset
    yield "repl_backlog_active", int(backlog is not None)
    yield "repl_backlog_size", server.config["repl-backlog-size"]
    yield "repl_backlog_first_byte_offset", backlog.first + 1 if backlog is not None else 0
    yield "repl_backlog_histlen", backlog.end - backlog.first if backlog is not None else 0


def link_fields(server: Server, link: Link) -> Iterator[Field]:
    """What a replica tells of its master."""
    config, transfer, position = server.config, link.transfer, server.replication.position
    syncing = link.state.value == "sync"
    yield "master_host", link.host
    yield "master_port", link.port
    yield "master_link_status", "up" if link.up else "down"
    yield "master_last_io_seconds_ago", int(link.silence_s()) if link.up else -1
    yield "master_sync_in_progress", int(syncing)
    yield "slave_read_repl_offset", position + (link.client.received_bytes if link.client is not None else 0)
    yield "slave_repl_offset", position
    if syncing and transfer is not None:
        total, received = transfer.length, transfer.received
        yield "master_sync_total_bytes", total
        yield "master_sync_read_bytes", received
        yield "master_sync_left_bytes", total - received
        yield "master_sync_perc", f"{received / total * 100 if total else 0:.2f}"
        yield "master_sync_last_io_seconds_ago", int(link.silence_s())
    if not link.up:
        yield (
            "master_link_down_since_seconds",
            int(time.time() - link.down_since) if link.down_since is not None else -1,
        )
    yield "slave_priority", config["replica-priority"]
    yield "slave_read_only", int(config["replica-read-only"])
    yield "replica_announced", int(config["replica-announced"])


def cpu_section(server: Server) -> Iterator[Field]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "used_cpu_sys", f"{own.ru_stime:.6f}"
    yield "used_cpu_user", f"{own.ru_utime:.6f}"
    yield "used_cpu_sys_children", f"{children.ru_stime:.6f}"
    yield "used_cpu_user_children", f"{children.ru_utime:.6f}"
    if hasattr(resource, "RUSAGE_THREAD"):
        thread = resource.getrusage(resource.RUSAGE_THREAD)
        yield "used_cpu_sys_main_thread", f"{thread.ru_stime:.6f}"
        yield "used_cpu_user_main_thread", f"{thread.ru_utime:.6f}"


def commandstats_section(server: Server) -> Iterator[Field]:
    for entry in server.dispatcher.commands.values():
        for command in (entry, *(entry.subcommands or {}).values()):
            if command.calls or command.rejected:
                microseconds = command.nanoseconds / 1000
                per_call = microseconds / command.calls if command.calls else 0
                yield (
                    f"cmdstat_{command.name}",
                    f"calls={command.calls},usec={int(microseconds)},usec_per_call={per_call:.2f},"
                    f"rejected_calls={command.rejected},failed_calls={command.failed}",
                )


def shown(percent: float) -> str:
    """Up to six digits, without zeros at the end."""
    return f"{percent:f}".rstrip("0").rstrip(".")


def latencystats_section(server: Server) -> Iterator[Field]:
    percentiles = [float(word) for word in server.config["latency-tracking-info-percentiles"]]
    for entry in server.dispatcher.commands.values():
        for command in (entry, *(entry.subcommands or {}).values()):
            if command.latency_histogram() is not None:
                values = ",".join(f"p{shown(p)}={command.latency_percentile(p):.3f}" for p in percentiles)
                yield f"latency_percentiles_usec_{command.name}", values


def errorstats_section(server: Server) -> Iterator[Field]:
    for code, count in sorted(server.error_counts.items()):
        yield f"errorstat_{code}", f"count={count}"


def modules_section(server: Server) -> Iterator[Field]:
    return iter(())


def cluster_section(server: Server) -> Iterator[Field]:
    yield "cluster_enabled", 0


def keyspace_section(server: Server) -> Iterator[Field]:
    for database in server.engine.databases:
        if len(database):
            yield (
                f"db{database.index}",
                f"keys={len(database)},expires={database.volatile_count},avg_ttl={database.average_ttl()}",
            )


Section = Callable[["Server"], Iterator[Field]]
SECTIONS: dict[str, tuple[str, Section]] = {
    "server": ("Server", server_section),
    "clients": ("Clients", clients_section),
    "memory": ("Memory", memory_section),
    "persistence": ("Persistence", persistence_section),
    "stats": ("Stats", stats_section),
    "replication": ("Replication", replication_section),
    "cpu": ("CPU", cpu_section),
    "modules": ("Modules", modules_section),
    "commandstats": ("Commandstats", commandstats_section),
    "latencystats": ("Latencystats", latencystats_section),
    "errorstats": ("Errorstats", errorstats_section),
    "cluster": ("Cluster", cluster_section),
    "keyspace": ("Keyspace", keyspace_section),
}
DEFAULT = [name for name in SECTIONS if name not in ("commandstats", "latencystats")]


def render(server: Server, wanted: tuple[bytes, ...]) -> str:
    """The sections asked for (none: the default ones), each under its heading."""
    names: list[str] = []
    for word in wanted or (b"default",):
        name = word.decode("latin-1").lower()
        if name == "default":
            names += DEFAULT
        elif name in ("all", "everything"):
            names += SECTIONS
        elif name in SECTIONS:
            names.append(name)
    parts = []
    for name in dict.fromkeys(names):
        title, section = SECTIONS[name]
        parts.append(f"# {title}\r\n" + "".join(f"{key}:{value}\r\n" for key, value in section(server)))
    return "\r\n".join(parts)
