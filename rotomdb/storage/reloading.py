"""Loading a data set in place of the one in memory, or into it: all of the file, or the data is what it was.

The old data set is put aside and not dropped until the new one is there, so both take memory for that long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rotomdb.engine import Engine
from rotomdb.engine.keyspace import Keyspace
from rotomdb.errors import RdbDatabaseError, RdbError
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.formats.rdb.reader import KeyRecord, RdbReader
from rotomdb.storage.disk import Disk


@contextlib.contextmanager
def replacing(engine: Engine) -> Iterator[None]:
    """The engine is empty in here. What it held is back when an exception leaves, and gone otherwise."""
    aside = [Keyspace(engine, database.index) for database in engine.databases]
    libraries = engine.function_libraries.put_aside()
    exchange(engine, aside)
    try:
        yield
    except BaseException:
        exchange(engine, aside)
        engine.function_libraries.put_back(libraries)
        raise


def exchange(engine: Engine, others: list[Keyspace]) -> None:
    """Exchange the databases with others, in place: whoever refers to a database goes on with what it holds then."""
    count = len(engine.databases)
    engine.databases.extend(others)
    try:
        for index in range(count):
            engine.swap(index, count + index)
    finally:
        del engine.databases[count:]


def make_way(disk: Disk, engine: Engine, path: Path, *, replace: bool) -> None:
    """Before a snapshot is loaded into data that stays: see that nothing will stop that, and delete what it replaces.

    Raises:
        RdbError: the file is damaged, or (without `replace`) holds a key that is there.
    """
    with disk.mapped(path) as data:
        check_rdb(data, str(path))
        there: list[tuple[int, bytes]] = []
        reader = RdbReader(data, str(path))
        try:
            for event in reader.records():
                if not isinstance(event, KeyRecord):
                    continue
                if event.db >= len(engine.databases):
                    raise reader.failure(RdbDatabaseError(event.start, event.db, len(engine.databases)), reader.walker)
                if engine.databases[event.db].exists(event.key):
                    if not replace:
                        raise RdbError(
                            str(path), 0, "it holds a key that is there already; MERGE replaces it", event.key
                        )
                    there.append((event.db, event.key))
        finally:
            reader.close()
    for db, key in there:
        engine.databases[db].delete(key)
