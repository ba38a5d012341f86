"""What a file is, told from its first bytes: asked by everything that opens a file that somebody named.

A name counts only where the bytes cannot tell: a manifest that holds zeros is a damaged manifest, an `.aof` that begins with
nonsense a damaged log.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path

HEAD_BYTES = 4096
MANIFEST_SUFFIX = ".manifest"
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CSV_HEADER = b"db,key,type,"
ROWS = re.compile(rb"\s*\[|\s*\{|\(\d|" + CSV_HEADER)  # a bare parenthesis is how zstd begins, too
MARKUP = re.compile(rb"\s*<(?:!doctype|html|\?xml|head|body)", re.IGNORECASE)
OTHER_MAGICS = {
    b"BZh": "bzip2-compressed data",
    b"\xfd7zXZ": "xz-compressed data",
    b"PK\x03\x04": "a zip archive",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"VCS": "the compressed form of an unreleased Valkey; save it with compression off",
    b"VKCS": "the compressed form of an unreleased Valkey; save it with compression off",
}


class FileKind(enum.Enum):
    """The value says it in a message."""

    DIRECTORY = "a directory"
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
    UNKNOWN = "of no known kind"


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


def identify(path: Path) -> FileKind:
    """What stands under that path. Raises OSError."""
    if path.is_dir():
        return FileKind.DIRECTORY
    if path.name.endswith(MANIFEST_SUFFIX):
        return FileKind.MANIFEST
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    is_log = path.suffix == ".aof" and kind in (FileKind.EMPTY, FileKind.ZEROS, FileKind.UNKNOWN, FileKind.RDB)
    return FileKind.LOG if is_log else kind


def description(head: bytes) -> str:
    """What begins so, in words for a message about something that was expected instead."""
    kind = kind_of(head)
    known: str = kind.value
    if kind is FileKind.UNKNOWN:
        return next((text for magic, text in OTHER_MAGICS.items() if head.startswith(magic)), known)
    return known
