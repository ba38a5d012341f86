"""Append-only files from Python: read them command by command, write them.

import rotomdb.aof

for command in rotomdb.aof.read("appendonlydir"):
    print(command.time, command.file, command.offset, command.words)

with rotomdb.aof.create("appendonly.aof") as log:
    log.command("SET", "greeting", "hello")
    log.add("cart:17", {"apples": 3})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotomdb.errors import AofError, ManifestError, RdbError, RestoreError
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.rdb import Text, add_to, as_bytes
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import find_log
from rotomdb.storage.output import WholeFile
from rotomdb.storage.point_in_time import walk

__all__ = ["AofError", "LogCommand", "LogWriter", "ManifestError", "RdbError", "RestoreError", "create", "read"]


@dataclass(frozen=True)
class LogCommand:
    """A command of a log.

    Attributes:
        db: That it runs in.
        time: Unix seconds of the last time annotation before it; None: there is none.
        file, offset: Where it stands.
    """

    words: list[bytes]
    db: int
    time: int | None
    file: str
    offset: int


def read(path: str | Path) -> Iterator[LogCommand]:
    """The commands of a single file, a manifest, an append directory or a data directory, without SELECTs.

    What stands in an RDB base or preamble is no command: read it with rotomdb.rdb. An end that a crash has torn is left out.

    Raises:
        RestoreError: there is no log. ManifestError: the manifest is malformed.
        AofError, RdbError: a file is damaged, before anything of it is yielded.
    """
    disk = Disk()
    source = find_log(disk, Path(path))
    for number, item in walk(disk, source):
        if item.words and item.words[0].upper() != b"SELECT":
            yield LogCommand(item.words, item.database, item.time or None, source.paths[number].name, item.at)


class LogWriter(WholeFile):
    """A new single-file log. As a context manager it is there whole or, after an exception, not at all."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._sink = CommandSink(self._file.write)

    def _finish(self) -> None:
        self._sink.flush()

    def command(self, *words: Text) -> None:
        """Append one command as it is; select a database first with SELECT."""
        self._sink.command(*map(as_bytes, words))

    def add(
        self,
        key: Text,
        value: Any,
        *,
        db: int = 0,
        expire_ms: int | None = None,
        field_times: Mapping[Text, int] | None = None,
    ) -> None:
        """Append the commands that make a key; the values are those of rotomdb.rdb.Writer.add."""
        add_to(self._sink, key, value, db, expire_ms, field_times)


def create(path: str | Path) -> LogWriter:
    """Begin a new log."""
    return LogWriter(path)
