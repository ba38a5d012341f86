# Flags and properties of commands, as in registry.py and properties.py (tests/unit/test_registry.py compares them).

cdef enum:
    FLAG_WRITE = 1
    FLAG_READONLY = 2
    FLAG_DENYOOM = 4
    FLAG_NOSCRIPT = 16
    FLAG_LOADING = 32
    FLAG_STALE = 64
    FLAG_FAST = 128
    FLAG_NO_AUTH = 256
    FLAG_NO_MULTI = 512
    FLAG_TOUCHES_ARBITRARY_KEYS = 2048
    FLAG_SKIP_SLOWLOG = 4096
    FLAG_ALLOW_BUSY = 131072

cdef enum:
    NEVER_QUEUED = 1
    WHILE_SUBSCRIBED = 2
    SEES_ALL_KEYS = 4
    ONLY_ASKS = 8
    ALWAYS_TOUCHES = 16
    READS_KEYS = 32
    MAY_EMPTY = 64
    MAY_REPLICATE = 128
    RUNS_QUEUE = 512
    REFUSED_WITH_WRITES = 1024
