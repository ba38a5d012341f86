"""What each command does: plain functions, a module per family."""

from __future__ import annotations

import importlib

FAMILIES = (
    "acl", "backup", "bitmaps", "blocking", "conditional_strings", "connection", "consumer_groups", "debug", "debug_replies", "functions", "geo", "hash_expiry", "hashes", "hyperloglog", "introspection", "keys", "latency", "lists", "memory", "migrate", "pubsub", "replication", "scripting", "server", "sets", "sorted_sets", "sorting",
    "standing_alone", "stream_groups", "stream_info", "streams", "strings", "tracking", "transactions", "waiting",
)  # fmt: skip


def load_all() -> None:
    """Import every family, so that all commands are in the registry."""
    for family in FAMILIES:
        importlib.import_module(f"rotomdb.commands.{family}")
