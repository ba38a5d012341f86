from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rotomdb.commands.host import Host
from rotomdb.commands.permissions import Subject, User
from rotomdb.commands.registry import CommandSpec
from rotomdb.engine.keyspace import Engine, Keyspace
from rotomdb.storage.propagation import PropagationStream

class Command:
    spec: CommandSpec
    name: str
    subject: Subject
    subcommands: dict[bytes, Command] | None
    flags: int
    properties: int
    calls: int
    nanoseconds: int
    rejected: int
    failed: int
    def __init__(self, spec: CommandSpec) -> None: ...
    def add_subcommand(self, command: Command) -> None: ...
    def reset_counters(self) -> None: ...
    def latency_histogram(self) -> tuple[int, list[int]] | None: ...
    def latency_percentile(self, percent: float) -> float: ...

class Context:
    db: Keyspace
    dispatcher: Dispatcher
    engine: Engine
    resp: int
    authenticated: bool
    user: User | None
    in_script: bool
    in_exec: bool
    in_multi: bool
    abort_exec: bool
    watched_changed: bool
    queue: list[list[bytes]]
    queue_bytes: int
    watched: list[tuple[int, bytes]]
    replaying: bool
    write_offset: int
    replica_offset: int
    read_offset: int
    tracking: bool
    no_touch: bool
    subscribed: bool
    command: Command
    def __init__(self, dispatcher: Dispatcher) -> None: ...
    @property
    def now_ms(self) -> int: ...
    @property
    def server(self) -> Host: ...
    def changed(self, key: bytes, event: str, count: int = 1) -> None: ...
    def event(self, key: bytes, event: str) -> None: ...
    def block(
        self,
        keys: Sequence[bytes],
        type_name: bytes | None,
        timeout_ms: int,
        otherwise: object,
        request: list[bytes] | None = None,
    ) -> object: ...
    def block_until(self, ready: Callable[[], bool], reply: Callable[[], object], timeout_ms: int) -> object: ...
    def propagate(self, *arguments: object) -> None: ...
    def request(self) -> list[bytes]: ...
    def select(self, index: int) -> bool: ...
    def discard(self) -> None: ...
    def unwatch(self) -> None: ...
    def in_parts(
        self, kind: type[list[Any]], count: int, parts: Iterable[list[Any]], *, all_taken: bool = False
    ) -> object: ...
    def execute(self, *arguments: object) -> Any: ...

class Suspended: ...

class Dispatcher:
    engine: Engine
    stream: PropagationStream
    commands: dict[bytes, Command]
    server: Host | None  # None: in tools
    dirty: int
    commands_processed: int
    slowlog_threshold_us: int
    on_slow: Callable[[Context, list[bytes], int], None] | None
    on_error: Callable[[str], None] | None
    on_denied: Callable[[Any, str, bytes, str], None] | None
    on_unknown: Callable[[Context, bytes], None] | None
    on_internal_error: Callable[[str], None] | None
    write_error: str | None
    write_refusal: str | None
    stale_refusal: str | None
    follows: bool
    requires_auth: bool
    watch_unsynced: bool
    loading: bool
    watchers: dict[tuple[int, bytes], set[Context]]
    awaited: Any  # dict of (database index, key) to the clients that wait for it
    memory_limit: int
    make_room: Callable[[], bool] | None
    on_write: Callable[[bytes, Context | None], None] | None
    on_read: Callable[[Any, Command, list[bytes]], None] | None
    on_command: Callable[[Context, Command, list[bytes]], None] | None
    on_script: Callable[[Context, list[bytes]], None] | None
    scripting: Any
    unlogged: bool
    busy: str | None
    layers: list[Callable[[Any, list[bytes], Callable[[], object]], object]]
    on_block_until: Callable[[Context, Callable[[], bool], Callable[[], object], int], None] | None
    latency_tracking: bool
    latency_threshold_us: int
    on_latency: Callable[[str, int], None] | None
    on_event: Callable[[int, bytes, str], None] | None
    postpones: Callable[[Context, Command, list[bytes]], bool] | None
    on_block: Callable[[Context, Sequence[bytes], bytes | None, int, list[bytes] | None], None] | None
    on_ready: Callable[[dict[tuple[int, bytes], None]], None] | None
    def running_request(self) -> tuple[Any, list[bytes]]: ...
    @property
    def nested(self) -> bool: ...
    def suspend(self, refusal: str) -> Suspended: ...
    def take_up(self, suspended: Suspended, *, drop_effects: bool) -> None: ...
    ready: dict[tuple[int, bytes], None]
    def serve_waiting(self) -> None: ...
    def retry(self, context: Context, arguments: list[bytes]) -> Any: ...
    def __init__(self, engine: Engine, specs: Iterable[CommandSpec]) -> None: ...
    def rename(self, pairs: list[tuple[str, str]]) -> None: ...
    def named_in_log(self) -> dict[bytes, Command]: ...
    def find_in_log(self, name: bytes) -> Command | None: ...
    def execute_from_log(self, context: Context, arguments: list[bytes]) -> Any: ...
    def update_clock(self) -> None: ...
    def named_by(self, request: list[bytes]) -> Command | None: ...
    def would_deny(self, user: User | None, command: Command, request: list[bytes]) -> str | None: ...
    def find(self, name: bytes) -> Command | None: ...
    def execute(self, context: Context, arguments: list[bytes]) -> Any: ...
    def key_evicted(self, database: int, key: bytes) -> None: ...
    def missed(self, database: int, key: bytes) -> None: ...
    def happened(self, context: Context, db: Keyspace, key: bytes, event: str) -> None: ...
    def touch(self, database: int, key: bytes) -> None: ...
    def touch_database(self, database: int, replacement: int = -1) -> None: ...
    def exchanged(self, database: int, replacement: int = -1) -> None: ...
