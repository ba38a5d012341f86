"""A Redis-speaking service of your own: two commands and a layer around all of them.

python examples/own_commands.py
"""

from __future__ import annotations

import time
from collections import Counter

from rotomdb import Server
from rotomdb.commands.dispatch import Context
from rotomdb.commands.registry import WRITE, Bytes, Int, Key
from rotomdb.errors import CommandError

server = Server()  # a temporary directory and a free port; Server("data", port=7000) keeps what it holds
calls: Counter[str] = Counter()


@server.command("STOCK.TAKE", since="1.0.0", flags=WRITE)
def stock_take(ctx: Context, item: Key, wanted: Int) -> int:
    """Takes from the stock of an item, never more than there is; returns what is left."""
    # What other commands do is what goes into the append-only file: a replay needs no STOCK.TAKE.
    left = int(ctx.execute("GET", item) or 0) - wanted
    if left < 0:
        raise CommandError(f"STOCK only {left + wanted} left")
    ctx.execute("SET", item, left)
    return left


@server.command("SERVICE.ECHO", since="1.0.0")
def service_echo(ctx: Context, *words: Bytes) -> dict[bytes, int]:
    """Returns each word with its length: a map in RESP3, a flat array in RESP2."""
    return {word: len(word) for word in words}


@server.middleware
def count_and_time(ctx: Context, request: list[bytes], proceed: object) -> object:
    """Runs around every command."""
    assert callable(proceed)
    start = time.perf_counter()
    try:
        return proceed()
    finally:
        calls[request[0].decode().upper()] += 1
        if time.perf_counter() - start > 0.1:
            print("slow:", request[0])


if __name__ == "__main__":
    with server, server.client(decode_responses=True) as client:
        client.set("apples", 5)
        print("left:", client.execute_command("STOCK.TAKE", "apples", 3))
        try:
            client.execute_command("STOCK.TAKE", "apples", 3)
        except Exception as error:
            print("refused:", error)
        print(client.execute_command("SERVICE.ECHO", "one", "three"))
        print("calls of STOCK.TAKE:", calls["STOCK.TAKE"])
