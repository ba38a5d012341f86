"""How the tools speak TLS with a live server: whom they trust, and who they are."""

from __future__ import annotations

import getpass
import socket
import ssl
import sys
from dataclasses import dataclass

from rotomdb.errors import SourceError

OPTIONS = "--cacert, --cacertdir, --sni or --insecure"


@dataclass(frozen=True)
class TlsOptions:
    """As redis-cli names them, each None or empty where it is not given.

    Attributes:
        cacert, cacertdir: Whom to trust instead of those that the system trusts.
        cert, key: Who we are, for a server that asks.
        sni: The name that the server is asked for, and that its certificate has to be for.
        insecure: Trust any certificate.
    """

    cacert: str | None = None
    cacertdir: str | None = None
    cert: str | None = None
    key: str | None = None
    sni: str | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Raises SourceError for a file that is none."""
        context = ssl.create_default_context()
        if self.cacert or self.cacertdir:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without those that the system trusts
            try:
                context.load_verify_locations(self.cacert, self.cacertdir)
            except OSError as error:
                raise SourceError(f"{self.cacert or self.cacertdir}: {tls_reason(error)}") from None
        if self.cert or self.key:
            if not self.cert or not self.key:
                raise SourceError(
                    "--cert and --key belong together: a certificate, and the key that proves that it is ours"
                )
            try:
                context.load_cert_chain(self.cert, self.key, self.ask_password)
            except OSError as error:
                raise SourceError(f"{self.cert}, {self.key}: {tls_reason(error)}") from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def ask_password(self) -> str:
        """Of the key, which nobody can type in a pipe."""
        if sys.stdin is None or not sys.stdin.isatty():
            raise SourceError(f"{self.key}: it is encrypted, and there is no terminal to ask for its password")
        return getpass.getpass(f"Password of {self.key}: ")

    def wrap(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        """The connection inside TLS. Raises SourceError for our own files, OSError for what the server does."""
        return self.context().wrap_socket(connection, server_hostname=self.sni or host)


def tls_reason(error: OSError) -> str:
    """What is wrong, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (see {OPTIONS})"
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error) or type(error).__name__
    return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
