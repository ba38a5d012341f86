"""What a command function may return beyond plain Python values, and the names of common replies.

bytes -> bulk string      int, bool -> integer       float -> double (RESP2: bulk string)
None -> null              list, tuple -> array       dict -> map (RESP2: flat array)
"""

from __future__ import annotations


class Status(bytes):
    """A simple string: `+OK`."""


class Verbatim(bytes):
    """Text for people: a verbatim string in RESP3, a bulk string in RESP2."""


class MapReply(list[object]):
    """Flat key, value, ...: a map in RESP3, an array in RESP2."""


class SetReply(list[object]):
    """Elements without order: a set in RESP3, an array in RESP2."""


class PushReply(list[object]):
    """Out-of-band data: a push in RESP3, an array in RESP2."""


class InTurn(list[object]):
    """Several replies one behind the other, where a command gives more than one."""


class Protocol(bytes):
    """Bytes of the protocol as they are, for kinds of replies that no other command gives."""


class Special:
    """A reply that no Python value stands for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


REPLY_ON, REPLY_OFF, REPLY_SKIP, REPLY_SKIP_NEXT = range(4)  # CLIENT REPLY

OK = Status(b"OK")
QUEUED = Status(b"QUEUED")
PONG = Status(b"PONG")
NULL_ARRAY = Special("NULL_ARRAY")  # `*-1` in RESP2, `_` in RESP3
NO_REPLY = Special("NO_REPLY")  # nothing is sent
BLOCKED = Special("BLOCKED")  # nothing is sent now: the client waits
