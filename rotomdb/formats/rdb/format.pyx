"""The numbers of RDB as Python sees them. What they are, and what else a new one needs: format.pxd."""

# Names of what a file says of itself. ON DISK (docs/formats.md, 1.8); readers skip those that they do not know.
AUX_REDIS_VERSION = b"redis-ver"
AUX_VALKEY_VERSION = b"valkey-ver"
AUX_DRAGONFLY_VERSION = b"df-ver"
AUX_BITS = b"redis-bits"
AUX_SAVED_AT = b"ctime"
AUX_USED_MEMORY = b"used-mem"
AUX_REPLICATION_DATABASE = b"repl-stream-db"
AUX_REPLICATION_ID = b"repl-id"
AUX_REPLICATION_OFFSET = b"repl-offset"
AUX_AOF_BASE = b"aof-base"
AUX_AOF_PREAMBLE = b"aof-preamble"        # what it was called before version 10
AUX_LOG_POSITION = b"rotomdb-log"         # ours: where the append-only file stood
