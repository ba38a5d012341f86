"""What is wrong with a log, found before any of it is replayed: torn by a crash, or damaged afterwards.

A crash leaves what was not synced in any state: missing, zero-filled sector by sector, or there. That is healed by cutting
at the first tear: everything behind it was written after the last fsync that is on record. Damage anywhere else means that
the disk changed bytes that were safe, and is not for a program to decide upon.

A tear is  the end of the file inside a command; zeros from some place to the end; or, in a log with annotations, a sector
of zeros. It must lie behind the highest offset that any `#SYNCED` line of the file vouches for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rotomdb.storage.checksum import crc64
from rotomdb.storage.log_blocks import (
    CHECKSUM_PREFIX,
    SECTOR_BYTES,
    SYNCED_PREFIX,
    ZERO_SECTOR,
    ZEROS_LINE,
    Checksum,
    parse_checksum,
    parse_synced,
)
from rotomdb.storage.quoting import quoted
from rotomdb.storage.request import LogReader, ZerosError

SEARCH_BYTES = 1 << 20
OWN_ZEROS = "the block holds zeros of its own, so that a tear cannot be told from damage"


@dataclass(frozen=True)
class Damage:
    """Bytes that cannot be replayed: from the last verified block, or sound item, to where a block follows again."""

    start: int
    end: int
    reason: str


@dataclass
class Examination:
    """What a log holds.

    Attributes:
        size: Bytes of the file.
        usable: Bytes up to the first tear: what is to be replayed, damages excepted.
        torn: Why the rest is to be cut; empty: nothing is.
        damages: In ascending order, all before `usable`.
        covered: Bytes that a checksum verified, annotations included.
        open_block: Where the bytes at the end begin that no checksum covers yet.
        open_checksum: Their CRC64.
        synced: The highest offset that the file says was on disk; -1: it says nothing.
    """

    size: int
    usable: int
    torn: str = ""
    damages: list[Damage] = field(default_factory=list)
    covered: int = 0
    open_block: int = 0
    open_checksum: int = 0
    synced: int = -1


@dataclass(frozen=True)
class Failure:
    """A place where the walk could not go on, and what may explain it."""

    start: int  # of the unverified bytes
    sound: int  # end of the last whole item before it, outside transactions
    resume: int  # where sound blocks follow; -1: nowhere
    tear: int  # where zeros begin that a crash may have left, or the file ends; -1: no such thing
    reason: str


def examine(
    data: memoryview | bytes,
    start: int = 0,
    corrupt_tail_max: int = 0,
    on_progress: Callable[[int], object] | None = None,
) -> Examination:
    """Walk over a log once.

    Args:
        start: Where the commands begin (behind an RDB preamble).
        corrupt_tail_max: Bytes at the end that may hold anything and are cut (aof-load-corrupt-tail-max-size).
        on_progress: Called with the offset every few ms.
    """
    walk = Walk(data, start, on_progress)
    failures: list[Failure] = []
    while (failure := walk.next_failure()) is not None:
        failures.append(failure)
        if failure.resume < 0:
            break
        walk.resume_at(failure.resume)
    walk.close()
    result = Examination(len(data), len(data), covered=walk.covered, synced=walk.synced, open_block=walk.block)
    for failure in failures:
        if failure.resume < 0 and len(data) - failure.sound <= corrupt_tail_max:
            result.usable, result.torn = failure.sound, failure.reason
            break
        if failure.tear >= max(walk.synced, 0) and failure.tear >= 0:
            result.usable, result.torn = failure.tear, failure.reason
            break
        # A failure that nothing follows begins at its last sound item: the checksum of those before it may be lost.
        begin = failure.start if failure.resume >= 0 else failure.sound
        result.damages.append(Damage(begin, failure.resume if failure.resume >= 0 else len(data), failure.reason))
    if failures and failures[-1].resume < 0 and not result.torn:
        result.open_block = len(data)
    result.open_block = min(result.open_block, result.usable)
    result.open_checksum = checksum_of(memoryview(data)[result.open_block : result.usable], on_progress)
    return result


def checksum_of(data: memoryview, on_progress: Callable[[int], object] | None) -> int:
    """CRC64 of what may be a whole log without annotations, with the progress told in between."""
    checksum = 0
    for at in range(0, len(data), SEARCH_BYTES):
        checksum = crc64(data[at : at + SEARCH_BYTES], checksum)
        if on_progress is not None:
            on_progress(at)
    return checksum


class Walk:
    """One pass over a log.

    Attributes:
        block: Where the bytes begin that no checksum covers yet.
        sound: End of the last item that is part of no open transaction.
    """

    def __init__(
        self, data: memoryview | bytes, start: int, on_progress: Callable[[int], object] | None = None
    ) -> None:
        self.data = memoryview(data)
        self.start = start
        self.reader = LogReader(data, start, on_progress=on_progress)
        self.block = self.sound = start
        self.covered = 0
        self.synced = -1
        self.claimed = -1  # by a #SYNCED line of the open block

    def close(self) -> None:
        """Let go of the data, so that a mapping can be closed."""
        self.reader.close()
        self.data.release()

    def resume_at(self, offset: int) -> None:
        self.reader.seek(offset)
        self.block = self.sound = offset
        self.claimed = -1

    def next_failure(self) -> Failure | None:
        """Walk on to what is wrong; None at a clean end."""
        at_end = at_zeros = False
        try:
            reason = self.walk_sound_items()
        except EOFError as error:
            reason, at_end = str(error), True
        except ValueError as error:
            at_zeros = isinstance(error, ZerosError)
            reason = f"bad file format at offset {self.reader.offset}: {error}"
        if reason is None:
            return None
        resume = self.resume_point()
        end = resume if resume >= 0 else len(self.data)
        own_zeros = self.own_zeros(end)
        tear = self.zeros_from(end, own_zeros, annotated=resume >= 0)
        if tear < 0 and (at_zeros or (at_end and resume < 0)):
            tear = self.sound
        if own_zeros < end:
            # Torn or not, whether others of that write's sectors are missing cannot be seen: it goes as a whole (B5).
            reason += f" ({OWN_ZEROS})"
            tear = min(tear, own_zeros)
        return Failure(self.block, self.sound, resume, tear, reason)

    def walk_sound_items(self) -> str | None:
        reader = self.reader
        in_transaction = False
        while True:
            before = reader.offset
            item = reader.skip_item()
            if item is None:
                if in_transaction:
                    raise EOFError("end of file inside a transaction")
                return None
            if isinstance(item, bytes):
                if item.startswith(CHECKSUM_PREFIX):
                    reason = self.check_block(before, item)
                    if reason is not None:
                        return reason
                    self.block = reader.offset
                elif item.startswith(SYNCED_PREFIX):
                    claimed = parse_synced(item)
                    self.claimed = self.claimed if claimed is None else claimed
                elif flipped_bits(item[: len(CHECKSUM_PREFIX)], CHECKSUM_PREFIX) == 1:
                    return f"damaged checksum annotation {quoted(item[:64])} at offset {before}"
            elif item == (b"MULTI",):
                in_transaction = True
            elif item == (b"EXEC",):
                in_transaction = False
            if not in_transaction:
                self.sound = reader.offset

    def check_block(self, end: int, line: bytes) -> str | None:
        """Verify the block that this annotation closes; returns what is wrong with it."""
        checksum = parse_checksum(line)
        if checksum is None:
            return f"malformed checksum annotation {quoted(line[:64])} at offset {end}"
        begin = end - checksum.size
        if begin != self.block:
            return f"checksum annotation at offset {end} covers {checksum.size} bytes, it should be {end - self.block}"
        computed = crc64(self.data[begin:end])
        if computed != checksum.value:
            return (
                f"checksum of the {checksum.size} bytes from offset {begin} is {computed:016x}, "
                f"recorded was {checksum.value:016x}"
            )
        self.covered += self.reader.offset - begin
        if self.claimed <= end:  # a claim beyond the block is nonsense that its checksum happens to bless
            self.synced = max(self.synced, self.claimed)
        self.claimed = -1
        return None

    def resume_point(self) -> int:
        """Behind the damaged block: its own annotation tells where it ends, or else a later block that verifies."""
        behind = -1
        for position, line_end, checksum in self.annotations(self.block):
            begin = position - checksum.size
            if begin == self.block and behind < 0:
                behind = line_end
            elif begin > self.block and crc64(self.data[begin:position]) == checksum.value:
                return begin if behind < 0 or begin >= behind else behind
            elif behind >= 0 and begin > behind:
                return behind
        return behind

    def annotations(self, start: int) -> Iterator[tuple[int, int, Checksum]]:
        """Everything from `start` on that looks like a checksum line: its offset, its end, what it says."""
        wanted = b"\n" + CHECKSUM_PREFIX
        position = self.find(wanted, max(start - 1, 0))
        while position >= 0:
            line_end = self.find(b"\n", position + 1)
            if line_end < 0:
                return
            checksum = parse_checksum(bytes(self.data[position + 1 : min(line_end, position + 128)]))
            if checksum is not None and 0 < checksum.size <= position + 1 - self.start:
                yield position + 1, line_end + 1, checksum
            position = self.find(wanted, position + 1)

    def find(self, wanted: bytes, start: int) -> int:
        """Offset of `wanted` at or behind `start`, or -1. The file may be larger than memory: piece by piece."""
        while start < len(self.data):
            found = bytes(self.data[start : start + SEARCH_BYTES + len(wanted)]).find(wanted)
            if found >= 0:
                return start + found
            start += SEARCH_BYTES
        return -1

    def own_zeros(self, end: int) -> int:
        """Where the first write begins, in the unverified bytes, that had long zeros of its own; `end`: there is none."""
        content = bytes(self.data[self.block : end])
        head = (content.partition(b"\n")[0].startswith(SYNCED_PREFIX) and content.find(b"\n") + 1) or 0
        if flipped_bits(content[head : head + len(ZEROS_LINE)], ZEROS_LINE) <= 1:
            return self.block
        at = content.find(ZEROS_LINE)
        return self.block + at if at >= 0 else end

    def zeros_from(self, end: int, own_zeros: int, *, annotated: bool) -> int:
        """End of the last item before zeros that a crash may have left in the unverified bytes up to `end`; or -1.

        Zeros to the end of the file, from anywhere; in a log with annotations also whole sectors of zeros, and zeros from
        the end of an item to the end of its sector.
        """
        content_end = end_of_content(self.data)
        if not (annotated or self.covered or self.claimed >= 0 or self.data[self.start] == 0):
            return self.last_item_before(content_end) if content_end < len(self.data) else -1
        sector = self.zero_sector(own_zeros)
        places = [zeros for zeros in (sector, self.zeros_behind_items(end)) if zeros >= 0]
        if self.block <= content_end < end:
            places.append(content_end)
        return self.last_item_before(min(places)) if places else -1

    def zero_sector(self, end: int) -> int:
        """First whole sector of zeros in the unverified bytes, or -1."""
        first = (self.block + SECTOR_BYTES - 1) // SECTOR_BYTES * SECTOR_BYTES
        for at in range(first, end - SECTOR_BYTES + 1, SECTOR_BYTES):
            if self.data[at] == 0 and self.data[at : at + SECTOR_BYTES] == ZERO_SECTOR:
                return at
        return -1

    def zeros_behind_items(self, end: int) -> int:
        """Where the items cannot be read on because zeros fill the rest of the sector, or -1."""
        at = self.last_item_before(end, whole_transactions=False)
        rest = self.data[at : min((at // SECTOR_BYTES + 1) * SECTOR_BYTES, end)]
        return at if len(rest) and rest == bytes(len(rest)) else -1

    def last_item_before(self, offset: int, *, whole_transactions: bool = True) -> int:
        """End of the last item at or before `offset` from the open block on, by default outside transactions."""
        reader = LogReader(self.data, self.block, offset)
        sound, in_transaction = self.block, False
        try:
            while (item := reader.skip_item()) is not None:
                if item == (b"MULTI",):
                    in_transaction = True
                elif item == (b"EXEC",):
                    in_transaction = False
                if not in_transaction or not whole_transactions:
                    sound = reader.offset
        except (EOFError, ValueError):
            pass
        finally:
            reader.close()
        return sound


def flipped_bits(found: bytes, wanted: bytes) -> int:
    """In how many bits the two differ; all of them where their lengths do."""
    if len(found) != len(wanted):
        return 8 * len(wanted)
    return sum((a ^ b).bit_count() for a, b in zip(found, wanted, strict=True))


def end_of_content(data: memoryview) -> int:
    """Offset behind the last byte that is not zero."""
    end = len(data)
    while end:
        piece = bytes(data[max(end - SEARCH_BYTES, 0) : end])
        kept = len(piece.rstrip(b"\0"))
        if kept:
            return end - len(piece) + kept
        end -= len(piece)
    return 0
