"""`rotomdb-rdb restore`: the keys of a file into a live server."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from rotomdb.errors import SourceError
from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.reader import Function, KeyRecord, RdbReader
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.command_writer import CommandWriter
from rotomdb.formats.sinks.commands import CommandSink
from rotomdb.formats.sinks.restore import RestoreSink
from rotomdb.storage.live_server import LiveServer, connected, length_in, without_password
from rotomdb.storage.rdb_source import mapped
from rotomdb.tools.live import tls_of
from rotomdb.tools.losses import Losses, note_losses
from rotomdb.tools.paths import DATA
from rotomdb.tools.rdb_convert import copy_all, own_target
from rotomdb.tools.restore_note import Note, noted
from rotomdb.tools.selection import selecting_with_functions
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS
from rotomdb.tools.values import shown

BATCH_BYTES = 1 << 20
BATCH_KEYS = 1000
FAILURES_SHOWN = 20
VERSION_REFUSAL = b"-ERR DUMP payload version"
HOPELESS = (b"-OOM", b"-READONLY", b"-MISCONF", b"-LOADING", b"-NOAUTH", b"-NOPERM", b"-MOVED")


@dataclass
class Restoring:
    """What has been sent and answered, of keys and function libraries.

    Attributes:
        lost: Keys that are left out, or a part of them, since the server is too old for it.
    """

    server: LiveServer
    note: Note
    state: Path | None
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    lost: int = 0
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
    help="Note here how far it came; go on from there when it exists, and do nothing where it was finished.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.argument("file", type=DATA)
@click.argument("server", metavar="redis://[USER:PASSWORD@]HOST[:PORT][/DB]")
@selecting_with_functions
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
    with opened(file, "restoring") as source:
        note = noted(state, job_of(click.get_current_context()), len(source.source.data))
        if note.finished:
            click.echo(f"{state}: this restore is finished; remove the file to begin anew", err=True)
            report(note, [], 0, as_json)
            return
        with connected(server, tls_of(click.get_current_context())) as live, contextlib.ExitStack() as stack:
            work = Restoring(live, note, state)
            if not as_commands:
                source, losses, selection = stack.enter_context(for_server(source, live, selection))
                work.lost = note_losses(losses, live.name, as_json=False)
            note.check_converted(state, len(source.source.data))
            reader = source.reader()
            try:
                send_all(source, reader, work, CommandSink if as_commands else RestoreSink, selection, replace)
            finally:
                reader.close()
        if state is not None and not work.failed:
            note.finished = True
            note.save(state)
    report(note, work.failures, work.failed, as_json, lost=work.lost)


def job_of(context: click.Context) -> dict[str, Any]:
    """What has to be the same for a note to be gone on from."""
    others = ("state", "as_json", "file", "server", "replace")
    options = {name: value for name, value in context.params.items() if name not in others}
    return {"server": without_password(context.params["server"]), **options}


@contextlib.contextmanager
def for_server(
    source: Opened, live: LiveServer, selection: Selection | None
) -> Iterator[tuple[Opened, Losses, Selection | None]]:
    """The source and what is to be taken of it; where the server is too old for it, what is wanted in the newest format that it takes."""
    head = source.reader()
    own = own_target(head)
    head.close()
    if takes_payloads(live, own.version):
        yield source, {}, selection
        return
    older = [
        target for target in TARGETS.values() if target.version < own.version and takes_payloads(live, target.version)
    ]
    if not older:
        raise SourceError(f"{live.name}: the server takes no payloads that can be made of this file; try --as-commands")
    with tempfile.TemporaryFile(prefix="rotomdb-") as file:
        losses = copy_all(source, RdbWriter(file.write, max(older, key=lambda target: target.version)), selection)
        file.flush()
        with mapped(file, source.source.name) as converted:
            yield Opened(converted, source.advance), losses, None


def takes_payloads(live: LiveServer, version: int) -> bool:
    """Whether RESTORE works there: a payload without sense is refused for its content, and not for its version."""
    reply = live.ask(b"RESTORE", b"rotomdb:probe", b"0", seal(b"\xfe", version))
    if not reply.startswith((b"-ERR Bad data format", VERSION_REFUSAL)):
        raise SourceError(f"{live.name}: RESTORE: {reply[1:].decode('utf-8', 'replace')}")
    return not reply.startswith(VERSION_REFUSAL)


def send_all(
    source: Opened, reader: RdbReader, work: Restoring, sink_type: type[CommandWriter], selection: Selection | None,
    replace: bool,
) -> None:  # fmt: skip
    pieces: list[bytes] = []
    sink = sink_type(pieces.append, False, replace)
    sink.rdb_version = reader.version
    keys: list[tuple[bytes | None, int]] = []  # None: no key;  with how many replies to expect behind each

    def exchange() -> None:
        sink.flush()
        for piece in pieces:
            work.server.stream.write(piece)
        work.server.stream.flush()
        pieces.clear()
        for key, replies in keys:
            take_replies(work, key, replies)
        keys.clear()
        if work.state is not None and not work.failed and work.note.offset:
            work.note.save(work.state)

    pending = 0
    for event in source.wanted(reader.records(selection, source.advance), selection):
        before = sink.commands
        if isinstance(event, Function) and reader.walker.position > work.note.offset:
            sink.command(b"FUNCTION", b"LOAD", *([b"REPLACE"] if replace else []), event.code)
            keys.append((None, 1))
        if not isinstance(event, KeyRecord) or event.start < work.note.offset:
            continue
        end = send_key(reader, sink, event, work)
        keys.append((event.key, sink.commands - before))
        pending += end - event.start
        if len(keys) >= BATCH_KEYS or pending > BATCH_BYTES:
            work.note.offset = end
            exchange()
            pending = 0
    exchange()


def send_key(reader: RdbReader, sink: CommandWriter, record: KeyRecord, work: Restoring) -> int:
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
        elif reply.startswith(b"-BUSYKEY") or (key is None and reply.endswith(b"already exists")):
            existing = True
        elif reply.startswith(b"-"):
            text = reply[1:].decode("utf-8", "replace")
            if reply.startswith(HOPELESS):
                raise SourceError(f"{work.server.name}: {text} ({work.note.restored} keys were restored before that)")
            failed = True
            if len(work.failures) < FAILURES_SHOWN:
                work.failures.append(f"{'(function library)' if key is None else shown(key)}: {text}")
    work.note.existing += existing
    work.failed += failed
    if not existing and not failed:
        work.note.restored += key is not None
        work.note.libraries += key is None


def report(note: Note, failures: list[str], failed: int, as_json: bool, *, lost: int = 0) -> None:
    if as_json:
        click.echo(json.dumps({
            "restored": note.restored, "existing": note.existing, "failed": failed, "failures": failures, "lost": lost,
        }))  # fmt: skip
    else:
        libraries = f" and {note.libraries} function libraries" if note.libraries else ""
        click.echo(f"{note.restored} keys{libraries} restored")
        if note.existing:
            click.echo(f"{note.existing} were there already and stay as they are (--replace overwrites them)")
        for line in failures:
            click.echo(f"not taken: {line}", err=True)
        if failed > len(failures):
            click.echo(f"and {failed - len(failures)} more", err=True)
    if note.existing or failed or lost:
        sys.exit(PROBLEMS)
