"""Values and databases that are deleted but not freed yet: taken apart in slices of time, so that nobody has to wait.

Freeing five million elements takes a quarter of a second. A large value leaves its key at once and comes here; the server
calls `collect` between requests, and eviction calls it until enough memory is back.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from rotomdb.engine.id_map cimport IdCursor, cursor_entry, idmap_last, idmap_remove
from rotomdb.engine.keyspace cimport (
    ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_QUICKLIST, ENCODING_RAW, ENCODING_SKIPLIST, ENCODING_STREAM,
    ENCODING_TABLE, ENCODING_TIMED_TABLE, Entry, encoding_of,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.quicklist cimport Node, Quicklist, quicklist_free
from rotomdb.engine.skiplist cimport SkipNode, SortedSet, level_of, sorted_set_free
from rotomdb.engine.stream cimport Group, Stream, group_destroy, pending_remove, stream_free
from rotomdb.engine.table cimport Table, TableDrain, table_drain, table_init, table_length
from rotomdb.engine.timed_hash cimport FieldTime, TimedHash, field_time_remove, timed_hash_free_times, timed_name

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()

cdef enum:
    LARGE = 512                      # elements, or nodes of a list or stream
    STEP = 64                        # items freed between two looks at the clock


cdef void free_plain(void* context, void* entry) noexcept nogil:
    mem_free(entry)


cdef void free_table_value(Table* table) noexcept nogil:
    cdef TableDrain drain
    memset(&drain, 0, sizeof(TableDrain))
    table_drain(table, &drain, -1, free_plain, NULL)
    mem_free(table)


cdef void free_encoded(int encoding, void* value) noexcept nogil:
    if encoding == ENCODING_RAW or encoding == ENCODING_LISTPACK or encoding == ENCODING_INTSET:
        mem_free(value)
    elif encoding == ENCODING_TABLE:
        free_table_value(<Table*>value)
    elif encoding == ENCODING_TIMED_TABLE:
        timed_hash_free_times(<TimedHash*>value)
        free_table_value(<Table*>value)
    elif encoding == ENCODING_SKIPLIST:
        sorted_set_free(<SortedSet*>value)
    elif encoding == ENCODING_QUICKLIST:
        quicklist_free(<Quicklist*>value)
    elif encoding == ENCODING_STREAM:
        stream_free(<Stream*>value)


cdef bint is_large(int encoding, void* value) noexcept nogil:
    cdef Stream* stream
    cdef int64_t i
    if encoding == ENCODING_TABLE or encoding == ENCODING_TIMED_TABLE:
        return table_length(<Table*>value) > LARGE
    if encoding == ENCODING_SKIPLIST:
        return table_length(&(<SortedSet*>value).members) > LARGE
    if encoding == ENCODING_QUICKLIST:
        return (<Quicklist*>value).nodes > LARGE
    if encoding == ENCODING_STREAM:
        stream = <Stream*>value
        if stream.nodes.length > LARGE or stream.group_count > LARGE:
            return True
        for i in range(stream.group_count):
            if stream.groups[i].pending.length > LARGE or stream.groups[i].consumer_count > LARGE:
                return True
    return False


cdef Garbage* enqueue(GarbageQueue* queue, int encoding, void* value) noexcept nogil:
    cdef Garbage* garbage = <Garbage*>mem_alloc(sizeof(Garbage))
    memset(garbage, 0, sizeof(Garbage))
    garbage.encoding = encoding
    garbage.value = value
    garbage.following = queue.head
    queue.head = garbage
    return garbage


cdef void discard_value(GarbageQueue* queue, int encoding, void* value) noexcept nogil:
    if is_large(encoding, value):
        enqueue(queue, encoding, value)
        queue.objects += 1
    else:
        free_encoded(encoding, value)


cdef void discard_keys(GarbageQueue* queue, Table* keys) noexcept nogil:
    cdef Garbage* garbage = enqueue(queue, KEYSPACE_GARBAGE, NULL)
    garbage.table = keys[0]
    queue.objects += table_length(keys)
    table_init(keys, keys.key_offset, keys.length_offset)


cdef void free_entry(void* context, void* item) noexcept nogil:
    """A key of a database: its value may be large itself and then waits for its own turn."""
    cdef GarbageQueue* queue = <GarbageQueue*>context
    cdef Entry* entry = <Entry*>item
    if is_large(encoding_of(entry), entry.value):
        enqueue(queue, encoding_of(entry), entry.value)
        queue.objects += 1
    else:
        free_encoded(encoding_of(entry), entry.value)
    mem_free(entry)
    queue.objects -= 1
    queue.freed += 1


cdef bint free_times(TimedHash* timed) noexcept nogil:
    """Some of the field times of a hash; True once none is left."""
    cdef IdCursor cursor
    cdef FieldTime* time
    for _ in range(STEP):
        if not idmap_last(&timed.order, &cursor):
            return True
        time = <FieldTime*>cursor_entry(&cursor).value
        field_time_remove(timed, timed_name(time), time.length)
    return False


cdef bint free_stream_part(Stream* stream) noexcept nogil:
    """Some nodes and pending entries; True once what is left is small."""
    cdef IdCursor cursor
    cdef Group* group
    for _ in range(STEP):
        if idmap_last(&stream.nodes, &cursor):
            mem_free(cursor_entry(&cursor).value)
            idmap_remove(&stream.nodes, cursor_entry(&cursor).id)
            continue
        if stream.group_count == 0:
            return True
        group = stream.groups[stream.group_count - 1]
        if idmap_last(&group.pending, &cursor):
            pending_remove(group, cursor_entry(&cursor).id)
        else:
            group_destroy(stream, group)
    return False


cdef bint free_part(GarbageQueue* queue, Garbage* garbage) noexcept nogil:
    """A small piece of work; True once the thing is gone."""
    cdef SortedSet* zset
    cdef SkipNode* skip
    cdef Quicklist* items
    cdef Node* node
    if garbage.encoding == KEYSPACE_GARBAGE:
        return table_drain(&garbage.table, &garbage.drain, STEP, free_entry, queue)
    if garbage.encoding == ENCODING_TIMED_TABLE and not free_times(<TimedHash*>garbage.value):
        return False
    if garbage.encoding == ENCODING_TABLE or garbage.encoding == ENCODING_TIMED_TABLE:
        if not table_drain(<Table*>garbage.value, &garbage.drain, STEP, free_plain, NULL):
            return False
        if garbage.encoding == ENCODING_TIMED_TABLE:
            timed_hash_free_times(<TimedHash*>garbage.value)
        mem_free(garbage.value)
        return True
    if garbage.encoding == ENCODING_SKIPLIST:
        zset = <SortedSet*>garbage.value
        for _ in range(STEP):
            if zset.head == NULL:
                if not table_drain(&zset.members, &garbage.drain, STEP, NULL, NULL):
                    return False
                mem_free(zset)
                return True
            skip = zset.head
            zset.head = level_of(skip, 0).forward
            mem_free(<char*>skip - skip.levels * 16)
        return False
    if garbage.encoding == ENCODING_QUICKLIST:
        items = <Quicklist*>garbage.value
        for _ in range(STEP):
            node = items.head
            if node == NULL:
                mem_free(items)
                return True
            items.head = node.following
            mem_free(node.data)
            mem_free(node)
        return False
    if not free_stream_part(<Stream*>garbage.value):
        return False
    stream_free(<Stream*>garbage.value)
    return True


cdef bint collect(GarbageQueue* queue, int64_t microseconds) noexcept nogil:
    cdef int64_t end = rotom_monotonic_ns() + microseconds * 1000
    cdef Garbage* garbage = queue.head
    cdef Garbage** link
    while garbage != NULL:
        if free_part(queue, garbage):
            # Values of a database's keys may have come in front of it meanwhile.
            link = &queue.head
            while link[0] != garbage:
                link = &link[0].following
            link[0] = garbage.following
            if garbage.encoding != KEYSPACE_GARBAGE:
                queue.objects -= 1
                queue.freed += 1
            mem_free(garbage)
        garbage = queue.head
        if microseconds >= 0 and rotom_monotonic_ns() > end:
            break
    return queue.head != NULL
