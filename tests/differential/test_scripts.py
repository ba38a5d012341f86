"""Scripts give the replies of redis-server: the language, the sandbox, `redis.*`, errors, and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.differential.script_samples import LIBRARY_SAMPLES, SAMPLES
from tests.processes import RedisServer, RotomServer, ServerProcess

WORDS = ("2", "k1", "k2", "a1", "a2")


def reply(client: redis.Redis, *words: str | bytes) -> object:
    try:
        return client.execute_command(*words)
    except redis.exceptions.ResponseError as error:
        return f"{type(error).__name__}: {error}"


def raw_client(server: ServerProcess, protocol: int) -> Any:
    client = redis.Redis(port=server.port, protocol=protocol)
    client.response_callbacks.clear()
    return client


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_sample_gets_the_reply_of_redis(
    protocol: int, rotom: Callable[..., RotomServer], redis_server: Callable[..., RedisServer]
) -> None:
    with raw_client(rotom(), protocol) as ours, raw_client(redis_server(), protocol) as theirs:
        differing = {}
        for script in SAMPLES + LIBRARY_SAMPLES:
            mine, real = (reply(client, "EVAL", script, *WORDS) for client in (ours, theirs))
            if repr(mine) != repr(real):  # repr: 1 and True are different replies
                differing[script] = (mine, real)
        assert not differing
