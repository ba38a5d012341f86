"""The options for TLS with live servers: of the tools and not of their commands, some of which have a `--key` of another meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rotomdb.storage.live_server import SECURE_SCHEMES
from rotomdb.storage.tls_client import TlsOptions

FILE = click.Path(dir_okay=False)
Callback = TypeVar("Callback", bound=Callable[..., Any])
OPTIONS = (
    click.option(
        "--cacert", type=FILE, metavar="FILE", help="For rediss://: trust the certificates in this file, and no others."
    ),
    click.option(
        "--cacertdir",
        type=click.Path(file_okay=False),
        metavar="DIRECTORY",
        help="The same, of a directory as `openssl rehash` makes it.",
    ),
    click.option("--cert", type=FILE, metavar="FILE", help="Our own certificate, for a server that asks for it."),
    click.option("--key", type=FILE, metavar="FILE", help="And the key of it."),
    click.option(
        "--sni", metavar="HOST", help="The name that the server's certificate is for, where it is not the address."
    ),
    click.option("--insecure", is_flag=True, help="Trust any certificate: anybody can answer in the server's place."),
)
SECURE_ADDRESSES = tuple(f"{scheme}://" for scheme in SECURE_SCHEMES)
NAMES = ("cacert", "cacertdir", "cert", "sni", "insecure")  # that no command has, too


class LiveGroup(click.Group):
    """A tool that reads live servers. Its options for TLS stand in front of the command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        for name in NAMES:
            if f"--{name}" in args:
                raise click.UsageError(
                    f"--{name} stands in front of the command: {ctx.info_name} --{name} ... {args[0]}", ctx
                )
        given = [name for name in (*NAMES, "key") if ctx.params.get(name)]
        if given and not any(word.startswith(SECURE_ADDRESSES) for word in args):
            raise click.UsageError(f"--{given[0]} is for rediss:// addresses, and there is none", ctx)
        return super().resolve_command(ctx, args)


def tls_options(callback: Callback) -> Callback:
    """Adds the options; the commands find what they say with `tls_of`."""

    @click.pass_context
    def wrapped(context: click.Context, /, **options: Any) -> Any:
        context.obj = TlsOptions(**options)
        return callback()

    wrapped.__doc__ = callback.__doc__
    wrapped.__name__ = callback.__name__
    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def tls_of(context: click.Context | None) -> TlsOptions:
    """What was said in front of the command."""
    return (context and context.find_object(TlsOptions)) or TlsOptions()
