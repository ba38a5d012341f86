"""AOF manifest: the small file that says which log files make up the data set; here its text.

How it is replaced on the disk, and what holds meanwhile: storage/manifest_file.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rotomdb.engine.number import parse_int
from rotomdb.errors import ManifestError
from rotomdb.formats.file_kind import HEAD_BYTES, FileKind, kind_of
from rotomdb.formats.resp.request import split_arguments

LINE_MAX = 1024
MANIFEST_SUFFIX = ".manifest"
BASE, HISTORY, INCREMENT = "b", "h", "i"


@dataclass(frozen=True)
class LogFile:
    """One line of the manifest. Replication offsets are Redis 8's, kept when read."""

    name: str
    sequence: int
    type: str
    start_offset: int | None = None
    end_offset: int | None = None

    def line(self) -> str:
        text = f"file {quoted(self.name)} seq {self.sequence} type {self.type}"
        if self.start_offset is not None:
            text += f" startoffset {self.start_offset}"
        return text + "\n"


def quoted(name: str) -> str:
    """The name as the manifest writes it: quoted only when it has to be."""
    raw = name.encode()
    if raw and all(33 <= byte < 127 and byte not in b"\"\\'" for byte in raw):
        return name
    escapes = {ord("\\"): "\\\\", ord('"'): '\\"', 10: "\\n", 13: "\\r", 9: "\\t", 7: "\\a", 8: "\\b"}
    body = "".join(escapes.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in raw)
    return f'"{body}"'


@dataclass
class Manifest:
    """The files of a log, base first, increments in ascending sequence."""

    base: LogFile | None = None
    history: list[LogFile] = field(default_factory=list)
    increments: list[LogFile] = field(default_factory=list)

    def copy(self) -> Manifest:
        return Manifest(self.base, list(self.history), list(self.increments))

    def encode(self) -> bytes:
        files = [self.base] if self.base else []
        return "".join(file.line() for file in [*files, *self.history, *self.increments]).encode()

    @property
    def files(self) -> list[LogFile]:
        """What is loaded, in order."""
        return ([self.base] if self.base else []) + self.increments

    def next_base(self, prefix: str, rdb: bool) -> LogFile:
        sequence = self.base.sequence + 1 if self.base else 1
        return LogFile(f"{prefix}.{sequence}.base.{'rdb' if rdb else 'aof'}", sequence, BASE)

    def next_increment(self, prefix: str) -> LogFile:
        sequence = self.increments[-1].sequence + 1 if self.increments else 1
        return LogFile(f"{prefix}.{sequence}.incr.aof", sequence, INCREMENT)

    def retire_all(self) -> None:
        """Nothing of what there is counts any more."""
        self.history += [replace(file, type=HISTORY) for file in self.files]
        self.base = None
        self.increments = []

    def retire_all_but_last_increment(self, base: LogFile) -> None:
        """A rewrite is done: `base` stands for everything before the last increment."""
        retired = ([self.base] if self.base else []) + self.increments[:-1]
        self.history += [replace(file, type=HISTORY) for file in retired]
        self.base = base
        self.increments = self.increments[-1:]


def parse_manifest(content: bytes, path: str) -> Manifest:
    """Parse manifest bytes. Raises ManifestError."""
    manifest = Manifest()
    if not content:
        raise ManifestError(path, "Found an empty AOF manifest")
    *lines, rest = content.split(b"\n")
    if rest or b"\0" in content or any(len(line) + 1 > LINE_MAX for line in lines):
        raise ManifestError(path, "The AOF manifest file contains too long line", cause=damage_of(content))
    for number, raw in enumerate(lines, start=1):
        if raw.startswith(b"#"):
            continue
        problem = add_line(manifest, raw.strip(b" \t\r\n"))
        if problem is not None:
            raise ManifestError(path, problem, number, raw.decode("utf-8", "backslashreplace"), damage_of(content))
    return manifest


def damage_of(content: bytes) -> str:
    """What has become of a manifest that cannot be read, where the bytes show it."""
    kind = kind_of(content[:HEAD_BYTES])
    if kind not in (FileKind.MANIFEST, FileKind.UNKNOWN, FileKind.LOG):
        return f"it is {kind.value}"
    if b"\0" in content:
        return f"it holds zeros, from offset {content.index(0)} on"
    if not content.isascii() and kind is not FileKind.MANIFEST:
        return "it holds binary data"
    if kind is FileKind.LOG and not content.startswith(b"#"):
        return f"it is {kind.value}"
    return "its end is cut off" if not content.endswith(b"\n") else ""


def add_line(manifest: Manifest, raw: bytes) -> str | None:
    """Add what a line says; returns what is wrong with it, None when nothing is."""
    words = split_arguments(raw)
    if words is None or len(words) < 6 or len(words) % 2:
        return "Invalid AOF manifest file format"
    values = {words[i].lower(): words[i + 1] for i in range(0, len(words), 2)}
    name = values.get(b"file", b"").decode("utf-8", "surrogateescape")
    sequence = parse_int(values.get(b"seq", b"0")) or 0
    kind = values.get(b"type", b"")[:1].decode("latin-1")
    if "/" in name or "\\" in name:
        return "File can't be a path, just a filename"
    if not name or not sequence or not kind:
        return "Invalid AOF manifest file format"
    file = LogFile(name, sequence, kind, offset_of(values, b"startoffset"), offset_of(values, b"endoffset"))
    if kind == BASE:
        if manifest.base is not None:
            return "Found duplicate base file information"
        manifest.base = file
    elif kind == HISTORY:
        manifest.history.append(file)
    elif kind == INCREMENT:
        if manifest.increments and file.sequence <= manifest.increments[-1].sequence:
            return "Found a non-monotonic sequence number"
        manifest.increments.append(file)
    else:
        return "Unknown AOF file type"
    return None


def offset_of(values: dict[bytes, bytes], name: bytes) -> int | None:
    text = values.get(name)
    return int(text) if text is not None and text.isdigit() else None
