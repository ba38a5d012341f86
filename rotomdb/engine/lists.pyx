"""Lists: a quicklist each; a list that fits one node is what Redis calls a listpack."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcmp

from rotomdb.engine.keyspace cimport ENCODING_QUICKLIST, TYPE_LIST, Entry, Keyspace
from rotomdb.engine.listpack cimport LISTPACK_INTEGER_TEXT, lp_equals
from rotomdb.engine.quicklist cimport (
    NODE_PACKED, ListCursor, Quicklist, cursor_next, cursor_previous, cursor_text, quicklist_delete,
    quicklist_delete_range, quicklist_insert, quicklist_new, quicklist_push, quicklist_replace, quicklist_seek,
)

from rotomdb.engine.parts import LARGE as _LARGE, PART as _PART, Parts

cdef int64_t LARGE = _LARGE, PART = _PART


cdef inline Quicklist* list_at(Entry* entry) noexcept nogil:
    return <Quicklist*>entry.value


cdef inline bytes element_at(ListCursor* cursor):
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef uint32_t size
    cdef const char* text = cursor_text(cursor, &size, scratch)
    return PyBytes_FromStringAndSize(text, size)


cdef inline void drop_if_empty(Keyspace db, Entry* entry) noexcept:
    if list_at(entry).count == 0:
        db.remove_entry(entry)


cdef bint element_equals(ListCursor* cursor, bytes value):
    cdef uint32_t size
    if cursor.node.container == NODE_PACKED:
        return lp_equals(cursor.element, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    size = cursor.node.size
    return size == PyBytes_GET_SIZE(value) and memcmp(cursor.node.data, PyBytes_AS_STRING(value), size) == 0


def push(Keyspace db not None, bytes key not None, values, bint at_head, bint only_existing=False):
    """Push each value in turn; returns the new length (0 when `only_existing` and the key is absent)."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef Quicklist* items
    cdef int fill = db.engine.list_max_listpack_size
    cdef bytes value
    if entry == NULL:
        if only_existing:
            return 0
        entry = db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_LIST, ENCODING_QUICKLIST, quicklist_new(), 0)
    items = list_at(entry)
    for value in values:
        quicklist_push(items, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), at_head, fill)
    return items.count


def pop(Keyspace db not None, bytes key not None, bint from_head):
    """Remove and return an end element, or None."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef ListCursor cursor
    if entry == NULL:
        return None
    quicklist_seek(list_at(entry), 0 if from_head else -1, &cursor)
    value = element_at(&cursor)
    quicklist_delete(list_at(entry), &cursor)
    drop_if_empty(db, entry)
    return value


def pop_many(Keyspace db not None, bytes key not None, bint from_head, int64_t count):
    """Remove and return up to `count` elements from an end, or None when the key is absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef list values
    if entry == NULL:
        return None
    if count > list_at(entry).count:
        count = list_at(entry).count
    if count == 0:
        return []
    values = elements(list_at(entry), 0 if from_head else -1, count, not from_head)
    quicklist_delete_range(list_at(entry), 0 if from_head else list_at(entry).count - count, count)
    drop_if_empty(db, entry)
    return values


cdef list elements(Quicklist* items, int64_t start, int64_t count, bint backwards):
    cdef ListCursor cursor
    cdef list values = PyList_New(count)
    cdef int64_t i
    cdef bytes value
    if count:
        quicklist_seek(items, start, &cursor)
    for i in range(count):
        value = element_at(&cursor)
        Py_INCREF(value)
        PyList_SET_ITEM(values, i, value)
        if backwards:
            cursor_previous(&cursor)
        else:
            cursor_next(&cursor)
    return values


def length(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_LIST)
    return 0 if entry == NULL else list_at(entry).count


def is_packed(Keyspace db not None, bytes key not None):
    """Whether the list is one listpack (OBJECT ENCODING `listpack`) or a chain of them (`quicklist`)."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    return entry != NULL and list_at(entry).nodes == 1 and list_at(entry).head.container == NODE_PACKED


def index(Keyspace db not None, bytes key not None, int64_t position):
    cdef Entry* entry = db.find_type(key, TYPE_LIST)
    cdef ListCursor cursor
    if entry == NULL or not quicklist_seek(list_at(entry), position, &cursor):
        return None
    return element_at(&cursor)


cdef int64_t settle_range(Quicklist* values, int64_t* start, int64_t stop) noexcept:
    """How many elements there are from `start`, which becomes a position, to `stop` inclusive."""
    if start[0] < 0:
        start[0] = start[0] + values.count if start[0] + values.count > 0 else 0
    if stop < 0:
        stop += values.count
    if stop >= values.count:
        stop = values.count - 1
    return stop - start[0] + 1 if start[0] <= stop else 0


def get_range(Keyspace db not None, bytes key not None, int64_t start, int64_t stop):
    """Elements from `start` to `stop` inclusive; negative positions count from the tail."""
    cdef Entry* entry = db.find_type(key, TYPE_LIST)
    cdef int64_t count = 0 if entry == NULL else settle_range(list_at(entry), &start, stop)
    return elements(list_at(entry), start, count, False) if count else []


def range_or_parts(Keyspace db not None, bytes key not None, int64_t start, int64_t stop):
    """As `get_range`, a large one as Parts."""
    cdef Entry* entry = db.find_type(key, TYPE_LIST)
    cdef int64_t count = 0 if entry == NULL else settle_range(list_at(entry), &start, stop)
    if count > LARGE:
        return Parts(count, range_in_parts(db, key, start, count))
    return elements(list_at(entry), start, count, False) if count else []


def range_in_parts(Keyspace db, bytes key, int64_t start, int64_t count):
    cdef Quicklist* values = list_at(db.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)))
    cdef int64_t size
    while count:
        size = min(count, PART)
        yield elements(values, start, size, False)
        start += size
        count -= size


def set_index(Keyspace db not None, bytes key not None, int64_t position, bytes value not None):
    """Replace an element: True, False when out of range, None when the key is absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef ListCursor cursor
    if entry == NULL:
        return None
    if not quicklist_seek(list_at(entry), position, &cursor):
        return False
    quicklist_replace(list_at(entry), &cursor, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
                      db.engine.list_max_listpack_size)
    return True


def insert(Keyspace db not None, bytes key not None, bytes pivot not None, bytes value not None, bint after):
    """Insert beside the first `pivot`: the new length, -1 without a pivot, 0 when the key is absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef ListCursor cursor
    cdef bint more
    if entry == NULL:
        return 0
    more = quicklist_seek(list_at(entry), 0, &cursor)
    while more:
        if element_equals(&cursor, pivot):
            quicklist_insert(list_at(entry), &cursor, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), after,
                             db.engine.list_max_listpack_size)
            return list_at(entry).count
        more = cursor_next(&cursor)
    return -1


def remove(Keyspace db not None, bytes key not None, int64_t count, bytes value not None):
    """Remove up to |count| equal elements (0: all) from the head, or the tail when negative; returns how many."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef Quicklist* items
    cdef ListCursor cursor
    cdef int64_t removed = 0, position, wanted
    if entry == NULL:
        return 0
    items = list_at(entry)
    if count >= 0:
        wanted = count if count else items.count
        quicklist_seek(items, 0, &cursor)
        while cursor.node != NULL and removed < wanted:
            if element_equals(&cursor, value):
                quicklist_delete(items, &cursor)
                removed += 1
            elif not cursor_next(&cursor):
                break
    else:
        wanted = -count if count != -9223372036854775807 - 1 else 9223372036854775807
        position = items.count - 1
        quicklist_seek(items, -1, &cursor)
        while position >= 0 and removed < wanted:
            if element_equals(&cursor, value):
                quicklist_delete(items, &cursor)
                removed += 1
                position -= 1
                if not quicklist_seek(items, position, &cursor):
                    break
            else:
                position -= 1
                if not cursor_previous(&cursor):
                    break
    drop_if_empty(db, entry)
    return removed


def trim(Keyspace db not None, bytes key not None, int64_t start, int64_t stop):
    """Keep only `start` to `stop` inclusive; returns how many went, None when the key is absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_LIST)
    cdef int64_t count, left, right
    if entry == NULL:
        return None
    count = list_at(entry).count
    if start < 0:
        start = start + count if start + count > 0 else 0
    if stop < 0:
        stop += count
    if start > stop or start >= count:
        left = count
        right = 0
    else:
        if stop >= count:
            stop = count - 1
        left = start
        right = count - stop - 1
    quicklist_delete_range(list_at(entry), 0, left)
    if right:
        quicklist_delete_range(list_at(entry), list_at(entry).count - right, right)
    drop_if_empty(db, entry)
    return left + right


def positions(Keyspace db not None, bytes key not None, bytes value not None, int64_t rank, int64_t count,
              int64_t max_length):
    """Indexes of elements equal to `value`: from the |rank|th match on (from the tail when negative), at most `count`
    of them (0: all), comparing at most `max_length` elements (0: all). None when the key is absent."""
    cdef Entry* entry = db.find_type(key, TYPE_LIST)
    cdef ListCursor cursor
    cdef list found = []
    cdef int64_t position, looked = 0
    cdef bint backwards = rank < 0, more
    if entry == NULL:
        return None
    if backwards:
        rank = -rank
    position = list_at(entry).count - 1 if backwards else 0
    more = quicklist_seek(list_at(entry), -1 if backwards else 0, &cursor)
    while more and (max_length == 0 or looked < max_length):
        if element_equals(&cursor, value):
            rank -= 1
            if rank <= 0:
                found.append(position)
                if count and len(found) == count:
                    break
        looked += 1
        position += -1 if backwards else 1
        more = cursor_previous(&cursor) if backwards else cursor_next(&cursor)
    return found
