from libc.stdint cimport int64_t, uint32_t

from rotomdb.engine.id_map cimport IdMap
from rotomdb.engine.table cimport Table

cdef enum:
    NO_TIME = -1

cdef struct FieldTime:
    int64_t expire_ms
    uint32_t length                  # of the field's name, whose bytes follow

cdef struct TimedHash:
    Table fields                     # first, so that code for plain tables of fields serves this one too
    Table times                      # FieldTime by name, for the fields that have one
    IdMap order                      # (expire_ms, address of the FieldTime) -> FieldTime: who is next

# Takes over the table, whose block is freed.
cdef TimedHash* timed_hash_new(Table* fields) noexcept nogil
# The other way round: the times are dropped.
cdef Table* timed_hash_plain(TimedHash* timed) noexcept nogil
# Frees the times, not the fields.
cdef void timed_hash_free_times(TimedHash* timed) noexcept nogil
cdef int64_t timed_hash_memory(TimedHash* timed) noexcept nogil
cdef void field_time_set(TimedHash* timed, const char* name, size_t length, int64_t expire_ms) noexcept nogil
# NO_TIME: none.
cdef int64_t field_time_get(TimedHash* timed, const char* name, size_t length) noexcept nogil
# Whether there was one.
cdef bint field_time_remove(TimedHash* timed, const char* name, size_t length) noexcept nogil
# The one that expires first, or NULL.
cdef FieldTime* field_time_first(TimedHash* timed) noexcept nogil

cdef inline char* timed_name(FieldTime* time) noexcept nogil:
    return <char*>time + sizeof(FieldTime)
