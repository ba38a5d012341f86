"""Passwords in requests: what is shown of a request, in MONITOR, the slow log and a crash report, does not hold them."""

from __future__ import annotations

from collections.abc import Sequence

from rotomdb.server.config import DIRECTIVES

REDACTED = b"(redacted)"


def secret_positions(request: Sequence[bytes]) -> list[int]:
    """Where passwords, and users that they belong to, stand in a request."""
    words = [word.upper() for word in request]
    name = words[0] if words else b""
    if name == b"AUTH":
        return list(range(1, len(words)))
    if name == b"ACL" and words[1:2] == [b"SETUSER"]:
        return list(range(2, len(words)))
    if name == b"CONFIG" and words[1:2] == [b"SET"]:
        names = [word.decode("latin-1").lower() for word in words[2::2]]
        return [3 + 2 * at for at, directive in enumerate(names) if is_secret(directive) and 3 + 2 * at < len(words)]
    if name == b"HELLO":
        return behind(words, {b"AUTH": 2}, 2)
    if name == b"MIGRATE":
        return behind(words, {b"AUTH": 1, b"AUTH2": 2}, 6)
    return []


def behind(words: Sequence[bytes], options: dict[bytes, int], start: int) -> list[int]:
    """Positions of what the options take."""
    for at in range(start, len(words)):
        if words[at] in options:
            return list(range(at + 1, min(at + 1 + options[words[at]], len(words))))
    return []


def is_secret(name: str) -> bool:
    directive = DIRECTIVES.get(name)
    return directive is not None and directive.secret


def without_secrets(request: Sequence[bytes]) -> list[bytes]:
    """The request with `(redacted)` in the place of each password."""
    shown = list(request)
    for position in secret_positions(request):
        shown[position] = REDACTED
    return shown
