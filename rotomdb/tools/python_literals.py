"""Python literals read back in little memory: `ast.literal_eval` takes a hundred times the size of a large one."""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:(?P<bytes>b)?(?P<text>'[^'\\]*+(?:\\.[^'\\]*+)*+'|"[^"\\]*+(?:\\.[^"\\]*+)*+")"""
    r"""|(?P<mark>[()\[\]{},:])|(?P<atom>[^\s()\[\]{},:'"]+))\s*""",
    re.DOTALL,
)
CLOSERS = {")": "(", "]": "[", "}": "{"}
ATOMS = {"None": None, "True": True, "False": False}


def parse_literal(text: str) -> Any:
    """The value of a literal of tuples, lists, dictionaries, texts, bytes, numbers and None. Raises ValueError for anything else."""
    stack: list[tuple[str, list[Any]]] = [("", [])]
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"no literal at character {position}")
        position = found.end()
        mark = found["mark"]
        if mark is None:
            stack[-1][1].append(atom_of(found))
        elif mark in "([{":
            stack.append((mark, []))
        elif mark in CLOSERS:
            opener, items = stack.pop()
            if opener != CLOSERS[mark]:
                raise ValueError(f"{mark!r} closes nothing at character {position}")
            stack[-1][1].append(closed(opener, items))
    if len(stack) != 1 or len(stack[0][1]) != 1:
        raise ValueError("the literal has no end")
    return stack[0][1][0]


def closed(opener: str, items: list[Any]) -> Any:
    if opener == "{":
        return dict(zip(items[::2], items[1::2], strict=True))
    return tuple(items) if opener == "(" else items


def atom_of(found: re.Match[str]) -> Any:
    literal = found["text"]
    if literal is None:
        word = found["atom"]
        return ATOMS[word] if word in ATOMS else int(word) if word.lstrip("-").isdigit() else float(word)
    inner = literal[1:-1]
    if found["bytes"]:
        plain: bytes = inner.encode("ascii")
        return plain.decode("unicode_escape").encode("latin-1") if b"\\" in plain else plain
    return inner.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\" in inner else inner
