"""Configuration: the directives' values in force.

Sources, later ones winning: defaults, a redis.conf file (or standard input, or a TOML file), `--directive value` words. The
tables `directives_*` declare what there is; the module `config_file` reads the sources, `config_rewrite` writes a file anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rotomdb.commands import load_all
from rotomdb.commands.acl_rules import Rules, accepts
from rotomdb.commands.permissions import User
from rotomdb.commands.registry import REGISTRY
from rotomdb.errors import ConfigError
from rotomdb.server.configured_users import FILE_AND_LINES, encoded, users_of
from rotomdb.server.directive_values import format_value, parse_line, parse_setting
from rotomdb.server.directives import Directive, Kind
from rotomdb.server.directives_absent import ABSENT, MODULE_PREFIXES
from rotomdb.server.directives_replication import REPLICATION
from rotomdb.server.directives_scripts import SCRIPTS
from rotomdb.server.directives_serving import SERVING
from rotomdb.server.directives_storage import STORAGE
from rotomdb.server.directives_tls import TLS

DIRECTIVES: dict[str, Directive] = {**SERVING, **STORAGE, **SCRIPTS, **TLS, **REPLICATION, **ABSENT}
ALIASES = {alias: row.name for row in DIRECTIVES.values() for alias in row.aliases}
BAD_DIRECTIVE = "Bad directive or wrong number of arguments"


class Config:
    """The values in force. `path` is the file that CONFIG REWRITE writes to."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {name: row.default for name, row in DIRECTIVES.items()}
        self.path: Path | None = None
        self.started_in = Path.cwd()  # what relative paths of an `include` begin at, until `dir` says otherwise
        self.warnings: list[str] = []
        self.given = False  # whether anything was read at all
        self.save_points_read = False
        self.renamed_commands: list[tuple[str, str]] = []  # name so far, new name; empty: not served
        self.command_names: set[str] = set()  # that clients may use so far; filled with the first that changes
        self.users: list[list[str]] = []  # words of `user` lines

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str) -> str:
        """As CONFIG GET shows it."""
        name = ALIASES.get(name, name)
        return format_value(DIRECTIVES[name], self.values[name])

    def names(self) -> list[str]:
        """All that can be asked for, aliases included."""
        return sorted([*DIRECTIVES, *ALIASES])

    # Reading

    def apply(self, name: str, words: list[str]) -> None:
        """Put a line of a file or a command line in force. Raises ConfigError, which names no line."""
        self.given = True
        name = name.lower()
        if name in STATEMENTS:
            STATEMENTS[name](self, words)
            return
        name = ALIASES.get(name, name)
        row = DIRECTIVES.get(name)
        if row is None:
            self.accept_or_refuse_unknown(name, words)
            return
        try:
            value = parse_line(row, words)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if row.kind is Kind.SAVE:
            if self.save_points_read and value:
                value = self.values["save"] + value  # several lines add up; the first one replaces the default
            self.save_points_read = True
        self.values[name] = self.whole_value(row, value)
        if row.idle and value != row.default:
            self.warnings.append(f"'{name}' has no effect: {row.idle}")

    def whole_value(self, row: Directive, value: Any) -> Any:
        """What a value that was given stands for."""
        if row.kind is Kind.BUFFER_LIMITS:
            return {**self.values[row.name], **value}  # classes that are not named stay as they are
        return row.meaning(value)

    def accept_or_refuse_unknown(self, name: str, words: list[str]) -> None:
        if "." in name:
            raise ConfigError("Module config specified without value" if not words else "there are no modules")
        if not name.startswith(MODULE_PREFIXES):
            raise ConfigError(BAD_DIRECTIVE)
        self.warnings.append(f"'{name}' has no effect: it configures a module, and there are none")

    def rename_command(self, words: list[str]) -> None:
        if len(words) != 2:
            raise ConfigError(BAD_DIRECTIVE)
        if not self.command_names:
            load_all()
            self.command_names.update(name for name in REGISTRY if "|" not in name)
        old, new = (word.lower() for word in words)
        if old not in self.command_names:
            raise ConfigError("No such command in rename-command")
        self.command_names.remove(old)
        if new in self.command_names:
            raise ConfigError("Target command name already exists")
        if new:
            self.command_names.add(new)
        self.renamed_commands.append((old, new))

    def declare_user(self, words: list[str]) -> None:
        if not words:
            raise ConfigError(BAD_DIRECTIVE)
        users_of([*self.users, words], self.rules, self.values["requirepass"])
        self.users.append(words)

    @property
    def rules(self) -> Rules:
        """What rules of users are read with."""
        return Rules(self.values["acl-pubsub-default"] == "allchannels")

    def configured_users(self) -> dict[bytes, User]:
        """The users that `requirepass` and `user` lines declare. Raises ConfigError."""
        return users_of(self.users, self.rules, self.values["requirepass"])

    def refuse_module(self, words: list[str]) -> None:
        raise ConfigError("'loadmodule' cannot be honoured: modules cannot be loaded")

    def refuse_sentinel(self, words: list[str]) -> None:
        raise ConfigError("sentinel directive while not in sentinel mode: run redis-sentinel with this file instead")

    def check_users(self) -> None:
        """See that the users can be made, and come from one place. Raises ConfigError."""
        if self.users and self.values["aclfile"]:
            raise ConfigError(FILE_AND_LINES)
        default = self.configured_users()[b"default"]
        if self.values["requirepass"] and not accepts(default, encoded(self.values["requirepass"])):
            self.warnings.append(
                "'requirepass' has no effect: the line of 'user default' says which passwords are right"
            )
        elif self.values["requirepass"] and default.nopass:
            self.warnings.append("'requirepass' has no effect: 'user default' needs no password")

    # CONFIG SET

    def set(self, name: str, word: str) -> Any:
        """The parsed value, not yet in force. Raises ValueError."""
        row = DIRECTIVES[ALIASES.get(name, name)]
        return self.whole_value(row, parse_setting(row, word))


STATEMENTS: dict[str, Callable[[Config, list[str]], None]] = {
    "rename-command": Config.rename_command,
    "user": Config.declare_user,
    "loadmodule": Config.refuse_module,
    "sentinel": Config.refuse_sentinel,
}
