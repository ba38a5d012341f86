"""Hashes whose fields expire: a table of fields, the times beside it by name and in the order in which they come up.

Times live apart from the fields, so that a hash without any pays nothing for them.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.engine.id_map cimport (
    IdCursor, StreamId, cursor_entry, idmap_first, idmap_free, idmap_insert, idmap_memory, idmap_remove,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.table cimport (
    Table, TableIterator, table_find, table_free, table_hash, table_init, table_insert, table_iterate, table_length,
    table_memory, table_next, table_remove,
)


cdef TimedHash* timed_hash_new(Table* fields) noexcept nogil:
    cdef TimedHash* timed = <TimedHash*>mem_alloc(sizeof(TimedHash))
    memset(timed, 0, sizeof(TimedHash))
    memcpy(&timed.fields, fields, sizeof(Table))
    mem_free(fields)
    table_init(&timed.times, sizeof(FieldTime), sizeof(int64_t))     # the length stands behind the time
    return timed


cdef void timed_hash_free_times(TimedHash* timed) noexcept nogil:
    cdef TableIterator iterator
    cdef void* time
    table_iterate(&timed.times, &iterator)
    while True:
        time = table_next(&iterator)
        if time == NULL:
            break
        mem_free(time)
    table_free(&timed.times)
    idmap_free(&timed.order)


cdef Table* timed_hash_plain(TimedHash* timed) noexcept nogil:
    cdef Table* table = <Table*>mem_alloc(sizeof(Table))
    timed_hash_free_times(timed)
    memcpy(table, &timed.fields, sizeof(Table))
    mem_free(timed)
    return table


cdef int64_t timed_hash_memory(TimedHash* timed) noexcept nogil:
    """Bytes of the times; the fields are counted with their table."""
    return (<int64_t>(sizeof(TimedHash) - sizeof(Table)) + table_memory(&timed.times) + idmap_memory(&timed.order)
            + table_length(&timed.times) * <int64_t>(sizeof(FieldTime) + 16))


cdef inline FieldTime* find_time(TimedHash* timed, const char* name, size_t length) noexcept nogil:
    cdef void** slot = table_find(&timed.times, name, length, table_hash(name, length))
    return NULL if slot == NULL else <FieldTime*>slot[0]


cdef inline StreamId place(FieldTime* time) noexcept nogil:
    cdef StreamId id
    id.ms = <uint64_t>time.expire_ms
    id.seq = <uint64_t>time          # tells fields of one millisecond apart
    return id


cdef void field_time_set(TimedHash* timed, const char* name, size_t length, int64_t expire_ms) noexcept nogil:
    cdef FieldTime* time = find_time(timed, name, length)
    if time == NULL:
        time = <FieldTime*>mem_alloc(sizeof(FieldTime) + length)
        time.length = <uint32_t>length
        memcpy(timed_name(time), name, length)
        table_insert(&timed.times, time, table_hash(name, length))
    else:
        idmap_remove(&timed.order, place(time))
    time.expire_ms = expire_ms
    idmap_insert(&timed.order, place(time), time)


cdef int64_t field_time_get(TimedHash* timed, const char* name, size_t length) noexcept nogil:
    cdef FieldTime* time = find_time(timed, name, length)
    return NO_TIME if time == NULL else time.expire_ms


cdef bint field_time_remove(TimedHash* timed, const char* name, size_t length) noexcept nogil:
    cdef FieldTime* time = <FieldTime*>table_remove(&timed.times, name, length, table_hash(name, length))
    if time == NULL:
        return False
    idmap_remove(&timed.order, place(time))
    mem_free(time)
    return True


cdef FieldTime* field_time_first(TimedHash* timed) noexcept nogil:
    cdef IdCursor cursor
    if not idmap_first(&timed.order, &cursor):
        return NULL
    return <FieldTime*>cursor_entry(&cursor).value
