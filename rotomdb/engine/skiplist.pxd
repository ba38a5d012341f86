from libc.stdint cimport int64_t, uint32_t, uint64_t
from rotomdb.engine.table cimport Table

cdef enum:
    SKIP_LEVELS = 32

cdef struct SkipLevel:
    SkipNode* forward
    uint64_t span                    # elements from this node to `forward`

# The levels stand in memory before the node, so that the member is at a fixed offset for the member index.
cdef struct SkipNode:
    double score
    SkipNode* backward
    uint32_t levels
    uint32_t length                  # of the member, whose bytes follow the struct

cdef struct SortedSet:
    Table members                    # of SkipNode
    SkipNode* head                   # level sentinel
    SkipNode* tail
    int levels                       # highest in use

cdef inline SkipLevel* level_of(SkipNode* node, int level) noexcept nogil:
    return (<SkipLevel*>node) - 1 - level

cdef inline char* member_of(SkipNode* node) noexcept nogil:
    return <char*>node + sizeof(SkipNode)

cdef SortedSet* sorted_set_new() noexcept nogil
cdef void sorted_set_free(SortedSet* zset) noexcept nogil
cdef SkipNode* sorted_set_find(SortedSet* zset, const char* member, size_t length) noexcept nogil
# The member must be absent.
cdef SkipNode* sorted_set_insert(SortedSet* zset, const char* member, size_t length, double score) noexcept nogil
cdef SkipNode* sorted_set_rescore(SortedSet* zset, SkipNode* node, double score) noexcept nogil
cdef void sorted_set_delete(SortedSet* zset, SkipNode* node) noexcept nogil
# 0-based.
cdef int64_t sorted_set_rank(SortedSet* zset, SkipNode* node) noexcept nogil
cdef SkipNode* sorted_set_at(SortedSet* zset, int64_t rank) noexcept nogil
# First node with score >= (or >, when exclusive) the bound; NULL when none.
cdef SkipNode* sorted_set_from_score(SortedSet* zset, double score, bint exclusive) noexcept nogil
# First node with member >= (or >) the bound, scores ignored (they are equal where lexicographic ranges make sense).
cdef SkipNode* sorted_set_from_member(SortedSet* zset, const char* member, size_t length, bint exclusive) noexcept nogil
cdef int compare_bytes(const char* a, size_t a_length, const char* b, size_t b_length) noexcept nogil
