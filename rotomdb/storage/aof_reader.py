"""Reading append-only files: replay into a data set through a callable that the caller gives.

A file is an optional RDB preamble, then commands and `#` annotations. `#CRC64:<bytes>:<crc>` lines, which rotomdb
writes, cover the bytes right before them; a mismatch is damage in the middle of the log and is located to its block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rotomdb.engine import Engine
from rotomdb.errors import AofError, AofTruncatedError, UnknownCommandError
from rotomdb.storage.checksum import crc64
from rotomdb.storage.rdb import RdbReader
from rotomdb.storage.request import LogReader

CHECKSUM_PREFIX = b"#CRC64:"
TIMESTAMP_PREFIX = b"#TS:"
PROGRESS_EVERY = 20_000  # commands
Execute = Callable[[list[bytes]], None]


@dataclass
class ReplayReport:
    """What a file held.

    Attributes:
        valid_bytes: Offset behind the last command that was applied and belongs to no open transaction.
        truncated: Why the rest is missing, or None when the file ends cleanly.
    """

    commands: int = 0
    valid_bytes: int = 0
    preamble_bytes: int = 0
    truncated: str | None = None
    verified_bytes: int = 0


def has_rdb_preamble(data: memoryview | bytes) -> bool:
    return bytes(data[:5]) == b"REDIS" or bytes(data[:6]) == b"VALKEY"


def replay(
    data: memoryview | bytes,
    path: str,
    engine: Engine,
    execute: Execute,
    *,
    verify: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> ReplayReport:
    """Apply one file front to back.

    A transaction is applied when its EXEC has been read, so an unfinished one leaves no trace.

    Args:
        execute: Called with each command's words.
        verify: Check `#CRC64:` annotations.

    Raises:
        RdbError: the preamble is damaged.
        AofError: bytes in the middle are no command or an unknown one, or a checksum does not match.
    """
    report = ReplayReport()
    if has_rdb_preamble(data):
        reader = RdbReader(data, path)
        try:
            report.preamble_bytes = reader.load_into(engine, on_progress=on_progress).end
        finally:
            reader.close()
        report.valid_bytes = report.preamble_bytes
    log = LogReader(data, report.preamble_bytes)
    transaction: list[list[bytes]] | None = None
    start = log.offset
    try:
        while True:
            start = log.offset
            item = log.next_item()
            if item is None:
                break
            if isinstance(item, bytes):
                if verify and item.startswith(CHECKSUM_PREFIX):
                    report.verified_bytes += verify_block(data, start, item, path)
                continue
            name = item[0].upper() if transaction is not None or len(item) == 1 else item[0]
            if transaction is not None:
                if name == b"MULTI":
                    raise AofError(path, start, "MULTI inside a transaction")
                if name != b"EXEC":
                    transaction.append(item)
                    continue
                for command in transaction:
                    execute(command)
                report.commands += len(transaction)
                transaction = None
            elif name == b"MULTI" and len(item) == 1:
                transaction = []
                continue
            elif name == b"EXEC" and len(item) == 1:
                raise AofError(path, start, "EXEC without MULTI")
            else:
                execute(item)
                report.commands += 1
            report.valid_bytes = log.offset
            if on_progress is not None and report.commands % PROGRESS_EVERY == 0:
                on_progress(log.offset)
    except EOFError:
        report.truncated = "unexpected end of file inside a command"
    except ValueError as error:
        raise AofError(path, log.offset, f"bad file format: {error}") from None
    except UnknownCommandError as error:
        raise AofError(path, start, str(error)) from None
    finally:
        log.close()
    if report.truncated is None and transaction is not None:
        report.truncated = "end of file inside a transaction"
    return report


def verify_block(data: memoryview | bytes, end: int, line: bytes, path: str) -> int:
    """Check the bytes before an annotation against it; returns how many it covers."""
    try:
        count_text, checksum_text = line[len(CHECKSUM_PREFIX) :].strip().split(b":")
        count, stored = int(count_text), int(checksum_text, 16)
    except ValueError:
        raise AofError(path, end, f"malformed checksum annotation {line!r}") from None
    if not 0 < count <= end:
        raise AofError(path, end, f"checksum annotation covers {count} bytes, {end} are before it")
    computed = crc64(memoryview(data)[end - count : end])
    if computed != stored:
        raise AofError(
            path,
            end - count,
            f"checksum of the {count} bytes up to offset {end} is {computed:016x}, recorded was {stored:016x}",
        )
    return count


def truncated_error(path: str, report: ReplayReport) -> AofTruncatedError:
    return AofTruncatedError(path, report.valid_bytes, report.truncated or "")
