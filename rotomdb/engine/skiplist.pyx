"""Sorted set of many members: a skip list in (score, member) order with spans for ranks, and a table by member.

Source: William Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees"; spans and the backward link as in
Redis, so that rank and reverse ranges are O(log n).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.table cimport (
    random_uint64, table_find, table_free, table_hash, table_init, table_insert, table_length, table_remove,
)


cdef int compare_bytes(const char* a, size_t a_length, const char* b, size_t b_length) noexcept nogil:
    cdef int order = memcmp(a, b, a_length if a_length < b_length else b_length)
    if order:
        return order
    return (a_length > b_length) - (a_length < b_length)


cdef SkipNode* new_node(int levels, double score, const char* member, size_t length) noexcept nogil:
    cdef char* block = <char*>mem_alloc(levels * sizeof(SkipLevel) + sizeof(SkipNode) + length)
    cdef SkipNode* node = <SkipNode*>(block + levels * sizeof(SkipLevel))
    node.score = score
    node.levels = <uint32_t>levels
    node.length = <uint32_t>length
    if length:
        memcpy(member_of(node), member, length)
    return node


cdef void free_node(SkipNode* node) noexcept nogil:
    mem_free(<char*>node - node.levels * sizeof(SkipLevel))


cdef SortedSet* sorted_set_new() noexcept nogil:
    cdef SortedSet* zset = <SortedSet*>mem_alloc(sizeof(SortedSet))
    cdef int i
    table_init(&zset.members, sizeof(SkipNode), sizeof(SkipNode) - sizeof(uint32_t))
    zset.head = new_node(SKIP_LEVELS, 0, NULL, 0)
    zset.head.backward = NULL
    for i in range(SKIP_LEVELS):
        level_of(zset.head, i).forward = NULL
        level_of(zset.head, i).span = 0
    zset.tail = NULL
    zset.levels = 1
    return zset


cdef void sorted_set_free(SortedSet* zset) noexcept nogil:
    cdef SkipNode* node = zset.head
    cdef SkipNode* following
    while node != NULL:
        following = level_of(node, 0).forward
        free_node(node)
        node = following
    table_free(&zset.members)
    mem_free(zset)


cdef inline int random_level() noexcept nogil:
    """1 + geometric with p = 1/4."""
    cdef uint64_t dice = random_uint64() >> 2
    cdef int level = 1
    while dice & 3 == 0 and level < SKIP_LEVELS - 1:
        level += 1
        dice >>= 2
        if level == 30:
            break
    return level


cdef inline bint precedes(SkipNode* node, double score, const char* member, size_t length) noexcept nogil:
    if node.score != score:
        return node.score < score
    return compare_bytes(member_of(node), node.length, member, length) < 0


cdef void link_node(SortedSet* zset, SkipNode* node) noexcept nogil:
    cdef SkipNode* update[SKIP_LEVELS]
    cdef uint64_t rank[SKIP_LEVELS]
    cdef SkipNode* x = zset.head
    cdef SkipNode* following
    cdef SkipLevel* level
    cdef int i = zset.levels - 1
    cdef int levels = <int>node.levels
    cdef double score = node.score
    cdef const char* member = member_of(node)
    cdef uint32_t length = node.length
    while i >= 0:
        rank[i] = 0 if i == zset.levels - 1 else rank[i + 1]
        while True:
            level = level_of(x, i)
            following = level.forward
            if following == NULL or not precedes(following, score, member, length):
                break
            rank[i] += level.span
            x = following
        update[i] = x
        i -= 1
    if levels > zset.levels:
        for i in range(zset.levels, levels):
            rank[i] = 0
            update[i] = zset.head
            level_of(zset.head, i).span = <uint64_t>table_length(&zset.members)
        zset.levels = levels
    for i in range(levels):
        level = level_of(update[i], i)
        level_of(node, i).forward = level.forward
        level_of(node, i).span = level.span - (rank[0] - rank[i])
        level.forward = node
        level.span = rank[0] - rank[i] + 1
    for i in range(levels, zset.levels):
        level_of(update[i], i).span += 1
    node.backward = NULL if update[0] == zset.head else update[0]
    following = level_of(node, 0).forward
    if following != NULL:
        following.backward = node
    else:
        zset.tail = node


cdef void unlink_node(SortedSet* zset, SkipNode* node) noexcept nogil:
    cdef SkipNode* x = zset.head
    cdef SkipNode* following
    cdef SkipLevel* level
    cdef int i = zset.levels - 1
    while i >= 0:
        while True:
            level = level_of(x, i)
            following = level.forward
            if following == NULL or following == node or not precedes(following, node.score, member_of(node), node.length):
                break
            x = following
        if level.forward == node:
            level.span += level_of(node, i).span - 1
            level.forward = level_of(node, i).forward
        else:
            level.span -= 1
        i -= 1
    following = level_of(node, 0).forward
    if following != NULL:
        following.backward = node.backward
    else:
        zset.tail = node.backward
    while zset.levels > 1 and level_of(zset.head, zset.levels - 1).forward == NULL:
        zset.levels -= 1


cdef SkipNode* sorted_set_find(SortedSet* zset, const char* member, size_t length) noexcept nogil:
    cdef void** found = table_find(&zset.members, member, length, table_hash(member, length))
    return NULL if found == NULL else <SkipNode*>found[0]


cdef SkipNode* sorted_set_insert(SortedSet* zset, const char* member, size_t length, double score) noexcept nogil:
    cdef SkipNode* node = new_node(random_level(), score, member, length)
    link_node(zset, node)            # before the table: it reads the count without the new node
    table_insert(&zset.members, node, table_hash(member, length))
    return node


cdef SkipNode* sorted_set_rescore(SortedSet* zset, SkipNode* node, double score) noexcept nogil:
    cdef SkipNode* following = level_of(node, 0).forward
    # Still between its neighbours: the order stands, only the number changes.
    if ((node.backward == NULL or node.backward.score < score)
            and (following == NULL or following.score > score)):
        node.score = score
        return node
    cdef void** slot = table_find(&zset.members, member_of(node), node.length, table_hash(member_of(node), node.length))
    cdef SkipNode* moved = new_node(<int>node.levels, score, member_of(node), node.length)
    unlink_node(zset, node)
    slot[0] = moved
    free_node(node)
    # link_node sizes new levels by the table's count, which already has this member; its levels exist or are
    # re-created below a head whose span must count the other members only.
    link_relinked(zset, moved)
    return moved


cdef void link_relinked(SortedSet* zset, SkipNode* node) noexcept nogil:
    cdef int i
    cdef int before = zset.levels
    link_node(zset, node)
    for i in range(before, <int>node.levels):
        level_of(node, i).span -= 1


cdef void sorted_set_delete(SortedSet* zset, SkipNode* node) noexcept nogil:
    unlink_node(zset, node)
    table_remove(&zset.members, member_of(node), node.length, table_hash(member_of(node), node.length))
    free_node(node)


cdef int64_t sorted_set_rank(SortedSet* zset, SkipNode* node) noexcept nogil:
    cdef SkipNode* x = zset.head
    cdef SkipNode* following
    cdef int64_t rank = 0
    cdef int i = zset.levels - 1
    while i >= 0:
        while True:
            following = level_of(x, i).forward
            if following == NULL:
                break
            if following != node and not precedes(following, node.score, member_of(node), node.length):
                break
            rank += <int64_t>level_of(x, i).span
            x = following
            if x == node:
                return rank - 1
        i -= 1
    return -1


cdef SkipNode* sorted_set_at(SortedSet* zset, int64_t rank) noexcept nogil:
    cdef SkipNode* x = zset.head
    cdef int64_t passed = 0
    cdef int i = zset.levels - 1
    cdef int64_t count = table_length(&zset.members)
    if rank < 0 or rank >= count:
        return NULL
    if rank == count - 1:
        return zset.tail
    rank += 1
    while i >= 0:
        while level_of(x, i).forward != NULL and passed + <int64_t>level_of(x, i).span <= rank:
            passed += <int64_t>level_of(x, i).span
            x = level_of(x, i).forward
        if passed == rank:
            return x
        i -= 1
    return NULL


cdef SkipNode* sorted_set_from_score(SortedSet* zset, double score, bint exclusive) noexcept nogil:
    cdef SkipNode* x = zset.head
    cdef SkipNode* following
    cdef int i = zset.levels - 1
    while i >= 0:
        while True:
            following = level_of(x, i).forward
            if following == NULL or following.score > score or (following.score == score and not exclusive):
                break
            x = following
        i -= 1
    return level_of(x, 0).forward


cdef SkipNode* sorted_set_from_member(SortedSet* zset, const char* member, size_t length, bint exclusive) noexcept nogil:
    cdef SkipNode* x = zset.head
    cdef SkipNode* following
    cdef int order
    cdef int i = zset.levels - 1
    while i >= 0:
        while True:
            following = level_of(x, i).forward
            if following == NULL:
                break
            order = compare_bytes(member_of(following), following.length, member, length)
            if order > 0 or (order == 0 and not exclusive):
                break
            x = following
        i -= 1
    return level_of(x, 0).forward
