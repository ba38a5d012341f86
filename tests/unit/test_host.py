"""Commands and whoever runs them."""

from __future__ import annotations

import pytest

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.commands.registry import REGISTRY
from rotomdb.engine import Engine
from rotomdb.errors import CommandError


@pytest.mark.parametrize("request_", ["BGSAVE", "PUBLISH channel message", "SLOWLOG LEN", "CLIENT LIST"])
def test_a_command_about_the_server_is_refused_where_there_is_none(request_: str) -> None:
    load_all()
    dispatcher = Dispatcher(Engine(1), REGISTRY.values())
    reply = dispatcher.execute(Context(dispatcher), request_.encode().split())
    assert isinstance(reply, CommandError)
    assert str(reply) == "ERR this command needs a server"
