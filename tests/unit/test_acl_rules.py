"""The rules that users are made of, and the text that gives the same user again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomdb.commands import load_all
from rotomdb.commands.acl_rules import RuleError, Rules, UnmatchedParenthesisError, accepts, line_of, merged, rules_text
from rotomdb.commands.dispatch import Context
from rotomdb.commands.permissions import Subject, User, command_number
from rotomdb.commands.registry import FAST, REGISTRY, declare

load_all()
ABC = "#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
ROOT_RULES = [
    "+@all", "-@all", "+get", "-get", "+set", "+config", "+config|get", "-config|get", "-config", "+select|0", "+select|1", "-select",
    "+@read", "-@read", "+@write", "-@dangerous", "+@slow", "-@fast", "+@scripting", "+client|id", "-acl", "+acl|whoami",
    "~a*", "%R~b*", "%W~b*", "%RW~c", "resetkeys", "&news.*", "&x", "resetchannels", "~*", "%R~*", "%W~*", "allchannels",
    '~a"b', "&it's", "~a)", '"~b)"', '"~c\\"d"', '"%R~e\\"f"',
]  # fmt: skip
USER_RULES = [
    "on",
    "off",
    "nopass",
    ">secret",
    ">other",
    "resetpass",
    "skip-sanitize-payload",
    "sanitize-payload",
    "reset",
    "clearselectors",
]


def user_of(*words: str, rules: Rules | None = None) -> User:
    user = (rules or Rules()).new_user(b"alice")
    (rules or Rules()).apply_all(user, [word.encode() for word in words])
    return user


def text_of(*words: str) -> str:
    return rules_text(user_of(*words)).decode()


NUMBERS = [command_number(name) for name in REGISTRY]


def bits(user: User) -> list[list[bool]]:
    return [[selector.allows_command(number) for number in NUMBERS] for selector in user.selectors]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on >abc ~a* %R~b &c +get", f"on sanitize-payload {ABC} ~a* %R~b resetchannels &c -@all +get"),
        ("allkeys allchannels allcommands nopass", "off nopass sanitize-payload ~* &* +@all"),
        ("+GET +@READ +Config|Get", "off sanitize-payload resetchannels -@all +get +@read +config|get"),
        ("%R~k %W~k", "off sanitize-payload ~k resetchannels -@all"),
        ("%R~a %R~* %W~*", "off sanitize-payload ~* resetchannels -@all"),
        ("+get -get +set", "off sanitize-payload resetchannels -@all -get +set"),
        ("+config|get +config|set -config", "off sanitize-payload resetchannels -@all -config"),
        ("-config +config|get", "off sanitize-payload resetchannels -@all -config +config|get"),
        ("+@all -@admin +acl|whoami -get", "off sanitize-payload resetchannels +@all -@admin +acl|whoami -get"),
        ("+@read (+set ~x) ( %W~y  +@write )", "off sanitize-payload resetchannels -@all +@read (~x resetchannels -@all +set) "
         "(%W~y resetchannels -@all +@write)"),
        ("+get (+set) clearselectors", "off sanitize-payload resetchannels -@all +get"),
        ("on >a ~* &* +@all (+get) reset", "off sanitize-payload resetchannels -@all"),
        ("+select|0 +select|1", "off sanitize-payload resetchannels -@all +select|0 +select|1"),
        ("+select|0 -select", "off sanitize-payload resetchannels -@all -select"),
    ],
)  # fmt: skip
def test_the_text_keeps_the_rules_about_commands_in_their_order(words: str, text: str) -> None:
    assert text_of(*words.split()) == text
    assert text_of(*text.split()) == text


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("foo", "Syntax error"), ("+nosuch", "Unknown command"), ("+@nosuch", "Unknown command"), ("%X~a", "Syntax error"),
        ("%~a", "Syntax error"), ("%RR~a", "Syntax error"), ("~a b", "Syntax error"), ("&a b", "Syntax error"),
        ("<abc", "The password you are trying to remove"), ("#abc", "The password hash must be exactly 64"),
        (ABC.upper(), "The password hash must be exactly 64"), ("+config|", "Syntax error"), ("+config|get|x", "first-arg of a subcommand"),
        ("-get|foo", "Unknown command"), ("(nopass)", "Syntax error"), ("((+get))", "Syntax error"), ('("+get)', "Syntax error"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(word: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        user_of(word)


def test_a_pattern_behind_all_of_them_is_refused() -> None:
    for words in ("~* ~a", "&* &a"):
        with pytest.raises(RuleError, match="does not have any effect"):
            user_of(*words.split())


def test_a_selector_may_be_spread_over_words_and_must_end() -> None:
    assert list(merged([b"on", b"(+get", b"~a", b"+set)", b"off"])) == [b"on", b"(+get ~a +set)", b"off"]
    with pytest.raises(UnmatchedParenthesisError) as caught:
        list(merged([b"on", b"(+get", b"~a"]))
    assert caught.value.index == 1


def test_passwords_are_kept_as_hashes_and_any_of_them_lets_in() -> None:
    user = user_of(">one", ">two", ">one")
    assert len(user.passwords) == 2
    assert b"one" not in line_of(user)
    assert accepts(user, b"one") and accepts(user, b"two") and not accepts(user, b"three")
    assert not accepts(user_of(), b"")
    assert accepts(user_of("nopass"), b"whatever")
    assert not accepts(user_of(">one", "<one"), b"one")
    assert not user_of("nopass", ">one").nopass


def test_new_users_and_selectors_begin_with_the_channels_of_the_configuration() -> None:
    everything = Rules(all_channels=True)
    assert rules_text(user_of("(+get)", "reset", "(+get)", rules=everything)).decode() == (
        "off sanitize-payload &* -@all (&* -@all +get)"
    )


words_of_user = st.lists(
    st.one_of(
        st.sampled_from(ROOT_RULES + USER_RULES),
        st.lists(st.sampled_from(ROOT_RULES), max_size=4).map(lambda words: f"({' '.join(words)})"),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(words_of_user)
def test_the_text_of_a_user_makes_the_same_user(words: list[str]) -> None:
    user = Rules().new_user(b"alice")
    for word in words:
        try:
            Rules().apply(user, word.encode())
        except RuleError:
            continue  # a pattern behind `~*`
    user.settle()
    again = Rules().new_user(b"alice")
    Rules().apply_all(again, line_of(user).split(b" ")[2:])
    assert line_of(again) == line_of(user)
    assert bits(again) == bits(user)
    assert again.unrestricted == user.unrestricted
    assert [selector.keys for selector in again.selectors] == [selector.keys for selector in user.selectors]
    assert [selector.first_words for selector in again.selectors] == [
        selector.first_words for selector in user.selectors
    ]


bytes_of_rules = st.lists(
    st.sampled_from([
        b"~", b"%R~", b"%W~", b"&", b"+select|", b"(", b")", b'"', b"'", b"\\", b" ", b"\xff", b"\n", b"\0", b"+get", b"x", b"|", b">", b"#",
    ]),
    max_size=8,
).map(b"".join)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(bytes_of_rules, max_size=4))
def test_whatever_is_taken_can_be_read_back_from_a_file_and_all_else_is_an_error(words: list[bytes]) -> None:
    user = Rules().new_user(b"alice")
    try:
        Rules().apply_all(user, words)
    except RuleError:
        return
    line = line_of(user)
    assert b"\n" not in line
    again = Rules().new_user(b"alice")
    Rules().apply_all(again, line.split(b" ")[2:])
    assert line_of(again) == line
    assert bits(again) == bits(user)
    assert [selector.keys for selector in again.selectors] == [selector.keys for selector in user.selectors]


def denial(user: User, request: str) -> tuple[str, int] | None:
    words = [word.encode() for word in request.split()]
    name = words[0].decode().lower()
    name = f"{name}|{words[1].decode().lower()}" if REGISTRY[name].function is None else name
    return user.denial(Subject(REGISTRY[name]), words)


@pytest.mark.parametrize(
    ("rules", "request_", "denied"),
    [
        ("+get ~a*", "GET abc", None),
        ("+get ~a*", "GET b", ("key", 1)),
        ("+get ~a*", "SET a 1", ("command", 0)),
        ("+@all %R~r* %W~w*", "GET r", None),
        ("+@all %R~r* %W~w*", "GET w", ("key", 1)),
        ("+@all %R~r* %W~w*", "SET w 1", None),
        ("+@all %R~r* %W~w*", "SET w 1 GET", ("key", 1)),
        ("+@all %R~r* %W~w*", "COPY r w", None),
        ("+@all %R~r* %W~w*", "COPY w r", ("key", 1)),
        ("+@all %R~r* %W~w*", "SORT r STORE w", None),
        ("+@all %R~r* %W~w*", "SORT r STORE r2", ("key", 3)),
        ("+@all %R~r* %W~w*", "INCR w", ("key", 1)),
        ("+@all %R~r* %W~w*", "EXISTS w", None),
        ("+@all ~a", "MSET a 1 b 2", ("key", 3)),
        ("+@all ~a", "MSETEX 2 a 1 b 2", ("key", 4)),
        ("+@all ~a", "XREAD STREAMS a b 0 0", ("key", 3)),
        ("+@all ~a", "GEORADIUS a 1 1 1 km STORE b", ("key", 7)),
        ("+@all ~a", "GEORADIUS a 1 1 1 km STORE a STORE b", ("key", 9)),
        ("+@all ~a", "GEORADIUS a 1 1 1 km STOREDIST b STORE a", ("key", 7)),
        ("+@all ~a", "GEORADIUSBYMEMBER a m 1 km STORE a STOREDIST b", ("key", 8)),
        ("+@all ~a", "XREADGROUP COUNT 1 GROUP STREAMS a STREAMS b >", ("key", 7)),
        ("+@all ~a", "XREADGROUP GROUP STREAMS STREAMS STREAMS a >", None),
        ("+@all ~a", "XREAD BLOCK 0 streams b 0", ("key", 4)),
        ("+@all ~a", "SORT a STORE a STORE b", ("key", 5)),
        ("+@all ~a", "SORT a GET STORE STORE b", ("key", 5)),
        ("+@all ~a", "EVAL x 2 a b", ("key", 4)),
        ("+@all ~a", "MIGRATE h 1 b 0 1", ("key", 3)),
        ("+@all ~a", "FLUSHALL", None),
        ("+select|0", "SELECT 0", None),
        ("+select|0", "SELECT 1", ("command", 0)),
        ("+@all -select +select|0", "SELECT 1", ("command", 0)),
        ("+config|get", "CONFIG GET x", None),
        ("+config|get", "CONFIG SET x y", ("command", 0)),
        ("+publish &a*", "PUBLISH ab x", None),
        ("+publish &a*", "PUBLISH b x", ("channel", 1)),
        ("+subscribe &a*", "SUBSCRIBE ab b", ("channel", 2)),
        ("+psubscribe &a*", "PSUBSCRIBE a*", None),
        ("+psubscribe &a*", "PSUBSCRIBE ab", ("channel", 1)),
        ("+@pubsub &a*", "SPUBLISH b x", ("channel", 1)),
        ("+@pubsub &a*", "SSUBSCRIBE b", ("channel", 1)),
        ("+@pubsub", "UNSUBSCRIBE b", None),
        ("+get ~a (+set ~b)", "SET b 1", None),
        ("+get ~a (+set ~b)", "SET a 1", ("key", 1)),
        ("+get ~a (+set ~b)", "GET b", ("key", 1)),
        ("+get ~a (+set ~b)", "DEL a", ("command", 0)),
        ("+mget ~a (+mget ~b)", "MGET a b", ("key", 2)),
        ("+mget ~a (+mget ~a ~b)", "MGET a b", None),
    ],
)  # fmt: skip
def test_a_request_is_allowed_by_one_selector_as_a_whole(
    rules: str, request_: str, denied: tuple[str, int] | None
) -> None:
    assert denial(user_of(*rules.split()), request_) == denied


def test_commands_that_were_added_later_are_known_by_name_and_category() -> None:
    user_of("+get")

    def act(ctx: Context) -> int:
        """Does nothing."""
        return 0

    REGISTRY["added"] = declare("ADDED", act, since="1.0.0", flags=FAST, group="mine", categories="list")
    try:
        assert denial(user_of("+added"), "ADDED") is None
        assert denial(user_of("+@list"), "ADDED") is None
        assert denial(user_of("+@hash"), "ADDED") == ("command", 0)
    finally:
        del REGISTRY["added"]


def test_only_who_may_do_everything_in_one_selector_is_unrestricted() -> None:
    assert user_of("+@all", "~*", "&*").unrestricted
    assert user_of("(+@all ~* &*)").unrestricted
    assert user_of("+@all", "~*", "&*", "-get", "+get").unrestricted
    for rules in ("+@all ~*", "+@all &*", "+@all ~* &* -get", "+@all (~* &*)"):
        assert not user_of(*rules.split()).unrestricted, rules
