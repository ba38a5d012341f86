"""Every exception that a user of rotomdb can see, grouped by the moment it occurs.

`str()` of a file error starts with the file and the offset; the exception type is its class.
"""

from __future__ import annotations

import enum


class RotomError(Exception):
    """Base of all errors that rotomdb raises on purpose."""


# While serving: replies of commands.


class CommandError(RotomError):
    """An error reply: the text as the client sees it, error code first (`ERR ...`, `WRONGTYPE ...`)."""


class WrongTypeError(CommandError):
    """The key holds a value of another type than the command works on."""

    def __init__(self) -> None:
        super().__init__("WRONGTYPE Operation against a key holding the wrong kind of value")


class ProtocolError(RotomError):
    """The bytes are no RESP request; `str()` is Redis's text after `Protocol error: `."""


# While loading: files and payloads.

DATABASES_MAX = 1 << 14  # a file that names a higher one was not written so: no server is advised to have as many


class Fault(enum.Enum):
    """What is the matter with a file that is refused: it decides what can be done about it."""

    DAMAGED = enum.auto()  # bytes that are not what was written
    FOREIGN = enum.auto()  # no file of this format, or of a version that is not understood
    WRAPPED = enum.auto()  # compressed, or as a transfer was captured
    NOT_HELD = enum.auto()  # sound, with what this server has no place for
    DATABASES = enum.auto()  # sound, of a server with more databases
    COMMAND = enum.auto()  # sound, with a command that this server cannot replay


class FileFormatError(RotomError):
    """A file does not hold what it should.

    Attributes:
        path: The file, as the user named it.
        offset: Bytes from the start of the file to the item at fault.
        reason: What was wanted and what was there.
        fault: Of what kind that is.
        databases: How many a server needs for it, with Fault.DATABASES.
    """

    fault = Fault.DAMAGED
    databases = 0

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(f"{path}: offset {offset}: {reason}")
        self.path = path
        self.offset = offset
        self.reason = reason


class RdbError(FileFormatError):
    """An RDB file is damaged or of a version that is not understood.

    Attributes:
        key: The key whose value could not be read; None: it was not about a value.
        type: The number of its type; -1: none was read.
    """

    def __init__(
        self,
        path: str,
        offset: int,
        reason: str,
        key: bytes | None = None,
        type: int = -1,
        fault: Fault = Fault.DAMAGED,
        databases: int = 0,
    ) -> None:
        super().__init__(path, offset, reason)
        self.key = key
        self.type = type
        self.fault = fault
        self.databases = databases


class SourceError(RotomError):
    """What is to be read cannot be had: a server refuses, a compressed file is damaged. `str()` names it."""


class RdbValueError(RotomError):
    """An encoded value is damaged. Raised by the kernel, which knows no files; readers turn it into RdbError.

    Attributes:
        offset: Bytes from the start of the buffer that was being decoded.
        fault, databases: As those of a FileFormatError.
    """

    fault = Fault.DAMAGED
    databases = 0

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class RdbTruncatedError(RdbValueError):
    """The buffer ends inside an item."""


class RdbUnsupportedTypeError(RdbValueError):
    """Something that was written as it should be, and that there is no place for here."""

    fault = Fault.NOT_HELD


class RdbDatabaseError(RdbValueError):
    """A database that the engine does not have."""

    def __init__(self, offset: int, index: int, limit: int) -> None:
        super().__init__(offset, f"database {index} is out of range, the limit is {limit}")
        if index < DATABASES_MAX:
            self.fault, self.databases = Fault.DATABASES, index + 1


class DuplicateKeyError(RdbValueError):
    """A key stands twice in a database of one RDB. Servers refuse such a file."""


class AofError(FileFormatError):
    """An AOF file holds bytes that are no command."""


class AofTruncatedError(AofError):
    """An AOF file ends inside a command or a transaction.

    Attributes:
        followed: Other files follow it, so that its end cannot be cut.
    """

    followed = False


class AofCommandError(AofError):
    """An AOF file is sound and holds a command that this server cannot replay."""

    def __init__(self, path: str, offset: int, refused: CommandRefusedError) -> None:
        super().__init__(path, offset, str(refused))
        self.databases = refused.databases
        self.fault = Fault.DATABASES if refused.databases else Fault.COMMAND


class CommandRefusedError(RotomError):
    """A command of a log is none that this server can replay: nobody could tell what it did. Becomes an AofCommandError.

    Attributes:
        databases: How many a server needs to replay it; 0: that is not what is missing.
    """

    def __init__(self, reason: str, index: int = -1) -> None:
        super().__init__(reason)
        self.databases = index + 1 if 0 <= index < DATABASES_MAX else 0


class ManifestError(RotomError):
    """An AOF manifest is malformed or names files that are not there.

    Attributes:
        line: Number of the line at fault, from 1; 0 when it is none in particular.
        text: That line.
        reason: What is wrong, as Redis says it where it says something.
        cause: What has become of the file, where its bytes show it.
        missing: The file that it names and that is not there.
        unnamed: Files that are there and that it does not name.
        gap: They do not follow upon those that it names: others are missing between.
    """

    unnamed: tuple[str, ...] = ()
    gap = False

    def __init__(
        self, path: str, reason: str, line: int = 0, text: str = "", cause: str = "", missing: str = ""
    ) -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{path}: {where}{reason}" + (f" ({cause})" if cause else ""))
        self.path = path
        self.cause = cause
        self.line = line
        self.text = text
        self.reason = reason
        self.missing = missing


class StartupError(RotomError):
    """The server refuses to start on this directory; nothing in it was changed."""


class LostManifestError(StartupError):
    """The files of a log are there, and no manifest says how they belong together."""


class EitherSourceError(StartupError):
    """Snapshot and log differ, and nothing tells which of them is the newer."""


class LoadingInterrupted(Exception):  # not RotomError: nobody may take it for a damaged file
    """The server was told to end while it was loading."""


# While restoring.


class RestoreError(RotomError):
    """What is to be restored is not in the files, or there is no place for it."""


# While configuring.


class ConfigError(RotomError):
    """A directive is unknown or its value is not acceptable; `str()` names the source and the line.

    Attributes:
        reason: What is wrong.
        line: Number of the line at fault, from 1; 0: it was not about a line.
        text: That line.
    """

    def __init__(self, reason: str, source: str = "", line: int = 0, text: str = "") -> None:
        super().__init__(f"{source}:{line}: '{text}': {reason}" if line else reason)
        self.reason = reason
        self.source = source
        self.line = line
        self.text = text


# While saving.


class UsersFileError(RotomError):
    """The file of users cannot be taken; `str()` says of each line what is wrong with it."""


class SaveError(RotomError):
    """A snapshot or a rewrite could not be written; the files that were there are untouched."""
