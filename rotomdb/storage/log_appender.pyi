from collections.abc import Callable

from rotomdb.storage.aof_options import AofOptions, Log
from rotomdb.formats.aof.annotation_writer import BlockWriter
from rotomdb.storage.disk import Disk, DiskFile
from rotomdb.storage.machine import Machine
from rotomdb.storage.propagation import PropagationStream
from rotomdb.storage.reserve import DiskReserve
from rotomdb.storage.sync_thread import SyncThread

class LogAppender:
    disk: Disk
    options: AofOptions
    stream: PropagationStream
    log: Log
    machine: Machine
    sync_thread: SyncThread
    reserve: DiskReserve
    blocks: BlockWriter
    file: DiskFile | None
    waiting: bool
    unwritten: bytes
    rewrite_buffer: list[bytes] | None
    child_active: Callable[[], bool]
    write_error: OSError | None
    failed_sync: OSError | None
    size: int
    base_size: int
    delayed_fsyncs: int
    synced_offset: int
    written_offset: int
    last_sync_ms: int
    def __init__(
        self, disk: Disk, options: AofOptions, stream: PropagationStream, log: Log, machine: Machine
    ) -> None: ...
    @property
    def on(self) -> bool: ...
    def begin_file(self, file: DiskFile, uncovered: int = 0, checksum: int = 0) -> None: ...
    def forget_marks(self) -> None: ...
    @property
    def settled(self) -> bool: ...
    @property
    def buffered_bytes(self) -> int: ...
    @property
    def durable_offset(self) -> int: ...
    @property
    def acknowledged_offset(self) -> int: ...
    @property
    def sync_target_offset(self) -> int: ...
    def request_sync(self) -> None: ...
    def flush(self, *, force: bool = False) -> None: ...
    def sync_now(self) -> None: ...
    @property
    def status_error(self) -> OSError | None: ...
