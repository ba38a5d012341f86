"""`rotomdb-aof-check`: redis-check-aof's verdicts on append-only files, and a copy kept of what --fix changes.

    rotomdb-aof-check [--fix] [--truncate-to-timestamp T] FILE|MANIFEST|DIRECTORY

The interface and the output are those of redis-check-aof 7 (docs/formats.md, section 7.1), with three additions: a
directory stands for the manifest in it, `--fix` and `--truncate-to-timestamp` copy the file before they cut it, and a file
that redis-check-aof calls valid is looked at as a server looks at it: its checksums are verified, and each command must be one that
a server replays. What that finds stands behind the lines of redis-check-aof.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import click

from rotomdb import __version__
from rotomdb.commands.log_commands import LogCommands
from rotomdb.errors import ManifestError, RestoreError
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX, LogFile
from rotomdb.formats.aof.redis_check import (
    SCAN_BAD_TIMESTAMP,
    SCAN_END,
    SCAN_FORMAT_ERROR,
    SCAN_PAUSED,
    SCAN_TIMESTAMP,
    AofScanner,
)
from rotomdb.formats.file_kind import FileKind, kind_of
from rotomdb.formats.passing import passing
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import locate, refuse_unnamed_increments
from rotomdb.storage.manifest_file import read_manifest
from rotomdb.storage.way_on import from_manifest
from rotomdb.tools.rdb_report import report_rdb
from rotomdb.tools.replaying import Refusals, known_commands
from rotomdb.tools.terminal import PROBLEMS, guard, progress

PAUSE_BYTES = 8 << 20
MANIFEST_MAX = 1 << 20  # bytes; no manifest comes near
out = click.echo


def stop(message: str | None = None, status: int = PROBLEMS) -> NoReturn:
    if message is not None:
        out(message)
    sys.exit(status)


@dataclass
class Checker:
    """One run over one or several files. `line` goes on from file to file, as redis-check-aof counts."""

    disk: Disk
    fix: bool
    timestamp: int
    assume_yes: bool
    line: int = 1
    damages: list[str] = field(
        default_factory=list
    )  # bytes that are no command, or not those that were written, and where
    tears: list[str] = field(default_factory=list)  # ends that a crash has torn
    refused: list[str] = field(default_factory=list)  # commands that a server does not replay, and where
    commands: LogCommands = field(default_factory=known_commands)

    # Single files

    def check_file(self, name: str, path: Path, *, last: bool, preamble: bool) -> str:
        """Check one file; returns `valid`, `empty`, `truncated` or `cut to timestamp`, or ends the program."""
        try:
            with path.open("r+b"):
                pass
            with self.disk.mapped(path) as data:
                if len(data) == 0:
                    return "empty"
                verdict, good, size = self.walk(name, path, data, last=last, preamble=preamble)
        except OSError as error:
            stop(f"Cannot open file {path}: {error.strerror}, aborting...")
        if verdict == "damaged":
            self.repair(name, path, good, size, last=last)
            return "truncated"
        if verdict == "timestamp":
            self.cut(path, good, size)
            return "cut to timestamp"
        return "valid"

    def walk(self, name: str, path: Path, data: memoryview, *, last: bool, preamble: bool) -> tuple[str, int, int]:
        """The verdict, the offset up to which the file is good, and its size."""
        size, start = len(data), 0
        if preamble:
            totals = report_rdb(data, str(path), out)
            if totals is None:
                stop("RDB preamble of AOF file is not sane, aborting.")
            out("RDB preamble is OK, proceeding with AOF tail...")
            start = totals.end
        scanner = AofScanner(data, str(path), start, self.line)
        try:
            with progress(f"checking {name}", size) as on_progress:
                advance = passing(data, on_progress)
                while (result := scanner.run(self.timestamp, PAUSE_BYTES)) == SCAN_PAUSED:
                    advance(scanner.position)
        finally:
            scanner.close()
        self.line = scanner.line
        if result == SCAN_BAD_TIMESTAMP:
            stop("Invalid timestamp annotation")
        if result == SCAN_TIMESTAMP:
            return self.timestamp_verdict(path, scanner.error_offset, size, last=last)
        if result == SCAN_FORMAT_ERROR:
            out(f"AOF {path} format error")
        error, offset = scanner.error, scanner.error_offset
        if not error and scanner.at_end and scanner.transaction:
            error = "Reached EOF before reading EXEC for MULTI"
        if error:
            out(f"0x{offset:16x}: {error}")
        difference = size - scanner.good
        if difference == 0 and self.timestamp:
            return "valid", size, size
        out(
            f"AOF analyzed: filename={name}, size={size}, ok_up_to={scanner.good}, ok_up_to_line={self.line}, "
            f"diff={difference}"
        )
        if difference or result != SCAN_END:
            self.tell_of_readable(path, data, start)
            return "damaged", scanner.good, size
        self.look_closer(path, data, start)
        return "valid", size, size

    def look_closer(self, path: Path, data: memoryview, start: int) -> None:
        """Note commands that can be read, but are not those that were written, or none that a server replays."""
        refusals = Refusals(self.commands)
        with progress(f"verifying the checksums of {path.name}", len(data)) as advance:
            found = examine(data, start, on_progress=advance, judge=refusals.judge)
        self.refused += [f"AOF {path}: offset {at}: a server refuses it: {why}" for at, why in refusals.outside(found)]
        self.damages += [f"AOF {path} is damaged at offset {lost.start}: {lost.reason}" for lost in found.damages]
        if found.torn:
            self.tears.append(f"AOF {path} has a torn end, from offset {found.usable} on: {found.torn}")

    def tell_of_readable(self, path: Path, data: memoryview, start: int) -> None:
        """What redis-check-aof calls damaged a server may take as it is; then nothing of it should be cut."""
        refusals = Refusals(self.commands)
        found = examine(data, start, judge=refusals.judge)
        if not (found.damages or found.torn or refusals.outside(found)):
            out(f"A server takes all of AOF {path} as it is (rotomdb-aof check): there is no need to cut anything")

    def conclude_closer_look(self) -> None:
        """What the checksums and the commands say, behind all that redis-check-aof prints."""
        for problem in self.damages + self.tears + self.refused:
            out(problem)
        if self.damages:
            stop("A server refuses damage, which --fix does not mend: see rotomdb-aof check and salvage")
        if self.refused:
            stop("A server refuses this, which --fix does not mend: see rotomdb-aof check and salvage")
        if self.tears:
            stop("A server cuts a torn end when it starts, and so does rotomdb-aof fix")

    def timestamp_verdict(self, path: Path, offset: int, size: int, *, last: bool) -> tuple[str, int, int]:
        if offset == 0:
            stop(f"AOF {path} has nothing before timestamp {self.timestamp}, aborting...")
        if not last:
            out(
                f"Failed to truncate AOF {path} to timestamp {self.timestamp} to offset {offset} because it is not the "
                "last file."
            )
            stop(
                "If you insist, please delete all files after this file according to the manifest file and delete the "
                "corresponding records in manifest file manually. Then re-run redis-check-aof."
            )
        return "timestamp", offset, size

    def repair(self, name: str, path: Path, good: int, size: int, *, last: bool) -> None:
        if not self.fix:
            stop(f"AOF {name} is not valid. Use the --fix option to try fixing it.")
        if not last:
            stop(f"Failed to truncate AOF {name} because it is not the last file")
        out(f"This will shrink the AOF {name} from {size} bytes, with {size - good} bytes, to {good} bytes")
        if not self.assume_yes:
            click.echo("Continue? [y/N]: ", nl=False)
            if sys.stdin.readline()[:1] not in ("y", "Y"):
                stop("Aborting...")
        self.cut(path, good, size)

    def cut(self, path: Path, good: int, size: int) -> None:
        """Keep a copy beside, then truncate."""
        copy = free_name(path.with_name(f"{path.name}.before-fix"))
        try:
            self.disk.copy(path, copy)
            self.disk.truncate(path, good)
        except OSError as error:
            stop(f"Failed to truncate AOF {path.name}: {error.strerror}")
        click.echo(f"A copy of the file as it was ({size} bytes) is kept in {copy}", err=True)

    # What the argument names

    def check_single(self, argument: str) -> None:
        path = Path(argument)
        preamble = starts_with_rdb(path)
        out("Start checking Old-Style AOF")
        self.conclude(argument, self.check_file(argument, path, last=True, preamble=preamble), "AOF")

    def conclude(self, name: str, verdict: str, kind: str) -> None:
        if verdict == "valid":
            if self.timestamp:
                out(f"Truncate nothing in AOF {name} to timestamp {self.timestamp}")
            out(f"{kind} {name} is valid")
        elif verdict == "empty":
            out(f"{kind} {name} is empty")
        elif verdict == "cut to timestamp":
            out(f"Successfully truncated AOF {name} to timestamp {self.timestamp}")
        else:
            out(f"Successfully truncated AOF {name}")

    def check_manifest(self, path: Path) -> None:
        try:
            with path.open("rb"):
                manifest = read_manifest(self.disk, path)
        except ManifestError as error:
            if error.line:
                out(f"Reading the manifest file, at line {error.line}\n>>> '{error.text}'")
            out(error.reason)
            stop_at_manifest(error)
        except OSError as error:
            stop(f"Cannot open file {path}: {error.strerror}, aborting...")
        directory = path.parent
        files: list[LogFile] = manifest.files
        out("Start checking Multi Part AOF")
        if manifest.base is not None:
            base_path = directory / manifest.base.name
            preamble = starts_with_rdb(base_path)
            out(f"Start to check BASE AOF ({'RDB' if preamble else 'RESP'} format).")
            verdict = self.check_file(manifest.base.name, base_path, last=len(files) == 1, preamble=preamble)
            self.conclude(manifest.base.name, verdict, "BASE AOF")
        if manifest.increments:
            out("Start to check INCR files.")
            for file in manifest.increments:
                verdict = self.check_file(file.name, directory / file.name, last=file is files[-1], preamble=False)
                self.conclude(file.name, verdict, "INCR AOF")
        out("All AOF files and manifest are valid")
        try:
            refuse_unnamed_increments(self.disk, path, manifest)
        except ManifestError as error:
            stop_at_manifest(error)


def stop_at_manifest(error: ManifestError) -> NoReturn:
    """What the tools and the server say of it, behind redis-check-aof's words."""
    out(str(error))
    stop("\n".join(f"hint: {way}" for way in from_manifest(error, Path(error.path).parent)))


def free_name(path: Path) -> Path:
    """`path`, or with a number behind it when that is taken."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def starts_with_rdb(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        stop(f"Cannot open file {path}: {error.strerror}")
    return len(head) == 8 and head[:5] in (b"REDIS", b"VALKE")


def is_manifest(path: Path) -> bool:
    """Whether it is named like a manifest, or a line begins with `file` and the file itself like no log, nor a log's preamble."""
    if path.name.endswith(MANIFEST_SUFFIX):
        return True
    try:
        with path.open("rb") as file:
            head = file.read(MANIFEST_MAX)
    except OSError as error:
        stop(f"Cannot open file {path}: {error.strerror}")
    if head[:1] == b"*" or kind_of(head) is FileKind.RDB:
        return False
    return any(line.startswith(b"file") for line in head.split(b"\n"))


def resolve(disk: Disk, argument: str) -> Path:
    """The file to check; a directory stands for the log that a server takes there."""
    path = Path(argument)
    if not disk.is_directory(path):
        return path
    try:
        return locate(disk, path)
    except RestoreError as error:
        stop(f"Cannot open file {error}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fix", is_flag=True, help="Cut the file behind its last sound command, after asking; a copy is kept.")
@click.option(
    "--truncate-to-timestamp",
    "timestamp",
    metavar="SECONDS",
    help="Cut the file before the first #TS: later than this.",
)
@click.option("--yes", "-y", "assume_yes", is_flag=True, help="Answer --fix's question with yes.")
@click.version_option(__version__, "-v", "--version", message="rotomdb-aof-check %(version)s")
@click.argument("file", type=click.Path(), metavar="FILE|MANIFEST|DIRECTORY")
def cli(fix: bool, timestamp: str | None, assume_yes: bool, file: str) -> None:
    """Check an append-only file, a manifest with all its files, or a data directory.

    Prints what redis-check-aof 7 prints. The input is only changed by --fix and --truncate-to-timestamp, and then a copy
    is kept beside it.

    \b
    Exit status:
      0  every file is sound, or was fixed
      1  a problem was found, a file cannot be read, or the fix was declined
      2  wrong usage

    \b
    Examples:
      rotomdb-aof-check appendonlydir/appendonly.aof.manifest
      rotomdb-aof-check --fix appendonly.aof
      rotomdb-aof-check --truncate-to-timestamp 1700000000 appendonlydir
    """
    seconds = 0
    if timestamp is not None:
        if not timestamp.isdigit():
            stop("Invalid timestamp, aborting...")
        seconds = int(timestamp)
    checker = Checker(Disk(), fix, seconds, assume_yes)
    path = resolve(checker.disk, file)
    if is_manifest(path):
        checker.check_manifest(path)
    else:
        checker.check_single(file if path == Path(file) else str(path))
    checker.conclude_closer_look()


def main() -> None:
    guard(cli)


if __name__ == "__main__":
    main()
