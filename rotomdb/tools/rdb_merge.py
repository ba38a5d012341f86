"""`rotomdb-rdb merge`: one RDB out of several."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from rotomdb.formats.rdb.reader import Event, Function, KeyRecord, ModuleAux, RdbReader
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.writer import TARGETS, RdbWriter
from rotomdb.formats.sinks.key_index import PARTS, contested, sort_offsets
from rotomdb.storage.output import writing
from rotomdb.tools.key_parts import Found, KeyParts
from rotomdb.tools.losses import Losses, note_loss, note_losses
from rotomdb.tools.paths import DATA, output_option
from rotomdb.tools.rdb_convert import own_target
from rotomdb.tools.selection import selecting_with_functions
from rotomdb.tools.sources import Opened, opened
from rotomdb.tools.terminal import PROBLEMS, fail
from rotomdb.tools.values import function_name, shown

CONFLICTS_SHOWN = 10


@dataclass
class Conflicts:
    """What several files have, and which of them it is not taken from.

    Attributes:
        losers: For each file the offsets of the records that are left out, sorted.
        keys: How many keys it is about.
        first: Some of them, for a message.
        libraries: Which file each function library is taken from whose code differs.
    """

    losers: list[array[int]]
    keys: int = 0
    first: list[Found] = field(default_factory=list)
    libraries: dict[bytes, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.keys + len(self.libraries)

    def names(self) -> str:
        libraries = [f"function library {shown(name)}" for name in self.libraries]
        keys = [f"db {one.db} {shown(one.key)}" for one in self.first]
        return ", ".join([*libraries, *keys][:CONFLICTS_SHOWN])


@click.command()
@output_option("File to make; - for standard output.", required=True)
@click.option(
    "--on-conflict", "policy", type=click.Choice(["fail", "first", "last", "newest-ttl"]), default="fail", show_default=True,
    help="Which value a key has that is in several files. newest-ttl: the one that expires last.",
)  # fmt: skip
@click.option("--target", "-t", type=click.Choice(sorted(TARGETS)), help="Default: the newest format of the inputs.")
@click.argument("files", nargs=-1, required=True, type=DATA)
@selecting_with_functions
def merge(policy: str, output: str, target: str | None, files: tuple[str, ...], selection: Selection | None) -> None:
    """Write one RDB out of several.

    \b
    Examples:
      rotomdb-rdb merge shard1.rdb shard2.rdb shard3.rdb -o all.rdb
      rotomdb-rdb merge --on-conflict last yesterday.rdb today.rdb -o all.rdb
    """
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(opened(file, "merging")) for file in files]
        conflicts = settle_conflicts(sources, policy, selection)
        if policy == "fail" and conflicts.count:
            fail(
                f"{conflicts.count} keys are in several files ({conflicts.names()}); "
                "choose --on-conflict first, last or newest-ttl",
                status=PROBLEMS,
            )
        newest = max((own_target(source.reader()) for source in sources), key=lambda one: one.version)
        out = stack.enter_context(writing(output))
        writer = RdbWriter(out.write, TARGETS[target] if target else newest)
        losses = write_merged(sources, writer, conflicts, selection)
    lost = note_losses(losses, target or "the result", False)
    click.echo(f"{writer.sink.keys} keys written to {output}; {conflicts.count} were in several files", err=True)
    if lost:
        raise SystemExit(PROBLEMS)


def write_merged(sources: list[Opened], writer: RdbWriter, conflicts: Conflicts, selection: Selection | None) -> Losses:
    """Everything that is wanted, into the writer: each key once, and what is no key once for each content."""
    losses: Losses = {}
    taken: set[bytes] = set()
    for number, source in enumerate(sources):
        losers = iter(conflicts.losers[number])
        left_out = next(losers, None)
        for event, reader in walk_records(source, selection):
            if isinstance(event, KeyRecord):
                if event.start == left_out:
                    left_out = next(losers, None)
                else:
                    reader.visit(writer.sink)
                continue
            content = content_of(event, reader)
            if content is None or content in taken:
                continue
            if isinstance(event, Function) and conflicts.libraries.get(function_name(event.code), number) != number:
                continue
            taken.add(content)
            if not writer.take(event, reader.data):
                note_loss(losses, event)
    writer.finish()
    return {**writer.sink.lost, **losses}


def content_of(event: Event, reader: RdbReader) -> bytes | None:
    """The bytes of what is no key; None: it holds no data."""
    if isinstance(event, Function):
        return event.code
    return bytes(reader.data[event.start : event.end]) if isinstance(event, ModuleAux) else None


def walk_records(source: Opened, selection: Selection | None) -> Iterator[tuple[Event | KeyRecord, RdbReader]]:
    reader = source.reader()
    try:
        for event in source.wanted(reader.records(selection, source.advance), selection):
            yield event, reader
    finally:
        reader.close()


def settle_conflicts(sources: list[Opened], policy: str, selection: Selection | None) -> Conflicts:
    conflicts = Conflicts([array("Q") for _ in sources])
    codes: dict[bytes, tuple[int, bytes]] = {}
    with contextlib.ExitStack() as stack:
        indexes = [stack.enter_context(contextlib.closing(KeyParts(source))) for source in sources]
        for number, index in enumerate(indexes):
            for event in index.fill(selection):
                if isinstance(event, Function):
                    library = function_name(event.code)
                    first, code = codes.setdefault(library, (number, event.code))
                    if code != event.code:
                        codes[library] = (first, code) if policy == "first" else (number, event.code)
                        conflicts.libraries[library] = codes[library][0]
        for part in range(PARTS):
            contents = [index.part(part) for index in indexes]
            for (source, offset), *others in contested(contents, policy == "last", policy == "newest-ttl"):
                conflicts.keys += 1
                if len(conflicts.first) < CONFLICTS_SHOWN:
                    conflicts.first.append(indexes[source].look_up(offset))
                for loser, where in others:
                    conflicts.losers[loser].append(where)
    for losers in conflicts.losers:
        sort_offsets(losers)
    return conflicts
