"""`rotomdb-rdb restore`: the keys of a file into a live server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from rotomdb.engine.rdb_walker import Selection
from rotomdb.errors import SourceError
from rotomdb.storage.command_sink import CommandSink, RestoreSink
from rotomdb.storage.disk import Disk
from rotomdb.storage.dump_payload import seal
from rotomdb.storage.live_server import LiveServer, connected, length_in
from rotomdb.storage.rdb_reader import Function, KeyRecord, RdbReader
from rotomdb.storage.rdb_source import mapped
from rotomdb.storage.rdb_writer import TARGETS, RdbWriter
from rotomdb.tools.paths import DATA
from rotomdb.tools.rdb_convert import Losses, copy_all, note_losses, own_target
from rotomdb.tools.selection import selecting
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, fail
from rotomdb.tools.values import shown

BATCH_BYTES = 1 << 20
BATCH_KEYS = 1000
FAILURES_SHOWN = 20
VERSION_REFUSAL = b"-ERR DUMP payload version"
HOPELESS = (b"-OOM", b"-READONLY", b"-MISCONF", b"-LOADING", b"-NOAUTH", b"-NOPERM", b"-MOVED")


@dataclass
class Restoring:
    """What has been sent and answered.

    Attributes:
        done: Offset behind the last record that the server has taken.
    """

    server: LiveServer
    keys: int = 0
    existing: int = 0
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    done: int = 0
    source_database: int | None = None  # of the keys, where the address names the one that they go to


@click.command()
@click.option("--replace", is_flag=True, help="Overwrite keys that the server has. Without it they stay as they are.")
@click.option(
    "--as-commands", is_flag=True, help="SET, HMSET, RPUSH... instead of RESTORE; for servers older than the file."
)
@click.option(
    "--resume",
    "state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Note here how far it came; go on from there when it exists.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.argument("file", type=DATA)
@click.argument("server", metavar="redis://[USER:PASSWORD@]HOST[:PORT][/DB]")
@selecting
def restore(
    replace: bool,
    as_commands: bool,
    state: Path | None,
    as_json: bool,
    file: str,
    server: str,
    selection: Selection | None,
) -> None:
    """Load the keys of a file into a live server, with their times to live.

    Keys travel as RESTORE payloads, byte for byte; for a server that is too old for them they are converted first (see
    `convert` for what that may leave out). What the server holds already is kept unless --replace is given. Exit status 0: all
    keys are there, 1: some were not taken.

    \b
    Examples:
      rotomdb-rdb restore dump.rdb redis://localhost:6379
      rotomdb-rdb restore dump.rdb redis://:secret@host:6379 --key 'user:*' --replace
      rotomdb-rdb restore big.rdb redis://host:6379 --resume big.state
    """
    with opened(file, "restoring") as source, connected(server) as live, contextlib.ExitStack() as stack:
        work = Restoring(live)
        if not as_commands:
            source, losses = stack.enter_context(for_server(source, live))
            note_losses(losses, server, as_json=False)
            work.failed += sum(keys for keys, _ in losses.values())
        reader = source.reader()
        work.done = noted_offset(source, state)
        try:
            send_all(source, reader, work, CommandSink if as_commands else RestoreSink, selection, replace, state)
        finally:
            reader.close()
    if state is not None and not work.failed:
        Disk().remove_if_there(state)
    report(work, as_json)


@contextlib.contextmanager
def for_server(source: Opened, live: LiveServer) -> Iterator[tuple[Opened, Losses]]:
    """The source, converted to the newest format that the server takes where it is too new for it."""
    head = source.reader()
    own = own_target(head)
    head.close()
    if takes_payloads(live, own.version):
        yield source, {}
        return
    older = [
        target for target in TARGETS.values() if target.version < own.version and takes_payloads(live, target.version)
    ]
    if not older:
        raise SourceError(f"{live.name}: the server takes no payloads that can be made of this file; try --as-commands")
    with tempfile.TemporaryFile(prefix="rotomdb-") as file:
        losses = copy_all(source, RdbWriter(file.write, max(older, key=lambda target: target.version)), None)
        file.flush()
        with mapped(file, source.source.name) as converted:
            yield Opened(converted, source.advance), losses


def noted_offset(source: Opened, state: Path | None) -> int:
    """Where an earlier run came to."""
    if state is None or not state.exists():
        return 0
    try:
        noted = json.loads(state.read_text())
        size, offset = int(noted["size"]), int(noted["offset"])
    except (ValueError, KeyError, TypeError):
        fail(f"{state}: it is no note of an earlier run; remove it to begin anew")
    if size != len(source.source.data):
        fail(f"{state}: it belongs to a file of {size} bytes, this one has {len(source.source.data)}")
    return offset


def takes_payloads(live: LiveServer, version: int) -> bool:
    """Whether RESTORE works there: a payload without sense is refused for its content, and not for its version."""
    reply = live.ask(b"RESTORE", b"rotomdb:probe", b"0", seal(b"\xfe", version))
    if not reply.startswith((b"-ERR Bad data format", VERSION_REFUSAL)):
        raise SourceError(f"{live.name}: RESTORE: {reply[1:].decode('utf-8', 'replace')}")
    return not reply.startswith(VERSION_REFUSAL)


def send_all(
    source: Opened, reader: RdbReader, work: Restoring, sink_type: type[CommandSink], selection: Selection | None,
    replace: bool, state: Path | None,
) -> None:  # fmt: skip
    pieces: list[bytes] = []
    sink = sink_type(pieces.append, False, replace)
    sink.rdb_version = reader.version
    keys: list[tuple[bytes | None, int]] = []  # None: no key;  with how many replies to expect behind each

    def exchange() -> None:
        sink.flush()
        work.server.stream.write(b"".join(pieces))
        work.server.stream.flush()
        pieces.clear()
        for key, replies in keys:
            take_replies(work, key, replies)
        keys.clear()
        if state is not None and not work.failed and work.done:
            note = json.dumps({"size": len(source.source.data), "offset": work.done})
            Disk().replace_atomically(state, state.with_name(f".{state.name}.{os.getpid()}.partial"), note.encode())

    pending = 0
    for event in reader.records(selection, source.advance):
        before = sink.commands
        if isinstance(event, Function):
            if selection is not None:
                continue  # no key: it is not selected
            sink.command(b"FUNCTION", b"LOAD", b"REPLACE", event.code)
            keys.append((None, 1))
            continue
        if not isinstance(event, KeyRecord) or event.start < work.done:
            continue
        end = send_key(reader, sink, event, work)
        keys.append((event.key, sink.commands - before))
        pending += end - event.start
        if len(keys) >= BATCH_KEYS or pending > BATCH_BYTES:
            work.done = end
            exchange()
            pending = 0
    exchange()


def send_key(reader: RdbReader, sink: CommandSink, record: KeyRecord, work: Restoring) -> int:
    """Hand a key to the sink, for the database that the address names where it names one; returns where the record ends."""
    if work.server.database is None:
        return reader.visit(sink)
    if work.source_database not in (None, record.db):
        raise SourceError(
            f"{work.server.name}: keys of databases {work.source_database} and {record.db} would all go into {work.server.database}; "
            "choose one with --db"
        )
    work.source_database = record.db
    reader.walker.database = work.server.database
    end = reader.visit(sink)
    reader.walker.database = record.db
    return end


def take_replies(work: Restoring, key: bytes | None, replies: int) -> None:
    """The answers about one key (None: about a function library). Raises SourceError where no other key would do better."""
    existing = failed = False
    for _ in range(replies):
        reply = work.server.reply_line()
        if reply.startswith(b"$"):  # XADD and others answer with a text
            work.server.reply_line()
        elif reply.startswith(b"*"):
            for _ in range(length_in(reply)):
                if work.server.reply_line().startswith(b"$"):
                    work.server.reply_line()
        elif reply.startswith(b"-BUSYKEY"):
            existing = True
        elif reply.startswith(b"-"):
            text = reply[1:].decode("utf-8", "replace")
            if reply.startswith(HOPELESS):
                raise SourceError(f"{work.server.name}: {text} ({work.keys} keys were restored before that)")
            failed = True
            if len(work.failures) < FAILURES_SHOWN:
                work.failures.append(f"{'(function library)' if key is None else shown(key)}: {text}")
    work.existing += existing
    work.failed += failed
    work.keys += key is not None and not existing and not failed


def report(work: Restoring, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({
            "restored": work.keys, "existing": work.existing, "failed": work.failed, "failures": work.failures,
        }))  # fmt: skip
    else:
        click.echo(f"{work.keys} keys restored")
        if work.existing:
            click.echo(f"{work.existing} keys were there already and stay as they are (--replace overwrites them)")
        for line in work.failures:
            click.echo(f"not taken: {line}", err=True)
        if work.failed > len(work.failures):
            click.echo(f"and {work.failed - len(work.failures)} more", err=True)
    if work.existing or work.failed:
        sys.exit(PROBLEMS)
