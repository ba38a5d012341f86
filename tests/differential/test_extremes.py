"""Arguments at the edge of what C types hold: replies are Redis's, no error is internal, and the server stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.differential.extremes import (
    ABSENT,
    KEYS_OF_TYPES,
    NUMBERS,
    commands_but,
    extreme_calls,
    mutated,
    setup,
)
from tests.differential.generator import Command
from tests.differential.test_commands import UNORDERED, Link
from tests.processes import RedisServer, RotomServer

BATCH = 500
# Timeouts that are refused here while 7.0 pops, and has other data from then on: seconds that end beyond the clock, where it
# overflows, and a fraction that only a long double holds.
TIMEOUTS_TAKEN_BY_7_0 = {b"9223372036854775", b"1e-400"}
BLOCKING = {"blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzmpop", "bzpopmin", "bzpopmax", "xread", "xreadgroup",
            "wait", "waitaof"}  # fmt: skip
RANDOM = {"spop", "srandmember", "randomkey", "hrandfield", "zrandmember"}
# They change what the connection is or does, end the server, or take long.
OF_THE_CONNECTION = {"quit", "reset", "hello", "monitor", "multi", "exec", "discard", "watch", "auth", "subscribe", "psubscribe",
                     "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "client|reply", "client|pause", "client|kill",
                     "sync", "psync"}  # fmt: skip
OF_THE_SERVER = {"shutdown", "migrate", "save", "bgsave", "bgrewriteaof", "backup", "debug", "config|set", "config|rewrite", "failover",
                 "replicaof", "slaveof"}  # fmt: skip
TELLS_OF_ITSELF = {"client", "command", "config", "info", "lolwut", "memory", "slowlog", "latency", "lastsave", "time", "role", "dump",
                   "pfselftest", "wait", "object|encoding", "object|idletime", "xinfo", "module", "replconf", "function",
                   "script", "acl"}  # fmt: skip
ALONE = frozenset(OF_THE_CONNECTION | OF_THE_SERVER)
COMPARED_NOT = ALONE | RANDOM | TELLS_OF_ITSELF


def newer(since: str) -> bool:
    """Whether the reference, 7.0, lacks the command."""
    return tuple(map(int, since.split(".")[:2])) > (7, 0)


def run_all(link: Link, commands: list[Command]) -> list[Any]:
    """Many requests at once."""
    replies = []
    for start in range(0, len(commands), BATCH):
        batch = commands[start : start + BATCH]
        link.connection.send_packed_command(link.connection.pack_commands(batch))
        replies += [link.receive() for _ in batch]
    return replies


def unblocked(commands: Iterable[Command]) -> list[Command]:
    """Commands that wait inside MULTI, where they do not."""
    return [
        one
        for command in commands
        for one in ([["MULTI"], command, ["EXEC"]] if str(command[0]).lower() in BLOCKING else [command])
    ]


def alike(command: Command, expected: Any, got: Any) -> bool:
    """Whether the replies agree, up to what Redis changed after 7.0."""
    name = str(command[0]).upper()
    if expected == got:
        return True
    if name in ("SCAN", "HSCAN", "SSCAN", "ZSCAN"):
        return isinstance(expected, list) and isinstance(got, list)
    if name in UNORDERED and isinstance(expected, list) and isinstance(got, list):
        return sorted(map(repr, expected)) == sorted(map(repr, got))
    if name in ("BITCOUNT", "BITPOS"):
        return str(got).startswith("error")  # since 7.2 the arguments are judged before the key
    if name in ("ZRANK", "ZREVRANK") and len(command) == 4:
        return str(got).startswith("error")  # since 7.2 a word may follow
    if name == "EXEC":
        return "timeout is" in str(got)  # 7.0 reads more digits, and adds the time of day without looking
    if str(command[-1]).upper() == "HELP":
        return True
    try:
        return float(expected) == float(got)  # since 7.2 with the fewest digits
    except (TypeError, ValueError):
        return False


def compare(reference: Link, ours: Link, commands: Iterable[Command]) -> None:
    requests = unblocked(commands)
    for command, expected, got in zip(requests, run_all(reference, requests), run_all(ours, requests), strict=True):
        assert alike(command, expected, got), f"{command}: redis {expected!r}, rotomdb {got!r}"


def test_every_argument_of_every_command_may_be_extreme(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    reference = Link(redis_server("--save", "", "--appendonly", "no").port, 2)
    ours = Link(rotom("--save", "", "--appendonly", "no").port, 2)
    for key in (*KEYS_OF_TYPES, ABSENT):
        for spec in commands_but(COMPARED_NOT):
            if not newer(spec.since):
                calls = [
                    call
                    for call in extreme_calls(spec, key)
                    if spec.name not in BLOCKING or not TIMEOUTS_TAKEN_BY_7_0 & {*call}
                ]
                compare(reference, ours, [*setup(), *calls])
        assert reference.run(["DEBUG", "DIGEST"]) == ours.run(["DEBUG", "DIGEST"])


def test_what_only_this_server_has_or_can_tell_bears_extremes_too(rotom: Callable[..., RotomServer]) -> None:
    link = Link(rotom("--save", "", "--appendonly", "no").port, 2)
    for key in (b"hash", b"stream"):
        for spec in commands_but(ALONE):
            if newer(spec.since) or {spec.name, spec.name.partition("|")[0]} & (RANDOM | TELLS_OF_ITSELF):
                run_all(
                    link,
                    unblocked(
                        [*setup(), ["HPEXPIRE", "hash", "100000", "FIELDS", "1", "a"], *extreme_calls(spec, key)]
                    ),
                )
    assert len(link.run(["DEBUG", "DIGEST"])) == 40


def test_a_number_that_a_directive_takes_breaks_no_later_change(rotom: Callable[..., RotomServer]) -> None:
    link = Link(rotom("--save", "", "--appendonly", "no").port, 2)
    listed = link.run(["CONFIG", "GET", "*"])
    kept = {
        b"port",
        b"tls-port",
        b"maxmemory",
        b"maxmemory-clients",
        b"maxclients",
        b"timeout",
    }  # the connection needs them
    for name, value in zip(listed[::2], listed[1::2], strict=True):
        if value.lstrip(b"-").isdigit() and name not in kept:
            run_all(link, [["CONFIG", "SET", name, extreme] for extreme in NUMBERS])
            assert link.run(["CONFIG", "SET", "hz", "10"]) == b"OK", name
            link.run(["CONFIG", "SET", name, value])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_options_with_extreme_values_reply_as_in_redis(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], seed: int
) -> None:
    reference = Link(redis_server("--save", "", "--appendonly", "no").port, 2)
    ours = Link(rotom("--save", "", "--appendonly", "no").port, 2)
    # Damaged sketches are found out sooner here, and the others see the clock or what 7.2 changed.
    without = COMPARED_NOT | {
        "swapdb",
        "object",
        "pfadd",
        "pfmerge",
        "pfcount",
        "xsetid",
        "expiretime",
        "zdiff",
        "lpos",
        "getex",
    }
    clocks = {b"*", "px", "ex"}
    commands = [command for command in mutated(seed, 2000, without=frozenset(without)) if not clocks & {*command}]
    compare(reference, ours, [*setup(), *commands])
    assert reference.run(["DEBUG", "DIGEST"]) == ours.run(["DEBUG", "DIGEST"])


@pytest.mark.parametrize(
    "command",
    ["SETRANGE k 1048576 x", "SETBIT k 8388608 1", "GETBIT k 8388608", "BITFIELD k SET u8 8388608 1", "BITFIELD k GET u8 #1048576",
     "SETRANGE k 1048575 x", "SETBIT k 8388607 1", "APPEND k x", "APPEND k xx", "SETRANGE list 9999999 x", "APPEND list x"],
)  # fmt: skip
def test_no_command_makes_a_string_longer_than_proto_max_bulk_len(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], command: str
) -> None:
    replies = []
    for server in (redis_server(), rotom()):
        link = Link(server.port, 2)
        link.run(["CONFIG", "SET", "proto-max-bulk-len", "1mb"])
        link.run(["SETRANGE", "k", "1048574", "x"])
        link.run(["RPUSH", "list", "a"])
        replies.append(link.run(list(command.split())))
    assert replies[0] == replies[1]


def test_a_counter_above_the_range_of_a_reply_is_shown_as_in_c(rotom: Callable[..., RotomServer]) -> None:
    link = Link(rotom().port, 2)
    for command in ("XADD s 1-1 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >",
                    f"XCLAIM s g c 0 1-1 RETRYCOUNT {(1 << 63) - 1}", "XCLAIM s g c 0 1-1"):  # fmt: skip
        link.run(list(command.split()))
    assert link.run(["XPENDING", "s", "g", "-", "+", "1"])[0][3] == -(1 << 63)
