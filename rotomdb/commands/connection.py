"""Commands about the connection itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rotomdb.commands.arguments import Options, parse_int, parse_int32
from rotomdb.commands.client_info import describe
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import DB_INDEX_OUT_OF_RANGE, shown, syntax_error
from rotomdb.commands.host import Connection, Host, connection_of
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_AUTH,
    NOSCRIPT,
    STALE,
    Bytes,
    command,
    container,
)
from rotomdb.commands.reply import NO_REPLY, OK, PONG, REPLY_OFF, REPLY_ON, REPLY_SKIP_NEXT, MapReply, Status, Verbatim
from rotomdb.commands.waiting import timeout_ms
from rotomdb.errors import CommandError
from rotomdb.storage.rdb import REDIS_VERSION

GROUP = "connection"
EVER = NOSCRIPT | LOADING | STALE
WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."


@command(
    "PING",
    since="1.0.0",
    flags=FAST,
    properties=Property.WHILE_SUBSCRIBED | Property.REFUSED_WITH_WRITES,
    group=GROUP,
    tips="request_policy:all_shards response_policy:all_succeeded",
)
def ping(ctx: Context, message: Bytes | None = None) -> object:
    """Returns the server's liveliness response."""
    if ctx.subscribed and ctx.resp == 2:
        return [b"pong", message or b""]
    return PONG if message is None else message


@command("ECHO", since="1.0.0", flags=LOADING | STALE | FAST, group=GROUP)
def echo(ctx: Context, message: Bytes) -> bytes:
    """Returns the given string."""
    return message


@command(
    "SELECT",
    since="1.0.0",
    flags=LOADING | STALE | FAST,
    properties=Property.REPLAYED,
    group=GROUP,
    syntax="index:integer",
)
def select(ctx: Context, index: Bytes) -> object:
    """Changes the selected database."""
    if not ctx.select(parse_int32(index)):
        raise CommandError(DB_INDEX_OUT_OF_RANGE)
    return OK


@command(
    "QUIT",
    since="1.0.0",
    flags=EVER | FAST | NO_AUTH | ALLOW_BUSY,
    properties=Property.NEVER_QUEUED | Property.WHILE_SUBSCRIBED,
    group=GROUP,
    arity=-1,
    syntax="",
)
def quit_(ctx: Context, *ignored: Bytes) -> object:
    """Closes the connection."""
    connection_of(ctx).close_after_reply = True
    return OK


@command(
    "RESET",
    since="6.2.0",
    flags=EVER | FAST | NO_AUTH | ALLOW_BUSY,
    properties=Property.NEVER_QUEUED | Property.WHILE_SUBSCRIBED,
    group=GROUP,
)
def reset(ctx: Context) -> Status:
    """Resets the connection."""
    client = connection_of(ctx)
    client.discard()
    ctx.server.pubsub.drop(client)
    ctx.server.tracking.disable(client)
    ctx.server.monitors.drop(client)
    client.select(0)
    client.resp = 2
    client.name = ""
    client.reply_mode = REPLY_ON
    client.no_evict = client.no_touch = False
    ctx.server.users.welcome(client)
    return Status(b"RESET")


# Authentication


@command(
    "AUTH", since="1.0.0", flags=EVER | FAST | NO_AUTH | ALLOW_BUSY, group=GROUP, arity=-2, syntax="[username] password"
)
def auth(ctx: Context, first: Bytes, second: Bytes | None = None, *more: Bytes) -> object:
    """Authenticates the connection."""
    if more:
        raise syntax_error()
    if second is None:
        if ctx.server.users.default.nopass:
            raise CommandError(
                "ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?"
            )
        ctx.server.users.authenticate(connection_of(ctx), b"default", first)
    else:
        ctx.server.users.authenticate(connection_of(ctx), first, second)
    return OK


@command(
    "HELLO",
    since="6.0.0",
    flags=EVER | FAST | NO_AUTH | ALLOW_BUSY,
    group=GROUP,
    syntax="[arguments=<protover:integer [AUTH <username password>] [SETNAME clientname]>]",
)
def hello(ctx: Context, *options: Bytes) -> MapReply:
    """Handshakes with the server."""
    client = connection_of(ctx)
    version = client.resp
    name: bytes | None = None
    words = Options(options)
    if words:
        version = parse_int(words.value(), "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    while words:
        word = words.next()
        if word == b"AUTH" and words.remaining() >= 2:
            ctx.server.users.authenticate(client, words.value(), words.value())
        elif word == b"SETNAME" and words:
            name = words.value()
            check_name(name, "ERR Client names cannot contain spaces, newlines or special characters.")
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{shown(words.words[words.at - 1])}'")
    if ctx.dispatcher.requires_auth and not client.authenticated:
        raise CommandError(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
            "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
        )
    if name is not None:
        client.name = name.decode("latin-1")
    client.resp = version
    return MapReply([
        b"server", b"redis", b"version", REDIS_VERSION.encode(), b"proto", version, b"id", client.id, b"mode", b"standalone",
        b"role", b"master", b"modules", [],
    ])  # fmt: skip


# CLIENT

container("CLIENT", since="2.4.0", group=GROUP, summary="A container for client connection commands")


def check_name(name: bytes, message: str) -> None:
    if any(not 33 <= byte <= 126 for byte in name):
        raise CommandError(message)


@command("CLIENT|ID", since="5.0.0", flags=EVER, group=GROUP)
def client_id(ctx: Context) -> int:
    """Returns the unique client ID of the connection."""
    return connection_of(ctx).id


@command("CLIENT|GETNAME", since="2.6.9", flags=EVER, group=GROUP)
def client_getname(ctx: Context) -> bytes | None:
    """Returns the name of the connection."""
    return connection_of(ctx).name.encode("latin-1") or None


@command("CLIENT|SETNAME", since="2.6.9", flags=EVER, group=GROUP, syntax="connection-name")
def client_setname(ctx: Context, name: Bytes) -> object:
    """Sets the connection name."""
    check_name(name, "ERR Client names cannot contain spaces, newlines or special characters.")
    connection_of(ctx).name = name.decode("latin-1")
    return OK


@command(
    "CLIENT|SETINFO",
    since="7.2.0",
    flags=EVER,
    group=GROUP,
    syntax="attr=(LIB-NAME libname | LIB-VER libver)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def client_setinfo(ctx: Context, attribute: Bytes, value: Bytes) -> object:
    """Sets information specific to the client or connection."""
    client, word = connection_of(ctx), attribute.upper()
    if word not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandError(f"ERR Unrecognized option '{shown(attribute)}'")
    spelled = word.decode().lower()
    check_name(value, f"ERR {spelled} cannot contain spaces, newlines or special characters.")
    if word == b"LIB-NAME":
        client.library_name = value.decode("latin-1")
    else:
        client.library_version = value.decode("latin-1")
    return OK


@command("CLIENT|INFO", since="6.2.0", flags=EVER, group=GROUP, tips="nondeterministic_output")
def client_info(ctx: Context) -> Verbatim:
    """Returns information about the connection."""
    return Verbatim(describe(ctx.server, connection_of(ctx)).encode())


@command(
    "CLIENT|LIST",
    since="2.4.0",
    flags=ADMIN | EVER,
    group=GROUP,
    complexity="O(N)",
    syntax="[TYPE (NORMAL | MASTER | REPLICA | PUBSUB)] [ID id=<client-id:integer...>]",
    tips="nondeterministic_output",
)
def client_list(ctx: Context, *options: Bytes) -> Verbatim:
    """Lists open connections."""
    clients: Iterable[Connection] = ctx.server.clients.values()
    words = Options(options)
    if words:
        word = words.next()
        if word == b"TYPE" and words.remaining() == 1:
            kind = words.value().lower()
            if kind not in (b"normal", b"master", b"replica", b"slave", b"pubsub"):
                raise CommandError(f"ERR Unknown client type '{shown(kind)}'")
            wanted_type = "replica" if kind == b"slave" else kind.decode()
            clients = [client for client in clients if client_type(client) == wanted_type]
        elif word == b"ID" and words:
            wanted = [parse_int(text, "ERR Invalid client ID") for text in words.take(words.remaining())]
            clients = [ctx.server.clients[number] for number in wanted if number in ctx.server.clients]
        else:
            raise syntax_error()
    return Verbatim("".join(describe(ctx.server, client) for client in clients).encode())


def client_type(client: Connection) -> str:
    """As CLIENT LIST TYPE names it."""
    if client.is_master:
        return "master"
    if client.is_replica:
        return "replica"
    return "pubsub" if client.subscribed else "normal"


def kill_filter(server: Host, word: bytes, value: bytes) -> Callable[[Connection], bool]:
    """The test that an option of CLIENT KILL stands for."""
    text = value.decode("latin-1")
    if word == b"ID":
        number = parse_int(value, "ERR client-id should be greater than 0")
        if number < 1:
            raise CommandError("ERR client-id should be greater than 0")
        return lambda client: client.id == number
    if word == b"ADDR":
        return lambda client: client.address == text
    if word == b"LADDR":
        return lambda client: client.local_address == text
    if word == b"USER":
        user = server.users.by_name.get(value)
        if user is None:
            raise CommandError(f"ERR No such user '{text}'")
        return lambda client: client.user is user
    if word == b"TYPE":
        if text.lower() not in ("normal", "master", "replica", "slave", "pubsub"):
            raise CommandError(f"ERR Unknown client type '{text}'")
        wanted = "replica" if text.lower() == "slave" else text.lower()
        return lambda client: client_type(client) == wanted
    if word == b"MAXAGE":
        seconds = parse_int(value, "ERR maxage is not an integer or out of range")
        if seconds < 1:
            raise CommandError("ERR maxage should be greater than 0")
        return lambda client: server.engine.now_ms - client.created_ms >= seconds * 1000
    raise syntax_error()


@command(
    "CLIENT|KILL",
    since="2.4.0",
    flags=ADMIN | EVER,
    group=GROUP,
    arity=-3,
    complexity="O(N)",
    syntax="filter=(ip:port | new-format=([ID client-id:integer] | [TYPE normal_master_slave_pubsub=(NORMAL | "
    "MASTER | SLAVE | REPLICA | PUBSUB)] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME "
    "yes/no])...)",
)
def client_kill(ctx: Context, *options: Bytes) -> object:
    """Terminates open connections."""
    if len(options) == 1:
        address = options[0].decode("latin-1")
        found = [client for client in ctx.server.clients.values() if client.address == address]
        if not found:
            raise CommandError("ERR No such client")
        kill(ctx, found)
        return OK
    tests, skip_me = [], True
    words = Options(options)
    while words:
        word = words.next()
        if not words:
            raise syntax_error()
        value = words.value()
        if word == b"SKIPME":
            if value.lower() not in (b"yes", b"no"):
                raise syntax_error()
            skip_me = value.lower() == b"yes"
        else:
            tests.append(kill_filter(ctx.server, word, value))
    found = [
        client
        for client in ctx.server.clients.values()
        if all(test(client) for test in tests) and not (skip_me and is_own(ctx, client))
    ]
    kill(ctx, found)
    return len(found)


def is_own(ctx: object, client: object) -> bool:
    """Whether the connection is the one that runs the command."""
    return client is ctx


def kill(ctx: Context, clients: Iterable[Connection]) -> None:
    for client in list(clients):
        if is_own(ctx, client):
            client.close_after_reply = True
        else:
            ctx.server.disconnect(client.id)


@command("CLIENT|REPLY", since="3.2.0", flags=EVER, group=GROUP, syntax="(ON | OFF | SKIP)")
def client_reply(ctx: Context, mode: Bytes) -> object:
    """Instructs the server whether to reply to commands."""
    client, word = connection_of(ctx), mode.upper()
    if word == b"ON":
        client.reply_mode = REPLY_ON
        return OK
    if word not in (b"OFF", b"SKIP"):
        raise syntax_error()
    if word == b"OFF":
        client.reply_mode = REPLY_OFF
    elif client.reply_mode != REPLY_OFF:
        client.reply_mode = REPLY_SKIP_NEXT
    return NO_REPLY


def on_off(word: bytes) -> bool:
    if word.upper() not in (b"ON", b"OFF"):
        raise syntax_error()
    return word.upper() == b"ON"


@command("CLIENT|NO-EVICT", since="7.0.0", flags=ADMIN | EVER, group=GROUP, syntax="enabled=(ON | OFF)")
def client_no_evict(ctx: Context, mode: Bytes) -> object:
    """Sets the client eviction mode of the connection."""
    connection_of(ctx).no_evict = on_off(mode)
    return OK


@command("CLIENT|NO-TOUCH", since="7.2.0", flags=EVER, group=GROUP, syntax="enabled=(ON | OFF)")
def client_no_touch(ctx: Context, mode: Bytes) -> object:
    """Controls whether commands sent by the client affect the LRU/LFU of accessed keys."""
    connection_of(ctx).no_touch = on_off(mode)
    return OK


@command(
    "CLIENT|UNBLOCK", since="5.0.0", flags=ADMIN | EVER, group=GROUP, syntax="client-id:integer [(TIMEOUT | ERROR)]"
)
def client_unblock(ctx: Context, identifier: Bytes, how: Bytes = b"TIMEOUT") -> bool:
    """Unblocks a client blocked by a blocking command from a different connection."""
    if how.upper() not in (b"TIMEOUT", b"ERROR"):
        raise CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    return ctx.server.unblock(parse_int(identifier), with_error=how.upper() == b"ERROR")


@command("CLIENT|HELP", since="5.0.0", flags=LOADING | STALE, group=GROUP)
def client_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CACHING (YES|NO)", b"    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        b"GETREDIR", b"    Return the client ID we are redirecting to when tracking is enabled.",
        b"PAUSE <timeout> [WRITE|ALL]", b"    Suspend all, or just write, clients for <timeout> milliseconds.",
        b"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]", b"         [OPTIN] [OPTOUT] [NOLOOP]",
        b"    Control server assisted client side caching.",
        b"TRACKINGINFO", b"    Report tracking status for the current connection.",
        b"UNBLOCK <clientid> [TIMEOUT|ERROR]", b"    Unblock the specified blocked client.",
        b"UNPAUSE", b"    Stop the current client pause, resuming traffic.",
        b"GETNAME", b"    Return the name of the current connection.",
        b"ID", b"    Return the ID of the current connection.",
        b"INFO", b"    Return information about the current client connection.",
        b"KILL <ip:port> | <option> <value> ...", b"    Kill connections by address, ID, type, user or local address.",
        b"LIST [options ...]", b"    Return information about client connections.",
        b"NO-EVICT (ON|OFF)", b"    Protect current client connection from eviction.",
        b"NO-TOUCH (ON|OFF)", b"    Will not touch LRU/LFU stats when this mode is on.",
        b"REPLY (ON|OFF|SKIP)", b"    Control the replies sent to the current connection.",
        b"SETNAME <name>", b"    Assign the name <name> to the current connection.",
        b"SETINFO <option> <value>", b"    Set client meta attr.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip


# CLIENT PAUSE


@command("CLIENT|PAUSE", since="3.0.0", flags=ADMIN | EVER, group=GROUP, syntax="timeout:integer [mode=(WRITE | ALL)]")
def client_pause(ctx: Context, timeout: Bytes, mode: Bytes = b"ALL") -> object:
    """Suspends commands processing."""
    if mode.upper() not in (b"ALL", b"WRITE"):
        raise CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL")
    ctx.server.pausing.pause(timeout_ms(ctx, timeout), mode.upper() == b"ALL")
    return OK


@command("CLIENT|UNPAUSE", since="6.2.0", flags=ADMIN | EVER, group=GROUP, complexity="O(N)")
def client_unpause(ctx: Context) -> object:
    """Resumes processing commands from paused clients."""
    ctx.server.pausing.over()
    return OK


@command("MONITOR", since="1.0.0", flags=ADMIN | EVER, group="server")
def monitor(ctx: Context) -> object:
    """Listens for all requests received by the server in real-time."""
    if ctx.in_exec:
        raise CommandError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    ctx.server.monitors.add(connection_of(ctx))
    return OK


# Cluster states of a connection; this is no cluster


def no_cluster() -> CommandError:
    return CommandError("ERR This instance has cluster support disabled")


@command("ASKING", since="3.0.0", flags=FAST, group="cluster", categories="connection")
def asking(ctx: Context) -> object:
    """Signals that a cluster client is following an -ASK redirect."""
    raise no_cluster()


@command("READONLY", since="3.0.0", flags=LOADING | STALE | FAST, group="cluster", categories="connection")
def readonly(ctx: Context) -> object:
    """Enables read-only queries for a connection to a Redis Cluster replica node."""
    raise no_cluster()


@command("READWRITE", since="3.0.0", flags=LOADING | STALE | FAST, group="cluster", categories="connection")
def readwrite(ctx: Context) -> object:
    """Enables read-write queries for a connection to a Redis Cluster replica node."""
    raise no_cluster()
