"""Opening whatever holds a data set as one RDB: RDB files in all their wrappings, live servers, append-only files.

A log is replayed into an engine and saved to a temporary file, so that every tool has one kind of input.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from rotomdb.errors import FileFormatError, ManifestError, RestoreError, SourceError
from rotomdb.formats.aof.manifest import MANIFEST_SUFFIX
from rotomdb.formats.rdb.reader import Event, Function, KeyRecord, ModuleAux, RdbReader
from rotomdb.formats.rdb.selection import Selection
from rotomdb.storage.disk import Disk
from rotomdb.storage.live_server import is_live
from rotomdb.storage.rdb_source import RdbSource, mapped, open_rdb
from rotomdb.storage.way_on import from_manifest
from rotomdb.tools.live import tls_of
from rotomdb.tools.rows import is_dump, write_rows
from rotomdb.tools.terminal import PROBLEMS, Advance, complain, error_text, fail, progress

AOF_FIRST_BYTES = (b"*", b"#")
Item = TypeVar("Item", bound=Event | KeyRecord)


@dataclass(frozen=True)
class Opened:
    """A data set that a tool reads.

    Attributes:
        modules: Which have data outside of keys, as `wanted` came by it.
    """

    source: RdbSource
    advance: Advance
    modules: list[str] = field(default_factory=list)

    def reader(self) -> RdbReader:
        return RdbReader(self.source.data, self.source.name, self.source.release)

    def wanted(self, events: Iterator[Item], selection: Selection | None) -> Iterator[Item]:
        """Without the function libraries, where keys are selected and `--functions` is not given. That is said."""
        left_out = 0
        for event in events:
            if isinstance(event, Function) and selection is not None and not selection.functions:
                left_out += 1
                continue
            if isinstance(event, ModuleAux):
                self.modules.append(event.module)
            yield event
        if left_out:
            libraries = f"{left_out} function librar{'y is' if left_out == 1 else 'ies are'}"
            complain(f"{self.source.name}: {libraries} left out, as keys are selected; --functions takes them along")


@contextlib.contextmanager
def reporting(hint: str | None = None) -> Iterator[None]:
    """Problems of the input end the program with one line that names file, offset and reason."""
    try:
        yield
    except FileFormatError as error:
        finish(str(error), hint, PROBLEMS)
    except ManifestError as error:
        finish(str(error), "\nhint: ".join(from_manifest(error, Path(error.path).parent)), PROBLEMS)
    except RestoreError as error:
        finish(str(error), None, PROBLEMS)
    except SourceError as error:
        finish(str(error), None)
    except BrokenPipeError:
        raise
    except OSError as error:
        finish(error_text(error), None)
    except MemoryError:
        finish("not enough memory", None)


def finish(message: str, hint: str | None, status: int | None = None) -> NoReturn:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if status is None:
        fail(message, hint=hint)
    fail(message, hint=hint, status=status)


@contextlib.contextmanager
def opened(spec: str, verb: str = "reading") -> Iterator[Opened]:
    """The data set that `spec` names, for a tool; problems end the program."""
    with reporting(f"rotomdb-rdb check {spec}"), contextlib.ExitStack() as stack:
        source = stack.enter_context(open_any(spec))
        advance = stack.enter_context(progress(f"{verb} {source.name}", len(source.data)))
        yield Opened(source, advance)


@contextlib.contextmanager
def open_any(spec: str) -> Iterator[RdbSource]:
    """As `open_rdb`, and append-only files, manifests and data directories too.

    Raises:
        FileFormatError, ManifestError, RestoreError, SourceError, OSError.
    """
    if not is_live(spec) and spec != "-" and is_log(Path(spec)):
        with replayed(Path(spec)) as source:
            yield source
        return
    if not is_live(spec) and spec != "-" and is_dump(head_of(Path(spec))):
        with tempfile.TemporaryFile(prefix="rotomdb-") as file:
            write_rows(Path(spec), file)
            file.flush()
            with mapped(file, spec) as source:
                yield source
        return
    with open_rdb(spec, on_note=complain, tls=tls_of(click.get_current_context(silent=True))) as source:
        yield source


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def is_log(path: Path) -> bool:
    """Whether this is (or holds) an append-only file. An RDB with commands behind it is one, too."""
    if path.is_dir():
        return True
    if path.name.endswith(MANIFEST_SUFFIX):
        return True
    with path.open("rb") as file:
        if file.read(1) in AOF_FIRST_BYTES:
            return True
    return path.suffix == ".aof"


@contextlib.contextmanager
def replayed(path: Path) -> Iterator[RdbSource]:
    """The data set that a log gives, as an RDB in a temporary file."""
    from rotomdb.storage.rdb import SnapshotOptions, save_snapshot
    from rotomdb.tools.replaying import replay_log

    disk = Disk()
    engine = replay_log(disk, path).engine
    with tempfile.TemporaryDirectory(prefix="rotomdb-") as directory:
        temporary = Path(directory) / "replayed.rdb"
        save_snapshot(disk, engine, temporary, None, SnapshotOptions(compress=False, incremental_sync=False))
        del engine
        with temporary.open("rb") as file, mapped(file, str(path)) as source:
            yield source
