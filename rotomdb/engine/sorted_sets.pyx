"""Sorted sets: a listpack of alternating members and scores while small, then a skip list with a member table.

Ranges come back as flat lists member, score, member, score, ...; scores are floats.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.keyspace cimport (
    ENCODING_LISTPACK, ENCODING_SKIPLIST, TYPE_SORTED_SET, Entry, Keyspace, encoding_of, set_encoding,
)
from rotomdb.engine.listpack cimport (
    LISTPACK_INTEGER_TEXT, lp_bytes, lp_count, lp_delete, lp_find, lp_first, lp_get, lp_insert, lp_new, lp_next, lp_previous,
    lp_seek, lp_text, lp_to_bytes,
)
from rotomdb.engine.memory cimport mem_free
from rotomdb.engine.number cimport format_double, parse_double
from rotomdb.engine.skiplist cimport (
    SkipNode, SortedSet, compare_bytes, level_of, member_of, sorted_set_at, sorted_set_delete, sorted_set_find,
    sorted_set_from_member, sorted_set_from_score, sorted_set_insert, sorted_set_new, sorted_set_rank, sorted_set_rescore,
)
from rotomdb.engine.table cimport random_uint64, table_length, table_random, table_scan

from rotomdb.errors import CommandError

# Flags of `add`
ADD_NX = 1          # only new members
ADD_XX = 2          # only existing members
ADD_GT = 4          # only when the new score is greater
ADD_LT = 8          # only when it is less
ADD_INCREMENT = 16  # add to the score instead of replacing it


cdef inline uint8_t* pack_of(Entry* entry) noexcept nogil:
    return <uint8_t*>entry.value


cdef inline SortedSet* skip_of(Entry* entry) noexcept nogil:
    return <SortedSet*>entry.value


cdef double pack_score(uint8_t* element) noexcept:
    cdef uint32_t size
    cdef int64_t integer
    cdef double score = 0
    cdef const char* text = lp_get(element, &size, &integer)
    if text == NULL:
        return <double>integer
    parse_double(text, size, &score)
    return score


cdef inline bytes node_bytes(SkipNode* node):
    return PyBytes_FromStringAndSize(member_of(node), node.length)


# One element of either encoding. Both NULL: none.
cdef struct Cursor:
    uint8_t* pack
    uint8_t* at                      # the member element; its score follows
    SkipNode* node


cdef inline bint is_end(Cursor* cursor) noexcept nogil:
    return cursor.at == NULL and cursor.node == NULL


cdef inline void forward(Cursor* cursor) noexcept nogil:
    if cursor.at != NULL:
        cursor.at = lp_next(cursor.pack, lp_next(cursor.pack, cursor.at))
    else:
        cursor.node = level_of(cursor.node, 0).forward


cdef inline void backward(Cursor* cursor) noexcept nogil:
    cdef uint8_t* score_at
    if cursor.at != NULL:
        score_at = lp_previous(cursor.pack, cursor.at)
        cursor.at = NULL if score_at == NULL else lp_previous(cursor.pack, score_at)
    else:
        cursor.node = cursor.node.backward


cdef inline double score_at(Cursor* cursor) noexcept:
    return pack_score(lp_next(cursor.pack, cursor.at)) if cursor.at != NULL else cursor.node.score


cdef inline bytes member_at(Cursor* cursor):
    return lp_to_bytes(cursor.at) if cursor.at != NULL else node_bytes(cursor.node)


cdef int64_t count_of(Entry* entry) noexcept nogil:
    if encoding_of(entry) == ENCODING_LISTPACK:
        return lp_count(pack_of(entry)) // 2
    return table_length(&skip_of(entry).members)


cdef void seek_rank(Entry* entry, int64_t rank, Cursor* cursor) noexcept:
    cursor.pack = NULL
    cursor.at = NULL
    cursor.node = NULL
    if encoding_of(entry) == ENCODING_LISTPACK:
        cursor.pack = pack_of(entry)
        if 0 <= rank < count_of(entry):
            cursor.at = lp_seek(cursor.pack, rank * 2)
    else:
        cursor.node = sorted_set_at(skip_of(entry), rank)


cdef void seek_last(Entry* entry, Cursor* cursor) noexcept:
    seek_rank(entry, count_of(entry) - 1, cursor)


cdef void seek_score(Entry* entry, double score, bint exclusive, Cursor* cursor) noexcept:
    """First element with a score at (or, when exclusive, above) the bound."""
    cdef double held
    if encoding_of(entry) == ENCODING_SKIPLIST:
        cursor.pack = NULL
        cursor.at = NULL
        cursor.node = sorted_set_from_score(skip_of(entry), score, exclusive)
        return
    seek_rank(entry, 0, cursor)
    while not is_end(cursor):
        held = score_at(cursor)
        if held > score or (held == score and not exclusive):
            return
        forward(cursor)


cdef void seek_member(Entry* entry, bytes bound, bint exclusive, Cursor* cursor) noexcept:
    """First element whose member is at (or above) the bound in byte order."""
    cdef const char* data = PyBytes_AS_STRING(bound)
    cdef size_t length = PyBytes_GET_SIZE(bound)
    cdef int order
    if encoding_of(entry) == ENCODING_SKIPLIST:
        cursor.pack = NULL
        cursor.at = NULL
        cursor.node = sorted_set_from_member(skip_of(entry), data, length, exclusive)
        return
    seek_rank(entry, 0, cursor)
    while not is_end(cursor):
        order = compare_element(cursor.at, data, length)
        if order > 0 or (order == 0 and not exclusive):
            return
        forward(cursor)


cdef int compare_element(uint8_t* element, const char* data, size_t length) noexcept nogil:
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef uint32_t size
    cdef const char* text = lp_text(element, &size, scratch)
    return compare_bytes(text, size, data, length)


cdef int step_back(Entry* entry, Cursor* cursor) noexcept:
    """From the first element beyond a range to the last one inside it."""
    if is_end(cursor):
        seek_last(entry, cursor)
    else:
        backward(cursor)
    return 0


cdef void to_skiplist(Entry* entry) noexcept:
    cdef uint8_t* lp = pack_of(entry)
    cdef SortedSet* zset = sorted_set_new()
    cdef uint8_t* at = lp_first(lp)
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef const char* text
    cdef uint32_t size
    while at != NULL:
        text = lp_text(at, &size, scratch)
        at = lp_next(lp, at)
        sorted_set_insert(zset, text, size, pack_score(at))
        at = lp_next(lp, at)
    mem_free(lp)
    entry.value = zset
    set_encoding(entry, ENCODING_SKIPLIST)


cdef int pack_insert(Entry* entry, bytes member, double score) except -1:
    """Insert an absent member at its place in the listpack."""
    cdef char text[48]
    cdef int size = format_double(text, score + 0.0)     # a packed score is an integer where it can be: -0 becomes 0
    cdef uint8_t* lp = pack_of(entry)
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* score_element
    cdef const char* data = PyBytes_AS_STRING(member)
    cdef size_t length = PyBytes_GET_SIZE(member), offset
    cdef double held
    while at != NULL:
        score_element = lp_next(lp, at)
        held = pack_score(score_element)
        if held > score or (held == score and compare_element(at, data, length) > 0):
            break
        at = lp_next(lp, score_element)
    offset = at - lp if at != NULL else lp_bytes(lp) - 1
    lp = lp_insert(lp, offset, text, size)
    entry.value = lp_insert(lp, offset, data, length)
    return 0


cdef inline bint find_member(Entry* entry, bytes member, Cursor* cursor) noexcept:
    cdef const char* data = PyBytes_AS_STRING(member)
    cdef size_t length = PyBytes_GET_SIZE(member)
    cursor.pack = NULL
    cursor.at = NULL
    cursor.node = NULL
    if encoding_of(entry) == ENCODING_LISTPACK:
        cursor.pack = pack_of(entry)
        cursor.at = lp_find(cursor.pack, lp_first(cursor.pack), data, length, 1)
    else:
        cursor.node = sorted_set_find(skip_of(entry), data, length)
    return not is_end(cursor)


cdef void delete_at(Entry* entry, Cursor* cursor) noexcept:
    if cursor.at != NULL:
        entry.value = lp_delete(cursor.pack, cursor.at - cursor.pack, 2)
    else:
        sorted_set_delete(skip_of(entry), cursor.node)


cdef bint insert_new(Keyspace db, Entry* entry, bytes member, double score) except -1:
    if encoding_of(entry) == ENCODING_LISTPACK:
        if (count_of(entry) + 1 <= db.engine.zset_max_listpack_entries
                and PyBytes_GET_SIZE(member) <= db.engine.zset_max_listpack_value):
            pack_insert(entry, member, score)
            return True
        to_skiplist(entry)
    sorted_set_insert(skip_of(entry), PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member), score)
    return True


cdef Entry* new_entry(Keyspace db, bytes key, bytes first) noexcept:
    if (db.engine.zset_max_listpack_entries == 0
            or PyBytes_GET_SIZE(first) > db.engine.zset_max_listpack_value):
        return db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_SORTED_SET, ENCODING_SKIPLIST,
                      sorted_set_new(), 0)
    return db.add(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), TYPE_SORTED_SET, ENCODING_LISTPACK, lp_new(0), 0)


cdef double score_of(object given) except? -1:
    """A score given as a float or as its text."""
    cdef double value
    if not isinstance(given, bytes):
        return given
    if not parse_double(PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given), &value):
        raise CommandError("ERR value is not a valid float")
    return value


def add(Keyspace db not None, bytes key not None, pairs, int flags=0):
    """Apply flat pairs score, member, ... under ADD_* flags; scores are floats or their text.

    Returns (added, changed, score): the score of the last member, None when a condition kept it from being applied.
    Raises CommandError when a score is no float (nothing is applied then) or an increment gives NaN.
    """
    cdef Entry* entry
    cdef Cursor cursor
    cdef Py_ssize_t i
    cdef double score = 0, held
    cdef int64_t added = 0, changed = 0
    cdef bytes member
    cdef object last = None
    if len(pairs) > 2:
        for i in range(0, len(pairs), 2):
            score_of(pairs[i])
    else:
        score = score_of(pairs[0])
    entry = db.peek_type(key, TYPE_SORTED_SET)
    if entry == NULL:
        if flags & 2:
            return 0, 0, None
        entry = new_entry(db, key, pairs[1])
    for i in range(0, len(pairs), 2):
        if len(pairs) > 2:
            score = score_of(pairs[i])
        member = pairs[i + 1]
        last = None
        if not find_member(entry, member, &cursor):
            if flags & 2:
                continue
            insert_new(db, entry, member, score)
            added += 1
            last = score
            continue
        if flags & 1:
            continue
        held = score_at(&cursor)
        if flags & 16:
            score += held
            if isnan(score):
                raise CommandError("ERR resulting score is not a number (NaN)")
        if (flags & 4 and score <= held) or (flags & 8 and score >= held):
            continue
        last = score
        if score != held:
            changed += 1
            if cursor.at != NULL:
                delete_at(entry, &cursor)
                pack_insert(entry, member, score)
            else:
                sorted_set_rescore(skip_of(entry), cursor.node, score)
    if count_of(entry) == 0:
        db.remove_entry(entry)
    return added, changed, last


def score(Keyspace db not None, bytes key not None, bytes member not None):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    if entry == NULL or not find_member(entry, member, &cursor):
        return None
    return score_at(&cursor)


def scores(Keyspace db not None, bytes key not None, members):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    return [score_at(&cursor) if entry != NULL and find_member(entry, member, &cursor) else None for member in members]


def length(Keyspace db not None, bytes key not None):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    return 0 if entry == NULL else count_of(entry)


def rank(Keyspace db not None, bytes key not None, bytes member not None, bint reverse=False):
    """(0-based rank, score), or None."""
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef int64_t position
    cdef double held
    if entry == NULL or not find_member(entry, member, &cursor):
        return None
    held = score_at(&cursor)
    position = rank_of_cursor(entry, &cursor)
    return (count_of(entry) - 1 - position if reverse else position), held


def remove(Keyspace db not None, bytes key not None, members):
    """Remove members; returns how many were there. The key goes with its last member."""
    cdef Entry* entry = db.peek_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef int64_t removed = 0
    cdef bytes member
    if entry == NULL:
        return 0
    for member in members:
        if find_member(entry, member, &cursor):
            delete_at(entry, &cursor)
            removed += 1
            if count_of(entry) == 0:
                db.remove_entry(entry)
                break
    return removed


def range_by_rank(Keyspace db not None, bytes key not None, int64_t start, int64_t stop, bint reverse=False):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef list out = []
    cdef int64_t count
    if entry == NULL:
        return out
    count = count_of(entry)
    if start < 0:
        start = start + count if start + count > 0 else 0
    if stop < 0:
        stop += count
    if start > stop or start >= count:
        return out
    if stop >= count:
        stop = count - 1
    seek_rank(entry, count - 1 - start if reverse else start, &cursor)
    for _ in range(stop - start + 1):
        out.append(member_at(&cursor))
        out.append(score_at(&cursor))
        if reverse:
            backward(&cursor)
        else:
            forward(&cursor)
    return out


cdef inline bint score_inside(double value, double low, bint low_exclusive, double high, bint high_exclusive) noexcept:
    return ((value > low or (value == low and not low_exclusive))
            and (value < high or (value == high and not high_exclusive)))


def range_by_score(Keyspace db not None, bytes key not None, double low, bint low_exclusive, double high,
                   bint high_exclusive, bint reverse=False, int64_t offset=0, int64_t limit=-1):
    """Elements with a score between the bounds; negative `limit`: all."""
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef list out = []
    if entry == NULL or offset < 0:
        return out
    if reverse:
        seek_score(entry, high, not high_exclusive, &cursor)
        step_back(entry, &cursor)
    else:
        seek_score(entry, low, low_exclusive, &cursor)
    while not is_end(&cursor) and limit:
        if not score_inside(score_at(&cursor), low, low_exclusive, high, high_exclusive):
            break
        if offset:
            offset -= 1
        else:
            out.append(member_at(&cursor))
            out.append(score_at(&cursor))
            limit -= 1
        if reverse:
            backward(&cursor)
        else:
            forward(&cursor)
    return out


cdef int64_t rank_of_cursor(Entry* entry, Cursor* cursor) noexcept:
    """0-based rank of the element; the count when the cursor is at the end."""
    cdef int64_t position = 0
    cdef uint8_t* at
    if is_end(cursor):
        return count_of(entry)
    if cursor.at == NULL:
        return sorted_set_rank(skip_of(entry), cursor.node)
    at = lp_first(cursor.pack)
    while at != cursor.at:
        at = lp_next(cursor.pack, lp_next(cursor.pack, at))
        position += 1
    return position


def count_by_score(Keyspace db not None, bytes key not None, double low, bint low_exclusive, double high,
                   bint high_exclusive):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor first, beyond
    cdef int64_t count
    if entry == NULL:
        return 0
    seek_score(entry, low, low_exclusive, &first)
    seek_score(entry, high, not high_exclusive, &beyond)
    count = rank_of_cursor(entry, &beyond) - rank_of_cursor(entry, &first)
    return count if count > 0 else 0


# Lexicographic bounds: bytes, or LEX_MIN / LEX_MAX for `-` and `+`.
LEX_MIN = -1
LEX_MAX = 1


cdef void seek_lex(Entry* entry, object bound, bint exclusive, Cursor* cursor) noexcept:
    if isinstance(bound, bytes):
        seek_member(entry, bound, exclusive, cursor)
    elif bound == LEX_MIN:
        seek_rank(entry, 0, cursor)
    else:
        seek_rank(entry, -1, cursor)


cdef bint lex_empty(object low, bint low_exclusive, object high, bint high_exclusive):
    """Whether no member can be inside."""
    if isinstance(low, bytes) and isinstance(high, bytes):
        return low > high or (low == high and (low_exclusive or high_exclusive))
    return (not isinstance(low, bytes) and low == LEX_MAX) or (not isinstance(high, bytes) and high == LEX_MIN)


def range_by_lex(Keyspace db not None, bytes key not None, low, bint low_exclusive, high, bint high_exclusive,
                 bint reverse=False, int64_t offset=0, int64_t limit=-1):
    """Elements with a member between the bounds in byte order; meant for equal scores."""
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef list out = []
    cdef bytes member
    if entry == NULL or offset < 0 or lex_empty(low, low_exclusive, high, high_exclusive):
        return out
    if reverse:
        seek_lex(entry, high, not high_exclusive, &cursor)
        step_back(entry, &cursor)
    else:
        seek_lex(entry, low, low_exclusive, &cursor)
    while not is_end(&cursor) and limit:
        member = member_at(&cursor)
        if reverse:
            if isinstance(low, bytes) and (member < low or (low_exclusive and member == low)):
                break
        elif isinstance(high, bytes) and (member > high or (high_exclusive and member == high)):
            break
        if offset:
            offset -= 1
        else:
            out.append(member)
            out.append(score_at(&cursor))
            limit -= 1
        if reverse:
            backward(&cursor)
        else:
            forward(&cursor)
    return out


def count_by_lex(Keyspace db not None, bytes key not None, low, bint low_exclusive, high, bint high_exclusive):
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor first, beyond
    cdef int64_t count
    if entry == NULL or lex_empty(low, low_exclusive, high, high_exclusive):
        return 0
    seek_lex(entry, low, low_exclusive, &first)
    seek_lex(entry, high, not high_exclusive, &beyond)
    count = rank_of_cursor(entry, &beyond) - rank_of_cursor(entry, &first)
    return count if count > 0 else 0


def pop(Keyspace db not None, bytes key not None, int64_t count, bint from_max):
    """Remove and return up to `count` elements with the lowest (or highest) scores; None when the key is absent."""
    cdef Entry* entry = db.peek_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef list out = []
    if entry == NULL:
        return None
    while count > 0 and count_of(entry):
        if from_max:
            seek_last(entry, &cursor)
        elif encoding_of(entry) == ENCODING_SKIPLIST:
            cursor.at = NULL
            cursor.node = level_of(skip_of(entry).head, 0).forward
        else:
            seek_rank(entry, 0, &cursor)
        out.append(member_at(&cursor))
        out.append(score_at(&cursor))
        delete_at(entry, &cursor)
        count -= 1
    if count_of(entry) == 0:
        db.remove_entry(entry)
    return out


def items(Keyspace db not None, bytes key not None):
    """All elements in order."""
    return range_by_rank(db, key, 0, -1)


def random_items(Keyspace db not None, bytes key not None, int64_t count):
    """`count` independent random elements, repeats possible, flat; [] when the key is absent."""
    cdef Entry* entry = db.find_type(key, TYPE_SORTED_SET)
    cdef Cursor cursor
    cdef list out = []
    if entry == NULL:
        return out
    for _ in range(count):
        if encoding_of(entry) == ENCODING_LISTPACK:
            seek_rank(entry, <int64_t>(random_uint64() % <uint64_t>count_of(entry)), &cursor)
        else:
            cursor.at = NULL
            cursor.node = <SkipNode*>table_random(&skip_of(entry).members)
        out.append(member_at(&cursor))
        out.append(score_at(&cursor))
    return out


cdef struct NodeCollector:
    void* results
    const char* pattern
    Py_ssize_t pattern_length


cdef void collect_node(void* context, void* item) noexcept:
    cdef NodeCollector* collector = <NodeCollector*>context
    cdef SkipNode* node = <SkipNode*>item
    if collector.pattern_length >= 0 and not glob_match(
            collector.pattern, collector.pattern_length, member_of(node), node.length, False):
        return
    (<list>collector.results).append(node_bytes(node))
    (<list>collector.results).append(node.score)


def scan(Keyspace db not None, bytes key not None, uint64_t cursor, int64_t count, bytes pattern=None):
    """(next cursor, flat elements); a packed sorted set comes whole."""
    cdef Entry* entry = db.peek_type(key, TYPE_SORTED_SET)
    cdef NodeCollector collector
    cdef Cursor element
    cdef list results = []
    cdef int64_t visits = count * 10
    cdef bytes member
    if entry == NULL:
        return 0, results
    if encoding_of(entry) == ENCODING_LISTPACK:
        seek_rank(entry, 0, &element)
        while not is_end(&element):
            member = member_at(&element)
            if pattern is None or glob_match(PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern),
                                             PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member), False):
                results.append(member)
                results.append(score_at(&element))
            forward(&element)
        return 0, results
    collector.results = <void*>results
    collector.pattern = NULL
    collector.pattern_length = -1
    if pattern is not None:
        collector.pattern = PyBytes_AS_STRING(pattern)
        collector.pattern_length = PyBytes_GET_SIZE(pattern)
    while True:
        cursor = table_scan(&skip_of(entry).members, cursor, collect_node, &collector)
        visits -= 1
        if cursor == 0 or visits <= 0 or len(results) >= count * 2:
            return cursor, results
