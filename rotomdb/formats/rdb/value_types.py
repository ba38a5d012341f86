"""What there is to know of each RDB value type: one row a type. Their numbers, and who else has to know them: format.pxd."""

from __future__ import annotations

from dataclasses import dataclass

from rotomdb.formats.rdb.format import (
    RDB_ARRAY,
    RDB_HASH,
    RDB_HASH_LISTPACK,
    RDB_HASH_TIMED,
    RDB_HASH_TIMED_LISTPACK,
    RDB_HASH_TIMED_LISTPACK_PRE_RELEASE,
    RDB_HASH_TIMED_PRE_RELEASE,
    RDB_HASH_ZIPLIST,
    RDB_HASH_ZIPMAP,
    RDB_LIST,
    RDB_LIST_QUICKLIST,
    RDB_LIST_QUICKLIST_2,
    RDB_LIST_ZIPLIST,
    RDB_MODULE,
    RDB_MODULE_PRE_RELEASE,
    RDB_RATE_LIMIT,
    RDB_SET,
    RDB_SET_INTSET,
    RDB_SET_LISTPACK,
    RDB_STREAM,
    RDB_STREAM_2,
    RDB_STREAM_3,
    RDB_STREAM_4,
    RDB_STREAM_5,
    RDB_STRING,
    RDB_TEMPLATE_ARRAY,
    RDB_TEMPLATE_ARRAY_REF,
    RDB_TEMPLATE_LISTPACK,
    RDB_TEMPLATE_LISTPACK_REF,
    RDB_VALKEY_HASH_TIMED,
    RDB_ZSET,
    RDB_ZSET_2,
    RDB_ZSET_LISTPACK,
    RDB_ZSET_ZIPLIST,
    VERSION_VALKEY,
)  # fmt: skip


@dataclass(frozen=True)
class ValueType:
    """
    Attributes:
        name: As redis-check-rdb calls it.
        logical: What the TYPE command says of such a value; None: it cannot be read.
        since: The version of RDB that first had it.
        loaded: Whether a keyspace can hold it; else only the tools read it.
        written: The lowest version in which a snapshot of ours has it; None: in none.
    """

    name: str
    logical: str | None
    since: int
    loaded: bool
    written: int | None = None


VALUE_TYPES: dict[int, ValueType] = {
    RDB_STRING: ValueType("string", "string", 1, True, 10),
    RDB_LIST: ValueType("list-linked", "list", 1, True),
    RDB_SET: ValueType("set-hashtable", "set", 1, True, 10),
    RDB_ZSET: ValueType("zset-v1", "zset", 1, True),
    RDB_HASH: ValueType("hash-hashtable", "hash", 1, True, 10),
    RDB_ZSET_2: ValueType("zset-v2", "zset", 8, True, 10),
    RDB_MODULE_PRE_RELEASE: ValueType("module-pre-release", "module", 8, False),
    RDB_MODULE: ValueType("module-value", "module", 8, False),
    RDB_HASH_ZIPMAP: ValueType("hash-zipmap", "hash", 2, True),
    RDB_LIST_ZIPLIST: ValueType("list-ziplist", "list", 2, True),
    RDB_SET_INTSET: ValueType("set-intset", "set", 2, True, 10),
    RDB_ZSET_ZIPLIST: ValueType("zset-ziplist", "zset", 2, True),
    RDB_HASH_ZIPLIST: ValueType("hash-ziplist", "hash", 4, True),
    RDB_LIST_QUICKLIST: ValueType("quicklist", "list", 7, True),
    RDB_STREAM: ValueType("stream", "stream", 9, True),
    RDB_HASH_LISTPACK: ValueType("hash-listpack", "hash", 10, True, 10),
    RDB_ZSET_LISTPACK: ValueType("zset-listpack", "zset", 10, True, 10),
    RDB_LIST_QUICKLIST_2: ValueType("quicklist-v2", "list", 10, True, 10),
    RDB_STREAM_2: ValueType("stream-v2", "stream", 10, True, 10),
    RDB_SET_LISTPACK: ValueType("set-listpack", "set", 11, True, 11),
    RDB_STREAM_3: ValueType("stream-v3", "stream", 11, True, 11),
    RDB_HASH_TIMED_PRE_RELEASE: ValueType("hash-hashtable-md-pre-release", "hash", 12, True),
    RDB_HASH_TIMED_LISTPACK_PRE_RELEASE: ValueType("hash-listpack-md-pre-release", "hash", 12, True),
    RDB_HASH_TIMED: ValueType("hash-hashtable-md", "hash", 12, True, 12),
    RDB_HASH_TIMED_LISTPACK: ValueType("hash-listpack-md", "hash", 12, True),
    RDB_STREAM_4: ValueType("stream-v4", "stream", 13, False),
    RDB_STREAM_5: ValueType("stream-v5", "stream", 14, False),
    RDB_ARRAY: ValueType("array", "array", 14, False),
    RDB_TEMPLATE_LISTPACK: ValueType("hash-template-listpack", "hash", 15, False),
    RDB_TEMPLATE_LISTPACK_REF: ValueType("hash-template-listpack-ref", "hash", 15, False),
    RDB_TEMPLATE_ARRAY: ValueType("hash-template-array", "hash", 15, False),
    RDB_TEMPLATE_ARRAY_REF: ValueType("hash-template-array-ref", "hash", 15, False),
    RDB_RATE_LIMIT: ValueType("gcra", None, 15, False),
}
TYPE_NAMES = {number: type.name for number, type in VALUE_TYPES.items()}
LOGICAL_TYPES = {number: type.logical for number, type in VALUE_TYPES.items() if type.logical is not None}


def highest_type(version: int, valkey: bool) -> int:
    """The highest value type that a file of the version holds."""
    if valkey:
        return RDB_VALKEY_HASH_TIMED if version >= VERSION_VALKEY else RDB_STREAM_3
    return max(number for number, type in VALUE_TYPES.items() if type.since <= version and type.logical is not None)
