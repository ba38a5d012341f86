"""Start-up: bring the data set back from a snapshot or from the log, and heal what a crash has torn.

Nothing on disk is changed before it is decided what is loaded, and nothing is thrown away: a cut end and a damaged block
are kept beside the file they come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.errors import AofError, AofTruncatedError
from rotomdb.formats.aof.examination import Damage, Examination
from rotomdb.formats.aof.replay import SELECT_FIRST, Execute, Judge, replay
from rotomdb.formats.aof.resync import readable_commands
from rotomdb.formats.quoting import quoted
from rotomdb.formats.rdb.format import (
    AUX_AOF_BASE,
    AUX_REDIS_VERSION,
    AUX_SAVED_AT,
    AUX_USED_MEMORY,
    AUX_VALKEY_VERSION,
)
from rotomdb.formats.rdb.reader import LoadReport, RdbReader, read_aux
from rotomdb.storage.aof import AppendOnlyFile
from rotomdb.storage.aof_options import Log
from rotomdb.storage.disk import Disk
from rotomdb.storage.freshness import Source
from rotomdb.storage.load_progress import LoadProgress
from rotomdb.storage.log_location import begins_with_rdb
from rotomdb.storage.way_on import command

KEYS_NAMED = 20  # in the log line about a quarantined block
LEFTOVER = re.compile(r"temp-rewriteaof-.*\.aof|temp-[0-9]+(\.[0-9]+)?\.rdb|temp-.*\.incr|temp-.*\.manifest")


@dataclass
class LoadOptions:
    """What the configuration says of loading."""

    truncated: bool = True  # aof-load-truncated: cut a torn end
    quarantine: bool = False  # aof-load-corrupt: go on around damage
    corrupt_tail_max: int = 0


@dataclass(frozen=True)
class LoadedLog:
    """What was found in a log that whoever goes on with it has to know."""

    quarantined: bool = False  # a block was left out: the log should be rewritten
    uncovered: tuple[int, int] = (0, 0)  # bytes at the end of the last file that no checksum covers, and their CRC64


@dataclass(frozen=True)
class LoadResult:
    """What a start has loaded."""

    source: Source
    message: str = ""  # for the text log; empty: there was nothing
    log: LoadedLog = field(default_factory=LoadedLog)
    log_is_older: bool = False  # the files of a log hold less than what was loaded


class Loader:
    """Loads files into an engine.

    Attributes:
        keys_of: Tells which keys a command names, for the report on a quarantined block.
    """

    def __init__(self, disk: Disk, engine: Engine, aof: AppendOnlyFile, options: LoadOptions, log: Log) -> None:
        self.disk = disk
        self.engine = engine
        self.aof = aof
        self.machine = aof.machine
        self.options = options
        self.log = log
        self.keys_of: Callable[[list[bytes]], list[bytes]] = lambda words: words[1:2]
        self.progress = LoadProgress()

    def load_snapshot(self, path: Path, engine: Engine | None = None, *, keep_expired: bool = False) -> LoadReport:
        """Load an RDB file. Raises RdbError.

        Args:
            keep_expired: Also keys past their time. They go later, by the way that tells the log of it.
        """
        with self.disk.mapped(path) as data:
            self.progress.begin(len(data))
            self.announce(data, path)
            reader = RdbReader(data, str(path))
            try:
                return reader.load_into(
                    engine or self.engine,
                    expire_before_ms=-1 if keep_expired else self.engine.now_ms,
                    on_progress=self.progress.loaded,
                )
            finally:
                reader.close()

    def announce(self, data: memoryview | bytes, path: Path) -> None:
        """Log what an RDB tells of itself. Raises RdbError."""
        aux = read_aux(data, str(path))
        version = aux.get(AUX_REDIS_VERSION) or aux.get(AUX_VALKEY_VERSION)
        if version is not None:
            self.log("notice", f"Loading RDB produced by version {version.decode('latin-1')}")
        if aux.get(AUX_SAVED_AT, b"").isdigit():
            self.log("notice", f"RDB age {max(int(self.machine.time()) - int(aux[AUX_SAVED_AT]), 0)} seconds")
        if aux.get(AUX_USED_MEMORY, b"").isdigit():
            self.progress.memory_when_saved = int(aux[AUX_USED_MEMORY])
            self.log("notice", f"RDB memory usage when created {int(aux[AUX_USED_MEMORY]) / (1 << 20):.2f} Mb")
        if aux.get(AUX_AOF_BASE, b"0") != b"0":
            self.log("notice", "RDB is base AOF")

    def load_log(self, paths: list[Path], execute: Execute, *, heal: bool = True) -> LoadedLog:
        """Replay the log's files in order.

        Args:
            heal: Cut a torn end on disk, too; else only what is loaded ends there.

        Raises:
            RdbError, AofError: the reason to refuse, with file and offset.
        """
        expired_on_access, self.engine.expire_on_access = self.engine.expire_on_access, False
        sizes = [self.disk.size(path) for path in paths]
        self.progress.begin(sum(sizes))
        # Empty files behind it do not make a file the middle of the log: a crash came between making and filling them.
        quarantined, uncovered = False, (0, 0)
        last = max((i for i, size in enumerate(sizes) if size), default=0)
        try:
            for number, path in enumerate(paths):
                start = self.machine.monotonic_ms()
                self.progress.begin_file(sum(sizes[:number]))
                execute(SELECT_FIRST)  # each file begins there, whatever the one before ended with
                with self.disk.mapped(path) as data:
                    if begins_with_rdb(
                        data, path
                    ):  # with damage in its first bytes, too: it is no damage between commands
                        self.announce(data, path)
                    report = replay(
                        data, str(path), self.engine, execute,
                        judge=self.judge(path, number >= last), corrupt_tail_max=self.options.corrupt_tail_max,
                        on_progress=self.progress.loaded, while_examining=self.progress.elsewhere,
                    )  # fmt: skip
                    found = report.examination
                    quarantined = quarantined or bool(found.damages)
                    for damage in found.damages:
                        self.quarantine(path, damage, bytes(data[damage.start : damage.end]))
                    torn = bytes(data[found.usable :]) if found.torn else b""
                uncovered = (found.usable - found.open_block, found.open_checksum)
                if found.torn and heal:
                    self.cut_tail(path, found, torn)
                kind = "base" if path is paths[0] and len(paths) > 1 else "incr"
                self.log(
                    "notice",
                    f"DB loaded from {kind} file {path.name}: {(self.machine.monotonic_ms() - start) / 1000:.3f} seconds",
                )
        finally:
            self.engine.expire_on_access = expired_on_access
        return LoadedLog(quarantined, uncovered)

    def judge(self, path: Path, last: bool) -> Judge:
        """Decides, before anything of the file is applied, whether it may be."""

        def judge(found: Examination) -> None:
            if found.torn and not (last and self.options.truncated):
                error = AofTruncatedError(str(path), found.usable, found.torn)
                error.followed = not last
                raise error
            if found.damages and not self.options.quarantine:
                damage = found.damages[0]
                raise AofError(
                    str(path), damage.start,
                    f"{damage.reason}. Bytes {damage.start} to {damage.end} cannot be trusted"
                    + (f", and {len(found.damages) - 1} more places" if len(found.damages) > 1 else "")
                    + f". `{command('rotomdb-aof', 'salvage', self.aof.options.log_place)}` shows what can be put right and makes a "
                    "healed log; to go on without them start with `--aof-load-corrupt quarantine`, which keeps them in a file beside",
                )  # fmt: skip

        return judge

    def cut_tail(self, path: Path, found: Examination, cut: bytes) -> None:
        """Heal the torn end of the last file; what is cut is kept beside."""
        self.log("warning", "!!! Warning: short read while loading the AOF file !!!")
        self.log(
            "warning",
            f"AOF loaded anyway because aof-load-truncated is enabled: {path.name} truncated to {found.usable} bytes "
            f"({found.torn})",
        )
        if cut:
            kept = path.with_name(f"{path.name}.cut-at-{found.usable}")
            self.disk.write_new(kept, cut)
            self.log("warning", f"The {len(cut)} bytes cut from {path.name} are kept in {kept.name}")
        self.disk.step("load:before-cut")
        self.disk.truncate(path, found.usable)

    def quarantine(self, path: Path, damage: Damage, content: bytes) -> None:
        """Keep a damaged block beside and say what it may have held."""
        kept = path.with_name(f"{path.name}.quarantine-at-{damage.start}")
        self.disk.write_new(kept, content)
        keys = self.keys_in(content)
        named = ", ".join(quoted(key) for key in keys[:KEYS_NAMED])
        more = f" and {len(keys) - KEYS_NAMED} more" if len(keys) > KEYS_NAMED else ""
        self.log(
            "warning",
            f"Damage in {path.name}: {damage.reason}. The {len(content)} bytes from offset {damage.start} were left out and "
            f"are kept in {kept.name}. Keys that they name, as far as they can be read: {named or 'none'}{more}",
        )

    def keys_in(self, content: bytes) -> list[bytes]:
        """Keys of the commands in damaged bytes that can still be read, each once."""
        return list(dict.fromkeys(key for words in readable_commands(content) for key in self.keys_of(words)))

    def remove_leftovers(self) -> None:
        """Temporary files of children that died with an earlier server; only once a data set has been loaded."""
        directories = {self.aof.options.directory, self.aof.options.log_directory}
        for directory in directories:
            for name in self.disk.names(directory):
                if LEFTOVER.fullmatch(name):
                    self.log("notice", f"Removing leftover temporary file {name}")
                    self.disk.remove_if_there(directory / name)

    def leftovers(self) -> list[str]:
        return [name for name in self.disk.names(self.aof.options.directory) if LEFTOVER.fullmatch(name)]
