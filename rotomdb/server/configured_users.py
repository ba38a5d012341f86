"""Users of the configuration: what `requirepass` and `user` lines make of the server's users."""

from __future__ import annotations

from collections.abc import Sequence

from rotomdb.commands.acl_rules import BLANK, DUPLICATE, RuleError, Rules, merged
from rotomdb.commands.permissions import User
from rotomdb.errors import ConfigError

FILE_AND_LINES = (
    "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very "
    "likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in "
    "your redis.conf, but not both."
)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def default_user(rules: Rules, password: str) -> User:
    """The user that everybody is at first, where nothing but `requirepass` says what it may do."""
    user = rules.default_user()
    if password:
        rules.apply_all(user, [b">" + encoded(password)])
    return user


def user_of(words: Sequence[str], rules: Rules) -> User:
    """The user of a line, without the word `user`. Raises ConfigError."""
    name, *given = (encoded(word) for word in words)
    if not name or not BLANK.isdisjoint(name):
        raise ConfigError("Spaces not allowed in ACL usernames")
    user = rules.new_user(name)
    rule = name
    try:
        for rule in list(merged(given)):
            rules.apply(user, rule)
    except RuleError as error:
        # A password is not for the terminal, nor for the log.
        what = rule[:1] + b"(redacted)" if rule[:1] in (b">", b"<") else rule
        raise ConfigError(f"Error in user declaration '{what.decode('utf-8', 'backslashreplace')}': {error}") from None
    user.settle()
    return user


def users_of(lines: Sequence[Sequence[str]], rules: Rules, password: str) -> dict[bytes, User]:
    """All users by name. Raises ConfigError."""
    users = {b"default": default_user(rules, password)}
    declared: set[bytes] = set()
    for words in lines:
        user = user_of(words, rules)
        if user.name in declared:
            raise ConfigError(f"Error in user declaration '{words[0]}': {DUPLICATE}")
        declared.add(user.name)
        users[user.name] = user
    return users
