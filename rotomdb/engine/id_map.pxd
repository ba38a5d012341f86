from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef struct StreamId:
    uint64_t ms
    uint64_t seq

cdef struct IdEntry:
    StreamId id
    void* value

cdef struct IdChunk:
    uint32_t count
    uint32_t capacity
    # entries follow, ascending

cdef struct IdMap:                   # zeroed: empty
    IdChunk** chunks                 # none of them empty
    int64_t chunk_count
    int64_t chunk_capacity
    int64_t length

cdef struct IdCursor:                # invalid after any insertion or removal
    IdMap* map
    int64_t chunk
    int64_t slot

cdef inline int id_compare(StreamId a, StreamId b) noexcept nogil:
    if a.ms != b.ms:
        return -1 if a.ms < b.ms else 1
    if a.seq != b.seq:
        return -1 if a.seq < b.seq else 1
    return 0

cdef inline IdEntry* chunk_entries(IdChunk* chunk) noexcept nogil:
    return <IdEntry*>(<char*>chunk + sizeof(IdChunk))

cdef inline IdEntry* cursor_entry(IdCursor* cursor) noexcept nogil:
    return chunk_entries(cursor.map.chunks[cursor.chunk]) + cursor.slot

# The entry with this ID, or NULL.
cdef IdEntry* idmap_find(IdMap* map, StreamId id) noexcept nogil
# False when the ID is there already: its value stays.
cdef bint idmap_insert(IdMap* map, StreamId id, void* value) noexcept nogil
# Its value; NULL when absent.
cdef void* idmap_remove(IdMap* map, StreamId id) noexcept nogil
# First entry not below `id`, last entry not above it; False: none.
cdef bint idmap_seek(IdMap* map, StreamId id, IdCursor* cursor) noexcept nogil
cdef bint idmap_seek_last(IdMap* map, StreamId id, IdCursor* cursor) noexcept nogil
cdef bint idmap_first(IdMap* map, IdCursor* cursor) noexcept nogil
cdef bint idmap_last(IdMap* map, IdCursor* cursor) noexcept nogil
cdef bint idmap_next(IdCursor* cursor) noexcept nogil
cdef bint idmap_previous(IdCursor* cursor) noexcept nogil
# Frees the map, not what its values point to.
cdef void idmap_free(IdMap* map) noexcept nogil
cdef int64_t idmap_memory(IdMap* map) noexcept nogil
