"""What a library of functions looks like: the first line of its source, and the payload of FUNCTION DUMP.

#!ENGINE name=NAME          then the code, line ends between
[FUNCTION2 opcode, string]* version CRC64
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rotomdb.errors import CommandError, RdbValueError
from rotomdb.formats.rdb.dump_payload import seal, unseal
from rotomdb.formats.rdb.encoder import encode_string
from rotomdb.formats.rdb.format import OPCODE_FUNCTION2, VERSION_FUNCTIONS, VERSION_LAST_READ
from rotomdb.formats.rdb.records import RdbRecords
from rotomdb.formats.resp.request import split_arguments

NAME = re.compile(rb"[A-Za-z0-9_]+")
BAD_NAME = (
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)
BAD_PAYLOAD = "ERR DUMP payload version or checksum are wrong"


@dataclass(frozen=True)
class Header:
    """Attributes:
    code: What is to be compiled, the empty rest of the first line included: lines keep their numbers.
    """

    engine: bytes
    name: bytes
    code: bytes


def read_header(source: bytes) -> Header:
    """Raises CommandError, in Redis's words, where the first line is none of a library."""
    line, newline, _ = source.partition(b"\n")
    if not line.startswith(b"#!"):
        raise CommandError("ERR Missing library metadata")
    words = split_arguments(line) if newline else None
    if not words:
        raise CommandError("ERR Invalid library metadata")
    name: bytes | None = None
    for word in words[1:]:
        if word[:5].lower() != b"name=":
            raise CommandError(f"ERR Invalid metadata value given: {word.decode('latin-1')}")
        if name is not None:
            raise CommandError("ERR Invalid metadata value, name argument was given multiple times")
        name = word[5:]
    if name is None:
        raise CommandError("ERR Library name was not given")
    if not NAME.fullmatch(name):
        raise CommandError(BAD_NAME)
    return Header(words[0][2:], name, source[len(line) :])


def payload_of(sources: Iterable[bytes]) -> bytes:
    """FUNCTION DUMP."""
    return seal(b"".join(record_of(source, True) for source in sources), VERSION_FUNCTIONS)


def record_of(source: bytes, compress: bool) -> bytes:
    """A library inside an RDB."""
    return bytes([OPCODE_FUNCTION2]) + encode_string(source, compress)


def sources_in(payload: bytes) -> list[bytes]:
    """What FUNCTION RESTORE is given. Raises CommandError."""
    found = unseal(payload)
    if found is None or found.version > VERSION_LAST_READ:
        raise CommandError(BAD_PAYLOAD)
    records = RdbRecords(found.body)
    sources = []
    try:
        while records.position < len(found.body):
            if records.read_bytes(1)[0] != OPCODE_FUNCTION2:
                raise CommandError("ERR given type is not a function")
            sources.append(records.read_string())
    except RdbValueError:
        raise CommandError("ERR Failed loading library payload") from None
    finally:
        records.close()
    return sources
