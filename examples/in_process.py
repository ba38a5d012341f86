"""Redis data the way SQLite is used: a directory, a client, no server.

python examples/in_process.py [directory]
"""

from __future__ import annotations

import sys
import tempfile

import rotomdb


def main(directory: str) -> None:
    with rotomdb.connect(directory, decode_responses=True) as client:
        visits = client.incr("visits")
        client.zadd("scores", {"ada": 36.5, "grace": 85.0})
        client.xadd("log", {"event": "visit", "number": visits})
        print("visit", visits, "- best:", client.zrange("scores", 0, 0, desc=True))
    # Closed: all of it is on disk. A redis-server started on the directory with --appendonly yes finds the same data.
    with rotomdb.connect(directory, decode_responses=True) as client:
        print("still there:", client.xlen("log"), "log entries")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(temporary)
