"""The states that a power loss may leave of a MemoryDisk.

Each inode and each directory chooses for itself what of its unsynced changes has reached the disk. The choices that have
found bugs elsewhere are tried one by one, then random mixtures of them.

    inode       everything; nothing; a prefix of the changes; the last change torn at a sector; new sectors filled with
                zeros from some place on, in one place, or here and there (written out of order)
    directory   everything; nothing; a prefix; all but one change; one change alone
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from rotomdb.formats.aof.annotations import SECTOR_BYTES
from rotomdb.testing.memory_disk import Directory, Inode, MemoryDisk, NameChange, Tree, apply_change, apply_names

InodeChoice = Callable[[Inode, random.Random], bytes]
NamesChoice = Callable[[Directory, random.Random], "list[NameChange]"]


def replayed(inode: Inode, count: int) -> bytearray:
    """The durable content with the first so many unsynced changes."""
    content = bytearray(inode.durable)
    for change in inode.pending[:count]:
        apply_change(content, change)
    return content


def everything(inode: Inode, source: random.Random) -> bytes:
    return bytes(inode.content)


def nothing(inode: Inode, source: random.Random) -> bytes:
    return inode.durable


def prefix(inode: Inode, source: random.Random) -> bytes:
    return bytes(replayed(inode, source.randrange(len(inode.pending) + 1)))


def torn(inode: Inode, source: random.Random) -> bytes:
    """A prefix, the last change of which ends at a sector, or anywhere (the size reached the disk last)."""
    content = bytes(replayed(inode, source.randrange(1, len(inode.pending) + 1)))
    if len(content) <= len(inode.durable):
        return content
    end = source.randrange(len(inode.durable), len(content) + 1)
    return content[: max(end // SECTOR_BYTES * SECTOR_BYTES, len(inode.durable)) if source.random() < 0.7 else end]


def sectors_behind(inode: Inode, length: int) -> list[tuple[int, int]]:
    """The parts of sectors that lie behind the durable content: where zeros may be."""
    parts = []
    at = min(len(inode.durable), length)
    while at < length:
        end = min((at // SECTOR_BYTES + 1) * SECTOR_BYTES, length)
        parts.append((at, end))
        at = end
    return parts


def zeroed(inode: Inode, chosen: Callable[[list[tuple[int, int]]], list[tuple[int, int]]]) -> bytes:
    content = bytearray(inode.content)
    for begin, end in chosen(sectors_behind(inode, len(content))):
        content[begin:end] = bytes(end - begin)
    return bytes(content)


def zero_tail(inode: Inode, source: random.Random) -> bytes:
    return zeroed(inode, lambda parts: parts[source.randrange(len(parts)) :] if parts else [])


def zero_hole(inode: Inode, source: random.Random) -> bytes:
    return zeroed(inode, lambda parts: [source.choice(parts)] if parts else [])


def zero_some(inode: Inode, source: random.Random) -> bytes:
    return zeroed(inode, lambda parts: [part for part in parts if source.random() < 0.5])


INODE_CHOICES: list[InodeChoice] = [everything, nothing, prefix, torn, zero_tail, zero_hole, zero_some]


def all_names(directory: Directory, source: random.Random) -> list[NameChange]:
    return directory.pending


def no_names(directory: Directory, source: random.Random) -> list[NameChange]:
    return []


def first_names(directory: Directory, source: random.Random) -> list[NameChange]:
    return directory.pending[: source.randrange(len(directory.pending) + 1)]


def all_names_but_one(directory: Directory, source: random.Random) -> list[NameChange]:
    kept = list(directory.pending)
    if kept:
        del kept[source.randrange(len(kept))]
    return kept


def one_name(directory: Directory, source: random.Random) -> list[NameChange]:
    return [source.choice(directory.pending)] if directory.pending else []


NAMES_CHOICES: list[NamesChoice] = [all_names, no_names, first_names, all_names_but_one, one_name]


def build(
    directory: Directory, inode_choice: Callable[[], InodeChoice], names_choice: Callable[[], NamesChoice],
    source: random.Random,
) -> Tree:  # fmt: skip
    entries = dict(directory.durable)
    for change in names_choice()(directory, source):
        apply_names(entries, change)
    tree: Tree = {}
    for name, node in entries.items():
        if isinstance(node, Directory):
            tree[name] = build(node, inode_choice, names_choice, source)
        else:
            tree[name] = inode_choice()(node, source) if node.pending else bytes(node.content)
    return tree


def crash_states(disk: MemoryDisk, source: random.Random, mixtures: int, *, holes: bool = True) -> Iterator[Tree]:
    """States after a power loss at this moment, repetitions among them.

    Args:
        mixtures: Random mixtures to add to the systematic choices.
        holes: Whether sectors may be missing in the middle of what was written.
    """
    inode_choices = INODE_CHOICES if holes else INODE_CHOICES[:-2]
    for inode_choice in inode_choices:
        for names_choice in NAMES_CHOICES[:2]:
            yield build(disk.root, lambda c=inode_choice: c, lambda n=names_choice: n, source)  # type: ignore[misc]
    for names_choice in NAMES_CHOICES[2:]:
        yield build(disk.root, lambda: everything, lambda n=names_choice: n, source)  # type: ignore[misc]
    for _ in range(mixtures):
        yield build(disk.root, lambda: source.choice(inode_choices), lambda: source.choice(NAMES_CHOICES), source)
