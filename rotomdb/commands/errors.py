"""Texts of error replies that several commands give."""

from __future__ import annotations

from rotomdb.errors import CommandError

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
NO_SUCH_KEY = "ERR no such key"
OUT_OF_RANGE = "ERR value is out of range"
MUST_BE_POSITIVE = "ERR value is out of range, must be positive"
INDEX_OUT_OF_RANGE = "ERR index out of range"
STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
DB_INDEX_OUT_OF_RANGE = "ERR DB index is out of range"
SAME_OBJECT = "ERR source and destination objects are the same"


def shown(argument: bytes) -> str:
    """An argument inside an error text, which ends at a zero byte as C's do."""
    return argument.partition(b"\0")[0].decode("latin-1")


def syntax_error() -> CommandError:
    return CommandError(SYNTAX)


def wrong_arguments(name: str) -> CommandError:
    return CommandError(f"ERR wrong number of arguments for '{name}' command")
