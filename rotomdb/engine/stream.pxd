from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from rotomdb.engine.id_map cimport IdCursor, IdMap, StreamId

cdef enum:
    ENTRY_DELETED = 1                # flags of an entry inside a node
    ENTRY_SAME_FIELDS = 2

cdef struct Named:                   # what groups and consumers begin with
    char* name
    size_t name_length

cdef struct Consumer:
    Named named
    int64_t seen_ms                  # last attempt to read or claim
    int64_t active_ms                # last success; -1: never
    IdMap pending                    # ID -> Pending, owned by the group

cdef struct Pending:                 # an entry delivered and not acknowledged
    int64_t delivered_ms
    uint64_t deliveries
    Consumer* owner

cdef struct Group:
    Named named
    StreamId last_id                 # last delivered
    int64_t entries_read             # logical position in the stream; -1: unknown
    IdMap pending                    # ID -> Pending
    Consumer** consumers             # ascending names
    int64_t consumer_count

cdef struct Stream:
    IdMap nodes                      # master ID -> listpack
    int64_t length                   # live entries
    StreamId last_id
    StreamId max_deleted_id
    uint64_t entries_added
    Group** groups                   # ascending names
    int64_t group_count

cdef struct StreamIterator:
    Stream* stream
    IdCursor node
    uint8_t* listpack                # of the node; NULL: not in a node yet
    uint8_t* at                      # flags of the entry to look at next; NULL: leave the node
    StreamId start, end
    bint reverse
    bint with_deleted                # show tombstones too
    bint done
    # The entry that stream_next found:
    StreamId id
    uint8_t* entry                   # its flags element
    int64_t flags
    int64_t field_count
    uint8_t* field                   # next field name: in the entry or in the node's master entry
    uint8_t* value                   # next value, when the names stand in the master entry

cdef Stream* stream_new() noexcept nogil
cdef void stream_free(Stream* stream) noexcept nogil
cdef int64_t stream_memory(Stream* stream) noexcept nogil

# `pairs`: field, value, ... as bytes. The ID must be above last_id. False: the entry is larger than a node can be.
cdef bint stream_append(Stream* stream, StreamId id, object pairs, int64_t skip, int64_t node_max_bytes,
                        int64_t node_max_entries) except -1
cdef void stream_iterate(Stream* stream, StreamIterator* iterator, StreamId start, StreamId end, bint reverse) noexcept nogil
cdef bint stream_next(StreamIterator* iterator) noexcept nogil
# Moves to the next field of the found entry; the elements hold until the stream changes.
cdef bint stream_field(StreamIterator* iterator, uint8_t** name, uint8_t** value) noexcept nogil
cdef bint stream_contains(Stream* stream, StreamId id) noexcept nogil
# 0-0 when the stream is empty.
cdef StreamId stream_first_id(Stream* stream) noexcept nogil
cdef StreamId stream_last_live_id(Stream* stream) noexcept nogil
# Whether an entry at or behind `id` was deleted individually, so that counting from there is not exact.
cdef bint has_deleted_from(Stream* stream, StreamId id) noexcept nogil
# Entries ever added up to `id`, where that can be known; -1 otherwise.
cdef int64_t position_of(Stream* stream, StreamId id) noexcept nogil
# Whether the entry was there.
cdef bint stream_delete(Stream* stream, StreamId id) noexcept nogil
# Entries dropped from the old end. `by_id`: those below `threshold`; else until `length` are left. `approximate`: whole
# nodes only, and at most `limit` entries (0: no limit). With a list in `candidates` the IDs go there and nothing changes.
cdef int64_t stream_trim(Stream* stream, bint by_id, StreamId threshold, int64_t length, bint approximate, int64_t limit,
                         object candidates) except -1

cdef void* named_find(void** items, int64_t count, const char* name, size_t length) noexcept nogil
cdef Group* group_create(Stream* stream, const char* name, size_t length, StreamId last_id, int64_t entries_read) noexcept nogil
cdef void group_destroy(Stream* stream, Group* group) noexcept nogil
cdef Consumer* consumer_create(Group* group, const char* name, size_t length, int64_t now_ms) noexcept nogil
# Its pending entries go with it.
cdef void consumer_destroy(Group* group, Consumer* consumer) noexcept nogil
cdef Pending* group_pending(Group* group, StreamId id) noexcept nogil
# The ID must not be pending in the group.
cdef Pending* pending_add(Group* group, Consumer* owner, StreamId id, int64_t delivered_ms, uint64_t deliveries) noexcept nogil
cdef void pending_move(Pending* pending, StreamId id, Consumer* owner) noexcept nogil
# Whether it was pending.
cdef bint pending_remove(Group* group, StreamId id) noexcept nogil
