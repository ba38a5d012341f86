"""Directives of data, memory and disk."""

from __future__ import annotations

from rotomdb.server.directives import (
    INT_MAX,
    ULONG_MAX,
    Directive,
    Kind,
    choice,
    file_name,
    memory,
    number,
    path,
    table,
    text,
    yes,
)

DEFAULT_SAVE_POINTS = ((3600, 1), (300, 100), (60, 10000))
FREED_IN_STEPS = "large values are always freed bit by bit, whatever dropped them"

STORAGE = table((
    path("dir", "./", "Directory of all data files.").guarded(),
    # Snapshots
    Directive("save", Kind.SAVE, DEFAULT_SAVE_POINTS, "Save points: after so many seconds with so many changes."),
    file_name("dbfilename", "dump.rdb", "Name of the snapshot in dir.").guarded(),
    yes("rdbcompression", True, "Compress strings in snapshots (LZF)."),
    yes("rdbchecksum", True, "Write and verify the CRC64 of snapshots.", mutable=False),
    yes("rdb-save-incremental-fsync", True, "Sync a snapshot every 4 MB while it is written."),
    yes("rdb-verify-after-save", False, "Read every snapshot back before it replaces the one before."),
    choice("rdb-version-check", "strict", "strict relaxed", "Read snapshots of unknown versions.").refused(
        "a snapshot of an unknown version is never loaded"),
    yes("stop-writes-on-bgsave-error", True, "Refuse writes while snapshots fail."),
    number("rdb-key-save-delay", 0, "Microseconds to wait after each key of a snapshot (for tests).", -INT_MAX - 1, INT_MAX)
    .unlisted(),
    number("key-load-delay", 0, "Microseconds to wait after each key that is loaded (for tests).", -INT_MAX - 1, INT_MAX)
    .unlisted(),
    number("loading-process-events-interval-bytes", 2 << 20, "Bytes loaded between two looks at the clients.", 1024, INT_MAX)
    .unlisted().without_effect("clients are served by the clock while loading, not by bytes"),
    choice("sanitize-dump-payload", "no", "no yes clients", "Check the structure of all loaded values.").without_effect(
        "every value that comes from outside is checked, always"),
    # Append-only file
    yes("appendonly", True, "Log every write (Redis's default is no)."),
    choice("appendfsync", "everysec", "everysec always no", "When logged writes reach the disk."),
    file_name("appendfilename", "appendonly.aof", "Name, or prefix of the names, of the log files.", mutable=False),
    file_name("appenddirname", "appendonlydir", "Directory of the log files inside dir.", mutable=False),
    choice("aof-layout", "multi", "multi single", "Directory with manifest (Redis 7) or one file (Redis 6).", mutable=False),
    yes("aof-checksum", True, "Write #CRC64 annotations into the log, and verify them when loading."),
    yes("aof-timestamp-enabled", False, "Write #TS annotations into the log."),
    yes("no-appendfsync-on-rewrite", False, "Do not sync the log while a child writes to the disk."),
    yes("aof-load-truncated", True, "Cut a torn end of the log at start-up, keeping what was cut beside it."),
    choice("aof-load-corrupt", "ask-fail", "ask-fail quarantine",
           "Damage inside the log at start-up: refuse and say what to do, or go on without it and keep it beside."),
    memory("aof-load-corrupt-tail-max-size", 0, "Bytes at the end of the log that may hold anything and are cut."),
    choice("aof-disk-error-action", "stop-writes", "stop-writes exit",
           "With `appendfsync always`, when the log cannot be written: refuse writes until it can, or end."),
    choice("load-from", "auto", "auto aof rdb", "Where log and snapshot differ: what provably holds more, or the one named.",
           mutable=False),
    path("backup-dir", "backups", "Where BACKUP puts backups; relative: inside dir.").guarded(),
    number("backup-keep", 0, "Backups to keep, the oldest go; 0: all."),
    number("backup-keep-days", 0, "Days that backups are kept; 0: for ever.", high=INT_MAX),
    memory("disk-reserve", 4 << 20, "Bytes kept free for the log's last writes on a full disk; 0: none."),
    memory("disk-free-warning", 256 << 20, "Warn when the disk has less room than this."),
    yes("aof-use-rdb-preamble", True, "Write the base of a rewritten log as RDB."),
    yes("aof-rewrite-incremental-fsync", True, "Sync a rewrite every 4 MB while it is written."),
    yes("aof-disable-auto-gc", False, "Keep superseded log files."),
    number("auto-aof-rewrite-percentage", 100, "Rewrite the log when it has grown by so much; 0: never.", high=INT_MAX),
    memory("auto-aof-rewrite-min-size", 64 << 20, "Smallest log that is rewritten automatically."),
    # Encodings
    number("hash-max-listpack-entries", 512, "Fields that a packed hash may have.").also("hash-max-ziplist-entries"),
    memory("hash-max-listpack-value", 64, "Longest field or value of a packed hash.").also("hash-max-ziplist-value"),
    number("set-max-intset-entries", 512, "Members that a packed set of integers may have."),
    number("set-max-listpack-entries", 128, "Members that a packed set may have."),
    number("set-max-listpack-value", 64, "Longest member of a packed set."),
    number("zset-max-listpack-entries", 128, "Members that a packed sorted set may have.").also("zset-max-ziplist-entries"),
    memory("zset-max-listpack-value", 64, "Longest member of a packed sorted set.").also("zset-max-ziplist-value"),
    number("list-max-listpack-size", -2, "Elements per list node, or -1 to -5 for 4 to 64 KB.", -INT_MAX - 1, INT_MAX)
    .also("list-max-ziplist-size"),
    memory("stream-node-max-bytes", 4096, "Bytes that a stream node may have; 0: no limit."),
    number("stream-node-max-entries", 100, "Entries that a stream node may have; 0: no limit."),
    number("list-compress-depth", 0, "Nodes at both ends of a list that are not compressed.", high=INT_MAX).without_effect(
        "list nodes are not compressed in memory"),
    memory("hll-sparse-max-bytes", 3000, "Longest sparse HyperLogLog; a longer one becomes dense."),
    number("stream-idmp-duration", 100, "Seconds that ids of idempotent producers are kept.", 1).without_effect(
        "XADD takes no ids of producers"),
    number("stream-idmp-maxsize", 100, "Ids of idempotent producers that are kept.", 1).without_effect(
        "XADD takes no ids of producers"),
    yes("key-memory-histograms", False, "Keep a histogram of the sizes of keys.").without_effect("there are no such histograms"),
    yes("activerehashing", True, "Grow tables a bit in every tick.").without_effect("tables always grow bit by bit, idle or not"),
    text("hash-seed", "", "Seed of the hash function.").fixed().without_effect("the seed is always random"),
    # Expiry and eviction
    number("active-expire-effort", 1, "How hard to look for expired keys.", 1, 10),
    memory("maxmemory", 0, "Bytes that the data may take; 0: no limit.", high=ULONG_MAX),
    choice("maxmemory-policy", "noeviction",
           "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction",
           "Which keys give way when maxmemory is reached."),
    number("maxmemory-samples", 5, "Keys looked at for each eviction, 64 at the most.", 1, INT_MAX),
    number("maxmemory-eviction-tenacity", 10, "How long a command may evict: 0 briefly, 100 until it fits.", 0, 100),
    Directive("maxmemory-clients", Kind.SHARE, "0", "Bytes that all connections may take, or a share of maxmemory in %."),
    number("lfu-log-factor", 10, "How slowly the counter of LFU policies grows.", high=INT_MAX),
    number("lfu-decay-time", 1, "Minutes after which it falls by one; 0: never.", high=INT_MAX),
    yes("lazyfree-lazy-user-flush", False, "FLUSHALL and FLUSHDB free in the background unless SYNC is given."),
    *(row.without_effect(FREED_IN_STEPS) for row in (
        yes("lazyfree-lazy-user-del", False, "DEL frees in the background."),
        yes("lazyfree-lazy-server-del", False, "So do RENAME and the like."),
        yes("lazyfree-lazy-expire", False, "So does expiry."),
        yes("lazyfree-lazy-eviction", False, "So does eviction."),
    )),
))  # fmt: skip
