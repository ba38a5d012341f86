"""Store: one data set with all that keeps it. A server stands on top of it; so does whoever needs no clients.

Everything is built here and handed to constructors; two stores in one process share nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from rotomdb.commands import load_all
from rotomdb.commands.digest import dataset_digest
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.host import Configuration
from rotomdb.commands.registry import REGISTRY, CommandSpec
from rotomdb.commands.replaying import replayer
from rotomdb.engine import Engine
from rotomdb.errors import CommandError, SaveError
from rotomdb.formats.quoting import quoted
from rotomdb.scripting.scripts import Scripting
from rotomdb.storage.aof_options import AofOptions, Log
from rotomdb.storage.backup import Backups
from rotomdb.storage.child import Job
from rotomdb.storage.disk import Disk
from rotomdb.storage.machine import Machine
from rotomdb.storage.persistence import Persistence, SnapshotSettings
from rotomdb.store.data_directory import DataDirectory
from rotomdb.store.expire_cycle import ExpireCycle
from rotomdb.store.latency import LatencyMonitor
from rotomdb.store.memory_limits import MemoryLimits
from rotomdb.store.settings import apply_settings

REHASH_SLICE_US = 1000
GARBAGE_SLICE_US = 500
BGSAVE_MISCONF = (
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may "
    "modify the data set are disabled, because this instance is configured to report errors during writes if RDB "
    "snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
)


class Store:
    """Opened by `open`, used through `dispatcher`, kept by whoever calls `flush_log` behind commands and the tasks of
    `periodic` now and then, ended by `bring_to_disk` and `close`.

    Attributes:
        engine: The data.
        dispatcher: Runs commands on it; their effects go to its `stream`.
        persistence: Brings the stream to the log, saves, rewrites, loads.
        log_error: The failure of the disk that the refusal of writes is up to date with.
    """

    def __init__(
        self,
        config: Configuration,
        log: Log,
        *,
        disk: Disk | None = None,
        machine: Machine | None = None,
        specs: Iterable[CommandSpec] | None = None,
        moves_process: Callable[[], bool] = lambda: False,
    ) -> None:
        """Put a store together; nothing on disk is touched before `open`.

        Args:
            log: Called with (level, text).
            disk, machine: What a simulation puts in the place of the real ones.
            specs: Its commands, by default all of the registry.
            moves_process: Whether the process works in the data directory and goes with it.
        """
        load_all()
        self.config = config
        self.log = log
        self.log_error: OSError | None = None
        self.engine = Engine(config["databases"])
        self.dispatcher = Dispatcher(self.engine, REGISTRY.values() if specs is None else specs)
        self.scripting: Scripting = Scripting(self.dispatcher, log)
        self.persistence: Persistence = Persistence(
            disk or Disk(),
            self.engine,
            self.dispatcher,
            self.dispatcher.stream,
            AofOptions(
                Path(config["dir"]),
                config["appendfilename"],
                config["appenddirname"],
                single_file=config["aof-layout"] == "single",
            ),
            SnapshotSettings(),
            log,
            machine,
        )
        elsewhere = self.persistence.loader.progress.elsewhere
        self.persistence.fingerprint = lambda: dataset_digest(self.engine.databases, elsewhere)
        self.persistence.loader.keys_of = self.keys_of
        self.persistence.in_child = self.enter_child
        self.backups = Backups(self.persistence, log)
        self.data_directory = DataDirectory(config, self.persistence, self.backups, log, moves_process)
        self.persistence.own_directory = self.data_directory.own
        self.memory_limits = MemoryLimits(self.dispatcher)
        self.expire_cycle = ExpireCycle(self.engine)
        self.latency = LatencyMonitor()
        self.dispatcher.on_latency = self.latency.record
        self.apply_settings()

    def apply_settings(self) -> None:
        """Follow the directives in force."""
        apply_settings(self, self.config)

    # Life

    def open(self) -> None:
        """Take the directory and load. Raises what stands in the way; nothing on disk is changed then."""
        self.data_directory.enter()
        try:
            self.load()
        except BaseException:
            self.data_directory.owner.release()
            raise

    def load(self) -> None:
        """Load the data and open the log. Raises what stands in the way."""
        self.dispatcher.update_clock()
        self.dispatcher.loading = True
        try:
            loaded = self.persistence.load(self.config["appendonly"], self.replayer())
            self.dispatcher.dirty = 0
            if loaded.message:
                self.log("notice", loaded.message)
            if self.config["appendonly"]:
                self.persistence.start_log(loaded)
        finally:
            self.dispatcher.loading = False
        if not self.persistence.read_only:
            self.persistence.aof.reserve.prepare()

    def replayer(self) -> Callable[[list[bytes]], None]:
        """A function that executes commands of a log."""

        def failed(arguments: list[bytes], error: CommandError) -> None:
            self.log("warning", f"== CRITICAL == the log holds a command that fails: {quoted(arguments[0])}: {error}")

        return replayer(self.dispatcher, failed)

    def keys_of(self, request: list[bytes]) -> list[bytes]:
        """The keys that a command names; none for what is no command."""
        command = self.dispatcher.find_in_log(request[0])
        return [] if command is None else list(command.spec.keys_of(request) or ())

    def enter_child(self, kind: Job) -> None:
        """In a child that saves: the directory's lock is the parent's."""
        self.data_directory.owner.leave_to_parent()

    def leave_to_parent(self) -> None:
        """In a process made by fork that is no child of ours: nothing here is for it (storage/inheritance.py)."""
        self.persistence.leave_to_parent()
        self.data_directory.owner.leave_to_parent()

    def close(self) -> None:
        """Let others have the directory."""
        self.data_directory.owner.release()

    # Upkeep

    def flush_log(self) -> None:
        """Bring what commands did to the log. A disk that fails refuses writes from then on, and it is tried again."""
        aof = self.persistence.aof
        try:
            if self.latency.threshold_ms:
                with self.latency.measure("aof-write"):
                    aof.flush()
            else:
                aof.flush()
        except OSError as error:
            if not aof.options.exit_on_error:
                aof.write_error = error
                self.refresh_write_error()
                return
            self.log(
                "warning",
                f"Can't persist AOF for fsync error when the AOF fsync policy is 'always': {error}. Exiting...",
            )
            os._exit(1)
        if aof.status_error is not self.log_error:
            self.log_error = aof.status_error
            self.refresh_write_error()

    def refresh_write_error(self) -> None:
        """Refuse writes, or no more, as the state of the disk asks for."""
        persistence = self.persistence
        if persistence.snapshot_failing and self.config["stop-writes-on-bgsave-error"]:
            self.dispatcher.write_error = BGSAVE_MISCONF
        else:
            self.dispatcher.write_error = persistence.write_refusal

    def collect_garbage(self) -> bool:
        """Free deleted data for a moment; whether some is left."""
        return self.engine.collect_garbage(GARBAGE_SLICE_US)

    def rehash_some(self) -> None:
        for database in self.engine.databases:
            if len(database) and database.rehash_for(REHASH_SLICE_US):
                break

    def expire_some(self, interval_s: float) -> None:
        """One cycle of looking for what has expired; `interval_s`: the time to the next."""
        if self.expire_cycle.active and not self.dispatcher.follows:
            with self.latency.measure("expire-cycle"):
                self.expire_cycle.run(interval_s)

    # The end

    def bring_to_disk(self, *, save: bool | None, force: bool) -> bool:
        """Log and snapshot as they have to be at the end; whether everything is on disk, which it may not be if forced.

        Args:
            save: Write a snapshot; None: where there are save points.
            force: End also where something is lost by it.

        Raises:
            SaveError: something would be lost. Everything goes on then.
        """
        persistence, log = self.persistence, self.log
        if persistence.aof.waiting:
            if not force:
                log("warning", "Writing initial AOF, can't exit.")
                raise SaveError("the first base of the log is being written")
            log("warning", "Writing initial AOF. Exit anyway.")
        if persistence.child is not None:
            doing = "rewriting the AOF" if persistence.child.kind is Job.REWRITE else "saving an .rdb"
            log("warning", f"There is a child {doing}. Killing it!")
            persistence.kill_child()
        error = self.close_log()
        safe = error is None
        if save or (save is None and persistence.settings.save_points):
            log("notice", "Saving the final RDB snapshot before exiting.")
            try:
                persistence.save()
                error, safe = None, True  # it holds everything, and notes that it knows more than the log
            except SaveError as failure:
                consequence = ". Exit anyway." if force else ", can't exit."
                log("warning", f"Error trying to save the DB{consequence}")
                error = error or failure
        if error is not None and not force:
            persistence.resume_log()
            raise SaveError(str(error)) from error
        return safe

    def close_log(self) -> Exception | None:
        """Bring the log to the disk; returns why that failed."""
        if not self.persistence.aof.on:
            return None
        self.log("notice", "Calling fsync() on the AOF file.")
        try:
            self.persistence.finish_log()
        except OSError as error:
            self.log("warning", f"Fail to fsync the AOF file: {error.strerror}.")
            return error
        return None
