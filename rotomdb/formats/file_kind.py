"""What a file is, told from its first bytes."""

from __future__ import annotations

import enum
import re

HEAD_BYTES = 4096
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CSV_HEADER = b"db,key,type,"
ROWS = re.compile(rb"\s*\[|\s*\{|\(\d|" + CSV_HEADER)  # a bare parenthesis is how zstd begins, too
MARKUP = re.compile(rb"\s*<(?:!doctype|html|\?xml|head|body)", re.IGNORECASE)


class FileKind(enum.Enum):
    """The value says it in a message."""

    EMPTY = "an empty file"
    ZEROS = "nothing but zeros, which is what a crash or a failing disk leaves of a file"
    RDB = "an RDB"
    GZIP = "gzip-compressed data"
    ZSTD = "zstd-compressed data"
    TRANSFER = "a captured transfer of an RDB"
    LOG = "an append-only file"
    MANIFEST = "the manifest of an append-only file"
    ROWS = "rows of a dump"
    MARKUP = "a page of HTML or XML"
    UNKNOWN = "data of no known kind"


def kind_of(head: bytes) -> FileKind:
    """What begins so; `head` is the first HEAD_BYTES, or all there is."""
    if not head:
        return FileKind.EMPTY
    if head.startswith((b"REDIS", b"VALKEY")):
        return FileKind.RDB
    if head.startswith(GZIP_MAGIC):
        return FileKind.GZIP
    if head.startswith(ZSTD_MAGIC):
        return FileKind.ZSTD
    if head.startswith(b"$EOF:") or re.match(rb"\$\d+\r\n(?:REDIS|VALKEY)", head):
        return FileKind.TRANSFER
    first = next((line for line in head.split(b"\n") if not line.startswith(b"#")), b"")
    if first.startswith(b"file "):
        return FileKind.MANIFEST
    if head.startswith((b"*", b"#")):
        return FileKind.LOG
    if ROWS.match(head):
        return FileKind.ROWS
    if MARKUP.match(head):
        return FileKind.MARKUP
    return FileKind.ZEROS if not head.strip(b"\0") else FileKind.UNKNOWN
