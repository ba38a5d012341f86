"""The directory of the data: who may write there, one that cannot be written at all, and `CONFIG SET dir`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from rotomdb.commands.host import Configuration
from rotomdb.errors import ConfigError, SaveError, StartupError
from rotomdb.storage.aof_options import Log
from rotomdb.storage.backup import Backups
from rotomdb.storage.owner import LOCK_NAME, DirectoryOwner
from rotomdb.storage.persistence import Persistence

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class DataDirectory:
    """The directory of one store.

    Args:
        moves_process: Whether the process works in it: that of a server does, a program that embeds one stays where it is.
    """

    def __init__(
        self,
        config: Configuration,
        persistence: Persistence,
        backups: Backups,
        log: Log,
        moves_process: Callable[[], bool],
    ) -> None:
        self.config = config
        self.persistence = persistence
        self.backups = backups
        self.log = log
        self.moves_process = moves_process
        self.disk = persistence.disk
        self.owner = DirectoryOwner(self.disk)

    @property
    def place(self) -> Path:
        return Path(self.config["dir"])

    def enter(self) -> None:
        """Take it at the start. Where nobody may write a server that writes nothing reads, without the lock.

        Raises:
            StartupError: it belongs to another server, or cannot be taken.
        """
        config = self.config
        try:
            self.owner.take(self.place, config["port"])
        except OSError as error:
            reason = f"{self.place}: the lock {LOCK_NAME} cannot be taken: {error.strerror}."
            if error.errno not in NOT_WRITABLE:
                raise StartupError(reason) from None
            if config["appendonly"] or config["save"]:
                writes = "appendonly yes" if config["appendonly"] else "save points"
                raise StartupError(
                    f"{reason} Nothing could be written there, as {writes} would have it; with `appendonly no` and "
                    '`save ""` a server only reads, and starts.'
                ) from None
            self.persistence.read_only = True
            self.log("warning", f"{reason} What is there is loaded, and nothing can be saved.")

    def own(self) -> None:
        """Before something is written: be the owner, where that was not possible at the start. Raises SaveError."""
        persistence = self.persistence
        if not persistence.read_only:
            return
        try:
            self.owner.take(self.place, self.config["port"])
        except (OSError, StartupError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SaveError(f"{self.place}: the lock {LOCK_NAME} cannot be taken: {reason}") from None
        persistence.read_only = False
        persistence.aof.reserve.prepare()

    def change(self, directory: str) -> str:
        """Go to another directory with lock and reserve; returns its full name.

        Raises:
            ConfigError, StartupError, OSError: nothing has changed.
        """
        persistence = self.persistence
        doing = self.in_the_way()
        if doing:
            raise ConfigError(f"can't be changed while {doing}")
        try:
            place = Path(directory).resolve(strict=True)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if place == self.owner.directory:
            return str(place)
        fresh, before = DirectoryOwner(self.disk), Path.cwd()
        fresh.take(place, self.config["port"])
        options, reserve = persistence.aof.options, persistence.aof.reserve
        left, old_reserve = options.directory, reserve.path
        try:
            if self.moves_process():
                os.chdir(place)
            options.directory = place
            reserve.build()
        except OSError:
            options.directory = left
            os.chdir(before)
            fresh.release()
            raise
        self.disk.discard(old_reserve)
        self.owner.release()
        self.owner = fresh
        persistence.read_only = False
        persistence.moved()
        return str(place)

    def in_the_way(self) -> str:
        """What is being written now, and would go on in the directory that is left."""
        persistence = self.persistence
        if persistence.aof.on:
            return "the append only file is on"
        if persistence.child is not None or persistence.dying:
            return "a child is saving"
        if self.backups.running:
            return "a backup is being made"
        return ""
