"""Appending to the log: from the stream of effects into a file, under a sync policy.

    policy     process killed   power lost
    always     nothing acked    nothing acked
    everysec   nothing acked    up to about 2 s of acked writes (1 s timer, one fsync late)
    no         nothing acked    whatever the kernel had not written back yet

"Acked" means that the client holds the reply: `acknowledged_offset` says up to where replies may leave. With `always`
that is what is on disk; one fsync covers all who wait. With the other policies it is what write(2) has taken, so that it
outlives the process.

After a failed fsync the file is not trusted any more (the kernel may have dropped what it could not write): nothing more
goes into it, and a rewrite into fresh files has to succeed first.

Native, since under `always` it runs before every fsync, with caches that the kernel has just emptied.
"""

import errno
import os
from collections import deque

from libc.stdint cimport int64_t

from rotomdb.storage.aof_options import ALL_OFFSETS as _ALL_OFFSETS, FsyncPolicy
from rotomdb.formats.aof.annotation_writer cimport BlockWriter
from rotomdb.formats.aof.annotations import BLOCK_BYTES
from rotomdb.storage.propagation cimport PropagationStream
from rotomdb.storage.propagation import encode_command
from rotomdb.storage.reserve import DiskReserve

cdef enum:
    SLOW_SYNC_MS = 2000
    SYNC_INTERVAL_MS = 1000
    ALLOCATED_AHEAD = 4 << 20          # bytes
    MARKS_KEPT = 10000                 # writes between two syncs that are told apart
    ERROR_LOG_INTERVAL_MS = 30000

cdef int64_t ALL_OFFSETS = _ALL_OFFSETS
cdef object ALWAYS = FsyncPolicy.ALWAYS
cdef object NEVER = FsyncPolicy.NO


cdef class LogAppender:
    """Appends the propagation stream to one log file, `file`.

    `waiting`: The log was turned on at run time and its first base is being written: what is logged meanwhile goes to a
    temporary increment (in the single layout: to memory) and counts only when the base is in place.
    `failed_sync`: Why the file is not trusted any more.
    """

    def __init__(self, disk, options, PropagationStream stream not None, log, machine):
        self.disk, self.options, self.stream, self.log, self.machine = disk, options, stream, log, machine
        self.sync_thread = machine.sync_thread()
        self.reserve = DiskReserve(disk, options, log)
        self.blocks = BlockWriter()
        self.unwritten = b""
        self.marks = deque()
        self.last_error_log_ms = -ERROR_LOG_INTERVAL_MS
        self.child_active = lambda: False

    @property
    def on(self):
        """Whether writes are logged."""
        return self.file is not None or self.waiting

    def begin_file(self, file, int64_t uncovered=0, checksum=0):
        """Go on in this file, of which everything is on disk; of its end so many bytes are in no block."""
        self.file = file
        self.forget_marks()
        self.synced_offset = self.written_offset = self.stream.offset - len(self.stream)
        self.last_sync_ms = self.machine.monotonic_ms()
        self.failed_sync = self.write_error = None
        self.blocks.begin_file(uncovered, checksum)
        self.stream.begin_file()

    def forget_marks(self):
        """All of the file is on disk."""
        self.sync_thread.restart_at(0 if self.file is None else self.file.written)
        self.marks.clear()

    # How far it is

    @property
    def settled(self):
        """Whether nothing is left to write, to cover or to sync."""
        return self.file is None and not self.waiting or (
            not self.unwritten and not self.stream.buffer.length and not self.blocks.size and self.is_synced())

    @property
    def buffered_bytes(self):
        return len(self.unwritten) + len(self.stream)

    cdef bint is_synced(self) except -1:
        """Whether everything that was written is known to be on disk."""
        return self.file is None or self.sync_thread.completed >= self.file.written

    cdef int64_t find_durable_offset(self) except -1:
        cdef int64_t completed
        if self.marks and not self.waiting:  # else the files count for nothing yet
            completed = self.sync_thread.completed
            while self.marks and self.marks[0][0] <= completed:
                self.synced_offset = self.marks.popleft()[1]
        return self.synced_offset

    @property
    def durable_offset(self):
        """The stream offset up to which everything is known to be on disk."""
        return self.find_durable_offset()

    @property
    def acknowledged_offset(self):
        """Replies to writes up to this stream offset may leave."""
        if self.file is None or self.waiting:
            return ALL_OFFSETS
        if self.options.policy is ALWAYS and not self.is_suspended():
            return self.find_durable_offset()
        return self.written_offset

    @property
    def sync_target_offset(self):
        """The stream offset up to which the fsync that runs will have brought the file."""
        cdef int64_t target = self.find_durable_offset()
        if self.sync_thread.busy:
            for length, offset in self.marks:
                if length > self.sync_thread.target:
                    break
                target = offset
        return target

    cdef bint is_suspended(self) except -1:
        """Whether the policy's fsyncs are left out while a child writes."""
        return self.options.no_sync_on_rewrite and self.child_active()

    def request_sync(self):
        """Somebody waits for the disk: under `no`, which never syncs by itself, begin a sync."""
        if self.options.policy is NEVER:
            self.start_sync()

    # Appending

    cdef int collect(self, int64_t now, bint end_block) except -1:
        """Move the stream's bytes into the write buffer, with annotations around blocks."""
        cdef bint annotated = self.options.checksum and not self.options.single_file
        cdef bytes data = b""
        self.stream.cut_every = BLOCK_BYTES if annotated else 0
        if self.stream.buffer.length:
            data, cuts = self.stream.take(), self.stream.take_cuts()
            if self.rewrite_buffer is not None:
                self.rewrite_buffer.append(data)
            if self.file is None:
                return 0  # there is no other place for it yet
            if annotated:
                if self.blocks.stands_alone(data):
                    self.unwritten += self.blocks.end()
                    data = <bytes>encode_command(b"SELECT", self.database_before) + data
                data = self.blocks.add_all(data, cuts, self.sync_thread.completed, now)
                self.database_before = max(self.stream.selected, 0)
            else:
                self.blocks.count(data)  # annotations may be turned on before the file ends
        if (
            annotated
            and self.blocks.size
            and (end_block or self.options.policy is ALWAYS or self.blocks.full(len(data)) or self.blocks.due(now))
        ):
            data += self.blocks.end()
            self.stream.begin_block()
        self.unwritten = self.unwritten + data if self.unwritten else data
        return 0

    def flush(self, *, bint force=False):
        """Write what is buffered and see to it that the policy's fsync runs; before every sleep and by the timer.

        A failed write is kept in `write_error`, and the bytes are tried again. Raises OSError only where the
        configuration wants the server to end then. `force`: End the block, whatever its size.
        """
        cdef int64_t now
        if self.file is None and not self.waiting:
            return
        self.notice_failed_sync()
        if self.failed_sync is not None:
            return
        now = self.machine.monotonic_ms()
        if self.stream.buffer.length or (self.options.checksum and (self.blocks.due(now) or (force and self.blocks.size))):
            self.collect(now, force)
        if self.unwritten:
            self.write_out(now)
        self.sync_as_policy_says(now)

    cdef int write_out(self, int64_t now) except -1:
        cdef object file = self.file
        cdef int64_t before = file.written
        cdef Py_ssize_t size = len(self.unwritten), written
        if self.options.policy is ALWAYS and before + size > file.allocated:
            file.allocate_ahead(size + ALLOCATED_AHEAD)  # the fsync that follows takes half the time
        try:
            written = file.write(self.unwritten)
            while written < size:
                # Partial progress is tried once more; the second answer tells why (usually ENOSPC).
                more = file.write(memoryview(self.unwritten)[written:])
                if more == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += more
        except OSError as error:
            self.write_failed(file, before, error, now)
            return 0
        self.size += size
        self.unwritten = b""
        self.written_offset = self.stream.offset - <int64_t>self.stream.buffer.length
        self.marks.append((before + size, self.written_offset))
        if len(self.marks) > MARKS_KEPT:
            del self.marks[1]  # a coarser answer costs a waiter one more sync at the most
        if self.write_error is not None:
            self.log("warning", "AOF write error looks solved. The server can write again.")
            self.write_error = None
        return 0

    cdef int write_failed(self, object file, int64_t before, object error, int64_t now) except -1:
        """Take back a partial write, or account for it, and keep the rest to try again."""
        cdef int64_t partial = file.written - before
        if partial:
            try:
                file.truncate(before)
            except OSError:
                self.size += partial
                self.unwritten = self.unwritten[partial:]
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and self.reserve.release():
            return self.write_out(now)
        if now - self.last_error_log_ms >= ERROR_LOG_INTERVAL_MS:
            self.last_error_log_ms = now
            self.log("warning", f"Error writing to the AOF file: {error.strerror}")
        self.write_error = error
        return self.exit_if_configured(error)

    cdef int exit_if_configured(self, object error) except -1:
        if self.options.exit_on_error and self.options.policy is ALWAYS:
            raise error
        return 0

    # Syncing

    cdef int sync_as_policy_says(self, int64_t now) except -1:
        cdef object policy = self.options.policy
        if self.waiting or policy is NEVER or self.is_suspended() or self.is_synced():
            return 0
        if policy is ALWAYS:
            if self.sync_thread.fast and not self.sync_thread.busy:
                self.sync_thread.run(self.file, self.file.written)
                self.notice_failed_sync()
            else:
                self.start_sync()
        elif now - self.last_sync_ms >= SYNC_INTERVAL_MS:
            self.note_slow_sync()
            if self.start_sync():
                self.last_sync_ms = now
        return 0

    cdef bint start_sync(self) except -1:
        """Sync what is written in the background, unless that is done or an fsync already runs."""
        if self.file is None or self.failed_sync is not None or self.sync_thread.busy or self.is_synced():
            return False
        self.slow_sync_noted = False
        self.sync_thread.start(self.file, self.file.written)
        return True

    cdef int note_slow_sync(self) except -1:
        """The fsync of two seconds ago still runs: what a power loss can cost is growing."""
        if self.sync_thread.busy and not self.slow_sync_noted and (
                self.machine.monotonic_ms() - self.last_sync_ms > SLOW_SYNC_MS):
            self.slow_sync_noted = True
            self.delayed_fsyncs += 1
            self.log(
                "notice",
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting "
                "for fsync to complete, this may slow down Redis.",
            )
        return 0

    def sync_now(self):
        """Sync what is written in the foreground. Raises OSError; the file is not trusted any more then."""
        self.sync_thread.wait()
        self.notice_failed_sync()
        if self.failed_sync is None and not self.is_synced():
            self.sync_thread.run(self.file, self.file.written)
            self.notice_failed_sync()
        if self.failed_sync is not None:
            raise self.failed_sync

    cdef int notice_failed_sync(self) except -1:
        error = self.sync_thread.error
        if error is None or self.failed_sync is not None or self.sync_thread.busy:
            return 0
        self.failed_sync = error
        self.exit_if_configured(error)
        self.log(
            "warning",
            f"Can't fsync the AOF file: {error.strerror}. Writes are refused until the data set is in a fresh file.",
        )
        return 0

    @property
    def status_error(self):
        """Why writes are refused."""
        return self.write_error or self.failed_sync or self.reserve.missing
