"""What the server has to know of a command beyond its flags: properties of its declaration that COMMAND INFO does not tell.

    @server.command("QUEUE.TAKE", since="1.0.0", flags=WRITE, properties=Property.MAY_EMPTY)
    def take(ctx: Context, key: Key) -> bytes | None: ...

The numbers stand in properties.pxd, too, for the dispatcher.
"""

from __future__ import annotations

import enum


class Property(enum.IntFlag):
    """Subcommands have the properties of their container besides their own."""

    NEVER_QUEUED = 1  # runs at once between MULTI and EXEC
    WHILE_SUBSCRIBED = 2  # allowed to a RESP2 client that listens to channels
    SEES_ALL_KEYS = 4  # its reply depends on which keys there are
    ONLY_ASKS = 8  # asks about a key without using it: access time and frequency stay
    ALWAYS_TOUCHES = 16  # uses its keys, also for a client whose accesses do not count
    READS_KEYS = 32  # writes, and looks for what it reads as a read does: misses are events
    MAY_EMPTY = 64  # takes elements from a key, which goes with the last: an event of its own
    MAY_REPLICATE = 128  # no write, but others hear of it: paused with writes, forbidden where nothing may be written
    RUNS_SCRIPT = 256  # writes what its script or function writes, unless that says that it never does
    RUNS_QUEUE = 512  # is what was queued: refused, paused and ended as that
    REFUSED_WITH_WRITES = 1024  # tells whether the server is well: where writes are refused, so is this
    REPLAYED = 2048  # executed when a log is read, though it neither reads nor writes keys


NO_PROPERTIES = Property(0)
