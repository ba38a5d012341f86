"""The rules that users are made of: what each word means, and the canonical text that gives the same user again.

    on off nopass >password <password #hash !hash resetpass reset      who may log in
    +command -command +command|sub +@category allcommands nocommands   which commands
    ~pattern %R~pattern %W~pattern allkeys resetkeys                   which keys
    &pattern allchannels resetchannels                                 which channels
    ( ... ) clearselectors                                             further sets of such rules

The text keeps the rules about commands in the order in which they were given, as Redis does since 7.2: a rule drops the earlier
ones about the same command or category, which it makes void.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rotomdb.commands import load_all
from rotomdb.commands.categories import CATEGORIES, categories
from rotomdb.commands.permissions import READ, WRITE, Selector, User, command_number
from rotomdb.commands.registry import REGISTRY
from rotomdb.formats.resp.request import split_arguments

SYNTAX = "Syntax error"
UNKNOWN = "Unknown command or category name in ACL"
KEYS_ARE_ALL = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to "
    "start with an empty list of patterns"
)
CHANNELS_ARE_ALL = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try "
    "'resetchannels' to start with an empty list of channels"
)
NO_SUCH_PASSWORD = "The password you are trying to remove from the user does not exist"
BAD_HASH = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
DUPLICATE = "Duplicate user found. A user can only be defined once in config files"
FIRST_WORD_OF_SUBCOMMAND = "Allowing first-arg of a subcommand is not supported"
HASH = re.compile(rb"[0-9a-f]{64}")
TORN = re.compile(rb"[\"')]")
BLANK = frozenset(b" \t\n\v\f\r\0")
KEY_RULE = re.compile(rb"(?:~|%(?P<access>[RWrw]{1,2})~)(?P<pattern>.*)", re.DOTALL)
ACCESS = {READ: b"%R~", WRITE: b"%W~", READ | WRITE: b"~"}


class RuleError(ValueError):
    """A rule that makes no sense; the text says why."""


class UnmatchedParenthesisError(RuleError):
    """A selector that is opened and never closed; `index`: of the word that opens it."""

    def __init__(self, index: int) -> None:
        super().__init__(SYNTAX)
        self.index = index


@dataclass(frozen=True)
class Rules:
    """What rules are read with.

    Attributes:
        all_channels: Whether new users and selectors start with all channels: `acl-pubsub-default`.
    """

    all_channels: bool = False

    def new_user(self, name: bytes) -> User:
        return User(name, self.all_channels)

    def default_user(self) -> User:
        """The user that everybody is at first, as it is without any configuration."""
        user = User(b"default")
        for rule in (b"on", b"nopass", b"~*", b"&*", b"+@all"):
            self.apply(user, rule)
        user.settle()
        return user

    def apply_all(self, user: User, words: Sequence[bytes]) -> None:
        """Apply rules in order, a selector may be spread over several words. Raises RuleError; `user` is undefined then."""
        for rule in merged(words):
            self.apply(user, rule)
        user.settle()

    def apply(self, user: User, rule: bytes) -> None:
        """Apply one rule. Raises RuleError; whoever is done calls `user.settle()`."""
        word = rule.lower()
        if not rule:
            return
        change = SWITCHES.get(word)
        if change is not None:
            change(user)
        elif rule[:1] in (b">", b"#", b"<", b"!"):
            change_password(user, rule)
        elif rule[:1] == b"(" and rule[-1:] == b")":
            user.selectors.append(self.selector(rule[1:-1]))
        elif word == b"reset":
            user.become(self.new_user(user.name))
        else:
            apply_to_selector(user.selectors[0], rule)

    def selector(self, text: bytes) -> Selector:
        """What stands between the parentheses."""
        words = split_arguments(text)
        if words is None:
            raise RuleError(SYNTAX)
        selector = Selector(self.all_channels)
        for word in words:
            apply_to_selector(selector, word)
        return selector


def merged(words: Sequence[bytes]) -> Iterator[bytes]:
    """Rules, those of a selector in one, whether blanks divide it into words or not."""
    opened, parts = -1, [b""]
    for index, word in enumerate(words):
        if opened < 0 and word[:1] == b"(" and word[-1:] != b")":
            opened, parts = index, [word]
        elif opened >= 0:
            parts.append(word)
            if word[-1:] == b")":
                opened = -1
                yield b" ".join(parts)
        else:
            yield word
    if opened >= 0:
        raise UnmatchedParenthesisError(opened)


# Logging in


def enable(user: User, *, enabled: bool) -> None:
    user.enabled = enabled


def need_no_password(user: User, *, nopass: bool) -> None:
    user.nopass = nopass
    user.passwords = []


def check_payloads(user: User, *, sanitize: bool) -> None:
    user.sanitize = sanitize


def clear_selectors(user: User) -> None:
    del user.selectors[1:]


SWITCHES: dict[bytes, Callable[[User], None]] = {
    b"on": lambda user: enable(user, enabled=True),
    b"off": lambda user: enable(user, enabled=False),
    b"nopass": lambda user: need_no_password(user, nopass=True),
    b"resetpass": lambda user: need_no_password(user, nopass=False),
    b"sanitize-payload": lambda user: check_payloads(user, sanitize=True),
    b"skip-sanitize-payload": lambda user: check_payloads(user, sanitize=False),
    b"clearselectors": clear_selectors,
}


def password_hash(password: bytes) -> str:
    return hashlib.sha256(password).hexdigest()


def change_password(user: User, rule: bytes) -> None:
    sign, text = rule[:1], rule[1:]
    if sign in (b"#", b"!"):
        if not HASH.fullmatch(text):
            raise RuleError(BAD_HASH)
        hashed = text.decode()
    else:
        hashed = password_hash(text)
    if sign in (b">", b"#"):
        if hashed not in user.passwords:
            user.passwords.append(hashed)
        user.nopass = False
    elif hashed in user.passwords:
        user.passwords.remove(hashed)
    else:
        raise RuleError(NO_SUCH_PASSWORD)


def accepts(user: User, password: bytes) -> bool:
    """Whether the password lets somebody in. Takes as long for a wrong one as for a right one."""
    hashed = password_hash(password)
    found = False
    for known in user.passwords:
        found |= hmac.compare_digest(known, hashed)
    return user.nopass or found


# Commands, keys and channels


@dataclass(frozen=True)
class Commands:
    """The commands as rules know them: all names, subcommands by their container, names by category."""

    names: frozenset[str]
    inside: dict[str, list[str]]
    in_category: dict[str, list[str]]


def commands() -> Commands:
    return commands_among(len(REGISTRY))


@cache
def commands_among(count: int) -> Commands:
    """Once for each size of the registry: whoever embeds a server may add commands of its own."""
    load_all()
    inside: dict[str, list[str]] = {}
    in_category: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for name, spec in REGISTRY.items():
        if "|" in name:
            inside.setdefault(name.partition("|")[0], []).append(name)
        for category in categories(spec):
            in_category[category.removeprefix("@")].append(name)
    return Commands(frozenset(REGISTRY), inside, in_category)


def apply_to_selector(selector: Selector, rule: bytes) -> None:
    word = rule.lower()
    if word in (b"allkeys", b"~*", b"resetkeys"):
        selector.all_keys, selector.keys = word != b"resetkeys", {}
    elif word in (b"allchannels", b"&*", b"resetchannels"):
        selector.all_channels, selector.channels = word != b"resetchannels", {}
    elif word in (b"allcommands", b"+@all", b"nocommands", b"-@all"):
        selector.allow_all_commands(word in (b"allcommands", b"+@all"))
    elif rule[:1] in (b"~", b"%"):
        add_keys(selector, rule)
    elif rule[:1] == b"&":
        if selector.all_channels:
            raise RuleError(CHANNELS_ARE_ALL)
        refuse_blanks(rule)
        selector.channels[rule[1:]] = None
    elif rule[:2] in (b"+@", b"-@"):
        allow_category(selector, word[2:].decode("latin-1"), allowed=rule[:1] == b"+")
    elif rule[:1] in (b"+", b"-"):
        allow_command(selector, rule[1:], allowed=rule[:1] == b"+")
    else:
        raise RuleError(SYNTAX)


def refuse_blanks(rule: bytes) -> None:
    if not BLANK.isdisjoint(rule):
        raise RuleError(SYNTAX)


def add_keys(selector: Selector, rule: bytes) -> None:
    if selector.all_keys:
        raise RuleError(KEYS_ARE_ALL)
    found = KEY_RULE.fullmatch(rule)
    letters = (b"RW" if found is None or found["access"] is None else found["access"]).upper()
    if found is None or len(set(letters)) != len(letters):
        raise RuleError(SYNTAX)
    refuse_blanks(rule)
    granted = (READ if b"R" in letters else 0) | (WRITE if b"W" in letters else 0)
    granted |= selector.keys.get(found["pattern"], 0)
    if found["pattern"] == b"*" and granted == READ | WRITE:
        selector.all_keys, selector.keys = True, {}  # else the text would be one that is refused when it is read
    else:
        selector.keys[found["pattern"]] = granted


def allow_category(selector: Selector, name: str, *, allowed: bool) -> None:
    if name not in CATEGORIES:
        raise RuleError(UNKNOWN)
    for member in commands().in_category[name]:
        change_bits(selector, member, allowed=allowed)
    remember(selector, f"@{name}".encode(), allowed=allowed)


def allow_command(selector: Selector, rule: bytes, *, allowed: bool) -> None:
    """`rule`: a command, `container|subcommand`, or a command with the first argument that it is let through with."""
    name = rule.lower().decode("latin-1")
    head, bar, tail = name.rpartition("|")
    if allowed and bar:
        if head not in commands().names:
            raise RuleError(UNKNOWN)
        if "|" in head:
            raise RuleError(FIRST_WORD_OF_SUBCOMMAND)
        if not tail:
            raise RuleError(SYNTAX)
        if head not in commands().inside:
            refuse_blanks(rule)
            words = selector.first_words.setdefault(command_number(head), [])
            if tail.encode("latin-1") not in words:
                words.append(tail.encode("latin-1"))
            remember(selector, rule.lower(), allowed=True)
            return
    if name not in commands().names:
        raise RuleError(UNKNOWN)
    change_bits(selector, name, allowed=allowed)
    remember(selector, rule.lower(), allowed=allowed)


def change_bits(selector: Selector, name: str, *, allowed: bool) -> None:
    """Of a command, and of a container's subcommands."""
    number = command_number(name)
    selector.allow_command(number, allowed)
    selector.forget_first_words(number)
    for other in commands().inside.get(name, ()):
        selector.allow_command(command_number(other), allowed)


def remember(selector: Selector, rule: bytes, *, allowed: bool) -> None:
    """Keep the rule for the text, without those that it makes void."""
    kept = [other for other in selector.rules if other[1:] != rule and not other[1:].startswith(rule + b"|")]
    selector.rules = [*kept, (b"+" if allowed else b"-") + rule]


# The text


def flags_of(user: User) -> list[bytes]:
    return [
        b"on" if user.enabled else b"off",
        *([b"nopass"] if user.nopass else []),
        b"sanitize-payload" if user.sanitize else b"skip-sanitize-payload",
    ]


def key_text(selector: Selector) -> bytes:
    if selector.all_keys:
        return b"~*"
    return b" ".join(ACCESS[granted] + pattern for pattern, granted in selector.keys.items())


def channel_text(selector: Selector) -> bytes:
    return b"&*" if selector.all_channels else b" ".join(b"&" + pattern for pattern in selector.channels)


def command_text(selector: Selector) -> bytes:
    return b" ".join([b"+@all" if selector.allows_future else b"-@all", *selector.rules])


def inside(selector: Selector) -> bytes:
    """The text between parentheses, which is split as a command line is: what would tear it apart stands in quotes."""
    return b" ".join(
        b'"' + word.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' if TORN.search(word) else word
        for word in selector_text(selector).split(b" ")
    )


def selector_text(selector: Selector) -> bytes:
    channels = channel_text(selector)
    if not selector.all_channels:
        channels = b"resetchannels " + channels
    return joined([key_text(selector), channels.strip(), command_text(selector)])


def joined(parts: Iterable[bytes]) -> bytes:
    return b" ".join(part for part in parts if part)


def rules_text(user: User) -> bytes:
    """The rules that make such a user of a new one."""
    root, *others = user.selectors
    return joined([
        *flags_of(user), *(b"#" + hashed.encode() for hashed in user.passwords), selector_text(root),
        *(b"(" + inside(selector) + b")" for selector in others),
    ])  # fmt: skip


def line_of(user: User) -> bytes:
    """The line of a configuration or users' file."""
    return b"user " + user.name + b" " + rules_text(user)
