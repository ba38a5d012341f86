"""Users: who may log in, what each may do on every path, and what becomes of clients whose user changes.

Texts are those of Redis 7.2, which name the user.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.processes import RotomServer

Start = Callable[..., RotomServer]
ONCE = Retry(NoBackoff(), 0)
CLOSED = (redis.ConnectionError, redis.TimeoutError)


class Alice:
    """A server whose user `alice` changes, and her connection."""

    def __init__(self, server: RotomServer) -> None:
        self.server = server
        self.admin = server.client(decode_responses=True)
        self.admin.response_callbacks.clear()

    def may(self, *rules: str) -> redis.Redis:
        """A connection of hers, when she may do this and nothing else."""
        self.run("ACL", "SETUSER", "alice", "reset", "on", ">secret", *rules)
        client = self.server.client(username="alice", password="secret", decode_responses=True, protocol=2, retry=ONCE)
        client.response_callbacks.clear()
        client.execute_command("AUTH", "alice", "secret")
        self.run("ACL", "LOG", "RESET")  # redis-py has asked for CLIENT SETINFO
        return client

    def run(self, *words: str) -> Any:
        return self.admin.execute_command(*words)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotomServer]:
    made = RotomServer(tmp_path_factory.mktemp("users"))
    made.start()
    yield made
    made.kill()
    assert "internal error" not in made.log()


@pytest.fixture
def alice(server: RotomServer) -> Iterator[Alice]:
    made = Alice(server)
    yield made
    made.run("ACL", "DELUSER", "alice")
    made.run("ACL", "LOG", "RESET")
    made.run("FLUSHALL")
    made.admin.close()


def error(client: redis.Redis, *words: str) -> str:
    with pytest.raises(redis.RedisError) as caught:
        client.execute_command(*words)
    return str(caught.value)


def plain(reply: Any) -> dict[str, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply


def log_of(alice: Alice) -> list[dict[str, Any]]:
    return [plain(entry) for entry in alice.run("ACL", "LOG")]


# Before the command runs


def test_commands_keys_and_channels_are_checked_before_the_command_runs(alice: Alice) -> None:
    with alice.may("~mine:*", "&news.*", "+get", "+set", "+publish", "+config|get", "+select|0") as client:
        assert client.execute_command("SET", "mine:a", "1") == "OK"
        assert error(client, "DEL", "mine:a") == "User alice has no permissions to run the 'del' command"
        assert (
            error(client, "CONFIG", "SET", "hz", "1") == "User alice has no permissions to run the 'config|set' command"
        )
        assert error(client, "GET", "yours") == "No permissions to access a key"
        assert error(client, "PUBLISH", "other", "x") == "No permissions to access a channel"
        assert client.execute_command("PUBLISH", "news.a", "x") == 0
        assert client.execute_command("CONFIG", "GET", "hz") == ["hz", "10"]
        assert client.execute_command("SELECT", "0") == "OK"
        assert error(client, "SELECT", "1") == "User alice has no permissions to run the 'select' command"
    assert alice.run("GET", "mine:a") == "1"


def test_what_has_no_such_name_or_number_of_words_is_told_before_what_is_denied(alice: Alice) -> None:
    with alice.may() as client:
        assert error(client, "NOSUCH").startswith("unknown command 'NOSUCH'")
        assert error(client, "GET") == "wrong number of arguments for 'get' command"


def test_reading_and_writing_are_told_apart_by_what_happens_to_each_key(alice: Alice) -> None:
    with alice.may("%R~r*", "%W~w*", "+@all") as client:
        alice.run("RPUSH", "r", "2", "1")
        assert client.execute_command("COPY", "r", "w") == 1
        assert client.execute_command("SORT", "r", "STORE", "w") == 2
        assert client.execute_command("MEMORY", "USAGE", "r")
        denied = "No permissions to access a key"
        for words in ("COPY w r2", "SORT w", "SORT r STORE r", "GET w", "SET r x", "SET w x GET", "INCR w", "RENAME r w", "XREAD STREAMS r w 0 0",
                      "GEORADIUS r 1 1 1 km STORE r2", "GEORADIUS r 1 1 1 km STORE w STORE r2", "XREADGROUP COUNT 1 GROUP STREAMS r STREAMS x >", "MSETEX 2 w 1 r 2", "EVAL return 2 r w", "BLPOP r 1", "OBJECT FREQ x"):  # fmt: skip
            assert error(client, *words.split()) == denied, words
        assert client.execute_command("SET", "w", "x") == "OK"
        assert client.execute_command("EXISTS", "w") == 1


def test_sort_reads_keys_that_it_does_not_name_only_for_who_may_read_any(alice: Alice) -> None:
    alice.run("RPUSH", "list", "1")
    with alice.may("~list", "+sort", "+sort_ro") as client:
        assert (
            error(client, "SORT", "list", "GET", "x*")
            == "GET option of SORT denied due to insufficient ACL permissions."
        )
        assert (
            error(client, "SORT_RO", "list", "BY", "x*")
            == "BY option of SORT denied due to insufficient ACL permissions."
        )
        assert client.execute_command("SORT", "list", "BY", "nosort") == ["1"]
    with alice.may("%R~*", "+sort") as client:
        assert client.execute_command("SORT", "list", "BY", "x*", "GET", "x*") == [None]


def test_a_selector_allows_a_request_as_a_whole(alice: Alice) -> None:
    with alice.may("+get", "~a", "(+set ~b)", "(+mget ~a)", "(+mget ~b)") as client:
        assert client.execute_command("SET", "b", "1") == "OK"
        assert error(client, "SET", "a", "1") == "No permissions to access a key"
        assert error(client, "MGET", "a", "b") == "No permissions to access a key"
        assert error(client, "DEL", "a") == "User alice has no permissions to run the 'del' command"


def test_patterns_of_channels_are_compared_letter_by_letter(alice: Alice) -> None:
    with alice.may("&news.*", "+@pubsub") as client:
        assert error(client, "PSUBSCRIBE", "news.sport") == "No permissions to access a channel"
        assert error(client, "SUBSCRIBE", "news.a", "b") == "No permissions to access a channel"
        assert error(client, "SSUBSCRIBE", "b") == "No permissions to access a channel"
        assert error(client, "SPUBLISH", "b", "x") == "No permissions to access a channel"
        assert client.execute_command("PSUBSCRIBE", "news.*") == ["psubscribe", "news.*", 1]


def test_a_broadcast_names_no_key_that_the_user_can_do_nothing_with(alice: Alice) -> None:
    alice.may("~mine:*", "+client", "+ping").close()
    with alice.server.client(username="alice", password="secret", protocol=3) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("CLIENT", "TRACKING", "ON", "BCAST")
        connection.read_response()
        alice.run("SET", "yours", "1")
        alice.run("SET", "mine:a", "1")
        received = b""
        while b"mine:a" not in received:
            received += connection._sock.recv(4096)
        assert b"yours" not in received
        connection.disconnect()


# Transactions, scripts, blocked clients


def test_a_transaction_is_checked_when_it_is_queued_and_when_it_runs(alice: Alice) -> None:
    with alice.may("~*", "+get", "+set", "+multi", "+exec") as client:
        client.execute_command("MULTI")
        assert error(client, "DEL", "a") == "User alice has no permissions to run the 'del' command"
        assert "EXECABORT" in error_text(client, "EXEC")
        client.execute_command("MULTI")
        client.execute_command("SET", "a", "1")
        client.execute_command("GET", "b")
        alice.run("ACL", "SETUSER", "alice", "-set", "resetkeys", "~x")
        replies = client.execute_command("EXEC")
        changed = (
            "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer "
            "allowed for the following reason: "
        )
        assert [str(reply) for reply in replies] == [
            f"{changed}no permission to execute the command or subcommand", f"{changed}no permission to touch the specified keys",
        ]  # fmt: skip
    assert alice.run("EXISTS", "a") == 0
    assert [(entry["context"], entry["reason"], entry["object"]) for entry in log_of(alice)] == [
        ("multi", "key", "b"), ("multi", "command", "set"), ("multi", "command", "del"),
    ]  # fmt: skip


def error_text(client: redis.Redis, *words: str) -> str:
    """With its code, where redis-py makes an exception of it."""
    with pytest.raises(redis.RedisError) as caught:
        client.execute_command(*words)
    return f"{type(caught.value).__name__.upper()} {caught.value}"


def test_a_script_may_do_what_its_caller_may(alice: Alice) -> None:
    with alice.may("~a", "+eval", "+get", "+set") as client:
        assert client.execute_command("EVAL", "return redis.call('SET', KEYS[1], 1)", "1", "a") == "OK"
        text = error(client, "EVAL", "return redis.call('DEL', 'a')", "0")
        assert text.startswith("ACL failure in script: User alice has no permissions to run the 'del' command script: ")
        assert error(client, "EVAL", "return redis.pcall('GET', 'b')", "0") == (
            "ACL failure in script: No permissions to access a key"
        )
        check = "return {redis.acl_check_cmd('GET', 'a') and 1 or 0, redis.acl_check_cmd('GET', 'b') and 1 or 0, redis.acl_check_cmd('DEL', 'a') and 1 or 0}"
        assert client.execute_command("EVAL", check, "0") == [1, 0, 0]
    assert "cmd=eval" in log_of(alice)[0]["client-info"]
    assert [(entry["context"], entry["reason"], entry["object"]) for entry in log_of(alice)] == [
        ("lua", "key", "b"), ("lua", "command", "del"),
    ]  # fmt: skip


def test_what_a_command_runs_inside_itself_needs_no_permission_of_its_own(alice: Alice) -> None:
    alice.run("GEOADD", "g", "1", "1", "m")
    with alice.may("~*", "+georadius", "+setex", "+getex") as client:
        assert client.execute_command("GEORADIUS", "g", "1", "1", "1", "km", "STORE", "d") == 1
        assert client.execute_command("SETEX", "k", "100", "v") == "OK"
        assert client.execute_command("GETEX", "k", "PERSIST") == "v"


def test_a_blocked_command_is_checked_again_when_it_can_go_on(alice: Alice) -> None:
    with alice.may("~list", "+blpop", "+ping") as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("BLPOP", "list", "0")
        while "cmd=blpop" not in alice.run("CLIENT", "LIST"):
            pass
        alice.run("ACL", "SETUSER", "alice", "-blpop")
        alice.run("RPUSH", "list", "1")
        with pytest.raises(redis.ResponseError, match="no permissions to run the 'blpop' command"):
            connection.read_response()
        connection.disconnect()
    assert alice.run("LRANGE", "list", "0", "-1") == ["1"]


def test_a_blocked_client_whose_user_is_deleted_takes_nothing_with_it(alice: Alice) -> None:
    with alice.may("~list", "+blpop", "+ping") as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("BLPOP", "list", "0")
        while "cmd=blpop" not in alice.run("CLIENT", "LIST"):
            pass
        with alice.admin.pipeline() as pipe:
            pipe.execute_command("ACL", "DELUSER", "alice")
            pipe.rpush("list", "1")
            pipe.execute()
        assert alice.run("LRANGE", "list", "0", "-1") == ["1"]
        connection.disconnect()


# Logging in


def test_only_who_is_on_and_has_the_password_gets_in(alice: Alice) -> None:
    wrong = "invalid username-password pair or user is disabled."
    alice.may("+@all")
    with alice.server.client(decode_responses=True, protocol=2) as client:
        assert client.execute_command("AUTH", "alice", "secret")
        assert client.execute_command("ACL", "WHOAMI") == "alice"
        assert "user=alice" in str(client.execute_command("CLIENT", "INFO"))
        assert client.execute_command("AUTH", "default", "anything")
        assert client.execute_command("ACL", "WHOAMI") == "default"
        assert error(client, "AUTH", "alice", "other") == wrong
        assert error(client, "AUTH", "nobody", "secret") == wrong
        alice.run("ACL", "SETUSER", "alice", "off")
        assert error(client, "HELLO", "2", "AUTH", "alice", "secret") == wrong
    assert [(entry["reason"], entry["object"], entry["username"]) for entry in log_of(alice)] == [
        ("auth", "HELLO", "alice"), ("auth", "AUTH", "nobody"), ("auth", "AUTH", "alice"),
    ]  # fmt: skip


def test_anybody_may_log_in_and_leave(alice: Alice) -> None:
    with alice.may() as client:
        assert client.execute_command("AUTH", "alice", "secret") == "OK"
        assert client.execute_command("RESET") == "RESET"
        assert client.execute_command("ACL", "WHOAMI") == "default"


def test_a_default_user_that_is_off_or_has_a_password_keeps_strangers_out(rotom: Start) -> None:
    with rotom().client(decode_responses=True) as admin:
        admin.execute_command("ACL", "SETUSER", "root", "on", ">root", "~*", "&*", "+@all")
        stranger = redis.Redis(port=admin.get_connection_kwargs()["port"], retry=ONCE)
        for rules, again in ((("off",), ("on",)), (("resetpass", ">pw"), ("nopass",))):
            admin.execute_command("AUTH", "root", "root")
            admin.execute_command("ACL", "SETUSER", "default", *rules)
            with pytest.raises(
                redis.AuthenticationError, match="HELLO must be called with the client already authenticated"
            ):
                stranger.get("a")
            stranger.connection_pool.disconnect()
            admin.execute_command("ACL", "SETUSER", "default", *again)
            assert stranger.get("a") is None
            stranger.connection_pool.disconnect()
        admin.execute_command("CONFIG", "SET", "requirepass", "word")
        assert admin.execute_command("ACL", "GETUSER", "default")["passwords"] == [
            "98c1eb4ee93476743763878fcb96a25fbc9a175074d64004779ecb5242f645e6"
        ]
        with pytest.raises(redis.AuthenticationError):
            stranger.get("a")
        stranger.close()


# Clients whose user changes


def test_clients_of_a_deleted_user_are_closed(alice: Alice) -> None:
    with alice.may("+@all", "~*") as client:
        client.execute_command("PING")
        assert alice.run("ACL", "DELUSER", "alice", "nobody") == 1
        with pytest.raises(CLOSED):
            client.connection_pool.get_connection().send_command("PING").read_response()
    assert error(alice.admin, "ACL", "DELUSER", "default") == "The 'default' user cannot be removed"


def test_who_listens_to_what_it_no_longer_may_is_closed_and_nobody_else(alice: Alice) -> None:
    with alice.may("+@all", "&a", "&b*") as one, alice.server.client(username="alice", password="secret") as two:
        listening, other = one.pubsub(), two.pubsub()
        listening.subscribe("a")
        other.psubscribe("b*")
        listening.get_message(timeout=5)
        other.get_message(timeout=5)
        alice.run("ACL", "SETUSER", "alice", "resetchannels", "&b*", "&c")
        alice.run("PUBLISH", "bb", "x")
        assert other.get_message(timeout=5)["data"] == b"x"
        with pytest.raises(CLOSED):
            listening.connection.read_response()
        listening.connection.disconnect()


def test_client_kill_and_list_know_users(alice: Alice) -> None:
    with alice.may("+ping") as client:
        client.execute_command("PING")
        assert alice.run("CLIENT", "LIST").count("user=alice") == 1
        assert alice.run("CLIENT", "KILL", "USER", "alice") == 1
        assert error(alice.admin, "CLIENT", "KILL", "USER", "nobody") == "No such user 'nobody'"


# The log


def test_the_log_counts_what_is_alike_and_shows_who_it_was(alice: Alice) -> None:
    with alice.may("+get", "~a", "+client|setname") as client:
        before = alice.run("INFO", "stats")
        client.execute_command("CLIENT", "SETNAME", "mallory")
        for words in ("GET b", "GET b", "DEL a", "GET b"):
            error(client, *words.split())
    entries = log_of(alice)
    assert [(entry["count"], entry["reason"], entry["object"], entry["username"], entry["context"]) for entry in entries] == [
        (3, "key", "b", "alice", "toplevel"), (1, "command", "del", "alice", "toplevel"),
    ]  # fmt: skip
    assert "name=mallory" in entries[0]["client-info"] and "cmd=get" in entries[0]["client-info"]
    assert float(entries[0]["age-seconds"]) < 60
    assert entries[0]["timestamp-created"] <= entries[0]["timestamp-last-updated"]
    assert entries[0]["entry-id"] + 1 == entries[1]["entry-id"]
    assert len(alice.run("ACL", "LOG", "1")) == 1
    assert alice.run("ACL", "LOG", "RESET") == "OK" and alice.run("ACL", "LOG") == []
    after = alice.run("INFO", "stats")
    assert counted(after, "key") - counted(before, "key") == 3
    assert counted(after, "cmd") - counted(before, "cmd") == 1


def counted(info: str, what: str) -> int:
    return int(info.partition(f"acl_access_denied_{what}:")[2].partition("\r")[0])


def test_the_log_is_as_long_as_the_configuration_says(alice: Alice) -> None:
    with alice.may("+get") as client:
        for name in "abc":
            error(client, "GET", name)
        alice.run("CONFIG", "SET", "acllog-max-len", "2")
        assert [entry["object"] for entry in log_of(alice)] == ["c", "b"]
        alice.run("CONFIG", "SET", "acllog-max-len", "0")
        error(client, "GET", "d")
        assert log_of(alice) == []
        alice.run("CONFIG", "SET", "acllog-max-len", "128")


# Rules


def test_a_change_is_in_force_with_all_its_rules_or_with_none(alice: Alice) -> None:
    alice.may("+get")
    before = alice.run("ACL", "GETUSER", "alice")
    assert error(alice.admin, "ACL", "SETUSER", "alice", "+set", "nonsense") == (
        "Error in ACL SETUSER modifier 'nonsense': Syntax error"
    )
    assert alice.run("ACL", "GETUSER", "alice") == before
    assert error(alice.admin, "ACL", "SETUSER", "new", "+set", "nonsense")
    assert alice.run("ACL", "USERS") == ["alice", "default"]


def test_genpass_gives_so_many_bits(alice: Alice) -> None:
    assert [len(alice.run("ACL", "GENPASS", *bits)) for bits in ((), ("5",), ("4096",))] == [64, 2, 1024]
    assert alice.run("ACL", "GENPASS") != alice.run("ACL", "GENPASS")


def test_new_users_listen_to_what_acl_pubsub_default_says(alice: Alice) -> None:
    alice.run("CONFIG", "SET", "acl-pubsub-default", "allchannels")
    alice.run("ACL", "SETUSER", "alice", "(+get)")
    assert "user alice off sanitize-payload &* -@all (&* -@all +get)" in alice.run("ACL", "LIST")
    alice.run("CONFIG", "SET", "acl-pubsub-default", "resetchannels")


# Files


def text_of(path: Path) -> str:
    return path.read_text()


class ServerWithFile(RotomServer):
    """A server that reads a configuration file, which stands first."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "rotomdb", *self.arguments, "--port", str(self.port), "--bind", "127.0.0.1"]


def test_users_of_a_configuration_survive_a_rewrite_and_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("# mine\nuser bob on nopass ~b* +get\nappendonly no\n")
    server = ServerWithFile(tmp_path, str(path))
    server.start()
    with server.client(decode_responses=True) as client:
        assert client.acl_whoami() == "default"
        client.execute_command("ACL", "SETUSER", "carl", "on", ">secret", "~c*", "(+set", "%W~d)")
        client.execute_command("ACL", "DELUSER", "bob")
        client.execute_command("CONFIG", "REWRITE")
        for words in ("LOAD", "SAVE"):
            with pytest.raises(redis.ResponseError, match="not configured to use an ACL file"):
                client.execute_command("ACL", words)
    assert "bob" not in text_of(path) and "# mine" in text_of(path) and "secret" not in text_of(path)
    server.restart()
    with server.client(username="carl", password="secret", retry=ONCE) as client:
        with pytest.raises(
            redis.exceptions.NoPermissionError, match="User carl has no permissions to run the 'get' command"
        ):
            client.get("c")
        assert client.set("d", "1")
    server.kill()


def test_a_users_file_is_loaded_as_a_whole_or_not_at_all(rotom: Start, tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user alice on >secret +@all ~* &*\nuser bob on nopass +@all ~* &*\n")
    server = rotom("--aclfile", str(path), "--requirepass", "word", directory=tmp_path)
    admin = server.client(password="word", decode_responses=True, protocol=2)
    with (
        server.client(username="alice", password="secret", retry=ONCE) as alice,
        server.client(username="bob", password="x", retry=ONCE) as bob,
    ):
        assert alice.ping() and bob.ping()
        path.write_text(
            "user alice on +foo -bar\n\nuser\n  foo bar\nuser dd on %X~a <secret\nuser dd on\nuser carl (+get\nuser e\tf on\n"
        )
        with pytest.raises(redis.ResponseError) as caught:
            admin.execute_command("ACL", "LOAD")
        assert str(caught.value) == " ".join([
            f"{path}:1: Error in applying operation '+foo': Unknown command or category name in ACL.",
            f"{path}:1: Error in applying operation '-bar': Unknown command or category name in ACL.",
            f"{path}:3: should start with user keyword followed by the username.",
            f"{path}:4: should start with user keyword followed by the username.",
            f"{path}:5: Syntax error.",
            "WARNING: Duplicate user 'dd' found on line 6.",
            f"{path}:7: Unmatched parenthesis in selector definition.",
            f"{path}:8: username 'e\tf' contains invalid characters.",
            "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        ])  # fmt: skip
        assert admin.execute_command("ACL", "USERS") == ["alice", "bob", "default"]
        path.write_text("user alice on >secret +@all -get ~* &*\n")
        assert admin.execute_command("ACL", "LOAD")
        assert alice.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            alice.get("a")
        with pytest.raises(CLOSED):
            bob.ping()
    admin.execute_command("ACL", "SETUSER", "carl", "on", "nopass")
    path.chmod(0o600)
    admin.execute_command("ACL", "SAVE")
    assert text_of(path).splitlines() == admin.execute_command("ACL", "LIST")
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    with pytest.raises(
        redis.ResponseError, match=f"Error loading ACLs, opening file '{path}': No such file or directory"
    ):
        admin.execute_command("ACL", "LOAD")
    admin.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            None,
            "Aborting Redis startup because of ACL errors: Error loading ACLs, opening file 'users.acl': No such file",
        ),
        ("user a on (+get\n", "users.acl:1: Unmatched parenthesis in selector definition."),
    ],
)
def test_a_users_file_that_cannot_be_taken_keeps_the_server_from_starting(
    tmp_path: Path, text: str | None, why: str
) -> None:
    if text is not None:
        (tmp_path / "users.acl").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "rotomdb.server.main", "--dir", str(tmp_path), "--port", "0", "--unixsocket", "s", "--aclfile", "users.acl"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert why in done.stdout + done.stderr


def test_a_failing_disk_leaves_the_users_file_as_it_was(controlled: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    server = controlled("--aclfile", str(path), directory=tmp_path)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "alice", "on")
        server.control("full")
        with pytest.raises(redis.ResponseError, match="There was an error trying to save the ACLs"):
            client.execute_command("ACL", "SAVE")
    assert text_of(path) == "user default on nopass ~* &* +@all\n"
