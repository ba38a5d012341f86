"""Crash reports in Redis's layout: the sections that tell of the server, and the ways to end with one.

The native part (registers, stacks) is crash_signals.h. A report goes to the log; what a client sent stands in it, unless
`hide-user-data-from-log` is on, and never passwords.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rotomdb import __version__
from rotomdb.commands.client_info import describe
from rotomdb.formats.quoting import quoted
from rotomdb.server import crash_signals
from rotomdb.server.config import DIRECTIVES
from rotomdb.server.secrets import without_secrets

if TYPE_CHECKING:
    from rotomdb.server.server import Server

ARGUMENTS_SHOWN = 32
BYTES_SHOWN = 1024
OUT_OF_MEMORY_BYTES = (1 << 63) - 1  # that DEBUG OOM asks for


class CrashReport:
    """What a crash report tells of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def install(self) -> None:
        """Report the crashes of this process from now on, as `crash-log-enabled` says. Raises OSError."""
        path = self.server.log.path
        offset = time.localtime().tm_gmtoff
        crash_signals.configure(
            str(Path(path).absolute()) if path else "", f"rotomdb {__version__}", offset, self.write_rest
        )
        crash_signals.enable(self.server.config["crash-log-enabled"])
        self.server.runtime_config.on_change["crash-log-enabled"] = lambda before: crash_signals.enable(
            self.server.config["crash-log-enabled"]
        )

    # Sections

    def write_rest(self, descriptor: int) -> None:
        """Everything that needs a server in working order, section by section."""
        for title, lines in (
            ("INFO OUTPUT", self.info),
            ("CLIENT LIST OUTPUT", self.clients),
            ("CURRENT CLIENT INFO", self.current_client),
            ("CONFIG DEBUG OUTPUT", self.directives),
        ):
            os.write(descriptor, f"\n------ {title} ------\n".encode())
            try:
                for line in lines():
                    os.write(descriptor, line.encode("utf-8", "replace") + b"\n")
            except Exception as error:
                os.write(descriptor, f"not available: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))

    def info(self) -> Iterator[str]:
        yield self.server.info((b"everything",)).replace("\r\n", "\n")

    def clients(self) -> Iterator[str]:
        for client in list(self.server.clients.values()):
            yield describe(self.server, client).rstrip()

    def current_client(self) -> Iterator[str]:
        client, request = self.server.dispatcher.running_request()
        if client is None:
            return
        if hasattr(client, "address"):
            yield describe(self.server, client).rstrip()
        hidden = self.server.config.values.get("hide-user-data-from-log")
        for number, word in enumerate(without_secrets(request)[:ARGUMENTS_SHOWN]):
            shown = "*redacted*" if hidden and number else quoted(word[:BYTES_SHOWN])
            yield f"argv[{number}]: '{shown}'"

    def directives(self) -> Iterator[str]:
        """Those that do not have their default, without secrets."""
        config = self.server.config
        for name, row in DIRECTIVES.items():
            if not row.secret and config[name] != row.default:
                yield f"{name} {config.get(name)}"

    # Ways to end

    def segfault(self) -> None:
        crash_signals.segfault()

    def panic(self, text: str) -> NoReturn:
        """Something that must not be: a report, and the end."""
        place = traceback.extract_stack(limit=2)[0]
        crash_signals.abort_with_report(
            [
                self.server.log.line("warning", "-" * 48),
                self.server.log.line("warning", "!!! Software Failure. Press left mouse button to continue"),
                self.server.log.line("warning", f"Guru Meditation: {text} #{Path(place.filename).name}:{place.lineno}"),
            ]
        )

    def assertion_failed(self, condition: str) -> NoReturn:
        place = traceback.extract_stack(limit=2)[0]
        crash_signals.abort_with_report(
            [
                self.server.log.line("warning", "=== ASSERTION FAILED ==="),
                self.server.log.line(
                    "warning", f"==> {Path(place.filename).name}:{place.lineno} '{condition}' is not true"
                ),
            ]
        )

    def out_of_memory(self) -> NoReturn:
        text = f"llocating {OUT_OF_MEMORY_BYTES} bytes!"
        self.server.log("warning", f"Out Of Memory a{text}")
        self.panic(f"rotomdb aborting for OUT OF MEMORY. A{text}")

    def unhandled(self, error: BaseException) -> NoReturn:
        """An exception that has left the event loop: what was acknowledged is brought to the disk, if that works, first."""
        trace = "".join(traceback.format_exception(error))
        try:
            self.server.persistence.aof.flush(force=True)
            if self.server.persistence.aof.on:
                self.server.persistence.aof.sync_now()
        except Exception as failure:
            self.server.log("warning", f"The log could not be brought to the disk before the end: {failure}")
        self.server.log.trace("warning", "internal error outside of any command:", trace)
        self.panic(f"{type(error).__name__}: {error}")
