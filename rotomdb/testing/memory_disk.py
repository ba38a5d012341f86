"""A file system in memory that knows what a power loss takes.

Every inode keeps what is durable and the changes since its last fsync; every directory keeps its durable names and the
changes since its own. Nothing is assumed that POSIX does not promise: data reach the disk in any order, a new name may be
lost although the file was synced, a rename across directories may be half done, a directory that was made may be gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.storage.disk import ENDLESS, OWN_MODE, Disk, DiskFile

Tree = dict[str, "bytes | Tree"]  # names to contents, directories nested


@dataclass
class Change:
    """A write at an offset, or (data None) a truncation to it."""

    offset: int
    data: bytes | None


def apply_change(content: bytearray, change: Change) -> None:
    if change.data is None:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
    else:
        content.extend(bytes(max(change.offset - len(content), 0)))
        content[change.offset : change.offset + len(change.data)] = change.data


@dataclass(eq=False)
class Inode:
    """A file: what a reader sees, and how that came about since the last fsync."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[Change] = field(default_factory=list)
    changes: int = 0  # ever made
    modified: float = 0.0

    def change(self, change: Change) -> None:
        apply_change(self.content, change)
        self.pending.append(change)
        self.changes += 1

    def sync_up_to(self, changes: int) -> None:
        """The first so many changes of the file's life are durable."""
        count = max(len(self.pending) - (self.changes - changes), 0)
        if count:
            durable = bytearray(self.durable)
            for change in self.pending[:count]:
                apply_change(durable, change)
            self.durable = bytes(durable)
            del self.pending[:count]


@dataclass
class NameChange:
    """Names that change at once: to an inode or directory, or (None) to nothing."""

    names: dict[str, Inode | Directory | None]


@dataclass(eq=False)
class Directory:
    entries: dict[str, Inode | Directory] = field(default_factory=dict)
    durable: dict[str, Inode | Directory] = field(default_factory=dict)
    pending: list[NameChange] = field(default_factory=list)

    def change(self, **names: Inode | Directory | None) -> None:
        change = NameChange(names)
        apply_names(self.entries, change)
        self.pending.append(change)


def apply_names(entries: dict[str, Inode | Directory], change: NameChange) -> None:
    for name, node in change.names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


class MemoryFile(DiskFile):
    """An open file of a MemoryDisk."""

    def __init__(self, disk: MemoryDisk, inode: Inode, path: Path) -> None:
        super().__init__(1 << 20, path, len(inode.content))
        self.disk = disk
        self.inode = inode

    def allocate_ahead(self, length: int) -> None:
        """Changes nothing that a crash could show."""
        self.allocated = ENDLESS

    def write(self, data: bytes | memoryview) -> int:
        room = self.disk.about_to("write", self.path, len(data))
        self.inode.change(Change(len(self.inode.content), bytes(data[:room])))
        self.written += room
        self.disk.touched(self.inode)
        self.disk.done("write", self.path)
        return room

    def sync(self) -> None:
        self.sync_up_to(self.inode.changes)

    def sync_up_to(self, changes: int) -> None:
        """An fsync that began when the file had seen so many changes."""
        self.disk.about_to("sync", self.path)
        self.disk.syncing(lambda: self.inode.sync_up_to(changes), self.disk.site)
        self.disk.done("sync", self.path)

    def truncate(self, size: int) -> None:
        self.disk.about_to("truncate", self.path)
        self.inode.change(Change(size, None))
        self.written = size
        self.disk.touched(self.inode)
        self.disk.done("truncate", self.path)

    def close(self) -> None:
        self.descriptor = -1


class MemoryDisk(Disk):
    """The disk door over memory.

    Attributes:
        observer: Called after every operation with its name and path: a point where the power may go.
        fault: Called before every operation with its name, path and (for a write) size. It raises what the operation is
            to fail with, or returns how many bytes a write takes.
        syncing: Called with what an fsync would do, so that a mutation can leave it out or put it off.
    """

    def __init__(self, tree: Tree | None = None) -> None:
        self.root = directory_of(tree or {})
        self.observer: Callable[[str, Path], None] = lambda operation, path: None
        self.fault: Callable[[str, Path, int], int] = lambda operation, path, size: size
        self.syncing: Callable[[Callable[[], None], str | None], None] = lambda sync, site: sync()
        self.site: str | None = None  # who asked for what a simulated child does now
        self.settled: Callable[[str], None] = lambda operation: None  # called behind the observer
        self.clock: Callable[[], float] = lambda: 0.0
        self.operations = 0

    # Hooks

    def about_to(self, operation: str, path: Path, size: int = 0) -> int:
        return self.fault(operation, path, size)

    def done(self, operation: str, path: Path) -> None:
        self.operations += 1
        self.observer(operation, path)
        self.settled(operation)

    def touched(self, inode: Inode) -> None:
        inode.modified = self.clock()

    def acting_for(self, site: str, action: Callable[[], None]) -> None:
        """Do what was asked for at another place before."""
        self.site = site
        try:
            action()
        finally:
            self.site = None

    def step(self, name: str) -> None:
        self.observer(name, Path())

    # Names

    def node(self, path: Path) -> Inode | Directory | None:
        found: Inode | Directory | None = self.root
        for part in path.parts:
            if part == "/":
                continue
            if not isinstance(found, Directory):
                return None
            found = found.entries.get(part)
        return found

    def parent(self, path: Path) -> Directory:
        node = self.node(path.parent)
        if not isinstance(node, Directory):
            raise missing(path)
        return node

    def inode(self, path: Path) -> Inode:
        node = self.node(path)
        if not isinstance(node, Inode):
            raise missing(path)
        return node

    def create(self, path: Path, mode: int = OWN_MODE) -> DiskFile:
        self.about_to("create", path)
        node = self.node(path)
        if isinstance(node, Inode):
            node.change(Change(0, None))
        else:
            node = Inode()
            self.parent(path).change(**{path.name: node})
        self.touched(node)
        self.done("create", path)
        return MemoryFile(self, node, path)

    def append(self, path: Path) -> DiskFile:
        if not self.exists(path):
            return self.create(path)
        self.about_to("open", path)
        return MemoryFile(self, self.inode(path), path)

    def truncate(self, path: Path, size: int) -> None:
        file = self.append(path)
        file.truncate(size)
        file.sync()

    def rename(self, source: Path, target: Path) -> None:
        self.about_to("rename", target)
        node = self.node(source)
        if node is None:
            raise missing(source)
        if source.parent == target.parent:
            self.parent(source).change(**{target.name: node, source.name: None})
        else:
            self.parent(target).change(**{target.name: node})
            self.parent(source).change(**{source.name: None})
        self.done("rename", target)

    def link(self, source: Path, target: Path) -> None:
        self.about_to("link", target)
        if self.exists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self.parent(target).change(**{target.name: self.inode(source)})
        self.done("link", target)

    def unlink(self, path: Path) -> None:
        self.inode(path)
        self.about_to("unlink", path)
        self.parent(path).change(**{path.name: None})
        self.done("unlink", path)

    def create_directory(self, path: Path) -> None:
        self.about_to("mkdir", path)
        self.parent(path).change(**{path.name: Directory()})
        self.done("mkdir", path)

    def remove_directory(self, path: Path) -> None:
        self.about_to("rmdir", path)
        self.parent(path).change(**{path.name: None})
        self.done("rmdir", path)

    def sync_directory(self, path: Path) -> None:
        self.about_to("sync-directory", path)
        node = self.node(path)
        if not isinstance(node, Directory):
            raise missing(path)
        self.syncing(lambda: self.make_names_durable(node), self.site)
        self.done("sync-directory", path)

    @staticmethod
    def make_names_durable(directory: Directory) -> None:
        directory.durable = dict(directory.entries)
        directory.pending.clear()

    # Looking

    def exists(self, path: Path) -> bool:
        return self.node(path) is not None

    def is_directory(self, path: Path) -> bool:
        return isinstance(self.node(path), Directory)

    def size(self, path: Path) -> int:
        return len(self.inode(path).content)

    def modified(self, path: Path) -> float:
        return self.inode(path).modified

    def resolved(self, path: Path) -> Path:
        return path

    def names(self, directory: Path) -> list[str]:
        node = self.node(directory)
        return sorted(node.entries) if isinstance(node, Directory) else []

    def free_bytes(self, directory: Path) -> int:
        return 1 << 40

    def read(self, path: Path) -> bytes:
        return bytes(self.inode(path).content)

    @contextlib.contextmanager
    def mapped(self, path: Path) -> Iterator[memoryview]:
        self.about_to("read", path)
        yield memoryview(self.read(path))

    def tree(self) -> Tree:
        """Everything as the running system sees it, which is also what a killed process leaves."""
        return tree_of(self.root)


def directory_of(tree: Tree) -> Directory:
    entries: dict[str, Inode | Directory] = {}
    for name, node in tree.items():
        entries[name] = directory_of(node) if isinstance(node, dict) else Inode(bytearray(node), node)
    return Directory(entries, dict(entries))


def tree_of(directory: Directory) -> Tree:
    return {
        name: tree_of(node) if isinstance(node, Directory) else bytes(node.content)
        for name, node in directory.entries.items()
    }
