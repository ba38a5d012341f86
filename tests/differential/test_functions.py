"""Functions give the replies of redis-server: loading libraries, calling, listing, dumping and restoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.library_format import payload_of, record_of
from tests.differential.function_samples import CALLS, LIBRARY, OTHER_FUNCTION, REQUESTS, SOURCES
from tests.differential.test_scripts import raw_client, reply
from tests.processes import RedisServer, RotomServer

SMALL = b"#!lua name=small\nredis.register_function('one', function() return 1 end)"
BROKEN = b"#!lua name=broken\nif"
PAYLOADS = [
    payload_of([]), payload_of([SMALL]), payload_of([SMALL, SMALL]), payload_of([SMALL, BROKEN]), payload_of([b"junk"]),
    payload_of([SMALL, OTHER_FUNCTION.encode()]), seal(b"\xf4" + record_of(SMALL, False)[1:], 10), seal(b"\xf5", 10),
    seal(record_of(SMALL, True), 200), payload_of([SMALL])[:-1] + b"x", b"",
]  # fmt: skip


def ordered(value: Any) -> Any:
    """Redis lists libraries and functions in no order."""
    if isinstance(value, list):
        return sorted((ordered(element) for element in value), key=repr)
    if isinstance(value, dict):
        return {key: ordered(element) for key, element in value.items()}
    return value


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_request_about_functions_gets_the_reply_of_redis(
    protocol: int, rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with raw_client(rotom(), protocol) as ours, raw_client(redis_server(), protocol) as theirs:
        differing = {}

        def compare(*words: str | bytes) -> None:
            mine, real = (ordered(reply(client, *words)) for client in (ours, theirs))
            if repr(mine) != repr(real):
                differing[words] = (mine, real)

        for source in SOURCES if protocol == 2 else ():
            compare("FUNCTION", "LOAD", source)
            compare("FUNCTION", "LIST", "WITHCODE")
            compare("FUNCTION", "FLUSH", "ASYNC")
        compare("FUNCTION", "LOAD", LIBRARY)
        for call in CALLS:
            compare("FCALL", *call.split())
            compare("FCALL_RO", *call.split())
        for request in REQUESTS:
            compare(*request.split())
        compare("FUNCTION", "LOAD", OTHER_FUNCTION)
        compare("FUNCTION", "LOAD", LIBRARY)
        compare("FUNCTION", "LOAD", "REPLACE", LIBRARY)
        for payload in PAYLOADS:
            for policy in ((), ("REPLACE",), ("APPEND",), ("FLUSH",)):
                compare("FUNCTION", "RESTORE", payload, *policy)
                compare("FUNCTION", "LIST")
                compare("FUNCTION", "RESTORE", payload_of([LIBRARY.encode()]), "REPLACE")
        assert not differing, "\n".join(map(repr, differing.items()))


def test_a_dump_of_either_server_restores_into_the_other(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with raw_client(rotom(), 2) as ours, raw_client(redis_server(), 2) as theirs:
        for source, target in ((ours, theirs), (theirs, ours)):
            target.execute_command("FUNCTION", "FLUSH")
            source.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY)
            source.execute_command("FUNCTION", "LOAD", "REPLACE", SMALL)
            target.execute_command("FUNCTION", "RESTORE", source.execute_command("FUNCTION", "DUMP"))
            assert reply(target, "FCALL", "one", 0) == 1
            listed = [ordered(reply(client, "FUNCTION", "LIST", "WITHCODE")) for client in (ours, theirs)]
            assert listed[0] == listed[1]


def test_scripts_that_declare_flags_are_refused_as_writes_are_when_memory_is_short(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with raw_client(rotom(), 2) as ours, raw_client(redis_server(), 2) as theirs:
        for client in (ours, theirs):
            client.execute_command("FUNCTION", "LOAD", LIBRARY)
            client.execute_command("CONFIG", "SET", "maxmemory", "1")
        for words in (
            ("FCALL", "Plain", 0), ("FCALL_RO", "Plain", 0), ("FCALL", "get", 1, "k"), ("FCALL", "nosuch", 0), ("FUNCTION", "LOAD", "x"),
            ("FUNCTION", "DELETE", "nosuch"), ("FUNCTION", "RESTORE", "x"), ("EVAL", "#!lua\nreturn 1", 0),
            ("EVAL_RO", "#!lua\nreturn 1", 0), ("EVAL_RO", "#!lua flags=allow-oom\nreturn 1", 0), ("FUNCTION", "DELETE", "all"),
        ):  # fmt: skip
            assert reply(ours, *words) == reply(theirs, *words), words
