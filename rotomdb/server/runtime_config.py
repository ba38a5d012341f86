"""CONFIG GET, SET and REWRITE: the configuration of a server that runs.

A CONFIG SET of several directives is in force with all of them or with none: values are parsed first, then put in force, and
where a part of the server refuses one, all go back to what they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rotomdb.commands.dispatch import Context
from rotomdb.engine import glob
from rotomdb.errors import CommandError, ConfigError, RotomError
from rotomdb.server.config import ALIASES, DIRECTIVES
from rotomdb.server.config_file import load_text
from rotomdb.server.config_rewrite import rewrite_file
from rotomdb.server.process import apply_oom_scores, descriptors_for, show_process_title
from rotomdb.server.protected_commands import allowed
from rotomdb.server.tls import CONFIGURED_BY

if TYPE_CHECKING:
    from rotomdb.server.server import Server

WILDCARDS = frozenset(b"[*?")


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class RuntimeConfig:
    """What CONFIG asks of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.config = server.config
        # Parts of the server that must agree before a value is in force. Each is asked once, when all values are set.
        self.on_change: dict[str, Callable[[dict[str, Any]], None]] = {
            "appendonly": lambda before: server.change_appendonly(self.config["appendonly"]),
            "dir": self.change_directory,
            "port": self.listen_elsewhere,
            "tls-port": self.listen_elsewhere,
            "bind": self.listen_elsewhere,
            **dict.fromkeys(CONFIGURED_BY, self.secure_anew),
            "maxclients": self.raise_descriptor_limit,
            "oom-score-adj": self.change_oom_scores,
            "oom-score-adj-values": self.change_oom_scores,
            "requirepass": lambda before: server.users.require_password(self.config["requirepass"]),
            "proc-title-template": lambda before: show_process_title(self.config),
        }

    # GET

    def get(self, patterns: tuple[bytes, ...]) -> dict[bytes, bytes]:
        """Values by name: the ones that a pattern fits, and the ones that are named, in the spelling of who asks."""
        found: dict[str, bytes] = {}
        for pattern in patterns:
            if WILDCARDS.isdisjoint(pattern):
                name = pattern.decode("latin-1").lower()
                if ALIASES.get(name, name) in DIRECTIVES:
                    found.setdefault(name, pattern)
                continue
            for name in self.config.names():
                hidden = DIRECTIVES[ALIASES.get(name, name)].hidden
                if not hidden and glob.match(pattern, name.encode(), True):
                    found.setdefault(name, name.encode())
        return {spelling: self.config.get(name).encode("utf-8", "surrogateescape") for name, spelling in found.items()}

    # SET

    def set(self, pairs: list[tuple[bytes, bytes]], context: Context) -> None:
        """Put values in force, all or none. Raises CommandError."""
        names = [text_of(name) for name, _ in pairs]
        for name in names:
            if ALIASES.get(name.lower(), name.lower()) not in DIRECTIVES:
                raise CommandError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        seen: set[str] = set()
        for name in names:
            row = DIRECTIVES[ALIASES.get(name.lower(), name.lower())]
            if not row.mutable:
                raise failure(name, "can't set immutable config")
            if row.protected and not allowed(self.config["enable-protected-configs"], context):
                raise failure(name, "can't set protected config")
            if name.lower() in seen:
                raise failure(name, "duplicate parameter")
            seen.add(name.lower())
        values: dict[str, Any] = {}
        for name, (_, word) in zip(names, pairs, strict=True):
            try:
                values[ALIASES.get(name.lower(), name.lower())] = self.config.set(name.lower(), text_of(word))
            except ValueError as error:
                raise failure(name.lower(), str(error)) from None
        self.put_in_force(values)

    def put_in_force(self, values: dict[str, Any]) -> None:
        server, config = self.server, self.config
        before = {name: config.values[name] for name in values}
        changed = [name for name in values if values[name] != before[name]]
        server.refuse_while_loading(changed)
        config.values.update(values)
        asked: list[str] = []
        try:
            for name in changed:
                hook = self.on_change.get(name)
                if hook is not None and not any(self.on_change[other] == hook for other in asked):
                    asked.append(name)
                    hook(before)
        except (OSError, RotomError) as error:
            server.log(
                "warning",
                f"Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings.",
            )
            config.values.update(before)
            for undone in reversed(asked[:-1]):
                self.take_back(undone, values)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise failure(name, reason) from None
        finally:
            server.config_changed()
        for name in changed:
            if DIRECTIVES[name].idle:
                server.log("notice", f"'{name}' has no effect: {DIRECTIVES[name].idle}")

    def take_back(self, name: str, values: dict[str, Any]) -> None:
        """Bring a part of the server back to the value that it had; what fails is told, and the others are taken back."""
        try:
            self.on_change[name](values)
        except (OSError, RotomError) as error:
            self.server.log("warning", f"'{name}' could not be restored: {error}")

    def change_directory(self, before: dict[str, Any]) -> None:
        self.config.values["dir"] = self.server.store.data_directory.change(self.config["dir"])

    def secure_anew(self, before: dict[str, Any]) -> None:
        """New connections get what the directives say now; while there is no port for them, nobody looks at the files."""
        if self.config["tls-port"]:
            try:
                self.server.tls.configure()
            except ConfigError:
                raise ConfigError("Unable to update TLS configuration. Check server logs.") from None

    def listen_elsewhere(self, before: dict[str, Any]) -> None:
        """New sockets in place of the ones that clients connect to; where that fails the old ones stay, or come back."""
        config = self.config
        addresses = before.get("bind", config["bind"])
        if config["tls-port"] and (self.server.tls.context is None or not before.get("tls-port", True)):
            self.secure_anew(before)  # the files may have changed while nobody needed them
        done: list[str] = []
        for name in ("port", "tls-port"):
            port = before.get(name, config[name])
            if (addresses, port) == (config["bind"], config[name]):
                continue
            try:
                self.listen_on(name, addresses, port)
            except ConfigError as error:
                self.server.log("warning", str(error))
                for moved in done:
                    self.server.replace_listeners(
                        addresses, before.get(moved, config[moved]), secure=moved == "tls-port"
                    )
                raise ConfigError(
                    "Unable to listen on this port. Check server logs."
                    if addresses == config["bind"]
                    else "Failed to bind to specified addresses."
                ) from None
            done.append(name)

    def listen_on(self, name: str, old_addresses: tuple[str, ...], old_port: int) -> None:
        """Follow the directive `name` and `bind`. Raises ConfigError; it is listened where it was, then."""
        server, config, secure = self.server, self.config, name == "tls-port"
        if old_port == config[name]:
            server.stop_listening(
                secure=secure
            )  # on the same port the old addresses would be in the way of the new ones
        try:
            server.replace_listeners(config["bind"], config[name], secure=secure)
        except ConfigError:
            if old_port == config[name]:
                server.replace_listeners(old_addresses, old_port, secure=secure)
            raise

    def raise_descriptor_limit(self, before: dict[str, Any]) -> None:
        possible = descriptors_for(self.config["maxclients"])
        if possible < self.config["maxclients"]:
            raise ConfigError(
                f"The operating system is not able to handle the specified number of clients, try with {possible}"
            )

    def change_oom_scores(self, before: dict[str, Any]) -> None:
        try:
            apply_oom_scores(self.config)
        except OSError as error:
            self.server.log("warning", f"Unable to write oom_score_adj: {error.strerror}")
            raise ConfigError("Failed to apply new oom_score_adj configuration, check server logs.") from None

    # REWRITE

    def rewrite(self) -> None:
        """Raises CommandError; the old file stays whole then."""
        path = self.config.path
        if path is None:
            raise CommandError("ERR The server is running without a config file")
        try:
            if path.suffix == ".toml":
                raise ConfigError("a TOML file is not rewritten")
            rewrite_file(
                self.config,
                path,
                self.server.persistence.disk,
                lambda config, text: load_text(config, text, str(path)),
                self.server.users.in_configuration(),
            )
        except (OSError, ConfigError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.server.log("warning", f"CONFIG REWRITE failed: {reason}")
            raise CommandError(f"ERR Rewriting config file: {reason}") from None
        self.server.log("notice", "CONFIG REWRITE executed with success.")


def failure(name: str, reason: str) -> CommandError:
    return CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
