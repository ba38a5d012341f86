"""MIGRATE: move keys to another server, with the other side's RESTORE."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from rotomdb.commands.arguments import Options, parse_int
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error
from rotomdb.commands.keys import dump
from rotomdb.commands.registry import WRITE, Bytes, command
from rotomdb.commands.reply import OK, Status
from rotomdb.errors import CommandError
from rotomdb.storage.live_server import LiveServer

GROUP = "generic"
DEFAULT_TIMEOUT_MS = 1000


@dataclass
class Migration:
    """The words behind MIGRATE's fixed arguments."""

    copy: bool = False
    replace: bool = False
    credentials: tuple[bytes, ...] = ()
    keys: Sequence[bytes] = ()


def parse(key: bytes, words: Options) -> Migration:
    parsed = Migration(keys=(key,))
    while words:
        word = words.next()
        if word == b"COPY":
            parsed.copy = True
        elif word == b"REPLACE":
            parsed.replace = True
        elif word == b"AUTH" and words:
            parsed.credentials = (words.value(),)
        elif word == b"AUTH2" and words.remaining() >= 2:
            parsed.credentials = (words.value(), words.value())
        elif word == b"KEYS":
            if key:
                raise CommandError(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
                )
            parsed.keys = words.take(words.remaining())
        else:
            raise syntax_error()
    return parsed


@command(
    "MIGRATE",
    since="2.6.0",
    flags=WRITE,
    group=GROUP,
    arity=-6,
    complexity="O(N)",
    keys="3 RW access delete; KEYS@-2..-1 RW access delete incomplete",
    syntax="host port:integer key_or_empty_string=(key | empty_string='') destination-db:integer timeout:integer "
    "[COPY] [REPLACE] [authentication=([AUTH password] | [AUTH2 <username password>])] [KEYS key...]",
    tips="nondeterministic_output",
    categories="keyspace dangerous",
)
def migrate(ctx: Context, host: Bytes, port: Bytes, key: Bytes, db: Bytes, timeout: Bytes, *options: Bytes) -> object:
    """Atomically transfers a key from one Redis instance to another."""
    milliseconds = parse_int(timeout)
    if milliseconds <= 0:
        milliseconds = DEFAULT_TIMEOUT_MS
    database = parse_int(db)
    parsed = parse(key, Options(options))
    payloads = [(name, payload) for name in parsed.keys if (payload := dump(ctx, name)) is not None]
    if not payloads:
        return Status(b"NOKEY")
    try:
        address = (host.decode("latin-1"), parse_int(port))
        target = LiveServer(socket.create_connection(address, milliseconds / 1000), "target")
    except (OSError, OverflowError):
        raise CommandError("IOERR error or timeout connecting to the client") from None
    moved: list[bytes] = []
    try:
        failure = transfer(ctx, target, parsed, database, payloads, moved)
    except OSError:
        failure = CommandError("IOERR error or timeout reading to target instance")
    finally:
        target.close()
        if moved and not parsed.copy:
            for name in moved:
                ctx.db.delete(name)
                ctx.changed(name, "del")
            ctx.propagate(b"DEL", *moved)
    if failure is not None:
        raise failure
    return OK


def transfer(
    ctx: Context,
    target: LiveServer,
    parsed: Migration,
    database: int,
    payloads: list[tuple[bytes, bytes]],
    moved: list[bytes],
) -> CommandError | None:
    """Restore the keys over there; `moved` gets those that arrived. The first error is returned."""
    if parsed.credentials:
        target.send(b"AUTH", *parsed.credentials)
    target.send(b"SELECT", b"%d" % database)
    for name, payload in payloads:
        expire_ms = ctx.db.expire_at(name)
        ttl = max(expire_ms - ctx.now_ms, 1) if expire_ms is not None and expire_ms != -1 else 0
        target.send(b"RESTORE", name, b"%d" % ttl, payload, *([b"REPLACE"] if parsed.replace else []))
    failure: CommandError | None = None
    for _ in range(2 if parsed.credentials else 1):
        answer = target.reply_line()
        if answer.startswith(b"-"):
            failure = failure or target_error(answer)
    for name, _ in payloads:
        answer = target.reply_line()
        if answer.startswith(b"-"):
            failure = failure or target_error(answer)
        else:
            moved.append(name)
    return failure


def target_error(answer: bytes) -> CommandError:
    return CommandError(f"ERR Target instance replied with error: {answer[1:].decode('latin-1')}")
