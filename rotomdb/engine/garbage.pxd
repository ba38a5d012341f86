from libc.stdint cimport int64_t

from rotomdb.engine.table cimport Table, TableDrain

cdef enum:
    KEYSPACE_GARBAGE = 16            # beside the encodings of values: a whole table of entries

cdef struct Garbage:                 # something large, on its way out
    Garbage* following
    int encoding                     # of the value, or KEYSPACE_GARBAGE
    void* value
    Table table                      # KEYSPACE_GARBAGE: its keys
    TableDrain drain

cdef struct GarbageQueue:            # zeroed: empty
    Garbage* head
    int64_t objects                  # values that wait
    int64_t freed                    # since the start

# Whether the value is so large that freeing it at once could be felt.
cdef bint is_large(int encoding, void* value) noexcept nogil
cdef void discard_value(GarbageQueue* queue, int encoding, void* value) noexcept nogil
# Takes over the table's arrays; `keys` is empty afterwards.
cdef void discard_keys(GarbageQueue* queue, Table* keys) noexcept nogil
# Goes on freeing for up to `microseconds` (-1: to the end); True while there is more.
cdef bint collect(GarbageQueue* queue, int64_t microseconds) noexcept nogil
# Of a value that holds no further ones, at once.
cdef void free_encoded(int encoding, void* value) noexcept nogil
