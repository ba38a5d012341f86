"""TLS of a server: the context that new connections get, made of the directives `tls-*`.

A context is whole before it is used: where a file cannot be read or does not fit, the one in force stays. Connections keep the
context that they began with.
"""

from __future__ import annotations

import contextlib
import ssl
import time
import warnings
from pathlib import Path

from rotomdb.errors import ConfigError
from rotomdb.server.config import Config
from rotomdb.server.logger import Logger
from rotomdb.server.tls_channel import Channel

HANDSHAKE_MS = 10_000  # that a client has for it
VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
LEFT_OUT = {  # how OpenSSL is told to leave a version between two others out
    ssl.TLSVersion.TLSv1_1: ssl.OP_NO_TLSv1_1,
    ssl.TLSVersion.TLSv1_2: ssl.OP_NO_TLSv1_2,
}
CLIENTS = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "yes": ssl.CERT_REQUIRED}
CONFIGURED_BY = (
    "tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients",
    "tls-protocols", "tls-ciphers", "tls-prefer-server-ciphers", "tls-dh-params-file", "tls-session-caching",
)  # fmt: skip


FILES = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-dh-params-file")
State = tuple[tuple[int, int, int] | None, ...]


class TLS:
    def __init__(self, config: Config, log: Logger) -> None:
        self.config = config
        self.log = log
        self.context: ssl.SSLContext | None = None
        self.files: State = ()  # as they were when they were last looked at
        self.looked_at = 0.0  # of time.monotonic()

    def configure(self) -> None:
        """Make the context anew. Raises ConfigError, after the log was told why; the one so far stays then."""
        self.files, self.looked_at = state_of(self.config), time.monotonic()  # before they are read
        try:
            self.context = context_of(self.config)
        except ConfigError as error:
            self.log("warning", str(error))
            raise

    def watch_files(self) -> None:
        """tls-auto-reload-interval: take certificates that somebody has put in the place of others."""
        interval = self.config["tls-auto-reload-interval"]
        if not interval or not self.config["tls-port"] or time.monotonic() - self.looked_at < interval:
            return
        self.looked_at = time.monotonic()
        if state_of(self.config) != self.files:
            with contextlib.suppress(
                ConfigError
            ):  # of which the log was told; only another change is a reason to try again
                self.configure()
                self.log("notice", "TLS: the certificates have changed and were read again")

    def names_of(self, channel: Channel) -> list[bytes]:
        """Users that the client's certificate may stand for: what tls-auth-clients-user points to in it."""
        certificate = channel.peer_certificate() or {}
        if self.config["tls-auth-clients-user"] == "uri":
            found = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
        else:
            subject = [pair for part in certificate.get("subject", ()) for pair in part]
            found = [value for kind, value in subject if kind == "commonName"][:1]
        return [name.encode("utf-8", "surrogateescape") for name in found]

    def channel(self, descriptor: int) -> Channel:
        """The TLS of a new connection."""
        assert self.context is not None
        return Channel(self.context, descriptor)


def state_of(config: Config) -> State:
    """What tells that a file is another one now."""
    found: list[tuple[int, int, int] | None] = []
    for name in FILES:
        try:
            status = Path(config[name]).stat() if config[name] else None
        except (OSError, ValueError):
            status = None
        found.append(None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def context_of(config: Config) -> ssl.SSLContext:
    """Raises ConfigError."""
    if not config["tls-cert-file"]:
        raise ConfigError("No tls-cert-file configured!")
    if not config["tls-key-file"]:
        raise ConfigError("No tls-key-file configured!")
    authorities = config["tls-ca-cert-file"] or None, config["tls-ca-cert-dir"] or None
    if config["tls-auth-clients"] != "no" and authorities == (None, None):
        raise ConfigError(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or "
            "tls-auth-clients are enabled!"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    allow_versions(context, config["tls-protocols"])
    load_identity(context, config)
    if authorities != (None, None):
        for name in authorities:
            check_readable(name, "Failed to configure CA certificate(s) file/directory")
        try:
            context.load_verify_locations(*authorities)
        except OSError as error:
            raise ConfigError(f"Failed to configure CA certificate(s) file/directory: {reason_of(error)}") from None
    context.verify_mode = CLIENTS[config["tls-auth-clients"]]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if config["tls-prefer-server-ciphers"]:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if not config["tls-session-caching"]:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if config["tls-ciphers"]:
        try:
            context.set_ciphers(config["tls-ciphers"])
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(f"Failed to configure ciphers: {reason_of(error)}") from None
    if config["tls-dh-params-file"]:
        check_readable(config["tls-dh-params-file"], "Failed to load DH params file")
        try:
            context.load_dh_params(config["tls-dh-params-file"])
        except OSError as error:
            raise ConfigError(
                f"Failed to read DH params from {config['tls-dh-params-file']}: {reason_of(error)}"
            ) from None
    return context


def load_identity(context: ssl.SSLContext, config: Config) -> None:
    """The server's certificate and its key."""
    certificate, key = config["tls-cert-file"], config["tls-key-file"]
    check_readable(certificate, f"Failed to load certificate: {certificate}")
    check_readable(key, f"Failed to load private key: {key}")
    password = config["tls-key-file-pass"].encode("utf-8", "surrogateescape")
    try:
        # A function, since without a password OpenSSL would ask for one at the terminal and wait.
        context.load_cert_chain(certificate, key, lambda: password)
    except (OSError, ValueError) as error:
        # Which of the two it was is told only by loading the certificate as an authority, which needs no key.
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
        except OSError as wrong:
            raise ConfigError(f"Failed to load certificate: {certificate}: {reason_of(wrong)}") from None
        raise ConfigError(f"Failed to load private key: {key}: {reason_of(error)}") from None


def allow_versions(context: ssl.SSLContext, words: str) -> None:
    wanted = {VERSIONS.get(word.lower()) for word in words.split()} or {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}
    known = [version for version in VERSIONS.values() if version in wanted]
    if None in wanted:
        raise ConfigError(
            "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
        )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of versions that whoever configures them wants all the same
        context.minimum_version, context.maximum_version = known[0], known[-1]
        for version, option in LEFT_OUT.items():
            if version not in known:
                context.options |= option


def check_readable(path: str | None, what: str) -> None:
    """OpenSSL's own words for a file that cannot be read name neither the file nor the reason."""
    if path is None:
        return
    try:
        if not Path(path).is_dir():
            with Path(path).open("rb"):
                pass
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what}: {reason_of(error)}") from None


def reason_of(error: Exception) -> str:
    """In OpenSSL's words where it has some."""
    reason = getattr(error, "reason", None)  # some that Python raises by itself have none
    if isinstance(error, ssl.SSLError) and reason:
        return f"{error.library or 'SSL'} routines::{reason.lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
