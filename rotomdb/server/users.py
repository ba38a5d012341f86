"""The users of a server: who there is, who a client is, and what becomes of clients whose user changes.

A change is tried on a copy first: it is in force with all its rules or with none. Clients hold the `User` itself, so what
changes is in force for them with their next command; those who listen to channels that they no longer may are closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotomdb.commands.acl_rules import BLANK, RuleError, Rules, UnmatchedParenthesisError, accepts, merged
from rotomdb.commands.client_info import describe
from rotomdb.commands.connection import WRONG_PASSWORD
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import shown
from rotomdb.commands.host import Connection
from rotomdb.commands.permissions import User
from rotomdb.commands.pubsub import PATTERN
from rotomdb.errors import CommandError, UsersFileError
from rotomdb.server.acl_log import DENIED_AUTH
from rotomdb.server.configured_users import default_user, encoded
from rotomdb.server.users_file import read_users, write_users

if TYPE_CHECKING:
    from rotomdb.server.client import Client
    from rotomdb.server.server import Server

NO_FILE = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and "
    "then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis "
    "configuration."
)


class Users:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.by_name = server.config.configured_users()
        self.default = self.by_name[b"default"]
        self.settle()

    def __iter__(self) -> Iterator[User]:
        """By name."""
        return (self.by_name[name] for name in sorted(self.by_name))

    @property
    def rules(self) -> Rules:
        return self.server.config.rules

    @property
    def file_name(self) -> str:
        """The users' file; empty: there is none."""
        return str(self.server.config["aclfile"])

    @property
    def file(self) -> Path:
        return Path(self.server.config["dir"]) / self.file_name

    def load(self) -> None:
        """At the start: what the file says, and a word about users that nobody can be. Raises UsersFileError."""
        if self.file_name:
            try:
                self.put_in_force(read_users(self.file, self.file_name, self.rules))
            except UsersFileError as error:
                raise UsersFileError(f"Aborting Redis startup because of ACL errors: {error}") from None
        for user in self:
            if not user.enabled:
                self.server.log(
                    "notice",
                    f"The user '{user.shown}' is disabled (there is no 'on' modifier in the user description). Make sure this is "
                    "not a configuration error.",
                )

    def in_configuration(self) -> list[User]:
        """Those that CONFIG REWRITE writes down."""
        return [] if self.file_name else list(self)

    @property
    def open(self) -> bool:
        """Whether a client is the default user without a password."""
        return self.default.nopass and self.default.enabled

    def settle(self) -> None:
        """The default user may have changed."""
        self.server.dispatcher.requires_auth = not self.open

    def require_password(self, password: str) -> None:
        """`requirepass`: the one password of the default user; empty: it needs none."""
        self.rules.apply_all(self.default, [b"resetpass", b">" + encoded(password) if password else b"nopass"])
        self.settle()

    # Changing

    def change(self, name: bytes, words: Sequence[bytes], context: Context) -> None:
        """ACL SETUSER. Raises CommandError; nothing has changed then."""
        if not name or not BLANK.isdisjoint(name):
            raise CommandError("ERR Usernames can't contain spaces or null characters")
        user = self.by_name.get(name)
        changed = self.rules.new_user(name) if user is None else user.copy()
        try:
            for rule in list(merged(words)):
                try:
                    self.rules.apply(changed, rule)
                except RuleError as error:
                    raise CommandError(f"ERR Error in ACL SETUSER modifier '{shown(rule)}': {error}") from None
        except UnmatchedParenthesisError as error:
            start = shown(words[error.index])
            raise CommandError(f"ERR Unmatched parenthesis in acl selector starting at '{start}'.") from None
        changed.settle()
        if user is None:
            self.by_name[name] = changed
        else:
            self.become(user, changed, context)

    def become(self, user: User, changed: User, context: Context | None) -> None:
        """Put a change in force for the user and its clients."""
        before = user.copy()
        user.become(changed)
        self.settle()
        for client in self.clients_of(user):
            if not self.may_listen(client, before, user):
                self.end(client, context)

    def remove(self, name: bytes, context: Context | None) -> bool:
        """ACL DELUSER, with the user's clients; whether there was one."""
        user = self.by_name.pop(name, None)
        if user is None:
            return False
        for client in self.clients_of(user):
            client.user = self.default
            client.authenticated = False
            self.end(client, context)
        return True

    def reload(self, context: Context) -> None:
        """ACL LOAD. Raises CommandError; nothing has changed then."""
        if not self.file_name:
            raise CommandError(NO_FILE)
        try:
            users = read_users(self.file, self.file_name, self.rules)
        except UsersFileError as error:
            raise CommandError(f"ERR {error}") from None
        self.put_in_force(users, context)

    def put_in_force(self, users: dict[bytes, User], context: Context | None = None) -> None:
        """Let there be these users and no others; `default` is as without a file where it is not among them.

        Clients stay who they are, but for those whose user is gone or may no longer listen to what they listen to.
        """
        default = default_user(self.rules, self.server.config["requirepass"])
        for name in [name for name in self.by_name if name not in users and name != b"default"]:
            self.remove(name, context)
        for name, user in {b"default": default, **users}.items():
            if name in self.by_name:
                self.become(self.by_name[name], user, context)
            else:
                self.by_name[name] = user

    def save(self) -> None:
        """ACL SAVE: on disk when it returns. Raises CommandError."""
        if not self.file_name:
            raise CommandError(NO_FILE)
        try:
            write_users(self.file, self, self.server.persistence.disk)
        except OSError as error:
            self.server.log("warning", f"Opening temp ACL file for ACL SAVE: {error.strerror}")
            raise CommandError(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
            ) from None

    def clients_of(self, user: User) -> list[Client]:
        return [client for client in self.server.clients.values() if client.user is user]

    def may_listen(self, client: Client, before: User, after: User) -> bool:
        """Whether the client may go on listening to what it listens to, with what its user may do now."""
        if not client.subscribed or any(selector.all_channels for selector in after.selectors):
            return True
        if not any(selector.all_channels for selector in before.selectors) and channels_of(before) <= channels_of(
            after
        ):
            return True
        return all(
            after.permits_channel(name, kind == PATTERN)
            for kind, names in self.server.pubsub.of(client).names.items()
            for name in names
        )

    def end(self, client: Client, context: Context | None) -> None:
        """Close a connection; the one that asked for it has its answer first."""
        if client is context:
            client.close_after_reply = True
        else:
            self.server.close_client(client)

    # Who a client is

    def welcome(self, client: Connection) -> None:
        """A connection begins, or begins anew."""
        client.user = self.default
        client.authenticated = self.open

    def authenticate(self, client: Connection, name: bytes, password: bytes) -> None:
        """Make a client the user. Raises CommandError, which tells nobody whether there is such a user."""
        user = self.by_name.get(name)
        known = accepts(user or self.default, password)
        if user is None or not user.enabled or not known:
            where = "multi" if client.in_multi or client.in_exec else "toplevel"
            words = client.request()
            self.note(client, DENIED_AUTH, words[0] if words else b"AUTH", where, name)
            raise CommandError(WRONG_PASSWORD)
        client.user, client.authenticated = user, True

    def recognise(self, client: Client, names: Sequence[bytes]) -> None:
        """A client that showed a certificate is the first user of these names who is on; without one it stays who it is."""
        for name in names:
            user = self.by_name.get(name)
            if user is not None and user.enabled:
                client.user, client.authenticated = user, True
                self.server.log("verbose", f"TLS: Auto-authenticated client as {shown(name)}")
                return

    def denied(self, context: Any, reason: str, what: bytes, where: str) -> None:
        """The dispatcher has refused a command."""
        self.note(context, reason, what, where, context.user.name)

    def note(self, context: Any, reason: str, what: bytes, where: str, username: bytes) -> None:
        client = getattr(context, "caller", None) or context  # of a script
        line = describe(self.server, client).rstrip("\n").encode("latin-1") if hasattr(client, "reply_mode") else b""
        self.server.acl_log.add(reason, where, what, username, line)


def channels_of(user: User) -> set[bytes]:
    return {pattern for selector in user.selectors for pattern in selector.channels}
