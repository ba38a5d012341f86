"""Where the keys stand in a request, and what the command does to each: the key specifications of COMMAND INFO.

A declaration is one or more specifications with `;` between them, each a place and what happens to the keys there:

    1 RW access delete; 2 RW insert

    1           the word at that position, the command's name being 0
    1..-1       from there to the last word; `1..-1/2`: every second one
    #2          behind the number of keys that stands at that position; `#1/2`: every second word
    STORE@6     the word behind STORE, looked for from position 6; `STREAMS@1..-1%2`: the first half of what follows;
                `KEYS@-2..-1`: all that follows, looked for from the end
    ?           cannot be told from positions alone: a finder below reads the request

Access: RO (read), RW (read and write), OW (overwritten), RM (removed), then `access` (its content is returned or copied),
`update`, `insert`, `delete`, and `not_key` (a shard channel), `incomplete`, `variable_flags`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PLACE = re.compile(
    r"(?:(?P<word>[A-Z]+)@(?P<start>-?\d+)|(?P<count>#)?(?P<first>\d+))"
    r"(?:\.\.(?P<last>-?\d+))?(?:/(?P<step>\d+))?(?:%(?P<limit>\d+))?"
)
Access = tuple[str, ...]
Found = list[tuple[int, Access]]  # position of a key in the request, and what happens to it


@dataclass(frozen=True)
class KeySpec:
    """One key specification.

    Attributes:
        access: What happens to the keys, in the words of COMMAND INFO.
        word: Look for this word first; empty: `first` is a position of its own.
        start: Where the search for it begins; negative: from the end.
        first: Position of the first key, or with `counted` of the number of keys. Behind `word` always 1.
        last: Of the last key: an absolute position, or negative from the end; for a word relative to the first key.
        limit: 0 or 1: all of them; else only one part in so many of what follows.
        known: Whether the positions can be told; else only the command's finder can.
    """

    access: Access
    word: str = ""
    start: int = 0
    first: int = 1
    last: int = 0
    step: int = 1
    limit: int = 0
    counted: bool = False
    known: bool = True

    @property
    def stands_still(self) -> bool:
        """Whether its keys stand at the same places in every request of the same length."""
        return self.known and not self.word and not self.counted and self.limit <= 1

    def positions(self, arguments: Sequence[bytes]) -> Sequence[int] | None:
        """Where the keys are; None where what should tell it makes no sense."""
        if not self.known:
            return ()
        if self.counted:
            try:
                count = int(arguments[self.first])
            except (ValueError, IndexError):
                return None
            found = range(self.first + 1, len(arguments), self.step)[: max(count, 0)]
            return found if count >= 1 and len(found) == count else None
        first, last = self.first, self.last
        if self.word:
            at = self.find_word(arguments)
            if at < 0:
                return ()
            first = at + 1
            last = first + last if last >= 0 else last
        end = last if last >= 0 else len(arguments) + last
        if self.limit > 1:
            end = first + (end - first + 1) // self.limit - 1
        return range(first, min(end, len(arguments) - 1) + 1, self.step)

    def find_word(self, arguments: Sequence[bytes]) -> int:
        """Position of the word, -1 where it does not occur."""
        wanted = self.word.encode()
        places = range(self.start, len(arguments) - 1) if self.start >= 0 else range(len(arguments) + self.start, 0, -1)
        return next((at for at in places if arguments[at].upper() == wanted), -1)


def parse_key_specs(text: str) -> tuple[KeySpec, ...]:
    """The specifications of a declaration. Raises ValueError when it is malformed."""
    return tuple(parse_key_spec(part) for part in text.split(";"))


def parse_key_spec(text: str) -> KeySpec:
    place, *access = text.split()
    if place == "?":
        return KeySpec(tuple(access), known=False)
    found = PLACE.fullmatch(place)
    if found is None or not access:
        raise ValueError(f"{text!r} is no key specification")
    step, limit = int(found["step"] or 1), int(found["limit"] or 0)
    if found["word"]:
        last = int(found["last"] or 0)
        return KeySpec(tuple(access), found["word"], int(found["start"]), 1, last, step, limit)
    first = int(found["first"])
    return KeySpec(
        tuple(access),
        first=first,
        last=int(found["last"] or first),
        step=step,
        limit=limit,
        counted=bool(found["count"]),
    )


def find_keys(name: str, specs: Sequence[KeySpec], arguments: Sequence[bytes]) -> Found | None:
    """The keys in a request with what happens to each; None when they cannot be told."""
    finder = FINDERS.get(name)
    if finder is not None:
        return finder(arguments)
    found: Found = []
    for spec in specs:
        places = spec.positions(arguments)
        if places is None:
            return None
        found += [(place, spec.access) for place in places]
    return found


READ: Access = ("RO", "access")
OVERWRITTEN: Access = ("OW", "update")


def sort_keys(arguments: Sequence[bytes]) -> Found:
    """SORT: a later STORE wins over an earlier one."""
    takes = {b"LIMIT": 2, b"GET": 1, b"BY": 1, b"STORE": 1}
    found: Found = [(1, READ)]
    at = 2
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"STORE" and at + 1 < len(arguments):
            found[1:] = [(at + 1, OVERWRITTEN)]
        at += 1 + takes.get(word, 0)
    return found


def migrate_keys(arguments: Sequence[bytes]) -> Found | None:
    """MIGRATE: the third argument, or what follows KEYS, before which it must be empty."""
    access: Access = ("RW", "access", "delete")
    takes = {b"AUTH": 1, b"AUTH2": 2}
    at = 6
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"KEYS":
            return None if arguments[3] else [(place, access) for place in range(at + 1, len(arguments))]
        at += 1 + takes.get(word, 0)
    return [(3, access)]


def stream_keys(arguments: Sequence[bytes]) -> Found:
    """XREAD and XREADGROUP: a group or a consumer may be called STREAMS."""
    takes = {b"BLOCK": 1, b"COUNT": 1, b"GROUP": 2}
    at = 1
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"STREAMS":
            return [(place, READ) for place in range(at + 1, at + 1 + (len(arguments) - at - 1) // 2)]
        at += 1 + takes.get(word, 0)
    return []


def radius_keys(first_option: int) -> Callable[[Sequence[bytes]], Found]:
    """GEORADIUS and its sister: of several destinations the last one wins, so that each counts."""

    def find(arguments: Sequence[bytes]) -> Found:
        found: Found = [(1, READ)]
        for word in (b"STORE", b"STOREDIST"):
            found += [
                (at + 1, OVERWRITTEN) for at in range(first_option, len(arguments) - 1) if arguments[at].upper() == word
            ]
        return found

    return find


def set_keys(arguments: Sequence[bytes]) -> Found:
    """SET reads its key only with GET."""
    reads = any(word.upper() == b"GET" for word in arguments[3:])
    return [(1, ("RW", "access", "update") if reads else OVERWRITTEN)]


def bitfield_keys(arguments: Sequence[bytes]) -> Found:
    """BITFIELD only reads its key when all its operations are GET."""
    at, writes = 2, False
    while at < len(arguments):
        word = arguments[at].upper()
        writes = writes or word in (b"SET", b"INCRBY")
        at += {b"GET": 3, b"SET": 4, b"INCRBY": 4, b"OVERFLOW": 2}.get(word, len(arguments))
    return [(1, ("RW", "access", "update") if writes else READ)]


def script_keys(access: Access) -> Callable[[Sequence[bytes]], Found | None]:
    """Of what runs a script: as many as it is told, which may be none."""

    def find(arguments: Sequence[bytes]) -> Found | None:
        try:
            count = int(arguments[2])
        except (ValueError, IndexError):
            return None
        if not 0 <= count <= len(arguments) - 3:
            return None
        return [(place, access) for place in range(3, 3 + count)]

    return find


# Requests that have to be read to know their keys, or what happens to them.
FINDERS: dict[str, Callable[[Sequence[bytes]], Found | None]] = {
    "sort": sort_keys,
    "migrate": migrate_keys,
    "xread": stream_keys,
    "xreadgroup": stream_keys,
    "georadius": radius_keys(6),
    "georadiusbymember": radius_keys(5),
    "set": set_keys,
    "bitfield": bitfield_keys,
    **dict.fromkeys(("eval", "evalsha", "fcall"), script_keys(("RW", "access", "update"))),
    **dict.fromkeys(("eval_ro", "evalsha_ro", "fcall_ro"), script_keys(READ)),
}
