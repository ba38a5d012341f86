"""Where an RDB can come from: a file, standard input, compressed files, a DUMP payload, a live server.

Whatever it is, it becomes bytes in a mapping: a plain file is mapped as it is, everything else goes through a temporary file
that has no name. Nothing is read into memory as a whole, and what has been read is given back.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rotomdb.errors import SourceError
from rotomdb.formats.rdb.dump_payload import FOOTER_BYTES, unseal
from rotomdb.formats.rdb.format import CHECKSUM_BYTES, OPCODE_EOF, RDB_TYPE_LAST, VERSION_VALKEY
from rotomdb.storage.disk import viewed
from rotomdb.storage.key_by_key import read_by_keys
from rotomdb.storage.live_server import DEFAULT_TLS, LiveServer, connected, is_live, length_in, without_password
from rotomdb.storage.tls_client import TlsOptions

CHUNK_BYTES = 1 << 20
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
END_MARK_BYTES = 40
TRANSFER = re.compile(
    rb"\$(?:EOF:[^\r\n]{40}|(?P<size>\d{1,18}))\r\n(?=REDIS|VALKEY)"
)  # what precedes an RDB sent to a replica
TRANSFER_HEAD_BYTES = 64
HOPELESS = (b"-LOADING", b"-NOAUTH", b"-MASTERDOWN")  # the other way would be refused as well
Progress = Callable[[int], None]


@dataclass(frozen=True)
class RdbSource:
    """Bytes of an RDB.

    Attributes:
        release: Gives a range of the bytes back to the operating system; they are read again when they are asked for.
    """

    data: memoryview
    name: str
    release: Callable[[int, int], None]


@contextlib.contextmanager
def open_rdb(
    spec: str,
    on_progress: Progress | None = None,
    on_note: Callable[[str], None] = lambda note: None,
    tls: TlsOptions = DEFAULT_TLS,
) -> Iterator[RdbSource]:
    """The RDB that `spec` names: a path, `-`, or `redis://[user:password@]host[:port]`.

    Raises:
        OSError: it cannot be read.
        SourceError: the server refuses, or a compressed file is damaged.
    """
    with contextlib.ExitStack() as stack:
        if is_live(spec):
            file: IO[bytes] = stack.enter_context(spooled(receive(spec, on_note, tls), on_progress))
        else:
            file = sys.stdin.buffer if spec == "-" else stack.enter_context(Path(spec).open("rb"))
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file = stack.enter_context(spooled(chunks(file), on_progress))
            head = os.pread(file.fileno(), 4, 0)
            if head.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
                file = stack.enter_context(spooled(inflated(file, head, spec), on_progress))
        yield stack.enter_context(mapped(file, "standard input" if spec == "-" else without_password(spec)))


@contextlib.contextmanager
def mapped(file: IO[bytes], name: str) -> Iterator[RdbSource]:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        yield RdbSource(memoryview(b""), name, lambda start, end: None)
        return
    mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    mapping.madvise(mmap.MADV_SEQUENTIAL)

    def release(start: int, end: int) -> None:
        start -= start % mmap.PAGESIZE
        end -= end % mmap.PAGESIZE
        if end > start:
            mapping.madvise(mmap.MADV_DONTNEED, start, end - start)

    with viewed(mapping) as view:
        data = payload_as_rdb(view)
        yield RdbSource(data, name, release)
        data.release()


def payload_as_rdb(view: memoryview) -> memoryview:
    """The bytes as they are, or a DUMP payload as an RDB with the one key `payload`."""
    captured = TRANSFER.match(bytes(view[:TRANSFER_HEAD_BYTES]))
    if captured is not None:
        end = len(view) if captured["size"] is None else captured.end() + int(captured["size"])
        return view[captured.end() : end]
    if len(view) <= FOOTER_BYTES or view[0] > RDB_TYPE_LAST:
        return view
    payload = unseal(view)
    if payload is None:
        return view
    header = b"VALKEY%03d" % payload.version if payload.version >= VERSION_VALKEY else b"REDIS%04d" % payload.version
    record = bytes(payload.body[:1]) + b"\x07payload" + bytes(payload.body[1:])
    return memoryview(header + record + bytes([OPCODE_EOF]) + bytes(CHECKSUM_BYTES))


@contextlib.contextmanager
def spooled(pieces: Iterator[bytes], on_progress: Progress | None) -> Iterator[IO[bytes]]:
    """A temporary file without a name that holds all the pieces."""
    with tempfile.TemporaryFile(prefix="rotomdb-") as file:
        total = 0
        for piece in pieces:
            file.write(piece)
            total += len(piece)
            if on_progress is not None:
                on_progress(total)
        file.flush()
        yield file


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES):
        yield piece


def inflated(file: IO[bytes], head: bytes, name: str) -> Iterator[bytes]:
    """The content of a compressed file. Raises SourceError where it is damaged or cut."""
    file.seek(0)
    try:
        if head.startswith(GZIP_MAGIC):
            import gzip

            with gzip.open(file) as inner:
                yield from chunks(inner)  # type: ignore[arg-type]
        else:
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader:
                while piece := reader.read(CHUNK_BYTES):
                    yield piece
    except Exception as error:
        if isinstance(error, OSError | EOFError) or type(error).__name__ in ("ZstdError", "error"):
            raise SourceError(f"{name}: damaged compressed file: {error}") from None
        raise


def receive(url: str, on_note: Callable[[str], None], tls: TlsOptions) -> Iterator[bytes]:
    """The RDB that a server sends to a replica, or its keys one by one where it does not. Raises SourceError."""
    with connected(url, tls) as server:
        if server.database is None:
            server.ask(b"REPLCONF", b"rdb-only", b"1")  # before 7.0 an error, and no harm
            server.send(b"SYNC")
            header = first_line(server)
            if not header.startswith(b"-") or header.startswith(HOPELESS):
                yield from transfer(server.stream, server.name, header)
                return
            why = f"SYNC: {header[1:].strip().decode('utf-8', 'replace')}"
        else:
            why = f"only database {server.database} is wanted, without function libraries"
    on_note(f"{server.name}: {why}: read key by key with SCAN and DUMP, which is no moment in time")
    with connected(url, tls) as server:
        yield from read_by_keys(server, on_note)


def first_line(server: LiveServer) -> bytes:
    header = server.stream.readline()
    while header == b"\n":  # the server is still writing its snapshot
        header = server.stream.readline()
    return header


def transfer(stream: io.BufferedRWPair, name: str, header: bytes) -> Iterator[bytes]:
    """The payload of a full synchronisation, in either framing."""
    if not header.startswith(b"$"):
        text = header[1:].strip().decode("utf-8", "replace") or "the server closed the connection"
        raise SourceError(f"{name}: SYNC: {text}")
    if header.startswith(b"$EOF:"):
        yield from until_mark(stream, header[5 : 5 + END_MARK_BYTES], name)
        return
    left = length_in(header)
    while left:
        piece = stream.read(min(left, CHUNK_BYTES))
        if not piece:
            raise SourceError(f"{name}: the connection was closed, {left} bytes before the end")
        left -= len(piece)
        yield piece


def until_mark(stream: io.BufferedRWPair, mark: bytes, name: str) -> Iterator[bytes]:
    tail = b""
    while piece := stream.read1(CHUNK_BYTES):
        tail += piece
        if tail.endswith(mark):
            yield tail[: -len(mark)]
            return
        if len(tail) > END_MARK_BYTES:
            yield tail[:-END_MARK_BYTES]
            tail = tail[-END_MARK_BYTES:]
    raise SourceError(f"{name}: the connection was closed before the end mark")
