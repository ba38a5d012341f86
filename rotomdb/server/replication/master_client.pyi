from collections.abc import Callable
from socket import socket as Socket

from rotomdb.commands.dispatch import Dispatcher
from rotomdb.errors import CommandError
from rotomdb.server.client import Client, Hub

class MasterClient(Client):
    on_applied: Callable[[bytes], None]
    on_failure: Callable[[list[bytes], CommandError], None]
    def __init__(
        self,
        dispatcher: Dispatcher,
        hub: Hub,
        socket: Socket,
        id: int,
        on_applied: Callable[[bytes], None],
        on_failure: Callable[[list[bytes], CommandError], None],
    ) -> None: ...
    def take(self, data: bytes) -> None: ...
    @property
    def received_bytes(self) -> int: ...
