"""ACL categories: which there are, and those of a command, from its declaration."""

from __future__ import annotations

from rotomdb.commands.registry import CommandSpec, Flag

# In the order of ACL CAT.
CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub",
    "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip
OF_GROUP = {"sorted-set": "sortedset", "generic": "keyspace", "server": "", "transactions": "transaction"}


def categories(spec: CommandSpec) -> list[str]:
    """With their `@`: those of the flags, and the declared ones or the group's."""
    names = []
    if spec.flags & Flag.WRITE:
        names.append("write")
    if spec.flags & Flag.READONLY and spec.group != "scripting":  # what a script reads is checked when it reads
        names.append("read")
    if spec.flags & Flag.ADMIN:
        names += ["admin", "dangerous"]
    if spec.flags & Flag.PUBSUB:
        names.append("pubsub")
    names.append("fast" if spec.flags & Flag.FAST else "slow")
    if spec.flags & Flag.BLOCKING:
        names.append("blocking")
    declared = spec.categories
    if declared is None:
        group = OF_GROUP.get(spec.group, spec.group)
        declared = (group,) if group else ()
    return [f"@{name}" for name in dict.fromkeys((*names, *declared))]
