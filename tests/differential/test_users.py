"""Users as redis-server 7.0.15 has them: rules, errors, and what they allow.

What differs on purpose: since 7.2 denials name the user, `sanitize-payload` is shown, and rules about commands are shown in the
order in which they were given, where 7.0 works out others that give the same commands.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.processes import RedisServer, RotomServer

Both = tuple[redis.Redis, redis.Redis]

# Allowed there, denied here: (command, words) -> why.
STRICTER = {
    ("pfmerge", 2): "Redis finds no key at all where there is none to merge, and lets any key be overwritten",
}
LATER = {"wait", "zrank", "zrevrank"}  # of other categories, or with other numbers of words, since 7.2


@pytest.fixture
def both(rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]) -> Both:
    clients = (rotom().client(protocol=3), redis_server().client(protocol=3))
    for client in clients:
        client.response_callbacks.clear()
    return clients


def ask(client: redis.Redis, *words: str) -> Any:
    try:
        return client.execute_command(*words)
    except redis.RedisError as error:
        return f"{type(error).__name__} {error}"


def plain(reply: Any) -> Any:
    """A reply without what 7.2 says otherwise."""
    if isinstance(reply, dict):
        return {plain(key): plain(value) for key, value in reply.items()}
    if isinstance(reply, list):
        return [plain(value) for value in reply if value != b"sanitize-payload"]
    text = reply.decode() if isinstance(reply, bytes) else reply
    if isinstance(text, str):
        return text.replace(" sanitize-payload", "").replace("User u has no", "This user has no")
    return text


RULES = [
    "foo", "+nosuch", "+@nosuch", "%X~a", "%R~", "%RW~k", "%~k", "%~", "%Rx~a", "%rw~x", "%rr~x", ">", ">a", "<abc", "#abc", "!abc",
    "#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "(+get", "(", ")", "()", "+config|nosuch", "+config|",
    "+get|", "+config|get|x", "-get|foo", "-config|get|x", "+", "-", "+|", "~a b", "&a b", "&", "~", "(nopass)", "((+get))",
    "(+nosuch)", "(%X~a)", "~x\\0", "+select|0", "+@all", "allcommands", "-@all", "nocommands", "+get", "+GET", "+@READ", "(~a +get)",
    "on", "off", "nopass", "resetpass", "reset", "resetkeys", "", " ", "x y", "~*", "&*", "allkeys", "skip-sanitize-payload",
]  # fmt: skip


def test_each_rule_is_taken_or_refused_as_there(both: Both) -> None:
    for rule in RULES:
        replies = []
        for client in both:
            ask(client, "ACL", "DELUSER", "u")
            replies.append(
                (
                    ask(client, "ACL", "SETUSER", "u", rule),
                    plain(ask(client, "ACL", "LIST")),
                    plain(ask(client, "ACL", "GETUSER", "u")),
                )
            )
        assert replies[0] == replies[1], rule


QUESTIONS = [
    "ACL", "ACL NOSUCH", "ACL SETUSER", "ACL GETUSER none", "ACL GETUSER default", "ACL LOG foo", "ACL LOG -1", "ACL LOG RESET",
    "ACL GENPASS 0", "ACL GENPASS 4097", "ACL GENPASS x", "ACL CAT", "ACL CAT foo", "ACL LOAD", "ACL SAVE", "ACL USERS",
    "ACL WHOAMI", "ACL DELUSER default", "ACL DELUSER none", "ACL DRYRUN none GET", "ACL DRYRUN u NOSUCH", "ACL DRYRUN u GET",
    "ACL DRYRUN u GET k", "ACL DRYRUN u SET k v", "ACL DRYRUN u SET m v", "ACL DRYRUN u CONFIG", "ACL DRYRUN u CONFIG NOSUCH", "ACL DRYRUN u PUBLISH c m",
    "ACL DRYRUN u CONFIG GET x", "ACL DRYRUN u AUTH x", "CLIENT KILL USER none", "AUTH x", "AUTH u x", "AUTH none x", "AUTH default x",
]  # fmt: skip


def test_each_question_is_answered_as_there(both: Both) -> None:
    for client in both:
        client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~k", "+@all", "-config", "-set", "(+set ~l)")
    for question in QUESTIONS:
        ours, theirs = (plain(ask(client, *question.split())) for client in both)
        assert ours == theirs, question
    for category in ask(both[1], "ACL", "CAT"):
        ours, theirs = (set(ask(client, "ACL", "CAT", category.decode())) for client in both)
        there = {name for name in theirs if not name.startswith((b"function", b"fcall"))}
        assert there <= ours | {name.encode() for name in LATER}, category


class Generated:
    """Users and requests, from a seed."""

    def __init__(self, seed: int, arities: dict[str, int], categories: list[str]) -> None:
        self.random = random.Random(seed)
        self.arities, self.categories = arities, categories
        self.names = sorted(arities)

    def rule(self) -> str:
        pick = self.random.choice
        return pick([
            lambda: pick("+-") + "@" + pick([*self.categories, "all"]),
            lambda: pick("+-") + pick(self.names),
            lambda: pick("+-") + pick(self.names),
            lambda: f"+{pick(['select', 'get', 'set'])}|{pick(['0', 'x'])}",
            lambda: pick(["~r*", "~w*", "%R~r*", "%W~w*", "%R~*", "%W~x", "%RW~x", "resetkeys", "~[rw]1"]),
            lambda: pick(["&news.*", "&x", "resetchannels", "&a*"]),
        ])()  # fmt: skip

    def user(self) -> list[str]:
        rules = [self.rule() for _ in range(self.random.randrange(8))]
        for _ in range(self.random.choice([0, 0, 1, 2])):
            rules.append(f"({' '.join(self.rule() for _ in range(self.random.randrange(1, 5)))})")
        return rules

    def request(self) -> list[str]:
        name = self.random.choice(self.names)
        words, arity = name.split("|"), self.arities[name]
        more = abs(arity) - len(words) + (self.random.randrange(5) if arity < 0 else 0)
        return words + [
            self.random.choice(["r1", "w1", "x", "news.a", "a*", "STORE", "GET", "STREAMS", "KEYS", "1", "2", "0", "LIMIT", "BY", "COUNT"])
            for _ in range(more)
        ]  # fmt: skip


def arities_of(client: redis.Redis) -> dict[str, int]:
    rows = client.execute_command("COMMAND")
    return {row[0].decode(): row[1] for parent in rows for row in (parent, *parent[9])}


def test_generated_users_may_do_the_same_there_and_here(both: Both) -> None:
    ours, theirs = both
    here, there = arities_of(ours), arities_of(theirs)
    known = {
        name: arity
        for name, arity in there.items()
        if name in here and name not in LATER and not name.startswith("debug")
    }
    generated = Generated(20261126, known, [name.decode() for name in ask(theirs, "ACL", "CAT")])
    checks = 0
    for _ in range(25):
        rules = generated.user()
        for client in both:
            client.execute_command("ACL", "SETUSER", "u", "reset", *rules)
        # What one of them shows of the user makes the same user of the other.
        line = next(line for line in ask(ours, "ACL", "LIST") if line.startswith(b"user u "))
        theirs.execute_command("ACL", "SETUSER", "u2", "reset", *line.split(b" ")[2:])
        requests = [generated.request() for _ in range(40)]
        answers = []
        for client, user in ((ours, "u"), (theirs, "u"), (theirs, "u2")):
            with client.pipeline(transaction=False) as pipe:
                for request in requests:
                    pipe.execute_command("ACL", "DRYRUN", user, *request)
                answers.append([plain(answer) for answer in pipe.execute(raise_on_error=False)])
        for request, mine, real, shown in zip(requests, *answers, strict=True):
            if mine != real and (request[0], len(request)) in STRICTER and real == "OK":
                continue
            assert str(mine) == str(real) == str(shown), (rules, request)
            checks += 1
    assert checks > 900
