"""Hashes: a listpack of alternating fields and values while small, then a table of Field blocks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.keyspace cimport (
    ENCODING_LISTPACK, ENCODING_TABLE, ENCODING_TIMED_TABLE, TYPE_HASH, Entry, Field, Keyspace, encoding_of, field_name, field_value,
    new_table_of_fields, set_encoding,
)
from rotomdb.engine.listpack cimport (
    LISTPACK_INTEGER_TEXT, lp_append, lp_count, lp_delete, lp_find, lp_first, lp_new, lp_next, lp_replace, lp_seek,
    lp_text, lp_to_bytes,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_realloc
from rotomdb.engine.table cimport (
    Table, TableIterator, random_uint64, table_find, table_hash, table_insert, table_iterate, table_length, table_next,
    table_random, table_remove, table_reserve, table_scan, table_stop,
)
from rotomdb.engine.timed_hash cimport TimedHash, field_time_get, field_time_remove, field_time_set

from rotomdb.engine.parts import LARGE as _LARGE, PART as _PART, Parts

cdef int64_t LARGE = _LARGE, PART = _PART


cdef inline uint8_t* pack_of(Entry* entry) noexcept nogil:
    return <uint8_t*>entry.value


cdef inline Table* table_of(Entry* entry) noexcept nogil:
    return <Table*>entry.value


cdef inline bytes name_bytes(Field* field):
    return PyBytes_FromStringAndSize(field_name(field), field.length)


cdef inline bytes value_bytes(Field* field):
    return PyBytes_FromStringAndSize(field_value(field), field.value_length)


cdef Field* new_field(const char* name, size_t length, const char* value, size_t value_length) noexcept nogil:
    cdef Field* field = <Field*>mem_alloc(sizeof(Field) + length + value_length)
    field.length = <uint32_t>length
    field.value_length = <uint32_t>value_length
    memcpy(field_name(field), name, length)
    memcpy(field_value(field), value, value_length)
    return field


cdef inline Field* find_field(Table* table, const char* name, size_t length) noexcept nogil:
    cdef void** slot = table_find(table, name, length, table_hash(name, length))
    return NULL if slot == NULL else <Field*>slot[0]


cdef void to_table(Entry* entry) noexcept nogil:
    """Unpack the listpack into a table."""
    cdef uint8_t* lp = pack_of(entry)
    cdef Table* table = new_table_of_fields()
    cdef uint8_t* name_at = lp_first(lp)
    cdef uint8_t* value_at
    cdef char name_scratch[LISTPACK_INTEGER_TEXT]
    cdef char value_scratch[LISTPACK_INTEGER_TEXT]
    cdef uint32_t name_length, value_length
    cdef const char* name
    cdef const char* value
    table_reserve(table, lp_count(lp) // 2)
    while name_at != NULL:
        value_at = lp_next(lp, name_at)
        name = lp_text(name_at, &name_length, name_scratch)
        value = lp_text(value_at, &value_length, value_scratch)
        table_insert(table, new_field(name, name_length, value, value_length), table_hash(name, name_length))
        name_at = lp_next(lp, value_at)
    mem_free(lp)
    entry.value = table
    set_encoding(entry, ENCODING_TABLE)


cdef bint put(Keyspace db, Entry* entry, const char* name, size_t length, const char* value, size_t value_length,
              bint only_absent, bint keep_time=False) noexcept:
    """Set one field; whether it is new. With `only_absent` an existing one keeps its value and its time."""
    cdef uint8_t* lp
    cdef uint8_t* at
    cdef void** slot
    cdef Field* field
    cdef uint64_t hash
    if encoding_of(entry) == ENCODING_LISTPACK:
        if (length > <size_t>db.engine.hash_max_listpack_value
                or value_length > <size_t>db.engine.hash_max_listpack_value):
            to_table(entry)
        else:
            lp = pack_of(entry)
            at = lp_find(lp, lp_first(lp), name, length, 1)
            if at != NULL:
                if not only_absent:
                    at = lp_next(lp, at)
                    entry.value = lp_replace(lp, at - lp, value, value_length)
                return False
            lp = lp_append(lp, name, length)
            lp = lp_append(lp, value, value_length)
            entry.value = lp
            if lp_count(lp) // 2 > <uint32_t>db.engine.hash_max_listpack_entries:
                to_table(entry)
            return True
    hash = table_hash(name, length)
    slot = table_find(table_of(entry), name, length, hash)
    if slot != NULL:
        if not only_absent:
            field = <Field*>slot[0]
            if field.value_length != value_length:
                field = <Field*>mem_realloc(field, sizeof(Field) + field.length + value_length)
                field.value_length = <uint32_t>value_length
                slot[0] = field
            memcpy(field_value(field), value, value_length)
            if encoding_of(entry) == ENCODING_TIMED_TABLE and not keep_time:
                field_time_remove(<TimedHash*>entry.value, name, length)
                db.settle_timed(entry)
        return False
    table_insert(table_of(entry), new_field(name, length, value, value_length), hash)
    return True


cdef Entry* entry_for_write(Keyspace db, bytes key) except NULL:
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    if entry == NULL:
        entry = db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_HASH, ENCODING_LISTPACK, lp_new(0), 0)
    return entry


def set(Keyspace db not None, bytes key not None, pairs, bint only_absent=False, bint keep_times=False):
    """Set fields from a flat sequence field, value, ...; returns how many are new.

    Args:
        keep_times: An existing field keeps its expire time; else it has none afterwards.
    """
    cdef Entry* entry = entry_for_write(db, key)
    cdef Py_ssize_t i
    cdef int64_t added = 0
    cdef bytes name, value
    for i in range(0, len(pairs), 2):
        name = pairs[i]
        value = pairs[i + 1]
        added += put(db, entry, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value),
                     PyBytes_GET_SIZE(value), only_absent, keep_times)
    return added


cdef bytes value_of(Entry* entry, bytes name):
    cdef uint8_t* at
    cdef Field* field
    if encoding_of(entry) == ENCODING_LISTPACK:
        at = lp_find(pack_of(entry), lp_first(pack_of(entry)), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), 1)
        return None if at == NULL else lp_to_bytes(lp_next(pack_of(entry), at))
    field = find_field(table_of(entry), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    return None if field == NULL else value_bytes(field)


def get(Keyspace db not None, bytes key not None, bytes name not None):
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    return None if entry == NULL else value_of(entry, name)


def get_many(Keyspace db not None, bytes key not None, names):
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    if entry == NULL:
        return [None] * len(names)
    return [value_of(entry, name) for name in names]


def peek(Keyspace db not None, bytes key not None, bytes name not None):
    """As `get`, without counting a hit or a miss."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    return None if entry == NULL else value_of(entry, name)


cdef int64_t count_of(Entry* entry) noexcept nogil:
    if encoding_of(entry) == ENCODING_LISTPACK:
        return lp_count(pack_of(entry)) // 2
    return table_length(table_of(entry))


def length(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    return 0 if entry == NULL else count_of(entry)


def delete(Keyspace db not None, bytes key not None, names):
    """Remove fields; returns how many were there. The key goes with its last field."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    cdef int64_t removed = 0
    cdef bytes name
    cdef uint8_t* lp
    cdef uint8_t* at
    cdef void* field
    if entry == NULL:
        return 0
    for name in names:
        if encoding_of(entry) == ENCODING_LISTPACK:
            lp = pack_of(entry)
            at = lp_find(lp, lp_first(lp), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), 1)
            if at == NULL:
                continue
            entry.value = lp_delete(lp, at - lp, 2)
        else:
            field = table_remove(table_of(entry), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                                 table_hash(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)))
            if field == NULL:
                continue
            mem_free(field)
            if encoding_of(entry) == ENCODING_TIMED_TABLE:
                field_time_remove(<TimedHash*>entry.value, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))
                db.settle_timed(entry)
        removed += 1
        if count_of(entry) == 0:
            db.remove_entry(entry)
            break
    return removed


# Expire times of fields

NO_FIELD = -2


cdef void put_time(Keyspace db, Entry* entry, const char* name, size_t length, int64_t expire_ms) noexcept:
    if encoding_of(entry) == ENCODING_LISTPACK:
        to_table(entry)
    field_time_set(db.make_timed(entry), name, length, expire_ms)


cdef int64_t time_of(Entry* entry, bytes name):
    if value_of(entry, name) is None:
        return NO_FIELD
    if encoding_of(entry) != ENCODING_TIMED_TABLE:
        return -1
    return field_time_get(<TimedHash*>entry.value, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))


def expire_times(Keyspace db not None, bytes key not None, names):
    """Absolute expire time in ms of each field; -1 without one, -2 for a field that is not there."""
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    return [NO_FIELD if entry == NULL else time_of(entry, name) for name in names]


def set_expire_time(Keyspace db not None, bytes key not None, bytes name not None, int64_t expire_ms):
    """Give an existing field an expire time; -1 takes it away."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    if entry == NULL:
        raise KeyError(key)
    if expire_ms != -1:
        put_time(db, entry, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name), expire_ms)
    elif encoding_of(entry) == ENCODING_TIMED_TABLE:
        field_time_remove(<TimedHash*>entry.value, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))
        db.settle_timed(entry)


def has_times(Keyspace db not None, bytes key not None):
    """Whether any field expires."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    return entry != NULL and encoding_of(entry) == ENCODING_TIMED_TABLE


def is_small(Keyspace db not None, bytes key not None):
    """Whether its fields are so few and short that Redis would pack them."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    cdef TableIterator iterator
    cdef Field* field
    cdef uint32_t most = <uint32_t>db.engine.hash_max_listpack_value
    if entry == NULL or count_of(entry) > db.engine.hash_max_listpack_entries:
        return False
    if encoding_of(entry) == ENCODING_LISTPACK:
        return True
    table_iterate(table_of(entry), &iterator)
    while True:
        field = <Field*>table_next(&iterator)
        if field == NULL:
            return True
        if field.length > most or field.value_length > most:
            table_stop(&iterator)
            return False


cdef list flatten(Entry* entry, bint names, bint values):
    cdef list out = []
    cdef uint8_t* at
    cdef TableIterator iterator
    cdef Field* field
    if encoding_of(entry) == ENCODING_LISTPACK:
        at = lp_first(pack_of(entry))
        while at != NULL:
            if names:
                out.append(lp_to_bytes(at))
            at = lp_next(pack_of(entry), at)
            if values:
                out.append(lp_to_bytes(at))
            at = lp_next(pack_of(entry), at)
        return out
    table_iterate(table_of(entry), &iterator)
    while True:
        field = <Field*>table_next(&iterator)
        if field == NULL:
            return out
        if names:
            out.append(name_bytes(field))
        if values:
            out.append(value_bytes(field))


def flat_or_parts(Keyspace db not None, bytes key not None, bint names, bint values):
    """Names, values or both in turn, of a large hash as Parts."""
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    if entry != NULL and encoding_of(entry) != ENCODING_LISTPACK and count_of(entry) > LARGE:
        return Parts(count_of(entry) * (2 if names and values else 1), flat_in_parts(db, key, names, values))
    return [] if entry == NULL else flatten(entry, names, values)


def flat_in_parts(Keyspace db, bytes key, bint names, bint values):
    cdef TableIterator iterator
    cdef list part = []
    cdef Field* field
    table_iterate(table_of(db.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))), &iterator)
    try:
        while True:
            field = <Field*>table_next(&iterator)
            if field == NULL:
                break
            if names:
                part.append(name_bytes(field))
            if values:
                part.append(value_bytes(field))
            if len(part) >= PART:
                yield part
                part = []
    finally:
        table_stop(&iterator)
    yield part


def items(Keyspace db not None, bytes key not None):
    """Flat list field, value, ..."""
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    return [] if entry == NULL else flatten(entry, True, True)


cdef tuple random_pair(Entry* entry):
    cdef uint8_t* at
    cdef Field* field
    if encoding_of(entry) == ENCODING_LISTPACK:
        at = lp_seek(pack_of(entry), 2 * <int64_t>(random_uint64() % <uint64_t>count_of(entry)))
        return lp_to_bytes(at), lp_to_bytes(lp_next(pack_of(entry), at))
    field = <Field*>table_random(table_of(entry))
    return name_bytes(field), value_bytes(field)


def random_pairs(Keyspace db not None, bytes key not None, int64_t count):
    """`count` independent random (field, value) pairs, repeats possible; [] when the key is absent."""
    cdef Entry* entry = db.find_type(key, TYPE_HASH)
    if entry == NULL:
        return []
    return [random_pair(entry) for _ in range(count)]


cdef struct FieldCollector:
    void* results
    const char* pattern
    Py_ssize_t pattern_length
    bint with_values


cdef void collect_field(void* context, void* item) noexcept:
    cdef FieldCollector* collector = <FieldCollector*>context
    cdef Field* field = <Field*>item
    if collector.pattern_length >= 0 and not glob_match(
            collector.pattern, collector.pattern_length, field_name(field), field.length, False):
        return
    (<list>collector.results).append(name_bytes(field))
    if collector.with_values:
        (<list>collector.results).append(value_bytes(field))


def scan(Keyspace db not None, bytes key not None, uint64_t cursor, int64_t count, bytes pattern=None,
         bint with_values=True):
    """(next cursor, flat list of fields and values); a packed hash comes whole."""
    cdef Entry* entry = db.peek_type(key, TYPE_HASH)
    cdef FieldCollector collector
    cdef list results = []
    cdef int64_t visits = count * 10
    cdef bytes name
    if entry == NULL:
        return 0, results
    if encoding_of(entry) == ENCODING_LISTPACK:
        packed = flatten(entry, True, True)
        for i in range(0, len(packed), 2):
            name = packed[i]
            if pattern is None or glob_match(PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern),
                                             PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), False):
                results.append(name)
                if with_values:
                    results.append(packed[i + 1])
        return 0, results
    collector.results = <void*>results
    collector.with_values = with_values
    collector.pattern = NULL
    collector.pattern_length = -1
    if pattern is not None:
        collector.pattern = PyBytes_AS_STRING(pattern)
        collector.pattern_length = PyBytes_GET_SIZE(pattern)
    while True:
        cursor = table_scan(table_of(entry), cursor, collect_field, &collector)
        visits -= 1
        if cursor == 0 or visits <= 0 or len(results) >= (count * 2 if with_values else count):
            return cursor, results
