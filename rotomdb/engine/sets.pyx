"""Sets: an intset while all members are integers, a listpack while small, then a table of Member blocks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.intset cimport Intset, intset_add, intset_find, intset_get, intset_new, intset_remove
from rotomdb.engine.keyspace cimport (
    ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_TABLE, TYPE_SET, Engine, Entry, Keyspace, Member, encoding_of,
    member_bytes, new_table_of_members, set_encoding,
)
from rotomdb.engine.listpack cimport (
    lp_append, lp_count, lp_delete, lp_find, lp_first, lp_new, lp_next, lp_seek, lp_text, lp_to_bytes,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.number cimport format_int64, parse_int64
from rotomdb.engine.table cimport (
    Table, TableIterator, random_uint64, table_find, table_hash, table_insert, table_iterate, table_length, table_next,
    table_random, table_remove, table_reserve, table_scan, table_stop,
)

from rotomdb.engine.parts import LARGE as _LARGE, PART as _PART, Parts

cdef int64_t LARGE = _LARGE, PART = _PART

cdef enum:
    LISTPACK_BYTES_MAX = 1 << 20      # a listpack is never grown beyond this by conversion


cdef inline bytes integer_bytes(int64_t value):
    cdef char text[24]
    cdef int size = format_int64(text, value)
    return PyBytes_FromStringAndSize(text, size)


cdef Member* new_member(const char* data, size_t length) noexcept nogil:
    cdef Member* member = <Member*>mem_alloc(sizeof(Member) + length)
    member.length = <uint32_t>length
    memcpy(member_bytes(member), data, length)
    return member


cdef void table_add(Table* table, const char* data, size_t length) noexcept nogil:
    table_insert(table, new_member(data, length), table_hash(data, length))


cdef int64_t count_of(Entry* entry) noexcept nogil:
    cdef int encoding = encoding_of(entry)
    if encoding == ENCODING_INTSET:
        return (<Intset*>entry.value).length
    if encoding == ENCODING_LISTPACK:
        return lp_count(<uint8_t*>entry.value)
    return table_length(<Table*>entry.value)


cdef void to_table(Entry* entry) noexcept nogil:
    cdef Table* table = new_table_of_members()
    cdef Intset* intset
    cdef uint8_t* lp
    cdef uint8_t* at
    cdef char scratch[24]
    cdef const char* text
    cdef uint32_t i, size
    table_reserve(table, count_of(entry) + 1)
    if encoding_of(entry) == ENCODING_INTSET:
        intset = <Intset*>entry.value
        for i in range(intset.length):
            size = <uint32_t>format_int64(scratch, intset_get(intset, i))
            table_add(table, scratch, size)
    else:
        lp = <uint8_t*>entry.value
        at = lp_first(lp)
        while at != NULL:
            text = lp_text(at, &size, scratch)
            table_add(table, text, size)
            at = lp_next(lp, at)
    mem_free(entry.value)
    entry.value = table
    set_encoding(entry, ENCODING_TABLE)


cdef void to_listpack(Entry* entry) noexcept nogil:
    cdef Intset* intset = <Intset*>entry.value
    cdef uint8_t* lp = lp_new(0)
    cdef char scratch[24]
    cdef uint32_t i
    for i in range(intset.length):
        lp = lp_append(lp, scratch, <size_t>format_int64(scratch, intset_get(intset, i)))
    mem_free(intset)
    entry.value = lp
    set_encoding(entry, ENCODING_LISTPACK)


cdef bint listpack_may_hold(Engine engine, int64_t members, size_t length) noexcept:
    return members <= engine.set_max_listpack_entries and length <= <size_t>engine.set_max_listpack_value


cdef bint put(Engine engine, Entry* entry, const char* data, size_t length) noexcept:
    """Add one member, changing the encoding where it no longer fits; whether it is new."""
    cdef int64_t integer
    cdef bint changed = False, is_integer
    cdef uint8_t* lp
    cdef uint64_t hash
    cdef Intset* intset
    if encoding_of(entry) == ENCODING_INTSET:
        intset = <Intset*>entry.value
        is_integer = length <= 20 and parse_int64(data, <Py_ssize_t>length, &integer)
        if is_integer:
            entry.value = intset_add(intset, integer, &changed)
            if changed and (<Intset*>entry.value).length > <uint32_t>engine.set_max_intset_entries:
                to_table(entry)
            return changed
        # The first member that is no integer: a small set goes on as a listpack, a large one as a table.
        if (listpack_may_hold(engine, <int64_t>intset.length + 1, length)
                and (engine.set_max_listpack_value >= 20 or intset.length == 0
                     or longest_integer(intset) <= engine.set_max_listpack_value)):
            to_listpack(entry)
        else:
            to_table(entry)
    if encoding_of(entry) == ENCODING_LISTPACK:
        lp = <uint8_t*>entry.value
        if lp_find(lp, lp_first(lp), data, length, 0) != NULL:
            return False
        if listpack_may_hold(engine, <int64_t>lp_count(lp) + 1, length):
            entry.value = lp_append(lp, data, length)
            return True
        to_table(entry)
    hash = table_hash(data, length)
    if table_find(<Table*>entry.value, data, length, hash) != NULL:
        return False
    table_insert(<Table*>entry.value, new_member(data, length), hash)
    return True


cdef int longest_integer(Intset* intset) noexcept nogil:
    cdef char scratch[24]
    cdef int first = format_int64(scratch, intset_get(intset, 0))
    cdef int last = format_int64(scratch, intset_get(intset, intset.length - 1))
    return first if first > last else last


cdef Entry* new_entry(Keyspace db, bytes key, bytes first, int64_t expected):
    """An empty set in the encoding that `first` and the number of members to come call for."""
    cdef int64_t integer
    cdef Engine engine = db.engine
    cdef const char* name = PyBytes_AS_STRING(key)
    cdef size_t length = PyBytes_GET_SIZE(key)
    if (expected <= engine.set_max_intset_entries
            and parse_int64(PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first), &integer)):
        return db.add(name, length, TYPE_SET, ENCODING_INTSET, intset_new(), 0)
    if listpack_may_hold(engine, expected, 0):
        return db.add(name, length, TYPE_SET, ENCODING_LISTPACK, lp_new(0), 0)
    return db.add(name, length, TYPE_SET, ENCODING_TABLE, new_table_of_members(), 0)


def add(Keyspace db not None, bytes key not None, members):
    """Add members (at least one); returns how many are new."""
    cdef Entry* entry = db.peek_type(key, TYPE_SET)
    cdef int64_t added = 0
    cdef bytes member
    if entry == NULL:
        entry = new_entry(db, key, members[0], len(members))
    for member in members:
        added += put(db.engine, entry, PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
    return added


cdef bint drop(Entry* entry, bytes member) noexcept:
    cdef const char* data = PyBytes_AS_STRING(member)
    cdef size_t length = PyBytes_GET_SIZE(member)
    cdef int64_t integer
    cdef bint changed = False
    cdef uint8_t* lp
    cdef uint8_t* at
    cdef void* held
    cdef int encoding = encoding_of(entry)
    if encoding == ENCODING_INTSET:
        if parse_int64(data, <Py_ssize_t>length, &integer):
            entry.value = intset_remove(<Intset*>entry.value, integer, &changed)
        return changed
    if encoding == ENCODING_LISTPACK:
        lp = <uint8_t*>entry.value
        at = lp_find(lp, lp_first(lp), data, length, 0)
        if at == NULL:
            return False
        entry.value = lp_delete(lp, at - lp, 1)
        return True
    held = table_remove(<Table*>entry.value, data, length, table_hash(data, length))
    mem_free(held)
    return held != NULL


def remove(Keyspace db not None, bytes key not None, members):
    """Remove members; returns how many were there. The key goes with its last member."""
    cdef Entry* entry = db.peek_type(key, TYPE_SET)
    cdef int64_t removed = 0
    cdef bytes member
    if entry == NULL:
        return 0
    for member in members:
        if drop(entry, member):
            removed += 1
            if count_of(entry) == 0:
                db.remove_entry(entry)
                break
    return removed


cdef bint holds(Entry* entry, bytes member) noexcept:
    cdef const char* data = PyBytes_AS_STRING(member)
    cdef size_t length = PyBytes_GET_SIZE(member)
    cdef int64_t integer
    cdef uint32_t index
    cdef int encoding = encoding_of(entry)
    if encoding == ENCODING_INTSET:
        return parse_int64(data, <Py_ssize_t>length, &integer) and intset_find(<Intset*>entry.value, integer, &index)
    if encoding == ENCODING_LISTPACK:
        return lp_find(<uint8_t*>entry.value, lp_first(<uint8_t*>entry.value), data, length, 0) != NULL
    return table_find(<Table*>entry.value, data, length, table_hash(data, length)) != NULL


def contains(Keyspace db not None, bytes key not None, bytes member not None):
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    return entry != NULL and holds(entry, member)


def contains_many(Keyspace db not None, bytes key not None, members):
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    return [entry != NULL and holds(entry, member) for member in members]


def length(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    return 0 if entry == NULL else count_of(entry)


cdef list all_members(Entry* entry):
    cdef list out = []
    cdef int encoding = encoding_of(entry)
    cdef uint32_t i
    cdef uint8_t* at
    cdef TableIterator iterator
    cdef Member* member
    if encoding == ENCODING_INTSET:
        for i in range((<Intset*>entry.value).length):
            out.append(integer_bytes(intset_get(<Intset*>entry.value, i)))
    elif encoding == ENCODING_LISTPACK:
        at = lp_first(<uint8_t*>entry.value)
        while at != NULL:
            out.append(lp_to_bytes(at))
            at = lp_next(<uint8_t*>entry.value, at)
    else:
        table_iterate(<Table*>entry.value, &iterator)
        while True:
            member = <Member*>table_next(&iterator)
            if member == NULL:
                break
            out.append(PyBytes_FromStringAndSize(member_bytes(member), member.length))
    return out


def members(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    return [] if entry == NULL else all_members(entry)


def members_or_parts(Keyspace db not None, bytes key not None):
    """As `members`, a large set as Parts."""
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    if entry != NULL and encoding_of(entry) == ENCODING_TABLE and count_of(entry) > LARGE:
        return Parts(count_of(entry), members_in_parts(db, key))
    return [] if entry == NULL else all_members(entry)


def members_in_parts(Keyspace db, bytes key):
    cdef TableIterator iterator
    cdef list part = []
    cdef Member* member
    table_iterate(<Table*>db.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)).value, &iterator)
    try:
        while True:
            member = <Member*>table_next(&iterator)
            if member == NULL:
                break
            part.append(PyBytes_FromStringAndSize(member_bytes(member), member.length))
            if len(part) == PART:
                yield part
                part = []
    finally:
        table_stop(&iterator)
    yield part


cdef bytes random_member(Entry* entry):
    cdef int encoding = encoding_of(entry)
    cdef Member* member
    cdef uint64_t pick
    if encoding == ENCODING_TABLE:
        member = <Member*>table_random(<Table*>entry.value)
        return PyBytes_FromStringAndSize(member_bytes(member), member.length)
    pick = random_uint64() % <uint64_t>count_of(entry)
    if encoding == ENCODING_INTSET:
        return integer_bytes(intset_get(<Intset*>entry.value, <uint32_t>pick))
    return lp_to_bytes(lp_seek(<uint8_t*>entry.value, <int64_t>pick))


def pop(Keyspace db not None, bytes key not None):
    """Remove and return a random member, or None."""
    cdef Entry* entry = db.peek_type(key, TYPE_SET)
    cdef bytes member
    if entry == NULL:
        return None
    member = random_member(entry)
    drop(entry, member)
    if count_of(entry) == 0:
        db.remove_entry(entry)
    return member


def random_members(Keyspace db not None, bytes key not None, int64_t count):
    """`count` independent random members, repeats possible; [] when the key is absent."""
    cdef Entry* entry = db.find_type(key, TYPE_SET)
    if entry == NULL:
        return []
    return [random_member(entry) for _ in range(count)]


cdef struct MemberCollector:
    void* results
    const char* pattern
    Py_ssize_t pattern_length


cdef void collect_member(void* context, void* item) noexcept:
    cdef MemberCollector* collector = <MemberCollector*>context
    cdef Member* member = <Member*>item
    if collector.pattern_length >= 0 and not glob_match(
            collector.pattern, collector.pattern_length, member_bytes(member), member.length, False):
        return
    (<list>collector.results).append(PyBytes_FromStringAndSize(member_bytes(member), member.length))


def scan(Keyspace db not None, bytes key not None, uint64_t cursor, int64_t count, bytes pattern=None):
    """(next cursor, members); a packed set comes whole."""
    cdef Entry* entry = db.peek_type(key, TYPE_SET)
    cdef MemberCollector collector
    cdef list results = []
    cdef int64_t visits = count * 10
    cdef bytes member
    if entry == NULL:
        return 0, results
    if encoding_of(entry) != ENCODING_TABLE:
        for member in all_members(entry):
            if pattern is None or glob_match(PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern),
                                             PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member), False):
                results.append(member)
        return 0, results
    collector.results = <void*>results
    collector.pattern = NULL
    collector.pattern_length = -1
    if pattern is not None:
        collector.pattern = PyBytes_AS_STRING(pattern)
        collector.pattern_length = PyBytes_GET_SIZE(pattern)
    while True:
        cursor = table_scan(<Table*>entry.value, cursor, collect_member, &collector)
        visits -= 1
        if cursor == 0 or visits <= 0 or len(results) >= count:
            return cursor, results
