"""What a server would refuse to replay, taken out of a log that can be read.

A unit (a command, or a whole transaction) with a refused command is set aside: nobody gets half of one. A SELECT that is refused
takes with it what follows up to the next, which belongs to a database that nobody has. A SELECT that stands in a unit that
is set aside for another reason is written again, so that what follows goes where it went.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rotomdb.engine import Engine
from rotomdb.engine.number import parse_int
from rotomdb.errors import CommandRefusedError
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.replay import SELECT_FIRST
from rotomdb.formats.aof.salvage import Piece
from rotomdb.storage.propagation import encode_command
from rotomdb.tools.replaying import Refusals, known_commands, new_replayer

NOWHERE = "it follows a SELECT that is refused"


@dataclass
class Unit:
    """Attributes:
    reason: Why it is refused; empty: it is not.
    database: That it begins in; -1: nobody knows.
    """

    start: int
    end: int
    reason: str
    database: int


class Sifter:
    """Goes over the pieces of a log in order.

    Args:
        deep: Execute the commands as well, since some refusals show only then. What the base holds makes no difference to them.
    """

    def __init__(self, *, deep: bool = False) -> None:
        self.commands = known_commands()
        self.execute = new_replayer(Engine(self.commands.databases), [], functions=True) if deep else None
        self.database = 0  # that is selected in the input; -1: one that was refused
        self.written = 0  # that is selected in the output

    def begin_file(self) -> None:
        self.database = self.written = 0
        if self.execute is not None:
            self.execute(SELECT_FIRST)

    def parts(self, piece: Piece) -> Iterator[Piece]:
        """The piece, or parts of it: what is kept, and what is set aside."""
        if piece.content is None or (self.execute is None and self.lets_pass(piece.content)):
            yield piece
            return
        kept, reason, start = bytearray(), "", 0
        for unit in self.units(piece.content):
            if unit.reason != reason and unit.start > start:
                yield part(piece, start, unit.start, kept, reason)
                start = unit.start
                kept.clear()
            reason = unit.reason
            if reason:
                continue
            if unit.database not in (-1, self.written):
                kept += encode_command(b"SELECT", b"%d" % unit.database)
            kept += piece.content[unit.start : unit.end]
            self.written = self.database
        if start < len(piece.content):
            yield part(piece, start, len(piece.content), kept, reason)

    def lets_pass(self, content: bytes) -> bool:
        """Whether all of it is kept as it is: most of a log is."""
        if self.database != self.written:
            return False
        refusals, last = Refusals(self.commands), self.database

        def judge(items: LogItems) -> bool:
            nonlocal last
            settled = refusals.judge(items)
            if items.name.lower() == b"select":
                last = parse_int(items.second) or 0
            return settled

        items = LogItems(content, judge=judge)
        try:
            while items.skip() is not None:
                if refusals.found:
                    return False
        except (EOFError, ValueError):
            return False
        finally:
            items.close()
        self.database = self.written = last
        return True

    def units(self, content: bytes) -> Iterator[Unit]:
        """An annotation is a unit of its own, and goes with the one before it."""
        items = LogItems(content)
        unit = Unit(0, 0, "", self.database)
        try:
            while (item := items.take()) is not None:
                if isinstance(item, list) and not unit.reason:
                    unit.reason = self.refusal(item)
                elif isinstance(item, list):
                    self.note_database(item)
                if not items.in_transaction:
                    unit.end = items.offset
                    yield unit
                    unit = Unit(unit.end, 0, "" if isinstance(item, list) else unit.reason, self.database)
        except (EOFError, ValueError) as error:
            # Under a checksum, so that it was written like this.
            unit.end, unit.reason = len(content), f"bad file format: {error}"
            yield unit
        finally:
            items.close()

    def refusal(self, words: list[bytes]) -> str:
        """Why a server refuses the command; empty: it does not."""
        name = words[0].lower()
        refused = self.commands.refusal(words[0], words[1] if len(words) > 1 else b"", len(words))
        if name == b"select":
            self.database = -1 if refused is not None else parse_int(words[1]) or 0
        elif self.database < 0 and name not in (b"multi", b"exec"):
            return NOWHERE
        if refused is None and self.execute is not None and name not in (b"multi", b"exec"):
            try:
                self.execute(words)
            except CommandRefusedError as error:
                refused = error
        return "" if refused is None else str(refused)

    def note_database(self, words: list[bytes]) -> None:
        """Of a command that is set aside anyway."""
        if words[0].lower() == b"select":
            self.refusal(words)


def part(piece: Piece, start: int, end: int, kept: bytearray, reason: str) -> Piece:
    assert piece.content is not None
    behind = piece.end if end == len(piece.content) else piece.start + end
    return Piece(piece.start + start, behind, None if reason else bytes(kept), piece.verified, 0, reason)
