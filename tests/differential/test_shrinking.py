"""Short random sequences of commands on both servers, made by hypothesis: a difference shrinks to its cause."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.differential.generator import Command, Generator
from tests.differential.test_commands import Link, agree
from tests.processes import RedisServer, RotomServer

EXAMPLES = 150


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 3])
def test_short_sequences_reply_as_redis_does(
    rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer], protocol: int
) -> None:
    reference = Link(redis_server("--save", "", "--appendonly", "no").port, protocol)
    ours = Link(rotom("--save", "").port, protocol)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False), st.integers(1, 30))
    def compare(source: random.Random, length: int) -> None:
        for link in (reference, ours):
            link.run(["DISCARD"])
            link.run(["SELECT", "0"])
            link.run(["FLUSHALL"])
        generator = Generator(source)
        queue: list[Command] = []
        for _ in range(length):
            command = generator.next()
            expected, got = reference.run(command), ours.run(command)
            if expected == b"QUEUED":
                queue.append(command)
            assert agree(command, queue, expected, got), f"{command}: redis {expected!r}, rotomdb {got!r}"
            if command[0] in ("MULTI", "EXEC", "DISCARD") and expected != b"QUEUED":
                queue = [] if not str(expected).startswith("error") else queue

    compare()
