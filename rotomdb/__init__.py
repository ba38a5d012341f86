"""rotomdb: a Redis-compatible server built around durability, and tools for its files.

As a library:

    from rotomdb import Server, command      # a server of your own inside your program, with your own commands
    client = rotomdb.connect("data")         # a redis-py client on a data directory, without any server
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Server", "__version__", "command", "connect"]

if TYPE_CHECKING:
    from rotomdb.commands.registry import command
    from rotomdb.embedding import Server
    from rotomdb.inprocess import connect


def __getattr__(name: str) -> Any:
    """Import what is asked for: the tools start faster without the server."""
    if name == "Server":
        from rotomdb.embedding import Server

        return Server
    if name == "command":
        from rotomdb.commands.registry import command

        return command
    if name == "connect":
        from rotomdb.inprocess import connect

        return connect
    raise AttributeError(f"module 'rotomdb' has no attribute {name!r}")
