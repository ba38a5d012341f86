"""Ordered map from 128-bit stream IDs to pointers: a stream's nodes and the pending entries of its groups.

A directory of sorted chunks: two binary searches find an ID, and appending the highest ID, which is what streams do, fills
chunks to the brim. Compared with a radix tree it takes 24 bytes an entry and walks in memory order.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memmove

from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_realloc

cdef enum:
    CHUNK_MAX = 64                   # entries
    CHUNK_START = 2


cdef IdChunk* new_chunk(uint32_t capacity) noexcept nogil:
    cdef IdChunk* chunk = <IdChunk*>mem_alloc(sizeof(IdChunk) + capacity * sizeof(IdEntry))
    chunk.count = 0
    chunk.capacity = capacity
    return chunk


cdef int64_t chunk_of(IdMap* map, StreamId id) noexcept nogil:
    """The last chunk whose first ID is not above `id`; -1 when all are."""
    cdef int64_t low = 0, high = map.chunk_count, middle
    if high and id_compare(chunk_entries(map.chunks[high - 1])[0].id, id) <= 0:
        return high - 1              # the usual case: the newest IDs
    while low < high:
        middle = (low + high) // 2
        if id_compare(chunk_entries(map.chunks[middle])[0].id, id) <= 0:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef int64_t slot_of(IdChunk* chunk, StreamId id) noexcept nogil:
    """The first slot that is not below `id`; `count` when all are."""
    cdef IdEntry* entries = chunk_entries(chunk)
    cdef int64_t low = 0, high = chunk.count, middle
    if id_compare(entries[high - 1].id, id) < 0:
        return high
    while low < high:
        middle = (low + high) // 2
        if id_compare(entries[middle].id, id) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef IdEntry* idmap_find(IdMap* map, StreamId id) noexcept nogil:
    cdef int64_t at = chunk_of(map, id), slot
    cdef IdChunk* chunk
    if at < 0:
        return NULL
    chunk = map.chunks[at]
    slot = slot_of(chunk, id)
    if slot == chunk.count or id_compare(chunk_entries(chunk)[slot].id, id) != 0:
        return NULL
    return chunk_entries(chunk) + slot


cdef void add_chunk(IdMap* map, int64_t at, IdChunk* chunk) noexcept nogil:
    if map.chunk_count == map.chunk_capacity:
        map.chunk_capacity = map.chunk_capacity * 2 if map.chunk_capacity else 1
        map.chunks = <IdChunk**>mem_realloc(map.chunks, <size_t>map.chunk_capacity * sizeof(IdChunk*))
    memmove(map.chunks + at + 1, map.chunks + at, <size_t>(map.chunk_count - at) * sizeof(IdChunk*))
    map.chunks[at] = chunk
    map.chunk_count += 1


cdef bint idmap_insert(IdMap* map, StreamId id, void* value) noexcept nogil:
    cdef int64_t at = chunk_of(map, id), slot
    cdef IdChunk* chunk
    cdef IdChunk* upper
    cdef IdEntry* entries
    if map.chunk_count == 0:
        add_chunk(map, 0, new_chunk(CHUNK_START))
        at = 0
        slot = 0
    else:
        at = at if at >= 0 else 0
        chunk = map.chunks[at]
        slot = slot_of(chunk, id)
        if slot < chunk.count and id_compare(chunk_entries(chunk)[slot].id, id) == 0:
            return False
        if chunk.count == CHUNK_MAX:
            if at == map.chunk_count - 1 and slot == CHUNK_MAX:
                # Appending: leave the full chunk as it is.
                add_chunk(map, at + 1, new_chunk(CHUNK_MAX if map.chunk_count > 1 else CHUNK_MAX // 4))
                at += 1
                slot = 0
            else:
                upper = new_chunk(CHUNK_MAX)
                upper.count = CHUNK_MAX // 2
                chunk.count = CHUNK_MAX - upper.count
                memcpy(chunk_entries(upper), chunk_entries(chunk) + chunk.count, upper.count * sizeof(IdEntry))
                add_chunk(map, at + 1, upper)
                if slot > chunk.count:
                    slot -= chunk.count
                    at += 1
    chunk = map.chunks[at]
    if chunk.count == chunk.capacity:
        chunk.capacity = chunk.capacity * 2 if chunk.capacity * 2 < CHUNK_MAX else CHUNK_MAX
        chunk = <IdChunk*>mem_realloc(chunk, sizeof(IdChunk) + chunk.capacity * sizeof(IdEntry))
        map.chunks[at] = chunk
    entries = chunk_entries(chunk)
    memmove(entries + slot + 1, entries + slot, <size_t>(chunk.count - slot) * sizeof(IdEntry))
    entries[slot].id = id
    entries[slot].value = value
    chunk.count += 1
    map.length += 1
    return True


cdef void* idmap_remove(IdMap* map, StreamId id) noexcept nogil:
    cdef int64_t at = chunk_of(map, id), slot
    cdef IdChunk* chunk
    cdef IdEntry* entries
    cdef void* value
    if at < 0:
        return NULL
    chunk = map.chunks[at]
    slot = slot_of(chunk, id)
    entries = chunk_entries(chunk)
    if slot == chunk.count or id_compare(entries[slot].id, id) != 0:
        return NULL
    value = entries[slot].value
    memmove(entries + slot, entries + slot + 1, <size_t>(chunk.count - slot - 1) * sizeof(IdEntry))
    chunk.count -= 1
    map.length -= 1
    if chunk.count == 0:
        mem_free(chunk)
        map.chunk_count -= 1
        memmove(map.chunks + at, map.chunks + at + 1, <size_t>(map.chunk_count - at) * sizeof(IdChunk*))
        if map.chunk_count == 0:
            idmap_free(map)
    elif chunk.count * 4 <= chunk.capacity and chunk.capacity > 8:
        chunk.capacity //= 2
        map.chunks[at] = <IdChunk*>mem_realloc(chunk, sizeof(IdChunk) + chunk.capacity * sizeof(IdEntry))
    return value


cdef bint idmap_seek(IdMap* map, StreamId id, IdCursor* cursor) noexcept nogil:
    cursor.map = map
    cursor.chunk = chunk_of(map, id)
    if cursor.chunk < 0:
        return idmap_first(map, cursor)
    cursor.slot = slot_of(map.chunks[cursor.chunk], id)
    if cursor.slot == map.chunks[cursor.chunk].count:
        cursor.chunk += 1
        cursor.slot = 0
    return cursor.chunk < map.chunk_count


cdef bint idmap_seek_last(IdMap* map, StreamId id, IdCursor* cursor) noexcept nogil:
    cursor.map = map
    cursor.chunk = chunk_of(map, id)
    if cursor.chunk < 0:
        return False
    cursor.slot = slot_of(map.chunks[cursor.chunk], id)
    if (cursor.slot == map.chunks[cursor.chunk].count
            or id_compare(chunk_entries(map.chunks[cursor.chunk])[cursor.slot].id, id) > 0):
        cursor.slot -= 1             # not below 0: the chunk's first ID is not above `id`
    return True


cdef bint idmap_first(IdMap* map, IdCursor* cursor) noexcept nogil:
    cursor.map = map
    cursor.chunk = 0
    cursor.slot = 0
    return map.chunk_count > 0


cdef bint idmap_last(IdMap* map, IdCursor* cursor) noexcept nogil:
    cursor.map = map
    cursor.chunk = map.chunk_count - 1
    if cursor.chunk < 0:
        return False
    cursor.slot = map.chunks[cursor.chunk].count - 1
    return True


cdef bint idmap_next(IdCursor* cursor) noexcept nogil:
    cursor.slot += 1
    if cursor.slot == cursor.map.chunks[cursor.chunk].count:
        cursor.chunk += 1
        cursor.slot = 0
    return cursor.chunk < cursor.map.chunk_count


cdef bint idmap_previous(IdCursor* cursor) noexcept nogil:
    cursor.slot -= 1
    if cursor.slot < 0:
        cursor.chunk -= 1
        if cursor.chunk < 0:
            return False
        cursor.slot = cursor.map.chunks[cursor.chunk].count - 1
    return True


cdef void idmap_free(IdMap* map) noexcept nogil:
    cdef int64_t i
    for i in range(map.chunk_count):
        mem_free(map.chunks[i])
    mem_free(map.chunks)
    map.chunks = NULL
    map.chunk_count = map.chunk_capacity = map.length = 0


cdef int64_t idmap_memory(IdMap* map) noexcept nogil:
    return map.length * <int64_t>sizeof(IdEntry) + map.chunk_capacity * 8 + map.chunk_count * 16
