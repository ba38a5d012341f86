from collections.abc import Callable
from socket import socket as Socket
from typing import Any

from rotomdb.commands.dispatch import Context, Dispatcher
from rotomdb.server.reactor import Handler

class Hub:
    postpones: Callable[[Any, list[bytes]], bool] | None
    holding: bool
    released_offset: int
    sync_target: int
    max_bulk_bytes: int
    max_query_bytes: int
    input_bytes: int
    reads: int
    writes: int
    output_bytes: int
    pending_writes: list[Client]
    resumable: list[Client]
    def close_client(self, client: Client) -> None: ...
    def hold(self, client: Client) -> None: ...
    def want_write(self, client: Client, wanted: bool) -> None: ...
    def protocol_error(self, client: Client, reason: bytes) -> None: ...
    def query_buffer_exceeded(self, client: Client) -> None: ...
    def handler_failed(self, client: Client, error: Exception) -> None: ...

class ClientHandler(Handler): ...

class Client(Context):
    id: int
    fd: int
    socket: Socket
    hub: Hub
    handler: ClientHandler
    close_after_reply: bool
    closed: bool
    blocked: bool
    reply_mode: int
    name: str
    address: str
    local_address: str
    library_name: str
    library_version: str
    user: str
    created_ms: int
    last_interaction_ms: int
    soft_limit_since_ms: int
    no_evict: bool
    def __init__(self, dispatcher: Dispatcher, hub: Hub, socket: Socket, id: int) -> None: ...
    def release(self) -> None: ...
    def reply(self, value: object) -> None: ...
    def resume(self) -> None: ...
    def resume_later(self) -> None: ...
    monitoring: bool
    def push_later(self, value: object) -> None: ...
    def run_postponed(self) -> None: ...
    def push(self, value: object) -> None: ...
    def flush_pending(self) -> None: ...
    @property
    def output_pending(self) -> int: ...
    @property
    def input_pending(self) -> int: ...
    @property
    def output_capacity(self) -> int: ...

def flush_all(clients: list[Client]) -> None: ...
