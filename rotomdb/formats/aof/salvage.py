"""Reading around the damage of a log, in the middle too; what is damaged is set aside, and put right where that can be proven.

With checksums (formats/aof/annotations.py) each block is known to be right or wrong. A burst of up to three wrong bytes in a block, or
a few wrong characters in its annotation, are undone: the checksum then tells that the result is the original. Anything else
is set aside as a whole, so that nothing wrong passes for right.

Without checksums what is set aside is what the examination calls damaged (formats/aof/examination.py), so that a server that goes on
around it has the same data; behind a torn end the walk also goes on where commands can be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rotomdb.formats.aof.annotations import CHECKSUM_PREFIX, Checksum, checksum_line, parse_checksum
from rotomdb.formats.aof.examination import examine
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.resync import next_beginning
from rotomdb.formats.checksum import crc64
from rotomdb.formats.crc_repair import repaired
from rotomdb.formats.passing import passing

BURST_MAX = 3  # bytes; a longer one would be found by chance
CHARACTERS_MAX = 4  # wrong ones in an annotation whose block is right
BLOCK_MAX = 64 << 20  # bytes in which a burst is looked for
PART_BYTES = 1 << 20  # what fits into memory of what no checksum covers

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Piece:
    """A range of the file.

    Attributes:
        content: What it holds, put right where it had to be; None: it is set aside.
        repaired: Bytes that were put right.
        verified: A checksum covers it.
    """

    start: int
    end: int
    content: bytes | None
    verified: bool
    repaired: int = 0
    reason: str = ""


@dataclass
class LogSalvage:
    """What a file gave."""

    pieces: int = 0
    repaired: list[Piece] = field(default_factory=list)
    set_aside: list[Piece] = field(default_factory=list)

    def take(self, piece: Piece) -> None:
        self.pieces += 1
        if piece.content is None:
            self.set_aside.append(piece)
        elif piece.repaired:
            self.repaired.append(piece)


def salvage_log(data: memoryview, start: int = 0, on_progress: Progress = lambda offset: None) -> Iterator[Piece]:
    """The pieces of a log, in order and without gaps.

    Args:
        start: Where the commands begin (behind an RDB preamble).
    """
    on_progress = passing(data, on_progress)
    marks = checksum_lines(data, start)
    if not marks:
        yield from by_commands(data, start, on_progress)
        return
    number = 0
    position = start
    while number < len(marks):
        at, end, checksum = marks[number]
        number += 1
        if at < position:
            continue  # inside of what was dealt with
        begin = at - checksum.size
        if begin == position:
            yield block(data, begin, at, end, checksum)
        elif begin > position and crc64(data[begin:at]) == checksum.value:
            yield from between(data, position, begin)
            yield Piece(begin, end, bytes(data[begin:end]), True)
        elif number < len(marks):
            continue  # this annotation is damaged itself, or the one before: a later one will tell
        else:
            break
        position = end
        on_progress(position)
    if position < len(data):
        yield from tail(data, position)


def checksum_lines(data: memoryview, start: int) -> list[tuple[int, int, Checksum]]:
    """Everything that looks like a checksum line: its offset, its end, what it says."""
    found = []
    wanted = b"\n" + CHECKSUM_PREFIX
    step = 1 << 22
    advance = passing(data)
    for base in range(start, len(data), step):
        piece = bytes(data[max(base - 1, 0) : base + step + 128])
        offset = max(base - 1, 0)
        at = piece.find(wanted)
        while at >= 0 and offset + at + 1 < base + step:
            line_end = piece.find(b"\n", at + 1)
            checksum = parse_checksum(piece[at + 1 : line_end]) if line_end >= 0 else None
            if checksum is not None and 0 < checksum.size <= offset + at + 1 - start:
                found.append((offset + at + 1, offset + line_end + 1, checksum))
            at = piece.find(wanted, at + 1)
        advance(base)
    return found


def block(data: memoryview, begin: int, at: int, end: int, checksum: Checksum) -> Piece:
    """The block that an annotation closes."""
    content = data[begin:at]
    if crc64(content) == checksum.value:
        return Piece(begin, end, bytes(data[begin:end]), True)
    if checksum.size <= BLOCK_MAX:
        whole = repaired(content, checksum.value, BURST_MAX)
        if whole is not None and is_sound(whole):
            wrong = sum(a != b for a, b in zip(whole, content, strict=True))
            return Piece(begin, end, whole + bytes(data[at:end]), True, wrong)
    return Piece(begin, end, None, True, reason="its checksum does not match")


def between(data: memoryview, start: int, end: int) -> Iterator[Piece]:
    """Bytes between two blocks that verify: blocks whose annotations are damaged."""
    closing = own_annotation(data, start, end)
    if closing is not None:
        yield closing
        return
    # Perhaps several: look for an annotation with a few wrong characters inside.
    for at in line_starts(data, start, end):
        first = own_annotation(data, start, at)
        if first is not None:
            yield first
            yield from between(data, at, end)
            return
    yield Piece(start, end, None, True, reason="no annotation closes it")


def line_starts(data: memoryview, start: int, end: int) -> Iterator[int]:
    """Where lines begin that stand behind something like an annotation."""
    content = bytes(data[start:end])
    at = content.find(b"\r\n")
    while at >= 0:
        if at + 2 >= 26 and content.rfind(b"#", max(at - 32, 0), at) >= 0:
            yield start + at + 2
        at = content.find(b"\r\n", at + 2)


def own_annotation(data: memoryview, start: int, end: int) -> Piece | None:
    """The range as a block whose annotation stands at its end with a few wrong characters."""
    for digits in range(1, 8):
        length = len(CHECKSUM_PREFIX) + digits + 1 + 16 + 2
        size = end - start - length
        if size <= 0 or len(str(size)) != digits:
            continue
        content = data[start : start + size]
        line = checksum_line(size, crc64(content))
        found = bytes(data[start + size : end])
        wrong = sum(a != b for a, b in zip(line, found, strict=True))
        if wrong <= CHARACTERS_MAX:
            return Piece(start, end, bytes(content) + line, True, wrong)
    return None


def tail(data: memoryview, start: int) -> Iterator[Piece]:
    """What stands behind the last block: not covered yet, or with its annotation damaged."""
    closing = own_annotation(data, start, len(data))
    if closing is not None:
        yield closing
        return
    yield from by_commands(data, start, lambda offset: None)


def is_sound(content: bytes) -> bool:
    """Whether it is whole commands and whole transactions."""
    items = LogItems(content)
    try:
        while items.skip() is not None:
            pass
    except (EOFError, ValueError):
        return False
    finally:
        items.close()
    return True


# Without checksums


def by_commands(data: memoryview, start: int, on_progress: Progress) -> Iterator[Piece]:
    """What can be read, and what lies between: the damages of the examination, and what is behind a torn end."""
    position, behind_damage = start, False
    while position < len(data):
        found = examine(data, position, behind_damage=behind_damage)
        for damage in found.damages:
            yield from in_parts(data, position, damage.start)
            yield Piece(damage.start, damage.end, None, False, reason=damage.reason)
            position = damage.end
            on_progress(position)
        yield from in_parts(data, position, found.usable)
        if not found.torn:
            return
        position = next_beginning(data, max(found.torn_at, found.usable) + 1)
        yield Piece(found.usable, position, None, False, reason=found.torn)
        behind_damage = True


def in_parts(data: memoryview, start: int, end: int) -> Iterator[Piece]:
    """A sound range, cut between its units into parts that fit into memory."""
    items = LogItems(data, start, end, passing(data))
    try:
        begin = start
        while items.skip() is not None:
            if items.sound - begin >= PART_BYTES:
                yield Piece(begin, items.sound, bytes(data[begin : items.sound]), False)
                begin = items.sound
        if end > begin:
            yield Piece(begin, end, bytes(data[begin:end]), False)
    finally:
        items.close()
