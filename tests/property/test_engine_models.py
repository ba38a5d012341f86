"""Every data type against its Python model, over all its encodings."""

from __future__ import annotations

import gc
import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomdb.engine import Engine, hashes, lists, sets, sorted_sets, streams, strings
from rotomdb.engine.memory import used_memory
from rotomdb.formats.rdb import decoder, encoder

TEXT = st.one_of(
    st.binary(max_size=12),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: b"%d" % n),
    st.integers(-300, 300).map(lambda n: b"%d" % n),
    st.binary(min_size=60, max_size=70),
    st.sampled_from([b"x" * 5000, b"y" * 17000, b"-0", b"007", b""]),
)
KEY = b"k"


def engine() -> Engine:
    made = Engine(1)
    # Low limits, so that few elements cross every conversion.
    made.hash_max_listpack_entries = made.set_max_listpack_entries = made.zset_max_listpack_entries = 6
    made.set_max_intset_entries = 8
    return made


@given(st.lists(st.tuples(st.sampled_from(["set", "del"]), TEXT, TEXT), max_size=60))
def test_hash_behaves_like_a_dict(operations: list[tuple[str, bytes, bytes]]) -> None:
    db = engine().databases[0]
    model: dict[bytes, bytes] = {}
    for name, field, value in operations:
        if name == "set":
            assert hashes.set(db, KEY, (field, value)) == (field not in model)
            model[field] = value
        else:
            assert hashes.delete(db, KEY, (field,)) == (field in model)
            model.pop(field, None)
        assert hashes.length(db, KEY) == len(model)
        assert hashes.get(db, KEY, field) == model.get(field)
        assert db.exists(KEY) == bool(model)
    flat = hashes.items(db, KEY)
    assert dict(zip(flat[::2], flat[1::2], strict=True)) == model


@given(st.lists(st.tuples(st.booleans(), TEXT), max_size=80))
def test_set_behaves_like_a_set(operations: list[tuple[bool, bytes]]) -> None:
    db = engine().databases[0]
    model: set[bytes] = set()
    for add, member in operations:
        if add:
            assert sets.add(db, KEY, (member,)) == (member not in model)
            model.add(member)
        else:
            assert sets.remove(db, KEY, (member,)) == (member in model)
            model.discard(member)
        assert sets.length(db, KEY) == len(model)
        assert sets.contains(db, KEY, member) == (member in model)
    assert sorted(sets.members(db, KEY)) == sorted(model)


@given(st.lists(st.tuples(st.booleans(), TEXT, st.floats(allow_nan=False)), max_size=60))
def test_sorted_set_behaves_like_a_sorted_list(operations: list[tuple[bool, bytes, float]]) -> None:
    db = engine().databases[0]
    model: dict[bytes, float] = {}
    for add, member, score in operations:
        if add:
            assert sorted_sets.add(db, KEY, (score, member))[0] == (member not in model)
            model[member] = score
        else:
            assert sorted_sets.remove(db, KEY, (member,)) == (member in model)
            model.pop(member, None)
    ordered = sorted(model.items(), key=lambda item: (item[1], item[0]))
    flat = sorted_sets.items(db, KEY)
    assert list(zip(flat[::2], flat[1::2], strict=True)) == ordered
    for rank, (member, score) in enumerate(ordered):
        assert sorted_sets.rank(db, KEY, member) == (rank, score)
        assert sorted_sets.range_by_rank(db, KEY, rank, rank) == [member, score]
        below = sum(other < score for other in model.values())
        assert sorted_sets.count_by_score(db, KEY, float("-inf"), False, score, True) == below


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "pop", "set", "insert", "remove", "trim"]),
            TEXT,
            st.integers(-40, 40),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_list_behaves_like_a_list(operations: list[tuple[str, bytes, int, bool]]) -> None:
    db = engine().databases[0]
    model: list[bytes] = []
    for name, value, number, flag in operations:
        apply(db, model, name, value, number, flag)
        assert lists.length(db, KEY) == len(model)
    assert lists.get_range(db, KEY, 0, -1) == model
    assert [lists.index(db, KEY, -1 - i) for i in range(len(model))] == model[::-1]


def apply(db: Any, model: list[bytes], name: str, value: bytes, number: int, flag: bool) -> None:
    if name == "push":
        model.insert(0, value) if flag else model.append(value)
        assert lists.push(db, KEY, (value,), flag) == len(model)
    elif name == "pop":
        assert lists.pop(db, KEY, flag) == (model.pop(0 if flag else -1) if model else None)
    elif name == "set" and -len(model) <= number < len(model):
        model[number] = value
        assert lists.set_index(db, KEY, number, value)
    elif name == "insert" and model:
        pivot = model[number % len(model)]
        model.insert(model.index(pivot) + (not flag), value)
        assert lists.insert(db, KEY, pivot, value, not flag) == len(model)
    elif name == "remove" and model:
        victim = model[number % len(model)]
        assert lists.remove(db, KEY, 1, victim) == 1
        model.remove(victim)
    elif name == "trim":
        stop = number + 30
        start = max(number + len(model), 0) if number < 0 else number
        kept = (
            model[start : (stop + len(model) if stop < 0 else stop) + 1]
            if stop + (len(model) if stop < 0 else 0) >= 0
            else []
        )
        lists.trim(db, KEY, number, stop)
        model[:] = kept


@given(st.lists(st.tuples(st.sampled_from(["set", "append", "range"]), TEXT, st.integers(0, 60)), max_size=30))
def test_string_behaves_like_bytes(operations: list[tuple[str, bytes, int]]) -> None:
    db = engine().databases[0]
    model = b""
    for name, value, offset in operations:
        if name == "set":
            strings.set(db, KEY, value)
            model = value
        elif name == "append":
            model += value
            assert strings.append(db, KEY, value) == len(model)
        elif value:
            model = model.ljust(offset, b"\0")[:offset] + value + model[offset + len(value) :]
            assert strings.set_range(db, KEY, offset, value) == len(model)
        assert (strings.get(db, KEY) or b"") == model
        assert strings.get_range(db, KEY, 1, -2) == model[1:-1]


@settings(max_examples=40)
@given(st.integers(0, 3000), st.integers(1, 50), st.integers(0, 1 << 30))
def test_scan_returns_what_is_there_from_start_to_end_while_the_table_resizes(keep: int, count: int, seed: int) -> None:
    source = random.Random(seed)
    db = Engine(1).databases[0]
    stable = {b"stable:%d" % i for i in range(keep)}
    for key in stable:
        strings.set(db, key, b"v")
    seen: set[bytes] = set()
    cursor, step = 0, 0
    while True:
        cursor, keys = db.scan(cursor, count)
        seen.update(keys)
        if cursor == 0:
            break
        step += 1
        if step > 3000:
            break
        for i in range(source.randrange(40)):
            name = b"volatile:%d" % source.randrange(4000)
            strings.set(db, name, b"v") if source.random() < 0.5 else db.delete(name)
            del i
    assert stable <= seen


Scan = Callable[[int, int], tuple[int, Any]]


@settings(max_examples=25)
@given(
    st.sampled_from(["hash", "set", "zset"]), st.integers(0, 2000), st.integers(1, 50), st.integers(0, 1 << 30),
    st.booleans(),
)  # fmt: skip
def test_scanning_a_value_returns_what_is_there_from_start_to_end(
    kind: str, keep: int, count: int, seed: int, shrinking: bool
) -> None:
    """Elements come and go, so that the table grows and shrinks, and packed values become tables on the way."""
    source = random.Random(seed)
    db = engine().databases[0]
    put, drop, scan = OPERATIONS[kind]
    stable = {b"stable:%d" % i for i in range(keep)}
    for name in stable:
        put(db, name)
    if shrinking:
        for i in range(6000):
            put(db, b"volatile:%d" % i)
    seen: set[bytes] = set()
    cursor = 0
    for step in range(4000):
        cursor, names = scan(db, cursor, count)
        seen.update(names)
        if cursor == 0:
            break
        for _ in range(source.randrange(60)):
            name = b"volatile:%d" % source.randrange(6000)
            put(db, name) if source.random() < (0.1 if shrinking else 0.6) else drop(db, name)
        assert step < 3999, "the scan does not end"
    assert stable <= seen


def names_of(found: tuple[int, list[Any]], step: int) -> tuple[int, list[bytes]]:
    cursor, flat = found
    return cursor, flat[::step]


OPERATIONS: dict[str, Any] = {
    "hash": (
        lambda db, name: hashes.set(db, KEY, (name, b"v")),
        lambda db, name: hashes.delete(db, KEY, (name,)),
        lambda db, cursor, count: names_of(hashes.scan(db, KEY, cursor, count), 2),
    ),
    "set": (
        lambda db, name: sets.add(db, KEY, (name,)),
        lambda db, name: sets.remove(db, KEY, (name,)),
        lambda db, cursor, count: sets.scan(db, KEY, cursor, count),
    ),
    "zset": (
        lambda db, name: sorted_sets.add(db, KEY, (1.0, name)),
        lambda db, name: sorted_sets.remove(db, KEY, (name,)),
        lambda db, cursor, count: names_of(sorted_sets.scan(db, KEY, cursor, count), 2),
    ),
}


def is_uniform(seen: Counter[bytes], names: list[bytes]) -> bool:
    """Chi-squared test of equal chances; a sound generator fails it once in 100,000 times."""
    expected = sum(seen.values()) / len(names)
    chi_squared = sum((seen[name] - expected) ** 2 / expected for name in names)
    degrees = len(names) - 1
    # Wilson and Hilferty's approximation of the quantile at 1 - 1e-5 (4.265 standard deviations).
    limit = degrees * (1 - 2 / (9 * degrees) + 4.265 * math.sqrt(2 / (9 * degrees))) ** 3
    return chi_squared < limit


@pytest.mark.parametrize("size", [5, 60, 700, 1000])
@pytest.mark.parametrize("kind", ["keys", "set", "integers", "hash", "zset", "pop"])
def test_random_elements_are_uniform(kind: str, size: int) -> None:
    db = Engine(1).databases[0]
    names = [b"%d" % i if kind == "integers" else b"name:%d" % i for i in range(size)]
    draws = 200 * size
    seen: Counter[bytes] = Counter()
    if kind == "keys":
        for name in names:
            strings.set(db, name, b"v")
        seen.update(db.random_key() or b"" for _ in range(draws))
    elif kind == "hash":
        for name in names:
            hashes.set(db, KEY, (name, b"v"))
        seen.update(name for name, _ in hashes.random_pairs(db, KEY, draws))
    elif kind == "zset":
        for name in names:
            sorted_sets.add(db, KEY, (1.0, name))
        seen.update(sorted_sets.random_items(db, KEY, draws)[::2])
    else:
        sets.add(db, KEY, names)
        if kind == "pop":
            for _ in range(draws):
                name = sets.pop(db, KEY) or b""
                seen[name] += 1
                sets.add(db, KEY, (name,))
        else:
            seen.update(sets.random_members(db, KEY, draws))
    assert set(seen) <= set(names)
    assert is_uniform(seen, names)


IDS = st.tuples(st.integers(0, 40), st.integers(0, 2))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3), st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3)),
            st.tuples(st.just("delete"), IDS, st.none()),
            st.tuples(st.just("trim to"), st.integers(0, 30), st.none()),
            st.tuples(st.just("trim below"), IDS, st.none()),
        ),
        max_size=80,
    ),
    st.integers(1, 8),
)
def test_stream_behaves_like_a_sorted_dict(operations: list[tuple[str, Any, Any]], node_entries: int) -> None:
    db = engine().databases[0]
    model: dict[streams.Id, list[bytes]] = {}
    stream = streams.create(db, KEY)
    for name, argument, pairs in operations:
        if name == "add":
            ms, seq = stream.last_id
            entry_id = (ms + argument, seq + 1 if argument == 0 else 0)
            words = [part for pair in pairs for part in pair]
            assert stream.add(entry_id, [b"skipped", *words], 1, 4096, node_entries)
            model[entry_id] = words
        elif name == "delete":
            assert stream.delete(argument) == (model.pop(argument, None) is not None)
        else:
            if name == "trim to":
                going = sorted(model)[: max(len(model) - argument, 0)]
                assert stream.trim_candidates(None, argument, False, 0) == going
                assert stream.trim_to_length(argument, False, 0) == len(going)
            else:
                going = [entry_id for entry_id in sorted(model) if entry_id < argument]
                assert stream.trim_candidates(argument, 0, False, 0) == going
                assert stream.trim_below(argument, False, 0) == len(going)
            for entry_id in going:
                del model[entry_id]
        assert stream.length == len(model)
        assert stream.first_id == min(model, default=(0, 0))
        assert stream.last_live_id == max(model, default=(0, 0))
    everything = [[streams.format_id(entry_id), model[entry_id]] for entry_id in sorted(model)]
    assert stream.range(streams.MIN_ID, streams.MAX_ID) == everything
    assert stream.range(streams.MIN_ID, streams.MAX_ID, -1, True) == everything[::-1]
    low, high = (5, 1), (25, 0)
    inside = [[streams.format_id(i), model[i]] for i in sorted(model) if low <= i <= high]
    assert stream.range(low, high) == inside
    assert stream.range(low, high, 2, True) == inside[::-1][:2]
    body = encoder.dump_value(db, KEY, 11)
    assert body is not None
    db.delete(KEY)
    decoder.RdbDecoder(body).restore_value(db, KEY)
    copy = streams.peek(db, KEY)
    assert copy is not None
    assert copy.range(streams.MIN_ID, streams.MAX_ID) == everything


@given(st.lists(st.tuples(st.sampled_from(["assign", "acknowledge"]), IDS, st.integers(0, 2)), max_size=400))
def test_pending_entries_behave_like_a_dict_per_consumer(operations: list[tuple[str, streams.Id, int]]) -> None:
    db = engine().databases[0]
    group = streams.create(db, KEY).create_group(b"g", (0, 0), 0)
    consumers = [group.create_consumer(b"c%d" % number, 0) for number in range(3)]
    model: dict[streams.Id, tuple[bytes, int, int]] = {}
    for step, (name, entry_id, number) in enumerate(operations):
        if name == "assign":
            group.assign(entry_id, consumers[number], step, number)
            model[entry_id] = (b"c%d" % number, step, number)
        else:
            assert group.acknowledge(entry_id) == (model.pop(entry_id, None) is not None)
    assert group.pending_count == len(model)
    everything = [(entry_id, *model[entry_id]) for entry_id in sorted(model)]
    assert group.pending_range(streams.MIN_ID, streams.MAX_ID, -1) == everything
    for consumer in consumers:
        own = [row for row in everything if row[1] == consumer.name]
        assert consumer.pending_count == len(own)
        assert group.pending_range(streams.MIN_ID, streams.MAX_ID, -1, consumer) == own
    middle = [row for row in everything if (10, 0) <= row[0] <= (30, 1)]
    assert group.pending_range((10, 0), (30, 1), 5) == middle[:5]


def test_a_long_pending_list_keeps_its_order_through_splits_and_removals() -> None:
    db = engine().databases[0]
    group = streams.create(db, KEY).create_group(b"g", (0, 0), 0)
    consumer = group.create_consumer(b"c", 0)
    ids = [(number * 7919 % 5000, number % 3) for number in range(5000)]
    for entry_id in ids:
        group.assign(entry_id, consumer, 1, 1)
    for entry_id in ids[::2]:
        assert group.acknowledge(entry_id)
    left = sorted(set(ids) - set(ids[::2]))
    assert [row[0] for row in group.pending_range(streams.MIN_ID, streams.MAX_ID, -1)] == left
    assert [row[0] for row in group.pending_range(left[100], left[200], -1)] == left[100:201]


NAMES = st.sampled_from([b"a", b"b", b"c", b"10", b"x" * 70, b""])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), NAMES, TEXT, st.booleans()),
            st.tuples(st.just("time"), NAMES, st.integers(1, 60), st.none()),
            st.tuples(st.just("persist"), NAMES, st.none(), st.none()),
            st.tuples(st.just("delete"), NAMES, st.none(), st.none()),
            st.tuples(st.just("pass"), st.integers(0, 20), st.none(), st.none()),
            st.tuples(st.just("move"), st.none(), st.none(), st.none()),
            st.tuples(st.just("reload"), st.none(), st.none(), st.none()),
        ),
        max_size=60,
    )
)
def test_hash_with_times_behaves_like_a_dict_with_deadlines(operations: list[tuple[str, Any, Any, Any]]) -> None:
    made = engine()
    db = made.databases[0]
    made.now_ms = 1000
    expired: list[bytes] = []
    made.on_fields_expire = lambda index, key, names, gone: expired.extend(names)
    model: dict[bytes, tuple[bytes, int]] = {}
    for name, first, second, keep in operations:
        if name == "set":
            hashes.set(db, KEY, (first, second), False, keep)
            model[first] = (second, model[first][1] if keep and first in model else -1)
        elif name == "time" and first in model:
            hashes.set_expire_time(db, KEY, first, made.now_ms + second)
            model[first] = (model[first][0], made.now_ms + second)
        elif name == "persist" and first in model:
            hashes.set_expire_time(db, KEY, first, -1)
            model[first] = (model[first][0], -1)
        elif name == "delete":
            assert hashes.delete(db, KEY, (first,)) == (first in model)
            model.pop(first, None)
        elif name == "pass":
            made.now_ms += first
            model = {field: held for field, held in model.items() if held[1] == -1 or held[1] >= made.now_ms}
        elif name == "move" and model:
            assert db.exists(KEY)
            db.move(KEY, db, b"elsewhere")
            db.move(b"elsewhere", db, KEY)
        elif name == "reload" and model:
            body = encoder.dump_value(db, KEY, 12)
            assert body is not None
            db.delete(KEY)
            decoder.RdbDecoder(body).restore_value(db, KEY)
        fields = sorted(model)
        assert sorted(hashes.items(db, KEY)[::2]) == fields
        assert hashes.get_many(db, KEY, fields) == [model[field][0] for field in fields]
        assert hashes.expire_times(db, KEY, fields) == [model[field][1] for field in fields]
        timed = any(when != -1 for _, when in model.values())
        assert hashes.has_times(db, KEY) == timed
        assert db.timed_hash_count == timed
    assert len(expired) == made.expired_fields


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(["set", "hash", "zset", "list", "stream", "timed", "database"]), max_size=12), st.data()
)
def test_what_is_deleted_is_freed_to_the_last_byte(kinds: list[str], data: st.DataObject) -> None:
    gc.collect()  # engines of other tests
    before = used_memory()
    made = Engine(1)
    db = made.databases[0]
    for number, kind in enumerate(kinds):
        key = b"%d" % number
        size = data.draw(st.integers(1, 2000))
        if kind == "set":
            sets.add(db, key, [b"m%d" % i for i in range(size)])
        elif kind == "zset":
            sorted_sets.add(db, key, [part for i in range(size) for part in (float(i), b"m%d" % i)])
        elif kind == "list":
            lists.push(db, key, [b"x" * 300] * size * 10, False)
        elif kind in ("hash", "timed"):
            hashes.set(db, key, [b"%d" % i for i in range(2 * size)])
            for i in range(0, 2 * size, 4) if kind == "timed" else ():
                hashes.set_expire_time(db, key, b"%d" % i, 10 + i)
        elif kind == "stream":
            stream = streams.create(db, key)
            group = stream.create_group(b"g", (0, 0), 0)
            consumer = group.create_consumer(b"c", 0)
            for i in range(1, size):
                stream.add((i, 0), (b"f", b"v" * 50), 0, 4096, 3)
                group.assign((i, 0), consumer, 1, 1)
        else:
            db.clear(True)
        if data.draw(st.booleans()):
            db.delete(key)
        made.collect_garbage(data.draw(st.integers(0, 50)))
    db.clear(data.draw(st.booleans()))
    made.collect_garbage(-1)
    assert made.garbage_objects == 0
    del made, db
    gc.collect()
    assert used_memory() == before
