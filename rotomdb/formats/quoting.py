"""What clients and files hold, in a line of text: log lines, MONITOR, error messages."""

from __future__ import annotations

import re

ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def quoted(word: bytes) -> str:
    """The word in double quotes, with what is not printable ASCII escaped: as redis-cli and MONITOR show it."""
    return '"' + "".join(ESCAPES.get(c) or (chr(c) if 32 <= c < 127 else f"\\x{c:02x}") for c in word) + '"'


def one_line(text: str) -> str:
    """The text without characters that would break a line or drive a terminal; bytes that are no UTF-8 as escapes."""
    return CONTROL.sub(escape, text)


def escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in ESCAPES:
        return ESCAPES[code]
    return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
