"""The handshake with a master: who we are, what we understand, and from where the history is wanted.

One request at a time, each after the reply to the one before. Line feeds in front of a reply only say that the master is there.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rotomdb.server.reactor import Handler
from rotomdb.storage.rdb import REDIS_VERSION

if TYPE_CHECKING:
    from rotomdb.server.replication.link import Link

LINE_MAX = 1 << 16
LATER = ("-NOMASTERLINK", "-LOADING")  # the master cannot say yet


class Conversation(Handler):
    def __init__(self, link: Link) -> None:
        """Begin to connect. Raises OSError."""
        self.link = link
        self.server = link.server
        family, kind, protocol, _, address = socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        try:
            self.socket.setblocking(False)
            source = self.server.config["bind-source-addr"]
            if source:
                self.socket.bind((source, 0))
            code = self.socket.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
            super().__init__(self.socket.fileno())
            self.server.reactor.add(self)
            self.server.reactor.want_write(self, True)
        except OSError:
            self.socket.close()
            raise
        self.received = b""
        self.steps = self.requests()
        self.asked = ""
        self.closed = False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.server.reactor.remove(self)
            self.socket.close()

    def hand_over(self) -> socket.socket:
        """The socket, to whoever goes on with it."""
        self.closed = True
        self.server.reactor.want_write(self, False)
        self.server.reactor.remove(self)
        return self.socket

    def failed(self, error: Exception) -> None:
        self.link.failed(f"Error in the handshake with MASTER: {error}")

    # Requests

    def requests(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(name for the log, words)."""
        config = self.server.config
        yield "PING", ("PING",)
        if config["masterauth"]:
            user = (config["masteruser"],) if config["masteruser"] else ()
            yield "AUTH", ("AUTH", *user, config["masterauth"])
        port = config["replica-announce-port"] or config["port"] or config["tls-port"]
        yield "REPLCONF listening-port", ("REPLCONF", "listening-port", str(port))
        if config["replica-announce-ip"]:
            yield "REPLCONF ip-address", ("REPLCONF", "ip-address", config["replica-announce-ip"])
        yield "REPLCONF capa", ("REPLCONF", "capa", "eof", "capa", "psync2")
        yield "REPLCONF version", ("REPLCONF", "version", REDIS_VERSION)
        history, offset = self.link.replication.wanted()
        self.server.log("notice", f"Trying a partial resynchronization (request {history}:{offset}).")
        yield "PSYNC", ("PSYNC", history, str(offset))

    def ask(self) -> None:
        self.asked, words = next(self.steps)
        encoded = [word.encode("utf-8", "surrogateescape") for word in words]
        self.socket.sendall(
            b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
        )

    def writable(self) -> None:
        """Connected, or not."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.link.failed(f"Error condition on socket for SYNC: {os.strerror(code)}")
            return
        self.server.reactor.want_write(self, False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.greeted()
        try:
            self.ask()
        except OSError as error:
            self.link.failed(f"Error condition on socket for SYNC: {error.strerror}")

    # Replies

    def readable(self) -> None:
        try:
            data = self.socket.recv(LINE_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self.link.failed(f"Error condition on socket for SYNC: {error.strerror}")
            return
        if not data:
            self.link.failed(f"Error reply from MASTER: it closed the connection (step {self.asked})")
            return
        self.link.greeted()
        self.received += data
        while not self.closed:
            self.received = self.received.lstrip(b"\n")
            line, ended, rest = self.received.partition(b"\n")
            if not ended:
                if len(line) > LINE_MAX:
                    self.link.failed("Error reply from MASTER: a line without end")
                return
            self.received = rest
            try:
                self.answer(line.rstrip(b"\r").decode("latin-1"))
            except OSError as error:
                self.link.failed(f"Error condition on socket for SYNC: {error.strerror}")

    def answer(self, line: str) -> None:
        if self.asked == "PSYNC":
            self.answer_psync(line)
            return
        if (
            self.asked == "PING"
            and line.startswith("-")
            and not line.startswith(("-NOAUTH", "-NOPERM", "-ERR operation not permitted"))
        ):
            self.link.failed(f"Error reply to PING from master: '{line}'")
            return
        if self.asked == "AUTH" and line.startswith("-"):
            self.link.failed(f"Unable to AUTH to MASTER: {line}")
            return
        if line.startswith("-") and self.asked.startswith("REPLCONF"):
            self.server.log("notice", f"(Non critical) Master does not understand {self.asked}: {line}")
        elif self.asked == "PING":
            self.server.log("notice", "Master replied to PING, replication can continue...")
        self.ask()

    def answer_psync(self, line: str) -> None:
        words = line.split()
        if words[:1] == ["+FULLRESYNC"] and len(words) == 3 and len(words[1]) == 40 and words[2].isdigit():
            self.link.copy_from(self.hand_over(), self.received, words[1], int(words[2]))
        elif words[:1] == ["+CONTINUE"] and all(len(word) == 40 for word in words[1:2]):
            self.link.continue_with(self.hand_over(), self.received, words[1] if words[1:] else "")
        elif line.startswith(LATER):
            self.link.failed(f"Master is currently unable to PSYNC but should be in the future: {line}")
        else:
            self.link.failed(f"Unexpected reply to PSYNC from master: {line}")
