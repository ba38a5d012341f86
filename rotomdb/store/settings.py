"""What the directives say to the parts of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotomdb.commands.arguments import INT32_MAX
from rotomdb.commands.host import Configuration
from rotomdb.storage.aof_options import FsyncPolicy

if TYPE_CHECKING:
    from rotomdb.store.store import Store

ENGINE_THRESHOLDS = (
    "hash-max-listpack-entries", "hash-max-listpack-value", "set-max-intset-entries", "set-max-listpack-entries",
    "set-max-listpack-value", "zset-max-listpack-entries", "zset-max-listpack-value", "list-max-listpack-size",
    "stream-node-max-bytes", "stream-node-max-entries",
)  # fmt: skip
THRESHOLD_MAX_US = 1 << 50  # 35 years; in nanoseconds it still fits 64 bits


def apply_settings(store: Store, config: Configuration) -> None:
    """Bring the parts in line with the values in force."""
    for name in ENGINE_THRESHOLDS:
        setattr(store.engine, name.replace("-", "_"), min(config[name], INT32_MAX))
    store.engine.string_max_bytes = config["proto-max-bulk-len"]
    apply_to_log(store, config)
    apply_to_snapshots(store, config)
    apply_to_loading(store, config)
    store.backups.directory = config["backup-dir"]
    store.backups.keep, store.backups.keep_days = config["backup-keep"], config["backup-keep-days"]
    store.memory_limits.apply(config)
    store.expire_cycle.set_effort(config["active-expire-effort"])
    store.latency.threshold_ms = config["latency-monitor-threshold"]
    store.dispatcher.latency_threshold_us = min(config["latency-monitor-threshold"] * 1000, THRESHOLD_MAX_US)
    store.scripting.limit_memory(config["lua-memory-limit"])
    store.scripting.run.busy_after_ms = config["busy-reply-threshold"]


def apply_to_log(store: Store, config: Configuration) -> None:
    aof = store.persistence.aof
    aof.options.policy = FsyncPolicy(config["appendfsync"])
    aof.options.no_sync_on_rewrite = config["no-appendfsync-on-rewrite"]
    aof.options.checksum = config["aof-checksum"]
    aof.options.keep_history = config["aof-disable-auto-gc"]
    aof.options.exit_on_error = config["aof-disk-error-action"] == "exit"
    aof.reserve.size, aof.reserve.warn_below = config["disk-reserve"], config["disk-free-warning"]
    store.dispatcher.stream.timestamps = config["aof-timestamp-enabled"]
    rewriter = store.persistence.rewriter
    rewriter.use_preamble = config["aof-use-rdb-preamble"]
    rewriter.incremental_sync = config["aof-rewrite-incremental-fsync"]
    rewriter.compress, rewriter.checksum = config["rdbcompression"], config["rdbchecksum"]
    rewriter.verify = config["rdb-verify-after-save"]


def apply_to_snapshots(store: Store, config: Configuration) -> None:
    settings = store.persistence.settings
    settings.file_name = config["dbfilename"]
    settings.save_points = list(config["save"])
    settings.compress = config["rdbcompression"]
    settings.checksum = config["rdbchecksum"]
    settings.incremental_sync = config["rdb-save-incremental-fsync"]
    settings.key_save_delay_us = max(config["rdb-key-save-delay"], 0)
    settings.rewrite_percentage = config["auto-aof-rewrite-percentage"]
    settings.rewrite_minimum_size = config["auto-aof-rewrite-min-size"]
    settings.verify = config["rdb-verify-after-save"]
    settings.load_from = config["load-from"]


def apply_to_loading(store: Store, config: Configuration) -> None:
    loader = store.persistence.loader
    loader.options.truncated = config["aof-load-truncated"]
    loader.options.quarantine = config["aof-load-corrupt"] == "quarantine"
    loader.options.corrupt_tail_max = config["aof-load-corrupt-tail-max-size"]
    loader.progress.key_delay_us = config["key-load-delay"]
