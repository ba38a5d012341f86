"""RDB bytes to keys and values: every length is checked against what is left before it is used.

`RdbDecoder` walks a buffer that the caller keeps (bytes, or a mapped file). `load_keys` is the fast path: it loads key
records until something else comes up, which the caller (reader.py) handles. Errors carry the offset in the buffer.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy

from rotomdb.formats.rdb.format cimport (
    FIELD_TIME_MAX, RDB_HASH, RDB_HASH_TIMED, RDB_HASH_TIMED_LISTPACK, RDB_HASH_TIMED_LISTPACK_PRE_RELEASE,
    RDB_HASH_ZIPLIST, RDB_HASH_ZIPMAP, RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST, RDB_MODULE,
    RDB_MODULE_PRE_RELEASE, RDB_NEVER_USED, RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2,
    RDB_STREAM_3, RDB_STRING, RDB_TYPE_LAST, RDB_TYPE_LAST_LOADED, RDB_VALKEY_HASH_TIMED, RDB_ZSET, RDB_ZSET_2,
    RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST, is_packed, is_timed_hash,
)
from rotomdb.formats.compare cimport compare_uint64
from rotomdb.formats.rdb.cursor cimport cursor_fail, cursor_take
from rotomdb.engine.hashes cimport put as hash_put
from rotomdb.engine.hashes cimport put_time as hash_put_time
from rotomdb.engine.hashes cimport to_table as hash_to_table
from rotomdb.engine.intset cimport Intset, intset_new, intset_validate
from rotomdb.engine.keyspace cimport (
    EMBSTR_MAX, ENCODING_INTSET, ENCODING_LISTPACK, ENCODING_QUICKLIST, ENCODING_SKIPLIST, ENCODING_TABLE, NO_EXPIRE,
    TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STRING, Entry, Keyspace, encoding_of, new_table_of_fields,
    new_table_of_members, raw_new,
)
from rotomdb.engine.listpack cimport (
    LISTPACK_INTEGER_TEXT, lp_append, lp_count, lp_equals, lp_first, lp_get, lp_new, lp_next, lp_text, lp_validate,
)
from rotomdb.engine.memory cimport mem_alloc, mem_free
from rotomdb.engine.number cimport format_double, parse_double, parse_int64
from rotomdb.engine.quicklist cimport (
    NODE_PACKED, NODE_PLAIN, Quicklist, quicklist_append_node, quicklist_free, quicklist_new, quicklist_push,
)
from rotomdb.formats.rdb.records cimport RdbRecords
from rotomdb.formats.rdb.streams cimport decode_stream
from rotomdb.engine.sets cimport put as set_put
from rotomdb.engine.sets cimport to_table as set_to_table
from rotomdb.engine.skiplist cimport (
    SkipNode, SortedSet, compare_bytes, level_of, member_of, sorted_set_find, sorted_set_free, sorted_set_insert, sorted_set_new,
)
from rotomdb.engine.sorted_sets cimport to_skiplist
from rotomdb.engine.table cimport Table, table_hash, table_length, table_reserve
from rotomdb.formats.rdb.old_packs cimport listpack_of_ziplist, listpack_of_zipmap
from rotomdb.formats.rdb.ziplist cimport ziplist_first, ziplist_next, ziplist_text, ziplist_validate

cdef enum:
    SMALL_PACK = 32                   # elements up to which duplicates are looked for pair by pair
    PACK_LIMIT = 1 << 30              # bytes; the servers allow no larger listpack
    RECORDS_PER_LOOK = 16             # or so many bytes, between two looks at the clock
    BYTES_PER_LOOK = 4096
    SLICE_NS = 10000000               # that `load_keys` takes at a time

cdef extern from "platform.h" nogil:
    int64_t rotom_monotonic_ns()


cdef struct PackSummary:
    bint duplicates                   # two of the elements 0, step, 2*step, ... are equal
    uint32_t longest                  # text length of the longest element that counts


cdef PackSummary inspect_pack(uint8_t* lp, uint32_t step, bint scored) noexcept nogil:
    """One pass over a packed value of single members (step 1) or pairs (step 2, scored: the second is a score)."""
    cdef PackSummary summary
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef uint32_t length, count = 0, position = 0, i
    cdef const char* text
    cdef uint8_t* at = lp_first(lp)
    cdef uint64_t* hashes = NULL
    cdef uint64_t seen = 0, bit
    summary.duplicates = False
    summary.longest = 0
    if lp_count(lp) > SMALL_PACK * step:
        hashes = <uint64_t*>mem_alloc(sizeof(uint64_t) * (lp_count(lp) // step + 1))
    while at != NULL:
        text = lp_text(at, &length, scratch)
        if length > summary.longest and not (scored and position & 1):
            summary.longest = length
        if position % step == 0:
            if hashes != NULL:
                hashes[count] = table_hash(text, length)
                count += 1
            else:
                # A fingerprint of six bits spares most members the comparison with all before them.
                bit = <uint64_t>1 << ((length * 7 + (<uint32_t>text[0] * 5 + <uint32_t>text[length - 1] if length else 0)) & 63)
                if seen & bit and stands_before(lp, at, step, text, length):
                    summary.duplicates = True
                seen |= bit
        position += 1
        at = lp_next(lp, at)
    if hashes != NULL:
        # Keyed 64-bit hashes, sorted: equal ones are equal elements for all but 2**-64 of pairs.
        qsort(hashes, count, sizeof(uint64_t), compare_uint64)
        for i in range(1, count):
            if hashes[i] == hashes[i - 1]:
                summary.duplicates = True
        mem_free(hashes)
    return summary


cdef bint stands_before(uint8_t* lp, uint8_t* end, uint32_t step, const char* text, uint32_t length) noexcept nogil:
    """Whether an element before `end`, at a multiple of `step`, equals the text."""
    cdef uint8_t* at = lp_first(lp)
    while at != end:
        if lp_equals(at, text, length):
            return True
        for _ in range(step):
            at = lp_next(lp, at)
    return False


cdef double element_score(uint8_t* element, bint* valid) noexcept:
    cdef uint32_t length
    cdef int64_t integer
    cdef double score = 0
    cdef const char* text = lp_get(element, &length, &integer)
    valid[0] = True
    if text == NULL:
        return <double>integer
    valid[0] = parse_double(text, length, &score)
    return score


cdef class RdbDecoder(RdbRecords):
    """Decodes a buffer front to back. `position` is the offset of the next byte."""

    cdef bint dropped_empty
    cdef readonly int64_t keys_loaded, keys_expired, keys_empty, expires_seen, already_expired
    # Values

    cdef bint decode_value(self, int type, Keyspace db, const char* key, size_t key_length) noexcept:
        """Add the value to `db` (where the key must be absent); sets dropped_empty instead for an empty aggregate."""
        cdef size_t start = self.cursor.position
        self.dropped_empty = False
        if type == RDB_STRING:
            return self.decode_string(db, key, key_length)
        if type == RDB_LIST or type == RDB_LIST_ZIPLIST or type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
            return self.decode_list(type, db, key, key_length)
        if type == RDB_SET:
            return self.decode_set(db, key, key_length)
        if type == RDB_ZSET or type == RDB_ZSET_2:
            return self.decode_sorted_set(type, db, key, key_length)
        if type == RDB_HASH:
            return self.decode_hash(db, key, key_length)
        if is_packed(type):
            return self.decode_packed(type, db, key, key_length)
        if type == RDB_STREAM or type == RDB_STREAM_2 or type == RDB_STREAM_3:
            return decode_stream(self, type, db, key, key_length)
        if type == RDB_MODULE:
            return self.unsupported("module values cannot be held", start)
        if type == RDB_MODULE_PRE_RELEASE:
            return self.unsupported("pre-release module value, cannot be read without its module", start)
        if is_timed_hash(type):
            return self.decode_expiring_hash(type, db, key, key_length)
        return self.corrupt("unknown value type", start)

    cdef bint decode_string(self, Keyspace db, const char* key, size_t key_length) noexcept:
        cdef const char* data
        cdef size_t size
        cdef int64_t integer
        cdef Entry* entry
        if not self.text(1, &data, &size):
            return False
        if size <= 20 and parse_int64(data, <Py_ssize_t>size, &integer):
            db.add(key, key_length, TYPE_STRING, 0, <void*>integer, 0)
        elif size <= EMBSTR_MAX:
            entry = db.add(key, key_length, TYPE_STRING, 1, <void*>size, size)
            memcpy(<char*>entry + sizeof(Entry) + key_length, data, size)
        else:
            db.add(key, key_length, TYPE_STRING, 2, raw_new(data, size, size), 0)
        return True

    cdef bint decode_list(self, int type, Keyspace db, const char* key, size_t key_length) noexcept:
        cdef Quicklist* items = quicklist_new()
        cdef bint sound = self.list_items(type, items, db.engine.list_max_listpack_size)
        if not sound or items.count == 0:
            quicklist_free(items)
            self.dropped_empty = sound
            return sound
        db.add(key, key_length, TYPE_LIST, ENCODING_QUICKLIST, items, 0)
        return True

    cdef bint list_items(self, int type, Quicklist* items, int fill) noexcept:
        cdef uint64_t count = 1, container = NODE_PACKED
        cdef const char* data
        cdef size_t size, start
        cdef const char* problem
        cdef uint8_t* blob
        if type != RDB_LIST_ZIPLIST and not self.plain_length(&count):
            return False
        for _ in range(count):
            start = self.cursor.position
            if type == RDB_LIST_QUICKLIST_2:
                if not self.plain_length(&container):
                    return False
                if container != NODE_PACKED and container != NODE_PLAIN:
                    return self.corrupt("unknown quicklist container", start)
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if type == RDB_LIST:
                quicklist_push(items, data, size, False, fill)
            elif type == RDB_LIST_QUICKLIST_2 and container == NODE_PLAIN:
                if size == 0:
                    return self.corrupt("empty plain quicklist node", start)
                blob = <uint8_t*>mem_alloc(size)
                memcpy(blob, data, size)
                quicklist_append_node(items, blob, size, 1, NODE_PLAIN)
            elif type == RDB_LIST_QUICKLIST_2:
                problem = lp_validate(<const uint8_t*>data, size)
                if problem != NULL:
                    return self.corrupt(problem, start)
                if lp_count(<const uint8_t*>data) == 0:
                    continue
                blob = <uint8_t*>mem_alloc(size)
                memcpy(blob, data, size)
                quicklist_append_node(items, blob, size, lp_count(blob), NODE_PACKED)
            else:
                problem = ziplist_validate(<const uint8_t*>data, size)
                if problem != NULL:
                    return self.corrupt(problem, start)
                push_ziplist(items, <const uint8_t*>data, fill)
        return True

    cdef bint decode_set(self, Keyspace db, const char* key, size_t key_length) noexcept:
        cdef uint64_t count
        cdef const char* data
        cdef size_t size, start
        cdef int64_t integer
        cdef Entry* entry = NULL
        if not self.plain_length(&count):
            return False
        if count == 0:
            self.dropped_empty = True
            return True
        for _ in range(count):
            start = self.cursor.position
            if not self.text(1, &data, &size):
                break
            if entry == NULL:
                if count > <uint64_t>db.engine.set_max_intset_entries or not parse_int64(data, <Py_ssize_t>size, &integer):
                    if count > <uint64_t>db.engine.set_max_listpack_entries:
                        entry = db.add(key, key_length, TYPE_SET, ENCODING_TABLE, new_table_of_members(), 0)
                        table_reserve(<Table*>entry.value, self.believable(count, 2))
                    else:
                        entry = db.add(key, key_length, TYPE_SET, ENCODING_LISTPACK, lp_new(0), 0)
                else:
                    entry = db.add(key, key_length, TYPE_SET, ENCODING_INTSET, intset_new(), 0)
            if not set_put(db.engine, entry, data, size):
                self.corrupt("duplicate set member", start)
                break
        if self.cursor.error != NULL:
            if entry != NULL:
                db.remove_entry(entry)
            return False
        return True

    cdef int64_t believable(self, uint64_t count, uint64_t least) noexcept:
        """The count, or how many elements of `least` bytes there is room for: what is left bounds what a lie reserves."""
        cdef uint64_t possible = (self.cursor.size - self.cursor.position) // least + 1
        return <int64_t>(count if count < possible else possible)

    cdef bint decode_hash(self, Keyspace db, const char* key, size_t key_length) noexcept:
        cdef uint64_t count
        cdef const char* name
        cdef const char* data
        cdef size_t name_size, size, start
        cdef Entry* entry
        if not self.plain_length(&count):
            return False
        if count == 0:
            self.dropped_empty = True
            return True
        if count > <uint64_t>db.engine.hash_max_listpack_entries:
            entry = db.add(key, key_length, TYPE_HASH, ENCODING_TABLE, new_table_of_fields(), 0)
            table_reserve(<Table*>entry.value, self.believable(count, 3))
        else:
            entry = db.add(key, key_length, TYPE_HASH, ENCODING_LISTPACK, lp_new(0), 0)
        for _ in range(count):
            start = self.cursor.position
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                break
            if not hash_put(db, entry, name, name_size, data, size, True):
                self.corrupt("duplicate hash field", start)
                break
        if self.cursor.error != NULL:
            db.remove_entry(entry)
            return False
        return True

    cdef bint decode_expiring_hash(self, int type, Keyspace db, const char* key, size_t key_length) noexcept:
        """Hashes in the forms whose fields may expire (docs/formats.md, 2.8)."""
        cdef size_t start = self.cursor.position
        cdef const uint8_t* minimum
        cdef int64_t earliest = 0
        cdef Entry* entry
        if type >= RDB_HASH_TIMED:
            minimum = cursor_take(&self.cursor, 8)
            if minimum == NULL:
                return False
            memcpy(&earliest, minimum, 8)
            if type == RDB_HASH_TIMED and not 0 <= earliest <= FIELD_TIME_MAX:
                return self.corrupt("impossible minimum of the field expire times", start)
        entry = db.add(key, key_length, TYPE_HASH, ENCODING_LISTPACK, lp_new(0), 0)
        if type == RDB_HASH_TIMED_LISTPACK or (type == RDB_HASH_TIMED_LISTPACK_PRE_RELEASE and not self.valkey):
            self.packed_expiring_fields(db, entry)
        elif type == RDB_HASH_TIMED_LISTPACK_PRE_RELEASE:
            self.corrupt("unknown value type", start)
        else:
            self.plain_expiring_fields(type, db, entry, earliest)
        if self.cursor.error != NULL:
            db.remove_entry(entry)
            return False
        if encoding_of(entry) == ENCODING_LISTPACK and lp_count(<uint8_t*>entry.value) == 0:
            db.remove_entry(entry)
            self.dropped_empty = True
        return True

    cdef bint plain_expiring_fields(self, int type, Keyspace db, Entry* entry, int64_t earliest) noexcept:
        cdef uint64_t count, ttl = 0
        cdef int64_t expire_ms
        cdef const char* name
        cdef const char* data
        cdef const uint8_t* expire
        cdef size_t name_size, size, start
        cdef bint valkey = type == RDB_VALKEY_HASH_TIMED and self.valkey
        if not self.plain_length(&count):
            return False
        for _ in range(count):
            start = self.cursor.position
            if not valkey and not self.plain_length(&ttl):
                return False
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                return False
            if valkey:
                expire = cursor_take(&self.cursor, 8)
                if expire == NULL:
                    return False
                memcpy(&expire_ms, expire, 8)
                ttl = expire_ms != -1
            elif type == RDB_HASH_TIMED:
                # A distance from the earliest time, plus one.
                expire_ms = earliest + <int64_t>ttl - 1 if ttl <= FIELD_TIME_MAX + 1 else -1
            else:
                expire_ms = <int64_t>ttl
            if not hash_put(db, entry, name, name_size, data, size, True):
                return self.corrupt("duplicate hash field", start)
            if ttl and not 0 <= expire_ms <= FIELD_TIME_MAX:
                return self.corrupt("impossible field expire time", start)
            if ttl and expire_ms:
                hash_put_time(db, entry, name, name_size, expire_ms)
        return True

    cdef bint packed_expiring_fields(self, Keyspace db, Entry* entry) noexcept:
        """A listpack of field, value, expire time."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem
        cdef uint8_t* lp
        cdef uint8_t* at
        cdef uint8_t* value_at
        cdef char name_scratch[LISTPACK_INTEGER_TEXT]
        cdef char value_scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t name_length, value_length, ignored
        cdef int64_t expire, earliest = 0
        cdef const char* name
        cdef const char* value
        if not self.text(1, &data, &size):
            return False
        problem = lp_validate(<const uint8_t*>data, size)
        lp = <uint8_t*>data
        if problem == NULL and lp_count(lp) % 3:
            problem = "number of elements is no multiple of three"
        if problem != NULL:
            return self.corrupt(problem, start)
        at = lp_first(lp)
        while at != NULL:
            name = lp_text(at, &name_length, name_scratch)
            value_at = lp_next(lp, at)
            value = lp_text(value_at, &value_length, value_scratch)
            at = lp_next(lp, value_at)
            if lp_get(at, &ignored, &expire) != NULL:
                return self.corrupt("field expire time is no integer", start)
            if not 0 <= expire <= FIELD_TIME_MAX:
                return self.corrupt("impossible field expire time", start)
            if expire and expire < earliest:
                return self.corrupt("field expire times out of order", start)
            earliest = expire if expire else FIELD_TIME_MAX + 1            # those without one stand last
            if not hash_put(db, entry, name, name_length, value, value_length, True):
                return self.corrupt("duplicate hash field", start)
            if expire:
                hash_put_time(db, entry, name, name_length, expire)
            at = lp_next(lp, at)
        return True

    cdef bint decode_sorted_set(self, int type, Keyspace db, const char* key, size_t key_length) noexcept:
        cdef uint64_t count
        cdef const char* data
        cdef size_t size, start
        cdef size_t longest = 0
        cdef double score
        cdef const uint8_t* p
        cdef SortedSet* zset
        if not self.plain_length(&count):
            return False
        if count == 0:
            self.dropped_empty = True
            return True
        zset = sorted_set_new()
        table_reserve(&zset.members, self.believable(count, 3 if type == RDB_ZSET else 10))
        for _ in range(count):
            start = self.cursor.position
            if not self.text(0, &data, &size):
                break
            if type == RDB_ZSET:
                if not self.text_double(&score):
                    break
            else:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    break
                memcpy(&score, p, 8)
                if isnan(score):
                    self.corrupt("score is not a number", start)
                    break
            if sorted_set_find(zset, data, size) != NULL:
                self.corrupt("duplicate sorted set member", start)
                break
            if size > longest:
                longest = size
            sorted_set_insert(zset, data, size, score)
        if self.cursor.error != NULL:
            sorted_set_free(zset)
            return False
        if (table_length(&zset.members) <= db.engine.zset_max_listpack_entries
                and longest <= <size_t>db.engine.zset_max_listpack_value):
            db.add(key, key_length, TYPE_SORTED_SET, ENCODING_LISTPACK, packed_sorted_set(zset), 0)
            sorted_set_free(zset)
        else:
            db.add(key, key_length, TYPE_SORTED_SET, ENCODING_SKIPLIST, zset, 0)
        return True

    cdef bint decode_packed(self, int type, Keyspace db, const char* key, size_t key_length) noexcept:
        """Values that are one blob: intset, listpack, ziplist, zipmap."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem = NULL
        cdef uint8_t* lp = NULL
        cdef Entry* entry
        cdef PackSummary summary
        cdef bint scored = type == RDB_ZSET_ZIPLIST or type == RDB_ZSET_LISTPACK
        if not self.text(1, &data, &size):
            return False
        if type == RDB_SET_INTSET:
            problem = intset_validate(<const uint8_t*>data, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            lp = <uint8_t*>mem_alloc(size)
            memcpy(lp, data, size)
            entry = db.add(key, key_length, TYPE_SET, ENCODING_INTSET, lp, 0)
            if (<Intset*>lp).length > <uint32_t>db.engine.set_max_intset_entries:
                set_to_table(entry)
            return True
        if type == RDB_HASH_ZIPMAP:
            lp = listpack_of_zipmap(<const uint8_t*>data, size, &problem)
        elif type == RDB_ZSET_ZIPLIST or type == RDB_HASH_ZIPLIST:
            problem = ziplist_validate(<const uint8_t*>data, size)
            if problem == NULL:
                lp = listpack_of_ziplist(<const uint8_t*>data)
        else:
            problem = lp_validate(<const uint8_t*>data, size)
            if problem == NULL:
                lp = <uint8_t*>mem_alloc(size)
                memcpy(lp, data, size)
        if problem == NULL and lp_count(lp) == 0:
            mem_free(lp)
            self.dropped_empty = True
            return True
        if problem == NULL and type != RDB_SET_LISTPACK and lp_count(lp) & 1:
            problem = "odd number of elements where pairs belong"
        if problem == NULL:
            summary = inspect_pack(lp, 1 if type == RDB_SET_LISTPACK else 2, scored)
            if summary.duplicates:
                problem = "duplicate member in packed value"
        if problem == NULL and scored:
            problem = sort_packed_scores(&lp)
        if problem != NULL:
            mem_free(lp)
            return self.corrupt(problem, start)
        if type == RDB_SET_LISTPACK:
            entry = db.add(key, key_length, TYPE_SET, ENCODING_LISTPACK, lp, 0)
            if (lp_count(lp) > <uint32_t>db.engine.set_max_listpack_entries
                    or summary.longest > <uint32_t>db.engine.set_max_listpack_value):
                set_to_table(entry)
        elif scored:
            entry = db.add(key, key_length, TYPE_SORTED_SET, ENCODING_LISTPACK, lp, 0)
            if (lp_count(lp) // 2 > <uint32_t>db.engine.zset_max_listpack_entries
                    or summary.longest > <uint32_t>db.engine.zset_max_listpack_value):
                to_skiplist(entry)
        else:
            entry = db.add(key, key_length, TYPE_HASH, ENCODING_LISTPACK, lp, 0)
            if (lp_count(lp) // 2 > <uint32_t>db.engine.hash_max_listpack_entries
                    or summary.longest > <uint32_t>db.engine.hash_max_listpack_value):
                hash_to_table(entry)
        return True

    # Keys

    def load_keys(self, Keyspace db not None, int64_t expire_before_ms, int64_t limit):
        """Load key records into `db` until an opcode that is none comes up.

        Args:
            expire_before_ms: Keys that expire before this are dropped and counted; -1 keeps them.
            limit: Stop after so many records at the latest.

        Returns:
            The opcode met (its payload not yet read), or -1 to let the caller show progress and serve events: `limit` was
            reached, or a few ms are over.

        Raises:
            RdbValueError: damage; `reading_key` and `reading_type` tell where.
        """
        cdef const char* key
        cdef size_t key_length, start
        cdef int type
        cdef int64_t loaded = 0
        cdef int64_t end_ns = rotom_monotonic_ns() + SLICE_NS
        cdef size_t looked = self.cursor.position
        cdef bint stale
        while loaded < limit:
            if loaded % RECORDS_PER_LOOK == 0 or self.cursor.position - looked > BYTES_PER_LOOK:
                looked = self.cursor.position
                if rotom_monotonic_ns() > end_ns:
                    return -1
            type = self.key_attributes()
            if type > RDB_TYPE_LAST:
                return type
            start = self.cursor.position - 1
            if type > RDB_TYPE_LAST_LOADED or type == RDB_NEVER_USED:
                cursor_fail(&self.cursor, "unknown value type", start)
                self.fail()
            self.record.type = type
            if not self.text(0, &key, &key_length):
                self.fail()
            self.begin_key(key, key_length)
            loaded += 1
            stale = self.record.expire_ms != NO_EXPIRE and self.record.expire_ms < expire_before_ms
            self.expires_seen += self.record.expire_ms != NO_EXPIRE
            if stale:
                if not self.skip_value(type):
                    self.fail_in_key()
                self.keys_expired += 1
            else:
                key = self.record.key
                if db.raw_find(key, key_length) != NULL:
                    cursor_fail(&self.cursor, "duplicate key", start)
                    self.fail_in_key()
                if not self.decode_value(type, db, key, key_length):
                    self.fail_in_key()
                if self.dropped_empty:
                    self.keys_empty += 1
                else:
                    self.keys_loaded += 1
                    if self.record.idle_seconds >= 0 or self.record.frequency >= 0:
                        db.set_entry_access(db.raw_find(key, key_length), self.record.idle_seconds, self.record.frequency)
                    if self.record.expire_ms != NO_EXPIRE:
                        db.set_expire(db.raw_find(key, key_length), self.record.expire_ms)
            self.reset_attributes()
            self.record.type = -1
        return -1

    def restore_value(self, Keyspace db not None, bytes key not None):
        """Decode a DUMP body (type byte and value) that must fill the buffer; False when the value is empty.

        The key must be absent.
        """
        cdef const uint8_t* p = cursor_take(&self.cursor, 1)
        if p == NULL:
            self.fail()
        if not self.decode_value(p[0], db, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)):
            self.fail()
        return not self.dropped_empty


cdef void push_ziplist(Quicklist* items, const uint8_t* data, int fill) noexcept:
    cdef size_t at = ziplist_first(data)
    cdef uint32_t length
    cdef char scratch[24]
    cdef const char* text
    while at:
        text = ziplist_text(data, at, &length, scratch)
        quicklist_push(items, text, length, False, fill)
        at = ziplist_next(data, at)


cdef const char* sort_packed_scores(uint8_t** lp) noexcept:
    """Check that the scores are numbers, and rebuild the listpack when it is not in (score, member) order."""
    cdef uint8_t* at = lp_first(lp[0])
    cdef uint8_t* score_at
    cdef char scratch[LISTPACK_INTEGER_TEXT]
    cdef char previous_scratch[LISTPACK_INTEGER_TEXT]
    cdef const char* text
    cdef const char* previous_text = NULL
    cdef uint32_t length, previous_length = 0
    cdef double score, previous = 0
    cdef bint valid, ordered = True
    cdef SortedSet* zset
    while at != NULL:
        score_at = lp_next(lp[0], at)
        score = element_score(score_at, &valid)
        if not valid:
            return "score is not a number"
        text = lp_text(at, &length, scratch)
        if previous_text != NULL and (score < previous or (
                score == previous and compare_bytes(previous_text, previous_length, text, length) > 0)):
            ordered = False
        previous = score
        previous_length = length
        if text == scratch:
            memcpy(previous_scratch, scratch, length)
            previous_text = previous_scratch
        else:
            previous_text = text
        at = lp_next(lp[0], score_at)
    if ordered:
        return NULL
    zset = sorted_set_new()
    at = lp_first(lp[0])
    while at != NULL:
        text = lp_text(at, &length, scratch)
        score_at = lp_next(lp[0], at)
        sorted_set_insert(zset, text, length, element_score(score_at, &valid))
        at = lp_next(lp[0], score_at)
    mem_free(lp[0])
    lp[0] = packed_sorted_set(zset)
    sorted_set_free(zset)
    return NULL


cdef uint8_t* packed_sorted_set(SortedSet* zset) noexcept:
    """The listpack form of a small sorted set."""
    cdef uint8_t* lp = lp_new(0)
    cdef SkipNode* node = level_of(zset.head, 0).forward
    cdef char text[48]
    cdef int size
    while node != NULL:
        size = format_double(text, node.score)
        lp = lp_append(lp, member_of(node), node.length)
        lp = lp_append(lp, text, <size_t>size)
        node = level_of(node, 0).forward
    return lp
