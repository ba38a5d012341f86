"""The thread that runs fsync, so that nobody but those who wait for the disk has to wait for it.

To hand an fsync over costs two wake-ups of another processor, about half a millisecond of processor time on a small virtual
machine: more than the fsync of a fast disk takes. So under `always` the event loop runs it itself for as long as the disk
answers within a millisecond on average, and one slow answer is enough for it to turn to the thread (docs/durability.md has
the figures).
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable

from rotomdb.storage.disk import DiskFile

# The file is none that can be synced (a pipe, in tests): no reason to stop writes.
NOT_SYNCABLE = (errno.EBADF, errno.EINVAL)
FAST_SYNC_S = 0.001
AVERAGED_SYNCS = 8


class SyncThread:
    """Runs at most one fsync at a time; the event loop starts it and looks at `busy` and `error`.

    Attributes:
        completed: Bytes of the file that are known to be on disk.
        fast: Whether the disk answers so fast that it is not worth a thread.
        target: Bytes that will be, once the fsync that runs has succeeded.
        error: What the last fsync failed with. The kernel may have dropped the pages: the file is not to be trusted
            again, whatever a later fsync says.
        on_done: Called in the thread after each fsync, to wake the event loop up.
        on_start: Called in a thread that begins.
    """

    def __init__(self) -> None:
        self.busy = False
        self.error: OSError | None = None
        self.completed = 0
        self.target = 0
        self.average_s = 2 * FAST_SYNC_S  # moving; a disk that is not known is not taken for a fast one
        self.fast = False
        self.on_done: Callable[[], None] = lambda: None
        self.on_start: Callable[[], object] = lambda: None
        self.wakeup = threading.Lock()
        self.wakeup.acquire()
        self.file: DiskFile | None = None
        self.thread: threading.Thread | None = None

    def start(self, file: DiskFile, upto: int) -> None:
        """Sync `file`; afterwards `completed` is `upto`."""
        if self.thread is None:
            thread = threading.Thread(target=self.work, name="aof-fsync", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no thread: slower, and as safe
                self.run(file, upto)
                self.on_done()
                return
            self.thread = thread
        self.file, self.target = file, upto
        self.busy = True
        self.wakeup.release()

    def work(self) -> None:
        self.on_start()
        while True:
            self.wakeup.acquire()
            if self.file is None:
                return
            self.run(self.file, self.target)
            self.busy = False
            self.on_done()

    def run(self, file: DiskFile, upto: int) -> None:
        """Sync right here."""
        start = time.monotonic()
        try:
            file.sync()
        except OSError as error:
            if error.errno not in NOT_SYNCABLE:
                self.error = error
                return
        self.average_s += (time.monotonic() - start - self.average_s) / AVERAGED_SYNCS
        self.fast = self.average_s < FAST_SYNC_S
        self.completed = upto

    def wait(self) -> None:
        while self.busy:
            time.sleep(0.0005)

    def stop(self) -> None:
        """End the thread; the next `start` makes another. Not while an fsync runs."""
        if self.thread is not None:
            self.file = None
            self.wakeup.release()
            self.thread.join()
            self.thread = None

    def restart_at(self, written: int) -> None:
        """Another file is in use; all of its `written` bytes are on disk. Not while an fsync runs."""
        self.completed = self.target = written
        self.error = None

    def forget_thread(self) -> None:
        """In a forked child: the thread did not come along."""
        self.thread = None
        self.busy = False
