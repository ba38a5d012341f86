"""The users' file, `aclfile`: a line `user NAME rule ...` for each. It is taken as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rotomdb.commands.acl_rules import (
    BLANK,
    UNKNOWN,
    RuleError,
    Rules,
    UnmatchedParenthesisError,
    line_of,
    merged,
)
from rotomdb.commands.permissions import User
from rotomdb.errors import UsersFileError
from rotomdb.server.config_rewrite import replace_file
from rotomdb.storage.disk import Disk

NOTHING_CHANGED = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
BLANK_ENDS = b" \t\r\n"


def read_users(path: Path, shown: str, rules: Rules) -> dict[bytes, User]:
    """The users of a file, `default` only where it is there.

    Args:
        shown: The file as errors name it.

    Raises:
        UsersFileError: with all that is wrong in it, line by line.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsersFileError(f"Error loading ACLs, opening file '{shown}': {reason}") from None
    users: dict[bytes, User] = {}
    troubles: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip(BLANK_ENDS):
            troubles += add_user(users, line.strip(BLANK_ENDS), f"{shown}:{number}", number, rules)
    if troubles:
        raise UsersFileError(" ".join([*troubles, NOTHING_CHANGED]))
    return users


def add_user(users: dict[bytes, User], line: bytes, place: str, number: int, rules: Rules) -> list[str]:
    """Add the user of a line; what is wrong with it."""
    words = line.split(b" ")
    if words[0] != b"user" or len(words) < 2:
        return [f"{place}: should start with user keyword followed by the username."]
    name = words[1].decode("utf-8", "backslashreplace")
    if not words[1] or not BLANK.isdisjoint(words[1]):
        return [f"{place}: username '{name}' contains invalid characters."]
    if words[1] in users:
        return [f"WARNING: Duplicate user '{name}' found on line {number}."]
    user = users[words[1]] = rules.new_user(words[1])
    try:
        given = list(merged(words[2:]))
    except UnmatchedParenthesisError:
        return [f"{place}: Unmatched parenthesis in selector definition."]
    unknown, others = [], []
    for rule in given:
        try:
            rules.apply(user, rule.strip(BLANK_ENDS))
        except RuleError as error:
            if str(error) == UNKNOWN:
                shown = rule.decode("utf-8", "backslashreplace")
                unknown.append(f"{place}: Error in applying operation '{shown}': {error}.")
            else:
                others.append(f"{place}: {error}.")  # without the rule, which may be a password
    user.settle()
    return unknown + others[:1]


def write_users(path: Path, users: Iterable[User], disk: Disk) -> None:
    """Replace the file, durably and as a whole; the old one stays when that fails. Raises OSError."""
    content = b"".join(line_of(user) + b"\n" for user in users)
    replace_file(path.resolve(), f".tmp-{os.getpid()}", content, disk)
