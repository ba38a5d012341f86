"""The notation in which a command declares its arguments, as far as its signature cannot tell them, and their tree.

COMMAND DOCS, and with it the hints of redis-cli, come from it. A declaration reads like the line in a manual:

    key [condition=(NX | XX)] [CH] [INCR] <score:double member>...

    name           an argument; `name:integer` and so on where it is no string, `key` is a key
    TOKEN          a word that stands for itself; `name=TOKEN` where its name is not the word in lower case
    TOKEN name     an argument behind a word; `TOKEN... name`: both may come several times
    'TOKEN' name   a word, and then an argument of its own
    (a | b)        one of them; `name=(a | b)`
    <a b>          arguments that come together; `name=<a b>`
    [a]  a...      may be left out; may come several times
    key@1          the index among the command's key specifications, where counting does not give it
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

WORD = re.compile(r"\s*(?:(?P<mark>\.\.\.|[\[\]()<>|])|(?P<quoted>'[^']*')|(?P<word>(?:(?!\.\.\.)[^\s\[\]()<>|'])+=?))")
GROUPS = {"(": ("oneof", ")"), "<": ("block", ">")}
MARKS = ("]", ")", ">", "|", "...")
ARGUMENT = re.compile(r"[a-z]")


@dataclass(frozen=True)
class Argument:
    """A node of the tree; `kind` and the flags are named as COMMAND DOCS names them."""

    name: str
    kind: str  # string integer double key pattern unix-time pure-token oneof block
    token: str | None = None
    key_index: int | None = None
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    arguments: tuple[Argument, ...] = field(default=())


class SyntaxReader:
    """Reads one declaration."""

    def __init__(self, text: str) -> None:
        self.words = [match for match in WORD.finditer(text) if match.group().strip()]
        self.at = 0
        self.keys_seen = 0

    def peek(self) -> str:
        return self.words[self.at].group().strip() if self.at < len(self.words) else ""

    def take(self, expected: str | None = None) -> str:
        word = self.peek()
        if not word or (expected is not None and word != expected):
            raise ValueError(f"syntax: {expected or 'a word'} expected, not {word or 'the end'!r}")
        self.at += 1
        return word

    def sequence(self, end: str) -> tuple[Argument, ...]:
        """Arguments one after the other, up to one of the marks in `end`."""
        found = []
        while self.peek() and self.peek() not in end:
            found.append(self.argument())
        return tuple(found)

    def argument(self) -> Argument:
        if self.peek() == "[":
            self.take()
            found = replace(self.argument(), optional=True)
            self.take("]")
        else:
            found = self.plain()
        if self.peek() == "...":
            self.take()
            found = replace(found, multiple=True)
        return found

    def plain(self) -> Argument:
        name = self.take().removesuffix("=") if self.peek().endswith("=") and self.peek() != "=" else ""
        word = self.peek()
        if word in GROUPS:
            return self.group(name)
        if word in MARKS:
            raise ValueError(f"syntax: an argument expected, not {word!r}")
        self.take()
        if word.startswith("'"):
            return Argument(name or word.strip("'").lower(), "pure-token", word.strip("'"))
        head, _, tail = word.partition("=")
        if tail:
            return Argument(head, "pure-token", tail)
        if ARGUMENT.match(word):
            return self.leaf(word)
        repeated = self.peek() == "..."
        if repeated:
            self.take()
        follows = self.peek()
        if follows and follows not in MARKS and follows != "[":
            argument = self.plain()
            return replace(argument, token=word, multiple=argument.multiple or repeated, multiple_token=repeated)
        return Argument(name or word.lower(), "pure-token", word)

    def group(self, name: str) -> Argument:
        kind, end = GROUPS[self.take()]
        if kind == "block":
            members = self.sequence(end)
        else:
            members = (self.argument(),)
            while self.peek() == "|":
                self.take()
                members += (self.argument(),)
        self.take(end)
        return Argument(name or "_".join(member.name for member in members), kind, arguments=members)

    def leaf(self, word: str) -> Argument:
        word, _, index = word.partition("@")
        name, colon, kind = word.rpartition(":")
        if not colon or kind not in KINDS:
            name, kind = word, "key" if word == "key" else "string"
        key_index = int(index) if index else None
        if kind == "key" and key_index is None:
            key_index = self.keys_seen
        if kind == "key":
            self.keys_seen += 1
        return Argument(name, kind, key_index=key_index)


KINDS = ("string", "integer", "double", "key", "pattern", "unix-time")


def parse_syntax(text: str) -> tuple[Argument, ...]:
    """The tree of a declaration. Raises ValueError when it is malformed."""
    reader = SyntaxReader(text)
    found = reader.sequence("")
    if reader.peek():
        raise ValueError(f"syntax: {reader.peek()!r} is one too many")
    return found
