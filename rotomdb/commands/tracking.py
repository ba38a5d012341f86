"""CLIENT TRACKING and its companions: what clients may cache on their side."""

from __future__ import annotations

from dataclasses import dataclass, field

from rotomdb.commands.arguments import Options, parse_int
from rotomdb.commands.connection import EVER, GROUP
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import syntax_error
from rotomdb.commands.host import connection_of
from rotomdb.commands.registry import Bytes, command
from rotomdb.commands.reply import OK, MapReply, SetReply
from rotomdb.errors import CommandError


@dataclass
class Mode:
    """How a client tracks."""

    broadcast: bool = False
    opt_in: bool = False
    opt_out: bool = False
    no_loop: bool = False
    redirect: int = 0  # id of the client that gets the messages; 0: itself
    prefixes: list[bytes] = field(default_factory=list)
    caching: bool | None = None  # CLIENT CACHING, for the next command
    broken_redirect: bool = False
    read: dict[bytes, None] = field(default_factory=dict)  # keys remembered for it


def check_prefixes(prefixes: list[bytes], existing: list[bytes]) -> None:
    """No two prefixes of a client may overlap. Raises CommandError."""
    for at, prefix in enumerate(prefixes):
        for others, where in ((existing, "an existing"), (prefixes[at + 1 :], "another provided")):
            for other in others:
                if prefix.startswith(other) or other.startswith(prefix):
                    raise CommandError(
                        f"ERR Prefix '{prefix.decode('latin-1')}' overlaps with {where} prefix '{other.decode('latin-1')}'. "
                        "Prefixes for a single client must not overlap."
                    )


@command(
    "CLIENT|TRACKING",
    since="6.0.0",
    flags=EVER,
    group=GROUP,
    complexity="O(1)",
    syntax="status=(ON | OFF) [REDIRECT client-id:integer] [PREFIX... prefix] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
)
def client_tracking(ctx: Context, status: Bytes, *options: Bytes) -> object:
    """Controls server-assisted client-side caching for the connection."""
    client, tracking = connection_of(ctx), ctx.server.tracking
    mode = Mode()
    words = Options(options)
    while words:
        word = words.next()
        if word == b"REDIRECT" and words:
            if mode.redirect:
                raise CommandError("ERR A client can only redirect to a single other client")
            mode.redirect = parse_int(words.value())
            if mode.redirect not in ctx.server.clients:
                raise CommandError("ERR The client ID you want redirect to does not exist")
        elif word == b"BCAST":
            mode.broadcast = True
        elif word == b"OPTIN":
            mode.opt_in = True
        elif word == b"OPTOUT":
            mode.opt_out = True
        elif word == b"NOLOOP":
            mode.no_loop = True
        elif word == b"PREFIX" and words:
            mode.prefixes.append(words.value())
        else:
            raise syntax_error()
    if status.upper() == b"OFF":
        tracking.disable(client)
        return OK
    if status.upper() != b"ON":
        raise syntax_error()
    if mode.prefixes and not mode.broadcast:
        raise CommandError("ERR PREFIX option requires BCAST mode to be enabled")
    current = tracking.modes.get(client)
    if current is not None and current.broadcast != mode.broadcast:
        raise CommandError(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
            "with a different mode."
        )
    if mode.broadcast and (mode.opt_in or mode.opt_out):
        raise CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if mode.opt_in and mode.opt_out:
        raise CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if current is not None and ((mode.opt_in and current.opt_out) or (mode.opt_out and current.opt_in)):
        raise CommandError(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
            "with a different mode."
        )
    check_prefixes(mode.prefixes, current.prefixes if current is not None else [])
    tracking.enable(client, mode)
    return OK


@command("CLIENT|CACHING", since="6.0.0", flags=EVER, group=GROUP, syntax="mode=(YES | NO)")
def client_caching(ctx: Context, mode: Bytes) -> object:
    """Instructs the server whether to track the keys in the next request."""
    current = ctx.server.tracking.modes.get(connection_of(ctx))
    if current is None or not (current.opt_in or current.opt_out):
        raise CommandError(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
        )
    word = mode.upper()
    if word == b"YES":
        if not current.opt_in:
            raise CommandError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        current.caching = True
    elif word == b"NO":
        if not current.opt_out:
            raise CommandError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        current.caching = False
    else:
        raise syntax_error()
    return OK


@command("CLIENT|GETREDIR", since="6.0.0", flags=EVER, group=GROUP)
def client_getredir(ctx: Context) -> int:
    """Returns the client ID to which the connection's tracking notifications are redirected."""
    mode = ctx.server.tracking.modes.get(connection_of(ctx))
    return -1 if mode is None else int(mode.redirect)


@command("CLIENT|TRACKINGINFO", since="6.2.0", flags=EVER, group=GROUP)
def client_trackinginfo(ctx: Context) -> MapReply:
    """Returns information about server-assisted client-side caching for the connection."""
    mode = ctx.server.tracking.modes.get(connection_of(ctx))
    if mode is None:
        return MapReply([b"flags", SetReply([b"off"]), b"redirect", -1, b"prefixes", []])
    flags = [
        name
        for name, wanted in (
            (b"on", True), (b"bcast", mode.broadcast), (b"optin", mode.opt_in),
            (b"caching-yes", mode.opt_in and mode.caching), (b"optout", mode.opt_out),
            (b"caching-no", mode.opt_out and mode.caching is False), (b"noloop", mode.no_loop),
            (b"broken_redirect", mode.broken_redirect),
        )
        if wanted
    ]  # fmt: skip
    prefixes = sorted(prefix for prefix in mode.prefixes if prefix) if mode.broadcast else []
    return MapReply([b"flags", SetReply(flags), b"redirect", mode.redirect, b"prefixes", prefixes])
