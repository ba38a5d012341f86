from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    BUCKET_SLOTS = 7

cdef struct Bucket:                 # one cache line
    uint8_t presence                # bit i: slot i holds an entry; bit 7: slot 6 holds the next Bucket of the chain
    uint8_t tags[BUCKET_SLOTS]      # a byte of each entry's hash, compared before the entry is touched
    void* slots[BUCKET_SLOTS]

cdef struct Table:
    Bucket* buckets[2]              # [1] exists while rehashing
    int8_t exponent[2]              # log2 of the bucket count; -1: no array
    uint8_t key_offset              # where an entry keeps its key bytes ...
    uint8_t length_offset           # ... and their length, a uint32
    int64_t used[2]
    int64_t rehash_index            # next bucket of [0] to move; -1: not rehashing
    uint64_t chained                # overflow buckets, for memory accounting
    int64_t pauses                  # > 0: an iteration is under way, nothing may move

cdef struct TableIterator:
    Table* table
    int array
    int64_t index
    Bucket* bucket
    int slot

ctypedef void (*ScanVisitor)(void* context, void* entry) noexcept

cdef uint64_t table_hash(const void* key, size_t length) noexcept nogil
cdef void table_init(Table* table, uint8_t key_offset, uint8_t length_offset) noexcept nogil
# Frees the arrays, not the entries.
cdef void table_free(Table* table) noexcept nogil
cdef int64_t table_length(Table* table) noexcept nogil
# Where the entry with this key is held, or NULL. Valid until the next insertion or removal.
cdef void** table_find(Table* table, const void* key, size_t length, uint64_t hash) noexcept nogil
# The key must be absent.
cdef void table_insert(Table* table, void* entry, uint64_t hash) noexcept nogil
# Unlinks and returns the entry, or NULL.
cdef void* table_remove(Table* table, const void* key, size_t length, uint64_t hash) noexcept nogil
cdef void* table_random(Table* table) noexcept nogil
cdef uint64_t table_scan(Table* table, uint64_t cursor, ScanVisitor visit, void* context) noexcept
cdef void table_reserve(Table* table, int64_t entries) noexcept nogil
# Moves buckets for up to `microseconds`; 1 while there is more to move.
cdef bint table_rehash_for(Table* table, int64_t microseconds) noexcept nogil
cdef int64_t table_memory(Table* table) noexcept nogil
cdef void table_iterate(Table* table, TableIterator* iterator) noexcept nogil
# Next entry, or NULL at the end (which also ends the pause that table_iterate began).
cdef void* table_next(TableIterator* iterator) noexcept nogil
cdef void table_stop(TableIterator* iterator) noexcept nogil
# While True (a forked child shares our pages) tables grow only when they are far too full.
cdef void table_avoid_resize(bint avoid) noexcept nogil
cdef uint64_t random_uint64() noexcept nogil

# Taking a table apart piece by piece.
ctypedef void (*EntryFree)(void* context, void* entry) noexcept nogil

cdef struct TableDrain:             # zeroed: at the start
    int array
    int64_t index

# Hands the entries of up to `buckets` buckets to `free_entry` (NULL: they are gone already); True once nothing is left.
cdef bint table_drain(Table* table, TableDrain* drain, int64_t buckets, EntryFree free_entry, void* context) noexcept nogil
