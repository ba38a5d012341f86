"""What is wrong with a log, found before any of it is replayed: torn by a crash, or damaged afterwards.

A crash leaves what was not synced in any state: missing, zero-filled sector by sector, or there. That is healed by cutting
at the first tear: everything behind it was written after the last fsync that is on record. Damage anywhere else means that
the disk changed bytes that were safe, and is not for a program to decide upon.

A tear is  the end of the file inside a command; zeros from some place to the end; or, in a log with annotations, a sector
of zeros. It must lie behind the highest offset that any `#SYNCED` line of the file vouches for. Where the end of the file
seems to be inside a command only because a length is wrong, whole commands follow up to the very end: that is damage.

Damage ends where sound blocks follow, or else, in what no checksum covers, where commands can be read again
(formats/aof/resync.py). A transaction is damaged as a whole: nobody gets half of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from rotomdb.formats.aof.annotations import (
    CHECKSUM_PREFIX,
    SECTOR_BYTES,
    SYNCED_PREFIX,
    ZERO_SECTOR,
    ZEROS_LINE,
    Checksum,
    parse_checksum,
    parse_synced,
)
from rotomdb.formats.aof.items import LogItems, TransactionError, ZerosError
from rotomdb.formats.aof.resync import next_beginning, runs_to_the_end
from rotomdb.formats.checksum import crc64
from rotomdb.formats.passing import let_go, passing
from rotomdb.formats.quoting import quoted

SEARCH_BYTES = 1 << 20
Progress = Callable[[int], object]
OWN_ZEROS = "the block holds zeros of its own, so that a tear cannot be told from damage"


@dataclass(frozen=True)
class Damage:
    """Bytes that cannot be replayed: from the last verified block, or sound item, to where something sound follows again.

    Attributes:
        before_block: A block follows, which names its database itself (log_blocks, B4); else the one before goes on.
    """

    start: int
    end: int
    reason: str
    before_block: bool = False


@dataclass
class Examination:
    """What a log holds.

    Attributes:
        size: Bytes of the file.
        usable: Bytes up to the first tear: what is to be replayed, damages excepted.
        torn: Why the rest is to be cut; empty: nothing is.
        torn_at: Where the reading stopped then; what is cut begins before it, at the last sound item.
        damages: In ascending order, all before `usable`.
        covered: Bytes that a checksum verified, annotations included.
        open_block: Where the bytes at the end begin that no checksum covers yet.
        open_checksum: Their CRC64.
        synced: The highest offset that the file says was on disk; -1: it says nothing.
    """

    size: int
    usable: int
    torn: str = ""
    torn_at: int = 0
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
    at: int  # what could not be read
    resume: int  # where something sound follows; -1: nowhere
    before_block: bool  # that is a block
    tear: int  # where zeros begin that a crash may have left, or the file ends; -1: no such thing
    reason: str
    may_hide_multi: bool  # the bytes that are lost may hold the beginning of a transaction

    @property
    def begin(self) -> int:
        # Where no block follows, the checksum of the sound items before it may be what is lost: they count.
        return self.start if self.before_block else self.sound


def examine(
    data: memoryview | bytes,
    start: int = 0,
    corrupt_tail_max: int = 0,
    on_progress: Progress | None = None,
    *,
    behind_damage: bool = False,
    judge: Callable[[LogItems], object] | None = None,
) -> Examination:
    """Walk over a log once.

    Args:
        start: Where the commands begin (behind an RDB preamble).
        corrupt_tail_max: Bytes at the end that may hold anything and are cut (aof-load-corrupt-tail-max-size).
        on_progress: Called with the offset every few ms.
        behind_damage: What is before `start` is damaged, and may hold the beginning of a transaction.
        judge: Sees the commands that are met, as LogItems says; some of them may turn out to be in what is damaged or torn.
    """
    on_progress = passing(data, on_progress)
    walk = Walk(data, start, on_progress, judge)
    failures: list[Failure] = []
    while (failure := walk.next_failure()) is not None:
        if walk.ends_lost_transaction(failures[-1].may_hide_multi if failures else behind_damage):
            previous = failures.pop() if failures else replace(failure, start=start, sound=start, may_hide_multi=True)
            failure = replace(previous, resume=failure.resume)
        failures.append(failure)
        if failure.resume < 0:
            break
        walk.resume_at(failure.resume)
    walk.close()
    result = Examination(len(data), len(data), covered=walk.covered, synced=walk.synced, open_block=walk.block)
    for failure in failures:
        if len(data) - failure.sound <= corrupt_tail_max:
            result.usable, result.torn, result.torn_at = failure.sound, failure.reason, failure.at
            break
        if failure.tear >= max(walk.synced, 0) and failure.tear >= 0:
            result.usable, result.torn, result.torn_at = failure.tear, failure.reason, failure.at
            break
        end = failure.resume if failure.resume >= 0 else len(data)
        result.damages.append(Damage(failure.begin, end, failure.reason, failure.before_block))
    if failures and failures[-1].resume < 0 and not result.torn:
        result.open_block = len(data)
    result.open_block = min(result.open_block, result.usable)
    result.open_checksum = checksum_of(data, result.open_block, result.usable, on_progress)
    return result


def checksum_of(data: memoryview | bytes, start: int, end: int, on_progress: Progress) -> int:
    """CRC64 of what may be a whole log without annotations, with the progress told in between."""
    checksum = 0
    for at in range(start, end, SEARCH_BYTES):
        checksum = crc64(memoryview(data)[at : min(at + SEARCH_BYTES, end)], checksum)
        on_progress(at)
    return checksum


class Walk:
    """One pass over a log.

    Attributes:
        block: Where the bytes begin that no checksum covers yet.
    """

    def __init__(
        self,
        data: memoryview | bytes,
        start: int,
        on_progress: Progress | None = None,
        judge: Callable[[LogItems], object] | None = None,
    ) -> None:
        self.data = memoryview(data)
        self.start = start
        self.items = LogItems(data, start, on_progress=on_progress, judge=judge)
        self.block = start
        self.covered = 0
        self.synced = -1
        self.claimed = -1  # by a #SYNCED line of the open block
        self.stray_exec = False
        self.misread = False  # the walk stopped at an annotation, and not at bytes that are no item
        self.holds_blocks = True  # as far as is known: something behind looks like a checksum line

    def close(self) -> None:
        """Let go of the data, so that a mapping can be closed."""
        self.items.close()
        self.data.release()

    def resume_at(self, offset: int) -> None:
        self.items.seek(offset)
        self.block = offset
        self.claimed = -1

    def ends_lost_transaction(self, may_hide_multi: bool) -> bool:
        """Whether the last failure is the EXEC of a transaction whose beginning is in the damage before."""
        return self.stray_exec and may_hide_multi and self.items.transactions == 0

    def next_failure(self) -> Failure | None:
        """Walk on to what is wrong; None at a clean end."""
        items = self.items
        at_end = at_zeros = misplaced = False
        try:
            reason = self.walk_sound_items()
        except EOFError as error:
            reason, at_end = str(error), True
        except TransactionError as error:
            reason, misplaced = f"{error} at offset {items.offset}", True
        except ValueError as error:
            reason, at_zeros = f"bad file format at offset {items.offset}: {error}", isinstance(error, ZerosError)
        else:
            if reason is None:
                return None
        resume = self.resume_point()
        before_block = resume >= 0
        end = resume if before_block else len(self.data)
        own_zeros = self.own_zeros(end) if before_block or self.annotated else end
        tear = self.tear(end, own_zeros, before_block=before_block)
        if tear < 0 and (at_zeros or (at_end and not before_block)):
            tear = self.sound
        if own_zeros < end:
            # Torn or not, whether others of that write's sectors are missing cannot be seen: it goes as a whole (B5).
            reason += f" ({OWN_ZEROS})"
            tear = min(tear, self.sound_before(own_zeros))
        self.stray_exec = misplaced and not items.in_transaction
        if not before_block and misplaced:
            # A second MULTI begins another transaction, the one before it is lost; an EXEC alone has no effect.
            resume, tear = (items.behind if self.stray_exec else items.offset), -1
        elif not before_block:
            resume, tear = self.resume_in_commands(tear, at_end=at_end)
        return Failure(self.block, self.sound, self.failed_at, resume, before_block, tear, reason, not misplaced)

    def sound_before(self, offset: int) -> int:
        """The last place up to there, in the open block, where no transaction is open: what is cut elsewhere leaves half of one."""
        items = LogItems(self.data, self.block, offset)
        try:
            while items.skip() is not None:
                pass
        except (EOFError, ValueError):
            pass
        finally:
            items.close()
        return items.sound

    @property
    def annotated(self) -> bool:
        """Whether blocks are known to be in the log."""
        return self.covered > 0 or self.claimed >= 0

    def tear(self, end: int, own_zeros: int, *, before_block: bool) -> int:
        """Where zeros begin that a crash may have left in the unverified bytes up to `end`, or -1."""
        if before_block or self.annotated or self.data[self.start] == 0:
            return self.zeros_from(end, own_zeros)
        return self.zeros_at_end()

    def resume_in_commands(self, tear: int, *, at_end: bool) -> tuple[int, int]:
        """Where commands follow in what no checksum covers (-1: nowhere), and the tear, where it is one."""
        wrong_length = at_end and not self.annotated and tear == self.sound
        if tear >= 0 and not wrong_length:
            return -1, tear
        resume = next_beginning(self.data, self.failed_at + 1)
        if resume == len(self.data):
            return -1, tear
        if tear < 0 or runs_to_the_end(self.data, resume):
            return resume, -1
        return -1, tear

    def walk_sound_items(self) -> str | None:
        items = self.items
        self.misread = False
        while True:
            item = items.skip()
            if item is True:
                continue
            if item is None:
                return None
            if item.startswith(CHECKSUM_PREFIX):
                reason = self.check_block(items.at, item)
                if reason is not None:
                    self.misread = True
                    return reason
                self.block = items.offset
            elif item.startswith(SYNCED_PREFIX):
                claimed = parse_synced(item)
                self.claimed = self.claimed if claimed is None else claimed
            elif flipped_bits(item[: len(CHECKSUM_PREFIX)], CHECKSUM_PREFIX) == 1:
                self.misread = True
                return f"damaged checksum annotation {quoted(item[:64])} at offset {items.at}"

    @property
    def failed_at(self) -> int:
        """Where the item begins that the walk could not accept."""
        return self.items.at if self.misread else self.items.offset

    @property
    def sound(self) -> int:
        """End of the last item before that which is part of no open transaction."""
        return min(self.items.sound, self.failed_at)

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
        self.covered += self.items.offset - begin
        if self.claimed <= end:  # a claim beyond the block is nonsense that its checksum happens to bless
            self.synced = max(self.synced, self.claimed)
        self.claimed = -1
        return None

    def resume_point(self) -> int:
        """Behind the damaged block: its own annotation tells where it ends, or else a later block that verifies."""
        behind = -1
        if not self.holds_blocks:
            return -1
        self.holds_blocks = False
        for position, line_end, checksum in self.annotations(self.block):
            self.holds_blocks = True
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
        advance = passing(self.data)
        advance(start)
        position = self.find(wanted, max(start - 1, 0))
        while position >= 0:
            advance(position)
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
            let_go(self.data, start, start + SEARCH_BYTES)
            start += SEARCH_BYTES
        return -1

    def own_zeros(self, end: int) -> int:
        """Where the first write begins, in the unverified bytes, that had long zeros of its own; `end`: there is none."""
        head = bytes(self.data[self.block : min(self.block + 64, end)])
        line = (head.startswith(SYNCED_PREFIX) and head.find(b"\n") + 1) or 0
        if flipped_bits(head[line : line + len(ZEROS_LINE)], ZEROS_LINE) <= 1:
            return self.block
        at = self.find(ZEROS_LINE, self.block)
        return at if 0 <= at < end else end

    def zeros_from(self, end: int, own_zeros: int) -> int:
        """End of the last item before zeros that a crash may have left in the unverified bytes up to `end`; or -1.

        That are whole sectors of zeros, zeros from the end of an item to the end of its sector, zeros to the end of the file.
        """
        content_end = end_of_content(self.data)
        sector = self.zero_sector(own_zeros)
        places = [zeros for zeros in (sector, self.zeros_behind_items(end)) if zeros >= 0]
        if self.block <= content_end < end:
            places.append(content_end)
        return self.last_item_before(min(places)) if places else -1

    def zeros_at_end(self) -> int:
        """In a log without annotations: end of the last item before the zeros at the end of the file; or -1.

        They must be what the walk met, or ended in: damage before them is none of theirs.
        """
        content_end = end_of_content(self.data)
        if content_end == len(self.data):
            return -1
        items = LogItems(self.data, self.block, content_end, passing(self.data))
        try:
            while items.skip() is not None:
                pass
        except EOFError:
            pass
        except ValueError:
            return -1
        finally:
            items.close()
        return items.sound

    def zero_sector(self, end: int) -> int:
        """First whole sector of zeros in the unverified bytes, or -1."""
        first = (self.block + SECTOR_BYTES - 1) // SECTOR_BYTES * SECTOR_BYTES
        advance = passing(self.data)
        for at in range(first, end - SECTOR_BYTES + 1, SECTOR_BYTES):
            if at % SEARCH_BYTES == 0:
                advance(at)
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
        items = LogItems(self.data, self.block, offset, passing(self.data))
        try:
            while items.skip() is not None:
                pass
        except (EOFError, ValueError):
            pass
        finally:
            items.close()
        return items.sound if whole_transactions else items.offset


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
        let_go(data, end - len(piece), end)
        if kept:
            return end - len(piece) + kept
        end -= len(piece)
    return 0
