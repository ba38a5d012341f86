"""Streams in native memory: nodes of packed entries in Redis's byte format, consumer groups and their pending entries.

A node is a listpack (docs/formats.md, 2.9) that begins with a master entry, whose fields later entries need not repeat:

    count deleted field-count field* 0
    flags ms-delta seq-delta [field-count] (field value)* or value*   element-count     one per entry

Entries are never rewritten: a deleted one is marked, and its node goes with its last live entry.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from rotomdb.engine.buffer cimport Buffer, buffer_release
from rotomdb.engine.id_map cimport (
    IdCursor, IdEntry, StreamId, cursor_entry, id_compare, idmap_find, idmap_first, idmap_free, idmap_insert, idmap_last,
    idmap_memory, idmap_next, idmap_previous, idmap_remove, idmap_seek_last,
)
from rotomdb.engine.listpack cimport (
    lp_append_encoded, lp_bytes, lp_encode, lp_encode_integer, lp_equals, lp_first, lp_integer, lp_last, lp_new, lp_next,
    lp_previous, lp_replace_integer,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_realloc, rotom_allocation_size

cdef enum:
    NODE_BYTES_MAX = 1 << 30
    SCRATCH_KEPT = 1 << 20

cdef Buffer scratch                  # an entry on its way into a node


cdef Stream* stream_new() noexcept nogil:
    cdef Stream* stream = <Stream*>mem_alloc(sizeof(Stream))
    memset(stream, 0, sizeof(Stream))
    return stream


cdef void stream_free(Stream* stream) noexcept nogil:
    cdef IdCursor cursor
    cdef bint more = idmap_first(&stream.nodes, &cursor)
    while more:
        mem_free(cursor_entry(&cursor).value)
        more = idmap_next(&cursor)
    idmap_free(&stream.nodes)
    while stream.group_count:
        group_destroy(stream, stream.groups[stream.group_count - 1])
    mem_free(stream.groups)
    mem_free(stream)


cdef int64_t stream_memory(Stream* stream) noexcept nogil:
    cdef IdCursor cursor
    cdef int64_t size = <int64_t>sizeof(Stream) + idmap_memory(&stream.nodes), i, j
    cdef Group* group
    cdef bint more = idmap_first(&stream.nodes, &cursor)
    while more:
        size += <int64_t>rotom_allocation_size(cursor_entry(&cursor).value)
        more = idmap_next(&cursor)
    for i in range(stream.group_count):
        group = stream.groups[i]
        size += <int64_t>rotom_allocation_size(group) + idmap_memory(&group.pending)
        size += group.pending.length * <int64_t>(sizeof(Pending) + 8)
        for j in range(group.consumer_count):
            size += <int64_t>rotom_allocation_size(group.consumers[j]) + idmap_memory(&group.consumers[j].pending)
    return size


# Entries


cdef bint same_fields(uint8_t* lp, uint8_t* master_fields, object pairs, int64_t skip, int64_t field_count):
    cdef uint8_t* at = master_fields
    cdef int64_t i
    cdef bytes name
    for i in range(field_count):
        name = pairs[skip + 2 * i]
        if not lp_equals(at, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)):
            return False
        at = lp_next(lp, at)
    return True


cdef bint stream_append(Stream* stream, StreamId id, object pairs, int64_t skip, int64_t node_max_bytes,
                        int64_t node_max_entries) except -1:
    cdef int64_t field_count = (len(pairs) - skip) // 2, i
    cdef size_t total = 0
    cdef bytes word
    cdef IdCursor cursor
    cdef IdEntry* node = NULL
    cdef uint8_t* lp = NULL
    cdef uint8_t* at
    cdef int64_t live = 0, deleted = 0
    cdef bint shared = True
    cdef StreamId master = id
    for i in range(skip, len(pairs)):
        word = pairs[i]
        total += <size_t>PyBytes_GET_SIZE(word)
    if total > NODE_BYTES_MAX:
        return False
    if node_max_bytes <= 0 or node_max_bytes > NODE_BYTES_MAX:
        node_max_bytes = NODE_BYTES_MAX
    if idmap_last(&stream.nodes, &cursor):
        node = cursor_entry(&cursor)
        lp = <uint8_t*>node.value
        at = lp_first(lp)
        live = lp_integer(at)
        deleted = lp_integer(lp_next(lp, at))
        if lp_bytes(lp) + total >= <size_t>node_max_bytes or 0 < node_max_entries <= live + deleted:
            node.value = mem_realloc(lp, lp_bytes(lp))
            lp = NULL
            if id_compare(id, node.id) <= 0:
                # A file's last ID was below its entries: a node that begins with this ID takes the entry.
                node = idmap_find(&stream.nodes, id)
                if node != NULL:
                    lp = <uint8_t*>node.value
                    live = lp_integer(lp_first(lp))
                else:
                    idmap_last(&stream.nodes, &cursor)
                    node = cursor_entry(&cursor)
    scratch.length = 0
    if lp == NULL:
        lp = lp_new(lp_bytes(<uint8_t*>node.value) if node != NULL else 64)
        lp_encode_integer(&scratch, 1)
        lp_encode_integer(&scratch, 0)
        lp_encode_integer(&scratch, field_count)
        for i in range(field_count):
            word = pairs[skip + 2 * i]
            lp_encode(&scratch, PyBytes_AS_STRING(word), <size_t>PyBytes_GET_SIZE(word))
        lp_encode_integer(&scratch, 0)
        lp = lp_append_encoded(lp, scratch.data, scratch.length, <uint32_t>(field_count + 4))
        scratch.length = 0
        idmap_insert(&stream.nodes, id, lp)
        node = idmap_find(&stream.nodes, id)
    else:
        master = node.id
        at = lp_next(lp, lp_next(lp, lp_first(lp)))
        shared = lp_integer(at) == field_count and same_fields(lp, lp_next(lp, at), pairs, skip, field_count)
        lp = lp_replace_integer(lp, lp_first(lp) - lp, live + 1)
    lp_encode_integer(&scratch, ENTRY_SAME_FIELDS if shared else 0)
    lp_encode_integer(&scratch, <int64_t>(id.ms - master.ms))
    lp_encode_integer(&scratch, <int64_t>(id.seq - master.seq))
    if not shared:
        lp_encode_integer(&scratch, field_count)
    for i in range(1 if shared else 0, 2 * field_count, 2 if shared else 1):
        word = pairs[skip + i]
        lp_encode(&scratch, PyBytes_AS_STRING(word), <size_t>PyBytes_GET_SIZE(word))
    lp_encode_integer(&scratch, field_count + 3 if shared else 2 * field_count + 4)
    node.value = lp_append_encoded(lp, scratch.data, scratch.length,
                                   <uint32_t>(field_count + 4 if shared else 2 * field_count + 5))
    if scratch.capacity > SCRATCH_KEPT:
        buffer_release(&scratch)
    stream.length += 1
    stream.entries_added += 1
    stream.last_id = id
    return True


cdef uint8_t* first_entry(uint8_t* lp) noexcept nogil:
    """Behind the master entry; NULL in a node that holds nothing else."""
    cdef uint8_t* at = lp_next(lp, lp_next(lp, lp_first(lp)))
    cdef int64_t fields = lp_integer(at)
    while fields >= 0:
        at = lp_next(lp, at)
        fields -= 1
    return lp_next(lp, at)


cdef uint8_t* entry_before(uint8_t* lp, uint8_t* end) noexcept nogil:
    """The entry whose element count stands before `end` (NULL: the last one); NULL behind the master entry."""
    cdef uint8_t* at = lp_last(lp) if end == NULL else lp_previous(lp, end)
    cdef int64_t count = lp_integer(at)
    if count == 0:
        return NULL                  # the master entry's terminator
    while count:
        at = lp_previous(lp, at)
        count -= 1
    return at


cdef void stream_iterate(Stream* stream, StreamIterator* iterator, StreamId start, StreamId end,
                         bint reverse) noexcept nogil:
    cdef bint found
    iterator.stream = stream
    iterator.start = start
    iterator.end = end
    iterator.reverse = reverse
    iterator.with_deleted = False
    iterator.listpack = NULL
    iterator.at = NULL
    if reverse:
        found = idmap_seek_last(&stream.nodes, end, &iterator.node)
    else:
        # The node that may hold `start` begins at or before it.
        found = idmap_seek_last(&stream.nodes, start, &iterator.node) or idmap_first(&stream.nodes, &iterator.node)
    iterator.done = not found


cdef bint stream_next(StreamIterator* iterator) noexcept nogil:
    cdef uint8_t* at
    cdef uint8_t* lp
    cdef StreamId master
    cdef int64_t skip
    while not iterator.done:
        if iterator.listpack == NULL:
            iterator.listpack = <uint8_t*>cursor_entry(&iterator.node).value
            if iterator.reverse:
                iterator.at = entry_before(iterator.listpack, NULL)
            else:
                iterator.at = first_entry(iterator.listpack)
        lp = iterator.listpack
        if iterator.at == NULL:
            iterator.listpack = NULL
            iterator.done = not (idmap_previous(&iterator.node) if iterator.reverse else idmap_next(&iterator.node))
            continue
        at = iterator.at
        iterator.entry = at
        master = cursor_entry(&iterator.node).id
        iterator.flags = lp_integer(at)
        at = lp_next(lp, at)
        iterator.id.ms = master.ms + <uint64_t>lp_integer(at)
        at = lp_next(lp, at)
        iterator.id.seq = master.seq + <uint64_t>lp_integer(at)
        at = lp_next(lp, at)
        if iterator.flags & ENTRY_SAME_FIELDS:
            iterator.field = lp_next(lp, lp_next(lp, lp_first(lp)))
            iterator.field_count = lp_integer(iterator.field)
            iterator.field = lp_next(lp, iterator.field)
            iterator.value = at
            skip = iterator.field_count
        else:
            iterator.field_count = lp_integer(at)
            at = lp_next(lp, at)
            iterator.field = at
            iterator.value = NULL
            skip = 2 * iterator.field_count
        if iterator.reverse:
            iterator.at = entry_before(lp, iterator.entry)
        else:
            while skip >= 0:
                at = lp_next(lp, at)
                skip -= 1
            iterator.at = at
        if id_compare(iterator.id, iterator.start) < 0:
            if iterator.reverse:
                iterator.done = True
            continue
        if id_compare(iterator.id, iterator.end) > 0:
            if not iterator.reverse:
                iterator.done = True
            continue
        if iterator.flags & ENTRY_DELETED and not iterator.with_deleted:
            continue
        return True
    return False


cdef bint stream_field(StreamIterator* iterator, uint8_t** name, uint8_t** value) noexcept nogil:
    cdef uint8_t* lp = iterator.listpack
    if iterator.field_count == 0:
        return False
    iterator.field_count -= 1
    name[0] = iterator.field
    iterator.field = lp_next(lp, iterator.field)
    if iterator.value != NULL:
        value[0] = iterator.value
        iterator.value = lp_next(lp, iterator.value)
    else:
        value[0] = iterator.field
        iterator.field = lp_next(lp, iterator.field)
    return True


cdef bint stream_contains(Stream* stream, StreamId id) noexcept nogil:
    cdef StreamIterator iterator
    stream_iterate(stream, &iterator, id, id, False)
    return stream_next(&iterator)


cdef StreamId edge_id(Stream* stream, bint last) noexcept nogil:
    cdef StreamIterator iterator
    cdef StreamId low, high
    low.ms = low.seq = 0
    high.ms = high.seq = <uint64_t>-1
    stream_iterate(stream, &iterator, low, high, last)
    return iterator.id if stream_next(&iterator) else low


cdef StreamId stream_first_id(Stream* stream) noexcept nogil:
    return edge_id(stream, False)


cdef StreamId stream_last_live_id(Stream* stream) noexcept nogil:
    return edge_id(stream, True)


cdef bint has_deleted_from(Stream* stream, StreamId id) noexcept nogil:
    if stream.length == 0 or (stream.max_deleted_id.ms == 0 and stream.max_deleted_id.seq == 0):
        return False
    if id_compare(stream_first_id(stream), stream.max_deleted_id) > 0:
        return False
    return id_compare(id, stream.max_deleted_id) <= 0


cdef int64_t position_of(Stream* stream, StreamId id) noexcept nogil:
    cdef int order
    cdef StreamId first
    if stream.entries_added == 0:
        return 0
    order = id_compare(id, stream.last_id)
    if stream.length == 0 and order <= 0:
        return <int64_t>stream.entries_added
    if (id.ms or id.seq) and id_compare(id, stream.max_deleted_id) < 0:
        return -1
    if order >= 0:
        return <int64_t>stream.entries_added if order == 0 else -1
    first = stream_first_id(stream)
    if (stream.max_deleted_id.ms == 0 and stream.max_deleted_id.seq == 0) or id_compare(stream.max_deleted_id, first) < 0:
        order = id_compare(id, first)
        if order <= 0:
            return <int64_t>stream.entries_added - stream.length + (order == 0)
    return -1


cdef void remove_node(Stream* stream, StreamId master) noexcept nogil:
    mem_free(idmap_remove(&stream.nodes, master))
    if stream.nodes.length == 0:
        stream.length = 0            # whatever its file claimed: a length without nodes could not be loaded again


cdef inline void shorten(Stream* stream, int64_t count) noexcept nogil:
    """The length is what a file said: there may be more entries."""
    stream.length = stream.length - count if stream.length > count else 0


cdef bint stream_delete(Stream* stream, StreamId id) noexcept nogil:
    cdef StreamIterator iterator
    cdef uint8_t* lp
    cdef uint8_t* at
    cdef int64_t live
    stream_iterate(stream, &iterator, id, id, False)
    if not stream_next(&iterator):
        return False
    lp = iterator.listpack
    live = lp_integer(lp_first(lp))
    shorten(stream, 1)
    if live <= 1:
        remove_node(stream, cursor_entry(&iterator.node).id)
    else:
        lp = lp_replace_integer(lp, iterator.entry - lp, iterator.flags | ENTRY_DELETED)
        lp = lp_replace_integer(lp, lp_first(lp) - lp, live - 1)
        at = lp_next(lp, lp_first(lp))
        lp = lp_replace_integer(lp, at - lp, lp_integer(at) + 1)
        cursor_entry(&iterator.node).value = lp
    if id_compare(id, stream.max_deleted_id) > 0:
        stream.max_deleted_id = id
    return True


cdef StreamId last_id_in(StreamId master, uint8_t* lp) noexcept nogil:
    """ID of a node's last entry, deleted or not."""
    cdef uint8_t* at = entry_before(lp, NULL)
    cdef StreamId id = master
    if at != NULL:
        at = lp_next(lp, at)
        id.ms += <uint64_t>lp_integer(at)
        id.seq += <uint64_t>lp_integer(lp_next(lp, at))
    return id


cdef int64_t stream_trim(Stream* stream, bint by_id, StreamId threshold, int64_t length, bint approximate, int64_t limit,
                         object candidates) except -1:
    cdef int64_t dropped = 0, left = stream.length, live
    cdef IdCursor cursor
    cdef IdEntry* node
    cdef uint8_t* lp
    cdef bint whole, more = idmap_first(&stream.nodes, &cursor)
    if by_id and threshold.ms == 0 and threshold.seq == 0:
        return 0
    while more and (by_id or left > length):
        node = cursor_entry(&cursor)
        lp = <uint8_t*>node.value
        live = lp_integer(lp_first(lp))
        if limit and dropped + live > limit:
            break
        if by_id:
            whole = id_compare(last_id_in(node.id, lp), threshold) < 0
        else:
            whole = left - live >= length
        if not whole:
            if not approximate:
                dropped += trim_node(stream, node, by_id, threshold, left - length, candidates)
            break
        dropped += live
        left -= live
        if candidates is None:
            shorten(stream, live)
            remove_node(stream, node.id)
            more = idmap_first(&stream.nodes, &cursor)
        else:
            list_live(stream, node.id, last_id_in(node.id, lp), <int64_t>-1, candidates)
            more = idmap_next(&cursor)
    return dropped


cdef int list_live(Stream* stream, StreamId start, StreamId end, int64_t most, list ids) except -1:
    """Append the IDs of up to `most` (-1: all) live entries from `start` to `end`."""
    cdef StreamIterator iterator
    stream_iterate(stream, &iterator, start, end, False)
    while most and stream_next(&iterator):
        ids.append((iterator.id.ms, iterator.id.seq))
        most -= 1
    return 0


cdef int64_t trim_node(Stream* stream, IdEntry* node, bint by_id, StreamId threshold, int64_t most,
                       object candidates) except -1:
    """Mark the oldest live entries of a node as deleted; some are left alive."""
    cdef StreamIterator iterator
    cdef uint8_t* lp = <uint8_t*>node.value
    cdef uint8_t* at
    cdef int64_t dropped = 0
    cdef StreamId end = last_id_in(node.id, lp)
    if by_id:
        end = threshold
        if end.seq == 0:
            end.ms -= 1
        end.seq -= 1
        most = <int64_t>-1
    if candidates is not None:
        before = len(candidates)
        list_live(stream, node.id, end, most, candidates)
        return len(candidates) - before
    stream_iterate(stream, &iterator, node.id, end, False)
    while dropped != most and stream_next(&iterator):
        # One byte becomes another: the iterator's pointers stay valid.
        lp_replace_integer(lp, iterator.entry - lp, iterator.flags | ENTRY_DELETED)
        dropped += 1
    if dropped:
        lp = lp_replace_integer(lp, lp_first(lp) - lp, lp_integer(lp_first(lp)) - dropped)
        at = lp_next(lp, lp_first(lp))
        node.value = lp_replace_integer(lp, at - lp, lp_integer(at) + dropped)
        shorten(stream, dropped)
    return dropped


# Groups and consumers


cdef int64_t named_slot(void** items, int64_t count, const char* name, size_t length, bint* found) noexcept nogil:
    """Where the name is, or where it would be inserted."""
    cdef int64_t low = 0, high = count, middle
    cdef Named* item
    cdef int order
    found[0] = False
    while low < high:
        middle = (low + high) // 2
        item = <Named*>items[middle]
        order = memcmp(item.name, name, item.name_length if item.name_length < length else length)
        if order == 0:
            order = (item.name_length > length) - (item.name_length < length)
        if order == 0:
            found[0] = True
            return middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef void* named_find(void** items, int64_t count, const char* name, size_t length) noexcept nogil:
    cdef bint found
    cdef int64_t slot = named_slot(items, count, name, length, &found)
    return items[slot] if found else NULL


cdef Named* named_new(size_t size, const char* name, size_t length) noexcept nogil:
    """A zeroed block of `size` bytes with the name behind it."""
    cdef Named* item = <Named*>mem_alloc(size + length)
    memset(item, 0, size)
    item.name = <char*>item + size
    item.name_length = length
    memcpy(item.name, name, length)
    return item


cdef void** named_insert(void** items, int64_t count, Named* item) noexcept nogil:
    cdef bint found
    cdef int64_t slot = named_slot(items, count, item.name, item.name_length, &found)
    items = <void**>mem_realloc(items, <size_t>(count + 1) * sizeof(void*))
    memmove(items + slot + 1, items + slot, <size_t>(count - slot) * sizeof(void*))
    items[slot] = item
    return items


cdef void named_remove(void** items, int64_t count, Named* item) noexcept nogil:
    cdef bint found
    cdef int64_t slot = named_slot(items, count, item.name, item.name_length, &found)
    memmove(items + slot, items + slot + 1, <size_t>(count - slot - 1) * sizeof(void*))


cdef Group* group_create(Stream* stream, const char* name, size_t length, StreamId last_id,
                         int64_t entries_read) noexcept nogil:
    cdef Group* group = <Group*>named_new(sizeof(Group), name, length)
    group.last_id = last_id
    group.entries_read = entries_read
    stream.groups = <Group**>named_insert(<void**>stream.groups, stream.group_count, &group.named)
    stream.group_count += 1
    return group


cdef void group_destroy(Stream* stream, Group* group) noexcept nogil:
    cdef IdCursor cursor
    cdef bint more = idmap_first(&group.pending, &cursor)
    cdef int64_t i
    while more:
        mem_free(cursor_entry(&cursor).value)
        more = idmap_next(&cursor)
    idmap_free(&group.pending)
    for i in range(group.consumer_count):
        idmap_free(&group.consumers[i].pending)
        mem_free(group.consumers[i])
    mem_free(group.consumers)
    named_remove(<void**>stream.groups, stream.group_count, &group.named)
    stream.group_count -= 1
    mem_free(group)


cdef Consumer* consumer_create(Group* group, const char* name, size_t length, int64_t now_ms) noexcept nogil:
    cdef Consumer* consumer = <Consumer*>named_new(sizeof(Consumer), name, length)
    consumer.seen_ms = now_ms
    consumer.active_ms = -1
    group.consumers = <Consumer**>named_insert(<void**>group.consumers, group.consumer_count, &consumer.named)
    group.consumer_count += 1
    return consumer


cdef void consumer_destroy(Group* group, Consumer* consumer) noexcept nogil:
    cdef IdCursor cursor
    cdef bint more = idmap_first(&consumer.pending, &cursor)
    while more:
        mem_free(idmap_remove(&group.pending, cursor_entry(&cursor).id))
        more = idmap_next(&cursor)
    idmap_free(&consumer.pending)
    named_remove(<void**>group.consumers, group.consumer_count, &consumer.named)
    group.consumer_count -= 1
    mem_free(consumer)


cdef Pending* group_pending(Group* group, StreamId id) noexcept nogil:
    cdef IdEntry* found = idmap_find(&group.pending, id)
    return NULL if found == NULL else <Pending*>found.value


cdef Pending* pending_add(Group* group, Consumer* owner, StreamId id, int64_t delivered_ms,
                          uint64_t deliveries) noexcept nogil:
    cdef Pending* pending = <Pending*>mem_alloc(sizeof(Pending))
    pending.delivered_ms = delivered_ms
    pending.deliveries = deliveries
    pending.owner = owner
    idmap_insert(&group.pending, id, pending)
    idmap_insert(&owner.pending, id, pending)
    return pending


cdef void pending_move(Pending* pending, StreamId id, Consumer* owner) noexcept nogil:
    if pending.owner != owner:
        idmap_remove(&pending.owner.pending, id)
        idmap_insert(&owner.pending, id, pending)
        pending.owner = owner


cdef bint pending_remove(Group* group, StreamId id) noexcept nogil:
    cdef Pending* pending = <Pending*>idmap_remove(&group.pending, id)
    if pending == NULL:
        return False
    idmap_remove(&pending.owner.pending, id)
    mem_free(pending)
    return True
