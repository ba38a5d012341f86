"""Where commands follow again behind damage, in what no checksum covers.

A place counts as a beginning when several commands in a row can be read from it, or all up to the end of the data. What is
read inside a value that looks like a log cannot be told from a log: that is why a chain is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.passing import let_go, passing

CHAIN = 3  # commands in a row that make a beginning credible
NAME_MAX = 32
SEARCH_BYTES = 1 << 20


def next_beginning(data: memoryview, start: int) -> int:
    """The first credible beginning at or behind `start`; the end of the data when there is none."""
    start = max(start, 1)
    for base in range(start, len(data), SEARCH_BYTES):
        piece = bytes(data[base - 1 : base + SEARCH_BYTES + 1])
        at = next_mark(piece, 0)
        while at >= 0:
            if is_beginning(data, base + at):
                return base + at
            at = next_mark(piece, at + 1)
        let_go(data, base, base + SEARCH_BYTES)
    return len(data)


def next_mark(piece: bytes, start: int) -> int:
    """The next line that begins as an item does: the offset of the line feed before it, or -1."""
    places = (piece.find(b"\n*", start), piece.find(b"\n#", start))
    return min((found for found in places if found >= 0), default=-1)


def is_beginning(data: memoryview, offset: int) -> bool:
    items = LogItems(data, offset)
    commands = 0
    try:
        while commands < CHAIN:
            item = items.skip()
            if item is None:
                break
            if item is True:
                commands += 1
                name = items.name
                if not (0 < len(name) <= NAME_MAX and name.replace(b".", b"").replace(b"_", b"").isalnum()):
                    return False
    except (EOFError, ValueError):
        # An EXEC that ends a transaction whose beginning is lost can be read as well as any other command.
        return commands > 0 and items.behind > items.offset
    finally:
        items.close()
    return commands > 0


def runs_to_the_end(data: memoryview, offset: int) -> bool:
    """Whether several whole commands, and nothing but whole items, stand from there to the end."""
    items = LogItems(data, offset, on_progress=passing(data))
    commands = 0
    try:
        while (item := items.skip()) is not None:
            commands += item is True
    except (EOFError, ValueError):
        return False
    finally:
        items.close()
    return commands >= CHAIN


def readable_commands(content: bytes) -> Iterator[list[bytes]]:
    """The commands inside of damaged bytes that can be read, as far as that can be told."""
    position = 0
    while position < len(content):
        items = LogItems(content, position)
        try:
            while (item := items.take()) is not None:
                if isinstance(item, list):
                    yield item
            return
        except EOFError:
            position = items.offset + 1
        except ValueError:
            position = max(items.behind, items.offset + 1)
        finally:
            items.close()
        while 0 < position < len(content) and content[position - 1 : position] != b"\n":
            position = content.find(b"\n", position) + 1 or len(content)
