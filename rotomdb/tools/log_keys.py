"""Which keys the commands of a log touch, by the commands' own declarations."""

from __future__ import annotations

from functools import cache

from rotomdb.commands import load_all
from rotomdb.commands.registry import REGISTRY, CommandSpec

TOUCH_ALL = frozenset({b"FLUSHALL", b"FLUSHDB", b"SWAPDB"})
NAME_MAX = 32


@cache
def specs() -> tuple[dict[bytes, CommandSpec], frozenset[bytes]]:
    """Commands by name, and the names that have subcommands."""
    load_all()
    by_name = {name.encode(): spec for name, spec in REGISTRY.items()}
    return by_name, frozenset(name.partition(b"|")[0] for name in by_name if b"|" in name)


def keys_of(words: list[bytes]) -> list[bytes]:
    """The keys of a command; of one that is not known, the word behind its name."""
    by_name, containers = specs()
    name = words[0].lower() if len(words[0]) <= NAME_MAX else b""
    if name in containers and len(words) > 1:
        name += b"|" + words[1].lower()
    spec = by_name.get(name)
    if spec is None:
        return words[1:2]
    return list(spec.keys_of(words) or ())
