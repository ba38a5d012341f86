from collections.abc import Callable

from rotomdb.formats.rdb.walker import RdbWalker

def resynchronise(
    walker: RdbWalker,
    offset: int,
    highest_type: int,
    chain: int,
    keys_expected: int,
    read_opcode: Callable[[int], object],
) -> int: ...
