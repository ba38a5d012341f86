"""How data is held in memory: the keyspace and its data structures, in native memory.

The engine knows no files, no sockets and no commands. Each data type has one module of plain functions that take a
`Keyspace` and a key (`strings`, `lists`, `hashes`, `sets`, `sorted_sets`); a mutation that empties a value deletes its
key, so an empty aggregate never exists.
"""

from rotomdb.engine.keyspace import Engine, Keyspace

__all__ = ["Engine", "Keyspace"]
