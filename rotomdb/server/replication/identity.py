"""Which history of commands a server writes or follows.

A promoted replica begins a history of its own, and knows that up to the promotion it is the old one: who followed the old master
up to there or less far goes on with it. The second id says so.
"""

from __future__ import annotations

import secrets

NOBODY = "0" * 40


def new_id() -> str:
    return secrets.token_hex(20)


class Identity:
    """
    Attributes:
        second_offset: The first byte (counted from one) that the history `second_id` does not share; -1: there is none.
    """

    def __init__(self) -> None:
        self.id = new_id()
        self.forget_second()

    def forget_second(self) -> None:
        self.second_id = NOBODY
        self.second_offset = -1

    def renew(self) -> None:
        """Another history, which nobody has followed."""
        self.id = new_id()
        self.forget_second()

    def branch(self, position: int) -> None:
        """A history of its own from `position` on, up to where it is the one so far."""
        self.second_id, self.second_offset = self.id, position + 1
        self.id = new_id()

    def shares(self, history: str, offset: int) -> bool:
        """Whether who has this history up to before the byte `offset` (counted from one) has a part of ours."""
        return history == self.id or (history == self.second_id and offset <= self.second_offset)
