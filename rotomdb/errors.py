"""Every exception that a user of rotomdb can see, grouped by the moment it occurs.

`str()` of a file error starts with the file and the offset; the exception type is its class.
"""

from __future__ import annotations


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


class FileFormatError(RotomError):
    """A file does not hold what it should.

    Attributes:
        path: The file, as the user named it.
        offset: Bytes from the start of the file to the item at fault.
        reason: What was wanted and what was there.
    """

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

    def __init__(self, path: str, offset: int, reason: str, key: bytes | None = None, type: int = -1) -> None:
        super().__init__(path, offset, reason)
        self.key = key
        self.type = type


class SourceError(RotomError):
    """What is to be read cannot be had: a server refuses, a compressed file is damaged. `str()` names it."""


class RdbValueError(RotomError):
    """An encoded value is damaged. Raised by the kernel, which knows no files; readers turn it into RdbError.

    Attributes:
        offset: Bytes from the start of the buffer that was being decoded.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class RdbTruncatedError(RdbValueError):
    """The buffer ends inside an item."""


class RdbUnsupportedTypeError(RdbValueError):
    """A value type that this version cannot hold."""


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


class CommandRefusedError(RotomError):
    """A command of a log is none that this server can replay: nobody could tell what it did. Becomes an AofCommandError."""


class ManifestError(RotomError):
    """An AOF manifest is malformed or names files that are not there.

    Attributes:
        line: Number of the line at fault, from 1; 0 when it is none in particular.
        text: That line.
        reason: What is wrong, as Redis says it where it says something.
        cause: What has become of the file, where its bytes show it.
    """

    def __init__(self, path: str, reason: str, line: int = 0, text: str = "", cause: str = "") -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{path}: {where}{reason}" + (f" ({cause})" if cause else ""))
        self.path = path
        self.cause = cause
        self.line = line
        self.text = text
        self.reason = reason


class StartupError(RotomError):
    """The server refuses to start on this directory; nothing in it was changed."""


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
