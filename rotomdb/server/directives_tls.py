"""Directives of TLS: where it listens, who the server is, whom it lets in, and how what is said is encrypted."""

from __future__ import annotations

from rotomdb.server.directives import INT_MAX, choice, number, path, table, text, yes

NOT_TO_BE_CHOSEN = "Python's ssl module leaves it to OpenSSL"

TLS = table((
    number("tls-port", 0, "Port for TLS, on the addresses of `bind`; 0: none.", 0, 65535),
    path("tls-cert-file", "", "Certificate of the server, with those between it and its authority behind it (PEM)."),
    path("tls-key-file", "", "Its private key (PEM)."),
    text("tls-key-file-pass", "", "Password of the key.", secret=True),
    path("tls-ca-cert-file", "", "Authorities whose certificates clients may show: a file (PEM)."),
    path("tls-ca-cert-dir", "", "The same, a directory with hashed names (`openssl rehash`)."),
    choice("tls-auth-clients", "yes", "no yes optional",
           "Clients have to show a certificate; `optional`: one that they show has to be valid; `no`: none is asked for."),
    choice("tls-auth-clients-user", "off", "off cn uri",
           "Who shows a certificate is the user that its common name, or a URI in it, names; where there is none, the default user."),
    text("tls-protocols", "", "Versions: some of `TLSv1 TLSv1.1 TLSv1.2 TLSv1.3`; empty: 1.2 and 1.3."),
    text("tls-ciphers", "", "Ciphers up to TLS 1.2, in OpenSSL's notation; empty: its own choice."),
    text("tls-ciphersuites", "", "Ciphers of TLS 1.3.").refused("Python's ssl module cannot choose ciphers of TLS 1.3"),
    yes("tls-prefer-server-ciphers", False, "The server's order of ciphers counts, not the client's."),
    path("tls-dh-params-file", "", "Parameters of Diffie-Hellman (PEM), for ciphers that need them."),
    yes("tls-session-caching", True, "Let clients resume sessions."),
    number("tls-session-cache-size", 20480, "Sessions kept.", high=INT_MAX).without_effect(NOT_TO_BE_CHOSEN),
    number("tls-session-cache-timeout", 300, "Seconds that they are kept.", high=INT_MAX).without_effect(NOT_TO_BE_CHOSEN),
    number("max-new-tls-connections-per-cycle", 1, "TLS connections accepted in one turn.", 1, 1000),
    number("tls-auto-reload-interval", 0, "Seconds after which certificates that have changed are taken; 0: only by CONFIG SET.",
           high=INT_MAX),
))  # fmt: skip
