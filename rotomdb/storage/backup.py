"""Backups of a running server: a consistent copy of its files, by hard links, with a manifest of checksums.

    <backup-dir>/<name>/backup.json              what it is, and size and SHA-256 of every file
    <backup-dir>/<name>/dump.rdb                 the last snapshot, where there is one
    <backup-dir>/<name>/appendonlydir/...        base and increments, and a manifest that names them

With a multi-part log a new increment is begun first, so that everything before it is on disk and never written again: a hard
link is a copy then. The manifest in the backup ends with an empty increment of its own, so that a server started on the
backup does not append to a file that it shares. Without such a log a snapshot is made in the background and linked.

A backup is built under a temporary name and renamed when its checksums are written: one without `backup.json` is none.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rotomdb.errors import SaveError
from rotomdb.formats.aof.manifest import Manifest
from rotomdb.storage.disk import Disk
from rotomdb.storage.manifest_file import save_manifest
from rotomdb.storage.persistence import Persistence

INDEX_NAME = "backup.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
PIECE = 1 << 20
DAY_S = 86400


@dataclass(frozen=True)
class BackupFile:
    path: str
    size: int
    sha256: str


@dataclass
class BackupIndex:
    """What `backup.json` holds."""

    name: str
    created: int
    keys: int
    files: list[BackupFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def read_index(disk: Disk, directory: Path) -> BackupIndex:
    """The index of a backup. Raises OSError or ValueError when it is none."""
    content = json.loads(disk.read(directory / INDEX_NAME))
    try:
        files = [BackupFile(file["path"], file["size"], file["sha256"]) for file in content["files"]]
        return BackupIndex(content["name"], content["created"], content["keys"], files)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory / INDEX_NAME}: {error}") from None


def checksum(disk: Disk, path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with disk.mapped(path) as data:
        for start in range(0, len(data), PIECE):
            digest.update(data[start : start + PIECE])
        return len(data), digest.hexdigest()


def verify(disk: Disk, directory: Path) -> list[str]:
    """What is wrong with a backup; nothing when every file is what it was. Raises OSError or ValueError for no backup."""
    problems = []
    for file in read_index(disk, directory).files:
        path = directory / file.path
        if not disk.exists(path):
            problems.append(f"{path}: missing")
        elif checksum(disk, path) != (file.size, file.sha256):
            problems.append(f"{path}: its content is not what was backed up")
    return problems


class Backups:
    """Makes, lists and drops the backups of one server.

    Attributes:
        directory, keep, keep_days: From the configuration; a relative directory is inside that of the data.
        last_ok: Whether the last one succeeded; None before the first.
    """

    def __init__(self, persistence: Persistence, log: Callable[[str, str], None]) -> None:
        self.persistence = persistence
        self.disk = persistence.disk
        self.log = log
        self.directory = "backups"
        self.keep = 0
        self.keep_days = 0
        self.running = ""  # name of the one that is being made
        self.after_save = -1  # it waits for the snapshot after so many
        self.worker: threading.Thread | None = None
        self.error: str | None = None
        self.last_ok: bool | None = None
        self.last_time = 0

    @property
    def root(self) -> Path:
        return self.persistence.directory / self.directory

    def start(self, name: str) -> str:
        """Begin a backup; returns its name. Raises SaveError."""
        name = name or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        if NAME.fullmatch(name) is None:
            raise SaveError("a backup's name is made of letters, digits, dots, dashes and underscores")
        if self.running:
            raise SaveError(f"backup {self.running} is being made")
        if self.disk.exists(self.root / name):
            raise SaveError(f"there is a backup {name} already")
        persistence = self.persistence
        persistence.own_directory()
        if persistence.child is not None:
            raise SaveError("a child is active; try again when it has ended")
        if persistence.aof.waiting or persistence.aof.status_error is not None:
            raise SaveError("the log is not in order")
        try:
            if persistence.aof.file is not None and not persistence.aof.options.single_file:
                persistence.aof.flush(force=True)
                persistence.aof.rotate("backup")
                self.build(name)
            else:
                persistence.start_background_save()
                self.after_save = persistence.status.saves
        except OSError as error:
            raise SaveError(str(error)) from error
        self.running = name
        return name

    def build(self, name: str) -> None:
        """Link what is to be kept, and have its checksums computed. Raises OSError."""
        disk, aof = self.disk, self.persistence.aof
        target = self.root / f"temp-{name}"
        if disk.exists(target):
            disk.remove_directory(target)
        disk.make_directory(self.root)
        disk.make_directory(target)
        files: list[str] = []
        if disk.exists(self.persistence.snapshot_path):
            self.place(self.persistence.snapshot_path, target / self.persistence.snapshot_path.name)
            files.append(self.persistence.snapshot_path.name)
        if aof.file is not None and not aof.options.single_file:
            directory = target / aof.options.append_directory
            disk.make_directory(directory)
            kept = Manifest(aof.manifest.base, [], aof.manifest.increments[:-1])
            for file in kept.files:
                self.place(aof.options.log_directory / file.name, directory / file.name)
            own = kept.next_increment(aof.options.file_name)
            disk.write_new(directory / own.name, b"")
            kept.increments.append(own)
            save_manifest(kept, disk, directory, aof.manifest_name)
            files += [f"{aof.options.append_directory}/{name}" for name in disk.names(directory)]
        disk.sync_directory(target)
        keys = self.persistence.engine.total_keys()
        self.error = None
        self.worker = threading.Thread(target=self.finish, args=(name, files, keys), name="backup", daemon=True)
        try:
            self.worker.start()
        except RuntimeError as error:
            self.worker = None
            raise OSError(errno.EAGAIN, str(error)) from None

    def place(self, source: Path, target: Path) -> None:
        """A hard link, or a copy where the backup lies on another file system."""
        try:
            self.disk.link(source, target)
        except OSError:
            self.disk.copy(source, target)

    def finish(self, name: str, files: list[str], keys: int) -> None:
        """In the thread: checksums, the index, and the name that makes it a backup."""
        target = self.root / f"temp-{name}"
        try:
            listed = [BackupFile(path, *checksum(self.disk, target / path)) for path in files]
            index = BackupIndex(name, int(self.persistence.machine.time()), keys, listed)
            self.disk.write_new(target / INDEX_NAME, json.dumps(asdict(index), indent=1).encode() + b"\n")
            self.disk.put_in_place(target, self.root / name)
        except OSError as error:
            self.error = str(error)

    def cron(self) -> None:
        """Go on with the backup that is being made, and drop old ones after it."""
        if not self.running:
            return
        if self.after_save >= 0:
            if self.persistence.child is not None:
                return
            saved, self.after_save = self.persistence.status.saves > self.after_save, -1
            try:
                if not saved:
                    raise OSError("the snapshot could not be written")
                self.build(self.running)
            except OSError as error:
                self.ended(str(error))
        elif self.worker is not None and not self.worker.is_alive():
            self.worker = None
            self.ended(self.error)

    def ended(self, error: str | None) -> None:
        name, self.running = self.running, ""
        self.last_ok, self.last_time = error is None, int(self.persistence.machine.time())
        if error is not None:
            self.log("warning", f"Backup {name} failed: {error}")
            return
        self.log("notice", f"Backup {name} is complete in {self.root / name}")
        try:
            self.drop_old()
        except (OSError, SaveError) as problem:
            self.log("warning", f"Old backups could not be dropped: {problem}")

    def list(self) -> list[BackupIndex]:
        """Whole backups, oldest first."""
        found = []
        for name in self.disk.names(self.root):
            try:
                found.append(read_index(self.disk, self.root / name))
            except (OSError, ValueError):
                continue  # one that was interrupted, or none at all
        return sorted(found, key=lambda index: (index.created, index.name))

    def delete(self, name: str) -> None:
        """Raises SaveError when there is none of that name, OSError when it cannot be removed."""
        if name not in (index.name for index in self.list()):
            raise SaveError(f"there is no backup {name}")
        # Without its index it is no backup any more, however far the removal gets.
        self.disk.unlink(self.root / name / INDEX_NAME)
        self.disk.remove_directory(self.root / name)

    def drop_old(self) -> None:
        """Retention: no more than `keep`, none older than `keep_days`; 0 is no limit. The newest always stays."""
        there = self.list()
        oldest = self.persistence.machine.time() - self.keep_days * DAY_S
        for position, index in enumerate(there[:-1]):
            too_many = self.keep > 0 and len(there) - position > self.keep
            if too_many or (self.keep_days > 0 and index.created < oldest):
                self.delete(index.name)
                self.log("notice", f"Backup {index.name} is dropped, as backup-keep and backup-keep-days say")
