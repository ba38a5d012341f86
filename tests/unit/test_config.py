"""Configuration files, overrides, and what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotomdb.commands.acl_rules import line_of
from rotomdb.errors import ConfigError
from rotomdb.server.config import ALIASES, DIRECTIVES, Config
from rotomdb.server.config_file import load_text, load_words
from rotomdb.server.config_rewrite import lines_of, rewritten
from rotomdb.server.directive_values import format_value, parse_setting, quoted
from rotomdb.server.directives import Kind
from rotomdb.server.main import read_config


def test_a_redis_conf_is_read_with_quotes_units_and_includes(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("hz 50\n")
    path = tmp_path / "redis.conf"
    path.write_text(
        f'# comment\nport 7000\nproto-max-bulk-len 2mb\nrequirepass "a b"\ninclude {tmp_path}/m*.conf\nsave 10 1\nsave 20 2\n'
    )
    config = read_config([str(path), "--port", "7001", "--save", "30 3"])
    assert (config["port"], config["hz"], config["proto-max-bulk-len"]) == (7001, 50, 2 << 20)
    assert config["requirepass"] == "a b"
    assert config["save"] == ((10, 1), (20, 2), (30, 3)), "as in Redis, all `save` lines add up"


def test_a_toml_file_has_the_same_directives(tmp_path: Path) -> None:
    path = tmp_path / "rotomdb.toml"
    path.write_text('port = 7000\nappendonly = false\nsave = ["60 1", "300 10"]\nmaxmemory = "1gb"\n')
    config = read_config([str(path)])
    assert (config["port"], config["appendonly"], config["save"]) == (7000, False, ((60, 1), (300, 10)))
    assert config["maxmemory"] == 1 << 30


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense 5", "Bad directive"),
        ("port x", "couldn't be parsed into an integer"),
        ("port 70000", "must be between 0 and 65535"),
        ("appendonly maybe", "must be 'yes' or 'no'"),
        ("appendfsync often", "must be one of the following: everysec, always, no"),
        ("save 0 1", "Invalid save parameters"),
        ('requirepass "open', "Unbalanced quotes"),
        ("port", "wrong number of arguments"),
    ],
)
def test_nonsense_is_refused_with_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "bad.conf"
    path.write_text(f"# one\n{line}\n")
    with pytest.raises(ConfigError, match=rf"bad.conf:2: .*{reason}"):
        read_config([str(path)])


def read_text(text: str | bytes) -> Config:
    config = Config()
    load_text(config, text if isinstance(text, bytes) else text.encode(), "x.conf")
    config.check_users()
    return config


@pytest.mark.parametrize(
    "line",
    [
        "tls-cluster yes", "tls-ciphersuites TLS_AES_128_GCM_SHA256", "tls-replication yes",
        "cluster-enabled yes", "loadmodule /x.so", "sentinel monitor mymaster 127.0.0.1 6379 2", "mptcp yes",
    ],
)  # fmt: skip
def test_what_guards_data_or_access_and_is_not_here_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match=r"x.conf:1: .*(cannot be honoured|run redis-sentinel)"):
        read_text(line)


@pytest.mark.parametrize(
    "line",
    [
        "tls-auth-clients-user off", "masterauth \"\"", "min-replicas-to-write 0", "replicaof no one", "slaveof NO ONE", "cluster-enabled no",
        "user default on nopass ~* &* +@all", "user default on nopass sanitize-payload ~* &* +@all",
    ],
)  # fmt: skip
def test_its_off_values_are_accepted(line: str) -> None:
    assert read_text(line).values == Config().values


def test_users_of_a_file_are_read_as_they_stand_and_default_has_the_password_of_requirepass() -> None:
    config = read_text("requirepass abc\nuser alice on nopass ~a* &b +@all -get (+set %R~c)\n")
    assert [line_of(user).decode() for user in config.configured_users().values()] == [
        "user default on sanitize-payload #ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ~* &* +@all",
        "user alice on nopass sanitize-payload ~a* resetchannels &b +@all -get (%R~c resetchannels -@all +set)",
    ]
    line = "user default on sanitize-payload ~* &* +@all"
    assert [line_of(user).decode() for user in read_text("requirepass x\n" + line).configured_users().values()] == [
        line
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("user alice on +foo", r"Error in user declaration '\+foo': Unknown command or category name in ACL"),
        ("user alice on (+get", "Error in user declaration 'alice': Syntax error"),
        ('user "a b" on', "Spaces not allowed in ACL usernames"),
        ("user", "Bad directive or wrong number of arguments"),
        ("user alice on <secret", r"Error in user declaration '<\(redacted\)': The password you are trying to remove"),
        ("user bob on\nuser bob off", "Error in user declaration 'bob': Duplicate user found"),
        ("user bob on\naclfile users.acl", "define either an ACL file or declare users directly"),
    ],
)
def test_a_user_that_makes_no_sense_keeps_the_server_from_starting(line: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read_text(line)


@pytest.mark.parametrize("line", ["user default on >other", "user default on nopass", "user default off"])
def test_a_password_that_a_line_for_the_default_user_makes_void_is_told_of(line: str) -> None:
    (warning,) = read_text(f"requirepass secret\n{line}").warnings
    assert warning.startswith("'requirepass' has no effect")
    assert not read_text("requirepass secret\nuser default on >secret >other").warnings


def test_an_error_shows_no_password() -> None:
    with pytest.raises(ConfigError) as caught:
        read_text("user alice on >secret +foo")
    assert caught.value.text == "user alice on >(redacted) +foo"


def test_a_rewrite_replaces_the_users_where_they_stand() -> None:
    old = b"# mine\nuser bob on nopass\nport 7000\nuser carl off\n"
    config = read_text(old)
    users = read_text('user alice on "~a\\"b" &x "(\\"~c\\\\\\"d\\" +get)"\nuser default off').configured_users()
    text = rewritten(
        config, old, lambda again, content: load_text(again, content, "x.conf"), [users[name] for name in sorted(users)]
    )
    assert [line.split()[:3] for line in text.decode().splitlines()] == [
        ["#", "mine"], ["user", "alice", "on"], ["user", "default", "off"], ["port", "7000"],
    ]  # fmt: skip
    again = read_text(text).configured_users()
    assert [line_of(user) for user in again.values()] == [line_of(users[name]) for name in again]


def test_a_rewrite_appends_users_only_where_the_file_would_give_others() -> None:
    def text(config: Config) -> bytes:
        users = config.configured_users()
        return rewritten(
            config,
            b"",
            lambda again, content: load_text(again, content, "x.conf"),
            [users[name] for name in sorted(users)],
        )

    assert text(read_text("requirepass x")) == b'# Generated by CONFIG REWRITE\nrequirepass "x"\n'
    assert text(read_text("user bob on")).splitlines()[1:] == [
        b"user bob on sanitize-payload resetchannels -@all", b"user default on nopass sanitize-payload ~* &* +@all",
    ]  # fmt: skip


def test_what_only_tunes_an_absent_part_is_accepted_with_the_reason() -> None:
    assert read_text("repl-mptcp yes\nactive-defrag-cycle-max 30\nrepl-disable-tcp-nodelay no\n").warnings == [
        "'repl-mptcp' has no effect: plain TCP reaches every master",
        "'active-defrag-cycle-max' has no effect: memory comes from libc, not from jemalloc",
    ]


@pytest.mark.parametrize("line", ["dbfilename a/b", "appendfilename a/b", "appenddirname /tmp/x", "appenddirname .."])
def test_a_name_is_no_path(line: str) -> None:
    with pytest.raises(ConfigError, match=r"can't be a path, just a (filename|dirname)"):
        read_text(line)


def test_an_unknown_option_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"command line:1: .*: Bad directive"):
        read_config(["--nonsense", "1"])


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--port 7999"], {"port": 7999}),
        (["--save", "900", "1", "300", "10", "--port", "1"], {"save": ((900, 1), (300, 10)), "port": 1}),
        (["--save", "900 1 300 10"], {"save": ((900, 1), (300, 10))}),
        (["--save", ""], {"save": ()}),
        (["--save"], {"save": ()}),
        (["--save", "--port", "1"], {"save": (), "port": 1}),
        (["--requirepass", "--x"], {"requirepass": "--x"}),
        (["--requirepass", 'a "b" \\'], {"requirepass": 'a "b" \\'}),
        (["--slave-priority", "5"], {"replica-priority": 5}),
        (["--shutdown-on-sigterm", "nosave force"], {"shutdown-on-sigterm": ("nosave", "force")}),
        (["--bind", "127.0.0.1", "-::1"], {"bind": ("127.0.0.1", "-::1")}),
        (["--client-output-buffer-limit", "replica 1mb 2 3"],
         {"client-output-buffer-limit": {"normal": (0, 0, 0), "slave": (1 << 20, 2, 3), "pubsub": (33554432, 8388608, 60)}}),
    ],
)  # fmt: skip
def test_words_of_the_command_line_are_taken_as_redis_takes_them(words: list[str], values: dict[str, object]) -> None:
    config = read_config(words)
    assert {name: config[name] for name in values} == values


@pytest.mark.parametrize(
    "words", [["--loglevel"], ["--loglevel", "--port", "0"], ["--port", "0", "-", "--port", "1"], ["-x"]]
)
def test_words_that_redis_refuses_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"command line:1: .*(wrong number of arguments|Bad directive)"):
        read_config(words)


def test_lines_end_with_a_line_feed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "dos.conf"
    path.write_bytes(
        b"\xef\xbb\xbfhz 20\r\n\r\n# a comment\r\nrequirepass a\xc2\x85c\r\n" + b"timeout 5" + b" " * 100_000
    )
    config = read_config([str(path)])
    assert (config["hz"], config["timeout"], config["requirepass"]) == (20, 5, "a\x85c")


def test_a_nul_byte_is_refused_and_its_escape_taken() -> None:
    with pytest.raises(ConfigError, match="NUL byte"):
        read_text(b"requirepass a\x00b\n")
    assert read_text(rb'requirepass "a\x00b"')["requirepass"] == "a\0b"


def test_a_file_that_is_included_must_be_there_and_a_pattern_may_fit_none(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text(f"include {tmp_path}/sub*/*.conf\nhz 30\n")
    (tmp_path / "sub1").mkdir()
    (tmp_path / "sub1" / "c.conf").write_text("timeout 7\n")
    config = read_text(f"include {tmp_path}/b.conf\ninclude {tmp_path}/none*.conf\n")
    assert (config["hz"], config["timeout"]) == (30, 7)
    with pytest.raises(ConfigError, match=r"can't open config file '.*/none.conf': No such file or directory"):
        read_text(f"include {tmp_path}/none.conf\n")
    (tmp_path / "self.conf").write_text(f"include {tmp_path}/self.conf\n")
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_text(f"include {tmp_path}/self.conf\n")


def test_every_directive_has_one_name_and_a_default_that_survives_printing_and_parsing() -> None:
    assert not set(ALIASES) & set(DIRECTIVES)
    assert len(ALIASES) == sum(len(row.aliases) for row in DIRECTIVES.values())
    for row in DIRECTIVES.values():
        if row.name != "replicaof":
            assert parse_setting(row, format_value(row, row.default)) == row.default, row.name


# CONFIG REWRITE


def rewritten_text(config: Config, text: bytes) -> bytes:
    return rewritten(config, text, lambda again, content: load_text(again, content, "x.conf"))


@given(st.binary())
def test_every_byte_comes_back_from_quotes(value: bytes) -> None:
    assert b"\n" not in quoted(value)
    config = read_text(b"requirepass " + quoted(value))
    assert config["requirepass"].encode("utf-8", "surrogateescape") == value


TEXTS = [row for row in DIRECTIVES.values() if row.kind in (Kind.STRING, Kind.NAME, Kind.WORDS) and not row.refusal]


@given(st.data())
def test_a_rewritten_file_gives_the_values_in_force_and_no_others(data: st.DataObject) -> None:
    config = Config()
    for row in data.draw(st.lists(st.sampled_from(TEXTS), max_size=5)):
        value = data.draw(st.binary(max_size=20)).decode("utf-8", "surrogateescape")
        with contextlib.suppress(ValueError):  # not every text is a value of every directive
            config.values[row.name] = config.set(row.name, value)
    before = data.draw(st.sampled_from([b"", b"# mine\nport 1\nsave 1 1\n", b"requirepass old\nslave-priority 3"]))
    again = Config()
    load_text(again, rewritten_text(config, before), "x.conf")
    assert again.values == config.values


def test_every_directive_can_be_written_with_another_value_than_its_default() -> None:
    other = {
        Kind.BOOL: lambda row: not row.default,
        Kind.INT: lambda row: row.high if row.default != row.high and row.name != "hz" else row.low + 1,
        Kind.MEMORY: lambda row: 3 << 20,
        Kind.ENUM: lambda row: next(word for word in row.choices if word != row.default),
        Kind.FLAGS: lambda row: ("nosave", "force"),
        Kind.OCTAL: lambda row: 0o770,
        Kind.SAVE: lambda row: ((7, 8), (9, 10)),
        Kind.BUFFER_LIMITS: lambda row: {**row.default, "pubsub": (1 << 30, 1025, 7)},
        Kind.EVENTS: lambda row: "xK",
        Kind.SHARE: lambda row: "5%",
        Kind.PERCENTILES: lambda row: (0.5, 99.999),
        Kind.SCORES: lambda row: (-1, 2, 3),
    }
    for row in DIRECTIVES.values():
        if row.kind in other and not row.refusal:
            value = other[row.kind](row)
            assert read_text(b"\n".join(lines_of(row, value)))[row.name] == value, row.name


def test_rewrite_replaces_known_lines_and_keeps_the_rest() -> None:
    config = read_text("port 7000\nsave 10 1\nsave 20 2\nslave-priority 5\n")
    config.values["hz"] = 33
    old = b'# mine\n\nport 6379\ncluster-enabled no\nsave 5 5\n  # more\nrename-command GET ""\nslave-priority 1\nsave 6 6\n'
    assert rewritten_text(config, old).decode().splitlines() == [
        "# mine", "", "port 7000", "cluster-enabled no", "save 10 1", "save 20 2", "  # more", 'rename-command GET ""',
        "replica-priority 5", "# Generated by CONFIG REWRITE", "hz 33",
    ]  # fmt: skip


def test_rewrite_has_the_last_word_over_an_included_file(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("hz 50\nsave 1 1\n")
    text = f"hz 20\ninclude {tmp_path}/more.conf\n".encode()
    config = read_text(text)
    config.values.update({"hz": 60, "save": ((9, 9),)})
    again = read_text(rewritten_text(config, text))
    assert (again["hz"], again["save"]) == (60, ((9, 9),))


def test_words_that_a_program_gives_are_one_value_each() -> None:
    config = Config()
    load_words(config, ["--requirepass", "a\n--port 1", "--save", ""])
    assert (config["requirepass"], config["port"], config["save"]) == ("a\n--port 1", 6379, ())


def test_durable_by_default() -> None:
    config = Config()
    assert config["appendonly"] is True
    assert config["appendfsync"] == "everysec"
    assert config.get("save") == "3600 1 300 100 60 10000"
