"""The first line of a script, `#!lua flags=...`: its engine, options and flags."""

from __future__ import annotations

from dataclasses import dataclass

from rotomdb.errors import CommandError
from rotomdb.formats.resp.request import split_arguments

FLAGS = (b"no-writes", b"allow-oom", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys")  # in Redis's order


@dataclass(frozen=True)
class Shebang:
    """Attributes:
    code: What is to be compiled, the empty rest of the first line included: lines keep their numbers.
    flags: None: there is no such line, and the script counts as one of old times.
    """

    code: bytes
    flags: frozenset[bytes] | None = None

    def has(self, flag: bytes) -> bool:
        return self.flags is not None and flag in self.flags


def read_shebang(script: bytes) -> Shebang:
    """Raises CommandError where the line makes no sense."""
    if not script.startswith(b"#!"):
        return Shebang(script)
    line, newline, _ = script.partition(b"\n")
    if not newline:
        raise CommandError("ERR Invalid script shebang")
    words = split_arguments(line)
    if not words:
        raise CommandError("ERR Invalid engine in script shebang")
    if words[0] != b"#!lua":
        raise CommandError(f"ERR Unexpected engine in script shebang: {words[0].decode('latin-1')}")
    flags: set[bytes] = set()
    for word in words[1:]:
        option, equals, value = word.partition(b"=")
        if option != b"flags" or not equals:
            raise CommandError(f"ERR Unknown lua shebang option: {word.decode('latin-1')}")
        for flag in value.split(b",") if value else ():
            if flag not in FLAGS:
                raise CommandError(f"ERR Unexpected flag in script shebang: {flag.decode('latin-1')}")
            flags.add(flag)
    return Shebang(script[len(line) :], frozenset(flags))
