"""The one hash table: keyspace, hash fields, set members and the sorted set's member index.

Shape    An array of 64-byte buckets, each with up to seven entries and a one-byte tag per entry, so that most lookups
         touch one cache line of the table and one entry. A full bucket chains to another.
Entries  The table does not own or look into them, except that every entry has its key length (uint32) and its key bytes
         at the two offsets given to table_init.
Growth   Doubling or halving by incremental rehash: each access moves one bucket of the old array, time events move more.
         The old array goes back to the kernel piece by piece; freeing 64 MiB at once would stall for milliseconds.
Scan     The cursor counts in reversed bits (Pieter Noordhuis's algorithm, as in Redis): whatever is in the table from
         the start of a scan to its end is returned at least once, whatever the table's size does meanwhile.
"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_map, mem_unmap

import os

cdef extern from "platform.h" nogil:
    int rotom_trailing_zeros(uint32_t value)
    int rotom_bit_count(uint32_t value)
    uint64_t rotom_reverse_bits(uint64_t value)
    int64_t rotom_monotonic_ns()
    void rotom_release_pages(void* start, size_t length)
    void* calloc(size_t count, size_t size)
    void __builtin_prefetch(const void* address)

cdef enum:
    CHAINED = 0x80
    SLOT_MASK = 0x7f
    MAPPED_EXPONENT = 14              # arrays of 1 MiB and more are page mappings
    RELEASE_BUCKETS = 1 << 14         # handed back 1 MiB at a time while rehashing
    RANDOM_CAP = 21                   # entries per chain that random selection expects at most
    RESERVED_MAX = 1 << 24            # entries that room is made for on somebody's word
    EMPTY_VISITS = 16                 # empty buckets that one rehash step may pass

cdef uint64_t sip_key[2]
cdef uint64_t random_state[2]
cdef bint resize_avoided = False


cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef uint64_t table_hash(const void* key, size_t length) noexcept nogil:
    """SipHash-1-3 under a random key: a client that picks the keys cannot pick the collisions."""
    cdef const uint8_t* p = <const uint8_t*>key
    cdef uint64_t v0 = sip_key[0] ^ 0x736f6d6570736575ULL
    cdef uint64_t v1 = sip_key[1] ^ 0x646f72616e646f6dULL
    cdef uint64_t v2 = sip_key[0] ^ 0x6c7967656e657261ULL
    cdef uint64_t v3 = sip_key[1] ^ 0x7465646279746573ULL
    cdef uint64_t word
    cdef size_t left = length
    while left >= 8:
        memcpy(&word, p, 8)
        v3 ^= word
        v0 += v1; v1 = rotate(v1, 13); v1 ^= v0; v0 = rotate(v0, 32)
        v2 += v3; v3 = rotate(v3, 16); v3 ^= v2
        v0 += v3; v3 = rotate(v3, 21); v3 ^= v0
        v2 += v1; v1 = rotate(v1, 17); v1 ^= v2; v2 = rotate(v2, 32)
        v0 ^= word
        p += 8
        left -= 8
    word = 0
    memcpy(&word, p, left)
    word |= <uint64_t>length << 56
    v3 ^= word
    v0 += v1; v1 = rotate(v1, 13); v1 ^= v0; v0 = rotate(v0, 32)
    v2 += v3; v3 = rotate(v3, 16); v3 ^= v2
    v0 += v3; v3 = rotate(v3, 21); v3 ^= v0
    v2 += v1; v1 = rotate(v1, 17); v1 ^= v2; v2 = rotate(v2, 32)
    v0 ^= word
    v2 ^= 0xff
    for _ in range(3):
        v0 += v1; v1 = rotate(v1, 13); v1 ^= v0; v0 = rotate(v0, 32)
        v2 += v3; v3 = rotate(v3, 16); v3 ^= v2
        v0 += v3; v3 = rotate(v3, 21); v3 ^= v0
        v2 += v1; v1 = rotate(v1, 17); v1 ^= v2; v2 = rotate(v2, 32)
    return v0 ^ v1 ^ v2 ^ v3


cdef uint64_t random_uint64() noexcept nogil:
    """xoroshiro128+, seeded from the operating system."""
    cdef uint64_t s0 = random_state[0]
    cdef uint64_t s1 = random_state[1]
    cdef uint64_t result = s0 + s1
    s1 ^= s0
    random_state[0] = rotate(s0, 24) ^ s1 ^ (s1 << 16)
    random_state[1] = rotate(s1, 37)
    return result


cdef inline uint8_t tag_of(uint64_t hash) noexcept nogil:
    return <uint8_t>(hash >> 56)


cdef inline const char* entry_key(Table* table, void* entry, size_t* length) noexcept nogil:
    length[0] = (<uint32_t*>(<char*>entry + table.length_offset))[0]
    return <char*>entry + table.key_offset


cdef inline uint64_t entry_hash(Table* table, void* entry) noexcept nogil:
    cdef size_t length
    cdef const char* key = entry_key(table, entry, &length)
    return table_hash(key, length)


cdef inline uint64_t mask_of(Table* table, int array) noexcept nogil:
    return (<uint64_t>1 << table.exponent[array]) - 1


cdef Bucket* new_array(int exponent) noexcept nogil:
    cdef size_t size = sizeof(Bucket) << exponent
    cdef Bucket* array
    cdef size_t i
    if exponent >= MAPPED_EXPONENT:
        return <Bucket*>mem_map(size)
    array = <Bucket*>mem_alloc(size)
    for i in range(<size_t>1 << exponent):
        array[i].presence = 0
    return array


cdef void free_array(Bucket* array, int exponent) noexcept nogil:
    if array == NULL:
        return
    if exponent >= MAPPED_EXPONENT:
        mem_unmap(array, sizeof(Bucket) << exponent)
    else:
        mem_free(array)


cdef void table_init(Table* table, uint8_t key_offset, uint8_t length_offset) noexcept nogil:
    table.buckets[0] = NULL
    table.buckets[1] = NULL
    table.exponent[0] = -1
    table.exponent[1] = -1
    table.used[0] = 0
    table.used[1] = 0
    table.rehash_index = -1
    table.chained = 0
    table.pauses = 0
    table.key_offset = key_offset
    table.length_offset = length_offset


cdef void free_chains(Bucket* array, int exponent) noexcept nogil:
    cdef size_t i
    cdef Bucket* bucket
    cdef Bucket* following
    for i in range(<size_t>1 << exponent):
        if array[i].presence & CHAINED:
            bucket = <Bucket*>array[i].slots[BUCKET_SLOTS - 1]
            while bucket != NULL:
                following = <Bucket*>bucket.slots[BUCKET_SLOTS - 1] if bucket.presence & CHAINED else NULL
                mem_free(bucket)
                bucket = following


cdef void table_free(Table* table) noexcept nogil:
    cdef int array
    for array in range(2):
        if table.buckets[array] != NULL:
            if table.chained:
                free_chains(table.buckets[array], table.exponent[array])
            free_array(table.buckets[array], table.exponent[array])
    table_init(table, table.key_offset, table.length_offset)


cdef int64_t table_length(Table* table) noexcept nogil:
    return table.used[0] + table.used[1]


cdef void add_to_array(Table* table, int array, void* entry, uint64_t hash) noexcept nogil:
    cdef Bucket* bucket = &table.buckets[array][hash & mask_of(table, array)]
    cdef Bucket* child
    cdef uint32_t free_slots
    cdef int slot
    while True:
        free_slots = (~bucket.presence) & SLOT_MASK
        if bucket.presence & CHAINED:
            free_slots &= SLOT_MASK >> 1
        if free_slots:
            slot = rotom_trailing_zeros(free_slots)
            bucket.presence |= <uint8_t>(1 << slot)
            bucket.tags[slot] = tag_of(hash)
            bucket.slots[slot] = entry
            table.used[array] += 1
            return
        if bucket.presence & CHAINED:
            bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]
            continue
        child = <Bucket*>mem_alloc(sizeof(Bucket))
        child.presence = 1
        child.tags[0] = bucket.tags[BUCKET_SLOTS - 1]
        child.slots[0] = bucket.slots[BUCKET_SLOTS - 1]
        bucket.slots[BUCKET_SLOTS - 1] = child
        bucket.presence = (bucket.presence & (SLOT_MASK >> 1)) | CHAINED
        table.chained += 1
        bucket = child


cdef void move_bucket(Table* table) noexcept nogil:
    """Move the bucket at rehash_index, chain and all, to the new array."""
    cdef int64_t index = table.rehash_index
    cdef Bucket* bucket = &table.buckets[0][index]
    cdef Bucket* following
    cdef bint first = True
    cdef uint32_t present
    cdef int slot
    # A shrink or a grow needs the hash anew: the tag alone does not give the bits of the index.
    while bucket != NULL:
        following = <Bucket*>bucket.slots[BUCKET_SLOTS - 1] if bucket.presence & CHAINED else NULL
        present = bucket.presence & SLOT_MASK
        while present:
            slot = rotom_trailing_zeros(present)
            present &= present - 1
            table.used[0] -= 1
            add_to_array(table, 1, bucket.slots[slot], entry_hash(table, bucket.slots[slot]))
        if first:
            bucket.presence = 0
            first = False
        else:
            mem_free(bucket)
            table.chained -= 1
        bucket = following
    table.rehash_index += 1
    if table.exponent[0] >= MAPPED_EXPONENT and table.rehash_index % RELEASE_BUCKETS == 0:
        rotom_release_pages(&table.buckets[0][table.rehash_index - RELEASE_BUCKETS], RELEASE_BUCKETS * sizeof(Bucket))
    if table.rehash_index == <int64_t>1 << table.exponent[0]:
        free_array(table.buckets[0], table.exponent[0])
        table.buckets[0] = table.buckets[1]
        table.exponent[0] = table.exponent[1]
        table.used[0] = table.used[1]
        table.buckets[1] = NULL
        table.exponent[1] = -1
        table.used[1] = 0
        table.rehash_index = -1


cdef void rehash_step(Table* table) noexcept nogil:
    cdef int visits = EMPTY_VISITS
    if table.pauses:
        return
    # Nothing is copied under a forked child unless the table is much too full (see resize_if_needed).
    while table.rehash_index >= 0 and visits:
        if table.buckets[0][table.rehash_index].presence:
            move_bucket(table)
            return
        move_bucket(table)
        visits -= 1


cdef void resize_to(Table* table, int exponent) noexcept nogil:
    if table.buckets[0] == NULL:
        table.buckets[0] = new_array(exponent)
        table.exponent[0] = <int8_t>exponent
        return
    table.buckets[1] = new_array(exponent)
    table.exponent[1] = <int8_t>exponent
    table.rehash_index = 0
    if table.used[0] == 0 and not table.pauses and table.exponent[0] < 6:
        while table.rehash_index >= 0:
            move_bucket(table)


cdef inline int exponent_for(int64_t entries) noexcept nogil:
    cdef int exponent = 0
    while (<int64_t>BUCKET_SLOTS << exponent) < entries:
        exponent += 1
    return exponent


cdef void grow_if_needed(Table* table) noexcept nogil:
    cdef int64_t capacity
    if table.rehash_index >= 0:
        return
    if table.buckets[0] == NULL:
        resize_to(table, 0)
        return
    capacity = <int64_t>BUCKET_SLOTS << table.exponent[0]
    if table.used[0] >= capacity and (not resize_avoided or table.used[0] >= capacity * 4):
        resize_to(table, exponent_for(table.used[0] + 1))


cdef void shrink_if_needed(Table* table) noexcept nogil:
    cdef int64_t capacity
    if table.rehash_index >= 0 or table.exponent[0] <= 0 or resize_avoided or table.pauses:
        return
    capacity = <int64_t>BUCKET_SLOTS << table.exponent[0]
    if table.used[0] * 8 < capacity:
        resize_to(table, exponent_for(table.used[0] * 2))


cdef void table_reserve(Table* table, int64_t entries) noexcept nogil:
    """Size an empty table for `entries`, so that a load does not rehash. A hint: capped, since files are not trusted."""
    if table.buckets[0] == NULL and entries > 0:
        resize_to(table, exponent_for(entries if entries < RESERVED_MAX else RESERVED_MAX))


cdef inline void** find_in_array(Table* table, int array, const void* key, size_t length, uint64_t hash) noexcept nogil:
    cdef Bucket* bucket = &table.buckets[array][hash & mask_of(table, array)]
    cdef uint8_t tag = tag_of(hash)
    cdef size_t held_length
    cdef const char* held
    cdef uint32_t present
    cdef int slot
    while True:
        present = bucket.presence & SLOT_MASK
        while present:
            slot = rotom_trailing_zeros(present)
            present &= present - 1
            if bucket.tags[slot] == tag:
                held = entry_key(table, bucket.slots[slot], &held_length)
                if held_length == length and memcmp(held, key, length) == 0:
                    return &bucket.slots[slot]
        if not bucket.presence & CHAINED:
            return NULL
        bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]


cdef void** table_find(Table* table, const void* key, size_t length, uint64_t hash) noexcept nogil:
    cdef void** found
    if table.buckets[0] == NULL:
        return NULL
    if table.rehash_index >= 0:
        rehash_step(table)
        if table.rehash_index >= 0:
            found = find_in_array(table, 1, key, length, hash)
            if found != NULL:
                return found
    return find_in_array(table, 0, key, length, hash)


cdef void table_insert(Table* table, void* entry, uint64_t hash) noexcept nogil:
    if table.rehash_index >= 0:
        rehash_step(table)
    grow_if_needed(table)
    add_to_array(table, 1 if table.rehash_index >= 0 else 0, entry, hash)


cdef void remove_slot(Table* table, int array, Bucket* head, Bucket* bucket, int slot) noexcept nogil:
    """Clear one slot; the last entry of the chain fills the hole, so that chains stay dense and short."""
    cdef Bucket* parent = NULL
    cdef Bucket* last = bucket
    cdef uint32_t present
    cdef int donor
    table.used[array] -= 1
    if not head.presence & CHAINED:
        bucket.presence &= <uint8_t>~(1 << slot)
        return
    last = head
    while last.presence & CHAINED:
        parent = last
        last = <Bucket*>last.slots[BUCKET_SLOTS - 1]
    present = last.presence & SLOT_MASK
    donor = rotom_trailing_zeros(present)
    bucket.slots[slot] = last.slots[donor]
    bucket.tags[slot] = last.tags[donor]
    last.presence &= <uint8_t>~(1 << donor)
    if last.presence & SLOT_MASK == 0:
        mem_free(last)
        table.chained -= 1
        parent.presence &= SLOT_MASK >> 1


cdef void* table_remove(Table* table, const void* key, size_t length, uint64_t hash) noexcept nogil:
    cdef int array
    cdef Bucket* head
    cdef Bucket* bucket
    cdef void** found
    cdef void* entry
    if table.buckets[0] == NULL:
        return NULL
    if table.rehash_index >= 0:
        rehash_step(table)
    for array in range(2):
        if table.buckets[array] == NULL:
            continue
        found = find_in_array(table, array, key, length, hash)
        if found == NULL:
            continue
        entry = found[0]
        head = &table.buckets[array][hash & mask_of(table, array)]
        bucket = head
        while not (&bucket.slots[0] <= found and found < &bucket.slots[0] + BUCKET_SLOTS):
            bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]
        remove_slot(table, array, head, bucket, <int>(found - &bucket.slots[0]))
        shrink_if_needed(table)
        return entry
    return NULL


cdef inline int chain_length(Bucket* bucket) noexcept nogil:
    cdef int count = 0
    while True:
        count += rotom_bit_count(bucket.presence & SLOT_MASK)
        if not bucket.presence & CHAINED:
            return count
        bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]


cdef void* table_random(Table* table) noexcept nogil:
    """A uniformly random entry, or NULL when empty.

    Picks a bucket, then keeps it with probability (its entries / RANDOM_CAP): every entry is equally likely however
    uneven the buckets are.
    """
    cdef uint64_t first, second, index
    cdef Bucket* bucket
    cdef int count, chosen
    cdef uint32_t present
    cdef uint64_t dice
    if table_length(table) == 0:
        return NULL
    if table.rehash_index >= 0:
        rehash_step(table)
    first = (<uint64_t>1 << table.exponent[0])
    second = (<uint64_t>1 << table.exponent[1]) if table.rehash_index >= 0 else 0
    while True:
        dice = random_uint64()
        if table.rehash_index >= 0:
            index = <uint64_t>table.rehash_index + dice % (first - <uint64_t>table.rehash_index + second)
            bucket = &table.buckets[0][index] if index < first else &table.buckets[1][index - first]
        else:
            bucket = &table.buckets[0][dice & (first - 1)]
        count = chain_length(bucket)
        if count == 0:
            continue
        chosen = <int>((random_uint64() >> 11) % (RANDOM_CAP if count < RANDOM_CAP else <uint64_t>count))
        if chosen >= count:
            continue
        while True:
            present = bucket.presence & SLOT_MASK
            while present:
                if chosen == 0:
                    return bucket.slots[rotom_trailing_zeros(present)]
                chosen -= 1
                present &= present - 1
            bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]


cdef void visit_chain(Bucket* bucket, ScanVisitor visit, void* context) noexcept:
    cdef uint32_t present
    while True:
        present = bucket.presence & SLOT_MASK
        while present:
            visit(context, bucket.slots[rotom_trailing_zeros(present)])
            present &= present - 1
        if not bucket.presence & CHAINED:
            return
        bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]


cdef uint64_t next_cursor(uint64_t cursor, uint64_t mask) noexcept nogil:
    cursor |= ~mask
    cursor = rotom_reverse_bits(cursor)
    cursor += 1
    return rotom_reverse_bits(cursor)


cdef uint64_t table_scan(Table* table, uint64_t cursor, ScanVisitor visit, void* context) noexcept:
    """Visit one bucket (of both arrays while rehashing); returns the next cursor, 0 at the end."""
    cdef uint64_t small_mask, large_mask
    cdef int small = 0, large = 1
    if table_length(table) == 0:
        return 0
    table.pauses += 1
    if table.rehash_index < 0:
        small_mask = mask_of(table, 0)
        visit_chain(&table.buckets[0][cursor & small_mask], visit, context)
        cursor = next_cursor(cursor, small_mask)
    else:
        if table.exponent[0] > table.exponent[1]:
            small = 1
            large = 0
        small_mask = mask_of(table, small)
        large_mask = mask_of(table, large)
        visit_chain(&table.buckets[small][cursor & small_mask], visit, context)
        while True:
            # All the buckets of the large array that the small array's bucket expands to.
            visit_chain(&table.buckets[large][cursor & large_mask], visit, context)
            cursor = next_cursor(cursor, large_mask)
            if not cursor & (small_mask ^ large_mask):
                break
    table.pauses -= 1
    return cursor


cdef bint table_rehash_for(Table* table, int64_t microseconds) noexcept nogil:
    cdef int64_t end = rotom_monotonic_ns() + microseconds * 1000
    if table.pauses:
        return False
    while table.rehash_index >= 0:
        for _ in range(16):
            if table.rehash_index >= 0:
                move_bucket(table)
        if rotom_monotonic_ns() >= end:
            break
    if table.rehash_index < 0 and table.buckets[0] != NULL:
        shrink_if_needed(table)
    return table.rehash_index >= 0


cdef int64_t table_memory(Table* table) noexcept nogil:
    cdef int64_t size = 0
    cdef int array
    for array in range(2):
        if table.buckets[array] != NULL:
            size += <int64_t>sizeof(Bucket) << table.exponent[array]
    return size + <int64_t>(table.chained * sizeof(Bucket))


cdef void table_iterate(Table* table, TableIterator* iterator) noexcept nogil:
    table.pauses += 1
    iterator.table = table
    iterator.array = 0
    iterator.index = -1
    iterator.bucket = NULL
    iterator.slot = 0


cdef void* table_next(TableIterator* iterator) noexcept nogil:
    cdef Table* table = iterator.table
    cdef Bucket* bucket = iterator.bucket
    cdef void* entry
    while True:
        if bucket != NULL:
            while iterator.slot < BUCKET_SLOTS:
                if bucket.presence & SLOT_MASK & (1 << iterator.slot):
                    entry = bucket.slots[iterator.slot]
                    iterator.slot += 1
                    return entry
                iterator.slot += 1
            iterator.slot = 0
            if bucket.presence & CHAINED:
                bucket = <Bucket*>bucket.slots[BUCKET_SLOTS - 1]
                iterator.bucket = bucket
                continue
        iterator.index += 1
        while iterator.array < 2 and (table.buckets[iterator.array] == NULL
                                      or iterator.index >= <int64_t>1 << table.exponent[iterator.array]):
            iterator.array += 1
            iterator.index = 0
        if iterator.array == 2:
            iterator.bucket = NULL
            table_stop(iterator)
            return NULL
        bucket = &table.buckets[iterator.array][iterator.index]
        iterator.bucket = bucket


cdef void table_stop(TableIterator* iterator) noexcept nogil:
    if iterator.table != NULL:
        iterator.table.pauses -= 1
        iterator.table = NULL


cdef bint table_drain(Table* table, TableDrain* drain, int64_t buckets, EntryFree free_entry, void* context) noexcept nogil:
    cdef Bucket* bucket
    cdef Bucket* following
    cdef uint32_t present
    cdef int slot
    while drain.array < 2:
        if table.buckets[drain.array] == NULL:
            drain.array += 1
            continue
        if drain.index == <int64_t>1 << table.exponent[drain.array]:
            free_array(table.buckets[drain.array], table.exponent[drain.array])
            table.buckets[drain.array] = NULL
            drain.array += 1
            drain.index = 0
            continue
        if buckets == 0:
            return False
        buckets -= 1
        bucket = &table.buckets[drain.array][drain.index]
        while bucket != NULL:
            following = <Bucket*>bucket.slots[BUCKET_SLOTS - 1] if bucket.presence & CHAINED else NULL
            present = bucket.presence & SLOT_MASK
            while present and free_entry != NULL:
                slot = rotom_trailing_zeros(present)
                present &= present - 1
                free_entry(context, bucket.slots[slot])
            if bucket != &table.buckets[drain.array][drain.index]:
                mem_free(bucket)
            bucket = following
        drain.index += 1
        if table.exponent[drain.array] >= MAPPED_EXPONENT and drain.index % RELEASE_BUCKETS == 0:
            rotom_release_pages(&table.buckets[drain.array][drain.index - RELEASE_BUCKETS],
                                RELEASE_BUCKETS * sizeof(Bucket))
    return True


cdef void table_avoid_resize(bint avoid) noexcept nogil:
    global resize_avoided
    resize_avoided = avoid


def seed(bytes entropy):
    """Key the hash and seed the generator (32 bytes); only before the first table has an entry."""
    if len(entropy) != 32:
        raise ValueError("32 bytes of entropy wanted")
    memcpy(sip_key, <const char*>entropy, 16)
    memcpy(random_state, <const char*>entropy + 16, 16)
    random_state[0] |= 1


seed(os.urandom(32))
