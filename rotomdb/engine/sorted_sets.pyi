from collections.abc import Sequence
from typing import Any

from rotomdb.engine.keyspace import Keyspace

ADD_NX: int
ADD_XX: int
ADD_GT: int
ADD_LT: int
ADD_INCREMENT: int
LEX_MIN: int
LEX_MAX: int

Flat = list[Any]  # member (bytes), score (float), ...

def add(
    db: Keyspace, key: bytes, pairs: Sequence[object], flags: int = 0
) -> tuple[int, int, float | None]: ...
def score(db: Keyspace, key: bytes, member: bytes) -> float | None: ...
def scores(db: Keyspace, key: bytes, members: Sequence[bytes]) -> list[float | None]: ...
def length(db: Keyspace, key: bytes) -> int: ...
def rank(db: Keyspace, key: bytes, member: bytes, reverse: bool = False) -> tuple[int, float] | None: ...
def remove(db: Keyspace, key: bytes, members: Sequence[bytes]) -> int: ...
def range_by_rank(db: Keyspace, key: bytes, start: int, stop: int, reverse: bool = False) -> Flat: ...
def range_by_score(
    db: Keyspace,
    key: bytes,
    low: float,
    low_exclusive: bool,
    high: float,
    high_exclusive: bool,
    reverse: bool = False,
    offset: int = 0,
    limit: int = -1,
) -> Flat: ...
def count_by_score(
    db: Keyspace, key: bytes, low: float, low_exclusive: bool, high: float, high_exclusive: bool
) -> int: ...
def range_by_lex(
    db: Keyspace,
    key: bytes,
    low: bytes | int,
    low_exclusive: bool,
    high: bytes | int,
    high_exclusive: bool,
    reverse: bool = False,
    offset: int = 0,
    limit: int = -1,
) -> Flat: ...
def count_by_lex(
    db: Keyspace, key: bytes, low: bytes | int, low_exclusive: bool, high: bytes | int, high_exclusive: bool
) -> int: ...
def pop(db: Keyspace, key: bytes, count: int, from_max: bool) -> Flat | None: ...
def items(db: Keyspace, key: bytes) -> Flat: ...
def random_items(db: Keyspace, key: bytes, count: int) -> Flat: ...
def scan(
    db: Keyspace, key: bytes, cursor: int, count: int, pattern: bytes | None = None
) -> tuple[int, Flat]: ...
