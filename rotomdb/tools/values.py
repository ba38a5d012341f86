"""Bytes for the eye and for JSON."""

from __future__ import annotations

import base64
import re
from typing import Any

from rotomdb.tools.selection import FORMS


def json_text(data: bytes, form: int = FORMS["auto"]) -> Any:
    """Bytes as JSON has them, in the forms of the kernel's JSON writer (formats/sinks/json_text.pxd)."""
    if form == FORMS["base64"]:
        return base64.b64encode(data).decode()
    if form == FORMS["hex"]:
        return data.hex()
    if form == FORMS["escaped"]:
        return data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def shown(data: bytes) -> str:
    """Bytes for a person's eyes: what is not printable text is escaped."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def function_name(code: bytes) -> bytes:
    """What a function library calls itself in its first line (docs/formats.md)."""
    found = re.match(rb"#!\s*\S+(?:[ \t]+\S+)*?[ \t]+name=(\S+)", code)
    return found[1].strip(b"'\"") if found else b"(without a name)"
