"""Keyspace: the keys of one database, their values, expire times and access clocks.

One allocation per key holds header, key and, for short strings, the value. An entry moves only when its embedded string
changes size (`resize`), and both tables are told. Nothing here holds a Python object, so a forked child that walks the
keys touches no reference count and copies no page.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from rotomdb.engine.garbage cimport collect, discard_keys, discard_value, free_encoded
from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.memory cimport mem_alloc, mem_free, mem_realloc, rotom_allocation_size
from rotomdb.engine.number cimport parse_int64
from rotomdb.engine.quicklist cimport Node, Quicklist
from rotomdb.engine.skiplist cimport SkipNode, SortedSet, level_of
from rotomdb.engine.stream cimport Stream, stream_memory
from rotomdb.engine.table cimport (
    TableIterator, table_avoid_resize, table_find, table_free, table_hash, table_init, table_insert, table_iterate,
    table_length, random_uint64, table_memory, table_next, table_random, table_rehash_for, table_remove, table_reserve, table_scan,
    table_stop,
)

from rotomdb.engine.timed_hash cimport (
    FieldTime, TimedHash, field_time_first, field_time_remove, timed_hash_memory, timed_hash_new,
    timed_hash_plain, timed_name,
)

from rotomdb.engine.libraries import CarriedLibraries
from rotomdb.engine.parts import LARGE as _LARGE, PART as _PART, Parts
from rotomdb.errors import WrongTypeError

cdef int64_t LARGE = _LARGE, PART = _PART

TYPE_NAMES = (b"string", b"list", b"set", b"zset", b"hash", b"module", b"stream")
ENCODING_NAMES = (b"int", b"embstr", b"raw", b"listpack", b"intset", b"hashtable", b"skiplist", b"quicklist",
                  b"stream", b"hashtable")


cdef RawString* raw_new(const char* data, size_t length, size_t capacity) noexcept nogil:
    cdef RawString* raw = <RawString*>mem_alloc(sizeof(RawString) + capacity)
    raw.length = length
    raw.capacity = capacity
    if length:
        memcpy(raw_bytes(raw), data, length)
    return raw


cdef Table* new_table_of_fields() noexcept nogil:
    cdef Table* table = <Table*>mem_alloc(sizeof(Table))
    table_init(table, sizeof(Field), sizeof(Field) - sizeof(uint32_t))
    return table


cdef Table* new_table_of_members() noexcept nogil:
    cdef Table* table = <Table*>mem_alloc(sizeof(Table))
    table_init(table, sizeof(Member), 0)
    return table


cdef int64_t value_memory(Entry* entry, int64_t samples):
    """Bytes that the value holds outside its entry; tables are sampled (0: in full)."""
    cdef int encoding = encoding_of(entry)
    cdef int64_t size = 0, seen = 0, sampled = 0, count
    cdef Table* table
    cdef TableIterator iterator
    cdef void* item
    cdef Node* node
    cdef SkipNode* skip
    if encoding == ENCODING_RAW or encoding == ENCODING_LISTPACK or encoding == ENCODING_INTSET:
        return <int64_t>rotom_allocation_size(entry.value)
    if encoding == ENCODING_TABLE or encoding == ENCODING_TIMED_TABLE:
        table = <Table*>entry.value
        table_iterate(table, &iterator)
        while samples == 0 or seen < samples:
            item = table_next(&iterator)
            if item == NULL:
                break
            sampled += <int64_t>rotom_allocation_size(item)
            seen += 1
        table_stop(&iterator)
        count = table_length(table)
        if encoding == ENCODING_TIMED_TABLE:
            size = timed_hash_memory(<TimedHash*>entry.value)
        return size + <int64_t>sizeof(Table) + table_memory(table) + (sampled * count // seen if seen else 0)
    if encoding == ENCODING_SKIPLIST:
        table = &(<SortedSet*>entry.value).members
        skip = level_of((<SortedSet*>entry.value).head, 0).forward
        while skip != NULL and (samples == 0 or seen < samples):
            sampled += <int64_t>rotom_allocation_size(<char*>skip - skip.levels * 16)
            seen += 1
            skip = level_of(skip, 0).forward
        count = table_length(table)
        return <int64_t>sizeof(SortedSet) + 536 + table_memory(table) + (sampled * count // seen if seen else 0)
    if encoding == ENCODING_QUICKLIST:
        node = (<Quicklist*>entry.value).head
        while node != NULL and (samples == 0 or seen < samples):
            sampled += <int64_t>(rotom_allocation_size(node) + rotom_allocation_size(node.data))
            seen += 1
            node = node.following
        count = (<Quicklist*>entry.value).nodes
        return <int64_t>sizeof(Quicklist) + (sampled * count // seen if seen else 0)
    if encoding == ENCODING_STREAM:
        return stream_memory(<Stream*>entry.value)
    return size


cdef enum:
    SCAN_COUNT_MAX = 1 << 32         # beyond it nobody visits ten buckets for each
    UNSYNCED_SLOTS = 1 << 16
    LFU_INITIAL = 5                  # counter of a new key, so that it is not evicted at once


cdef inline uint32_t lfu_minutes(Engine engine) noexcept:
    return <uint32_t>((engine.now_ms // 60000) & 0xffff)


cdef uint32_t lfu_counter(Engine engine, uint32_t clock) noexcept:
    """The counter, decayed by one for every `lfu-decay-time` minutes since it was last touched."""
    cdef uint32_t counter = clock & 0xff
    cdef uint32_t periods
    if engine.lfu_decay_time == 0:
        return counter
    periods = ((lfu_minutes(engine) - (clock >> 8)) & 0xffff) // <uint32_t>engine.lfu_decay_time
    return counter - periods if periods < counter else 0


cdef uint32_t lfu_touched(Engine engine, uint32_t clock) noexcept:
    """The clock after an access: the higher the counter, the less likely it grows."""
    cdef uint32_t counter = lfu_counter(engine, clock)
    cdef double above = counter - LFU_INITIAL if counter > LFU_INITIAL else 0
    if counter < 255 and <double>random_uint64() / 18446744073709551616.0 < 1.0 / (above * engine.lfu_log_factor + 1):
        counter += 1
    return (lfu_minutes(engine) << 8) | counter


cdef inline uint32_t new_clock(Engine engine) noexcept:
    return (lfu_minutes(engine) << 8) | LFU_INITIAL if engine.lfu else engine.lru_clock


cdef inline uint32_t touched_clock(Engine engine, uint32_t clock) noexcept:
    return lfu_touched(engine, clock) if engine.lfu else engine.lru_clock


cdef class Engine:
    """The databases of one server, the time they see, the thresholds they follow and what they count."""

    def __init__(self, int databases=16):
        self.now_ms = 0
        self.lru_clock = 0
        self.lfu = False
        self.touch_keys = True
        self.lfu_log_factor = 10
        self.lfu_decay_time = 1
        self.access_written = b""
        self.expire_on_access = True
        self.on_expire = None
        self.on_fields_expire = None
        self.on_miss = None
        self.new_keys = None
        self.function_libraries = CarriedLibraries()
        self.hash_max_listpack_entries = 512
        self.hash_max_listpack_value = 64
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_listpack_entries = 128
        self.zset_max_listpack_value = 64
        self.list_max_listpack_size = -2
        self.stream_node_max_bytes = 4096
        self.stream_node_max_entries = 100
        self.string_max_bytes = 512 * 1024 * 1024
        self.databases = [Keyspace(self, index) for index in range(databases)]

    def swap(self, int first, int second):
        """Exchange two databases in place (SWAPDB)."""
        cdef Keyspace a = self.databases[first]
        cdef Keyspace b = self.databases[second]
        cdef Table table
        cdef uint64_t cursor
        table = a.keys; a.keys = b.keys; b.keys = table
        table = a.timed_hashes; a.timed_hashes = b.timed_hashes; b.timed_hashes = table
        table = a.volatile_keys; a.volatile_keys = b.volatile_keys; b.volatile_keys = table
        cursor = a.expire_cursor; a.expire_cursor = b.expire_cursor; b.expire_cursor = cursor

    def __dealloc__(self):
        collect(&self.garbage, -1)
        free(self.unsynced)

    def watch_unsynced(self, bint wanted):
        """Remember which keys were written since the log was last synced, or no longer."""
        if wanted and self.unsynced == NULL:
            self.unsynced = <int64_t*>calloc(UNSYNCED_SLOTS, sizeof(int64_t))
            if self.unsynced == NULL:
                raise MemoryError()
        elif not wanted:
            free(self.unsynced)
            self.unsynced = NULL

    def collect_garbage(self, int64_t microseconds):
        """Go on freeing what was deleted, for a while (-1: to the end); whether there is more."""
        return collect(&self.garbage, microseconds)

    @property
    def garbage_objects(self):
        """Deleted values that are not freed yet."""
        return self.garbage.objects

    @property
    def garbage_freed(self):
        """Values freed bit by bit since the start."""
        return self.garbage.freed

    def avoid_resize(self, bint avoid):
        """While a forked child shares our pages, grow tables only when they are far too full, and do not touch clocks."""
        table_avoid_resize(avoid)
        self.touch_keys = not avoid

    def total_keys(self):
        return sum(len(database) for database in self.databases)


cdef void mark_unsynced(Engine engine, bytes key, int64_t offset) noexcept:
    """The key was written: it is safe once the log is on disk up to `offset`."""
    if engine.unsynced != NULL:
        engine.unsynced[table_hash(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) % UNSYNCED_SLOTS] = offset


cdef void mark_all_unsynced(Engine engine, int64_t offset) noexcept:
    """Any key may have been written."""
    cdef int i
    if engine.unsynced != NULL:
        for i in range(UNSYNCED_SLOTS):
            engine.unsynced[i] = offset


cdef struct ScanCollector:
    void* results                    # list, borrowed
    const char* pattern
    Py_ssize_t pattern_length        # -1: all
    int type                         # -1: all
    int64_t now_ms                   # keys past it are left out
    void* expired                    # list that they go to instead, borrowed; NULL: nowhere


cdef void collect_key(void* context, void* item) noexcept:
    cdef ScanCollector* collector = <ScanCollector*>context
    cdef Entry* entry = <Entry*>item
    if collector.type >= 0 and type_of(entry) != collector.type:
        return
    if entry.expire_ms != NO_EXPIRE and entry.expire_ms < collector.now_ms:
        if collector.expired != NULL:
            (<list>collector.expired).append(PyBytes_FromStringAndSize(key_of(entry), entry.key_length))
        return
    if collector.pattern_length >= 0 and not glob_match(
            collector.pattern, collector.pattern_length, key_of(entry), entry.key_length, False):
        return
    (<list>collector.results).append(PyBytes_FromStringAndSize(key_of(entry), entry.key_length))


cdef class Keyspace:
    def __cinit__(self):
        table_init(&self.keys, sizeof(Entry), sizeof(Entry) - sizeof(uint32_t))
        table_init(&self.volatile_keys, sizeof(Entry), sizeof(Entry) - sizeof(uint32_t))
        table_init(&self.timed_hashes, sizeof(Entry), sizeof(Entry) - sizeof(uint32_t))
        self.expire_cursor = self.timed_cursor = 0

    def __init__(self, Engine engine, int index):
        self.engine = engine
        self.index = index

    def __dealloc__(self):
        self.free_all()

    cdef void free_all(self) noexcept:
        cdef TableIterator iterator
        cdef Entry* entry
        table_free(&self.volatile_keys)
        table_free(&self.timed_hashes)
        table_iterate(&self.keys, &iterator)
        while True:
            entry = <Entry*>table_next(&iterator)
            if entry == NULL:
                break
            free_encoded(encoding_of(entry), entry.value)
            mem_free(entry)
        table_free(&self.keys)

    def __len__(self):
        return table_length(&self.keys)

    # Lookup

    cdef Entry* raw_find(self, const char* key, size_t length) noexcept:
        cdef uint64_t hash = table_hash(key, length)
        cdef void** slot = table_find(&self.keys, key, length, hash)
        if self.engine.unsynced != NULL and self.engine.unsynced[hash % UNSYNCED_SLOTS] > self.engine.read_offset:
            self.engine.read_offset = self.engine.unsynced[hash % UNSYNCED_SLOTS]
        return NULL if slot == NULL else <Entry*>slot[0]

    cdef Entry* peek(self, bytes key) except? NULL:
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry == NULL:
            return NULL
        if entry.expire_ms != NO_EXPIRE and entry.expire_ms < self.engine.now_ms:
            if self.engine.expire_on_access:
                self.expire_now(entry)
                return NULL
            if self.engine.hide_expired:
                return NULL
        if encoding_of(entry) == ENCODING_TIMED_TABLE and self.engine.expire_on_access and not self.purge_fields(entry):
            return NULL
        if self.engine.touch_keys:
            entry.meta = (entry.meta & 0xff) | (touched_clock(self.engine, entry.meta >> 8) << 8)
        return entry

    cdef Entry* find(self, bytes key) except? NULL:
        cdef Entry* entry = self.peek(key)
        if entry == NULL:
            self.engine.misses += 1
            if self.engine.on_miss is not None:
                self.engine.on_miss(self.index, key)
        else:
            self.engine.hits += 1
        return entry

    cdef Entry* find_type(self, bytes key, int type) except? NULL:
        cdef Entry* entry = self.find(key)
        if entry != NULL and type_of(entry) != type:
            raise WrongTypeError()
        return entry

    cdef Entry* peek_type(self, bytes key, int type) except? NULL:
        cdef Entry* entry = self.peek(key)
        if entry != NULL and type_of(entry) != type:
            raise WrongTypeError()
        return entry

    cdef object expire_now(self, Entry* entry):
        cdef bytes key = PyBytes_FromStringAndSize(key_of(entry), entry.key_length)
        self.remove_entry(entry)
        self.engine.expired += 1
        if self.engine.on_expire is not None:
            self.engine.on_expire(self.index, key)

    # Fields that expire

    cdef bint purge_fields(self, Entry* entry) except -1:
        cdef TimedHash* timed = <TimedHash*>entry.value
        cdef FieldTime* time = field_time_first(timed)
        cdef uint64_t hash
        cdef list names = []
        cdef bytes key, name
        cdef bint gone
        if time == NULL or time.expire_ms >= self.engine.now_ms:
            return True
        key = PyBytes_FromStringAndSize(key_of(entry), entry.key_length)
        while time != NULL and time.expire_ms < self.engine.now_ms:
            name = PyBytes_FromStringAndSize(timed_name(time), time.length)
            names.append(name)
            hash = table_hash(timed_name(time), time.length)
            mem_free(table_remove(&timed.fields, timed_name(time), time.length, hash))
            field_time_remove(timed, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name))
            time = field_time_first(timed)
        self.engine.expired_fields += len(names)
        gone = table_length(&timed.fields) == 0
        if gone:
            self.remove_entry(entry)
        else:
            self.settle_timed(entry)
        if self.engine.on_fields_expire is not None:
            self.engine.on_fields_expire(self.index, key, names, gone)
        return not gone

    cdef TimedHash* make_timed(self, Entry* entry) noexcept:
        if encoding_of(entry) != ENCODING_TIMED_TABLE:
            entry.value = timed_hash_new(<Table*>entry.value)
            set_encoding(entry, ENCODING_TIMED_TABLE)
            table_insert(&self.timed_hashes, entry, table_hash(key_of(entry), entry.key_length))
        return <TimedHash*>entry.value

    cdef void settle_timed(self, Entry* entry) noexcept:
        if table_length(&(<TimedHash*>entry.value).times) == 0:
            self.untrack_timed(entry)
            entry.value = timed_hash_plain(<TimedHash*>entry.value)
            set_encoding(entry, ENCODING_TABLE)

    cdef void untrack_timed(self, Entry* entry) noexcept:
        if encoding_of(entry) == ENCODING_TIMED_TABLE:
            table_remove(&self.timed_hashes, key_of(entry), entry.key_length,
                         table_hash(key_of(entry), entry.key_length))

    @property
    def timed_hash_count(self):
        """Hashes with fields that expire."""
        return table_length(&self.timed_hashes)

    def expire_fields_some(self, int samples):
        """Look at about `samples` such hashes in scan order; (looked at, fields expired)."""
        cdef list found = []
        cdef ExpireCollector collector
        cdef Entry* entry
        cdef int64_t before = self.engine.expired_fields
        cdef int buckets = samples * 4
        cdef bytes key
        if table_length(&self.timed_hashes) == 0:
            return 0, 0
        collector.results = <void*>found
        collector.now_ms = self.engine.now_ms
        collector.seen = 0
        while buckets and collector.seen < samples:
            self.timed_cursor = table_scan(&self.timed_hashes, self.timed_cursor, collect_with_expired_fields, &collector)
            buckets -= 1
            if self.timed_cursor == 0:
                break
        for key in found:
            entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
            if entry != NULL:
                self.purge_fields(entry)
        return collector.seen, self.engine.expired_fields - before

    # Entries

    cdef Entry* add(self, const char* key, size_t length, int type, int encoding, void* value, size_t extra) noexcept:
        cdef Entry* entry = <Entry*>mem_alloc(sizeof(Entry) + length + extra)
        entry.expire_ms = NO_EXPIRE
        entry.value = value
        entry.meta = <uint32_t>type | (<uint32_t>encoding << 4) | (new_clock(self.engine) << 8)
        entry.key_length = <uint32_t>length
        memcpy(key_of(entry), key, length)
        table_insert(&self.keys, entry, table_hash(key, length))
        if encoding == ENCODING_TIMED_TABLE:
            table_insert(&self.timed_hashes, entry, table_hash(key, length))
        if self.engine.new_keys is not None:
            self.note_new_key(key, length)
        return entry

    cdef void note_new_key(self, const char* key, size_t length) noexcept:
        cdef bytes name = PyBytes_FromStringAndSize(key, <Py_ssize_t>length)
        self.engine.new_keys.append((self.index, name, name == self.engine.last_removed))

    cdef Entry* resize(self, Entry* entry, size_t extra) noexcept:
        cdef uint64_t hash = table_hash(key_of(entry), entry.key_length)
        cdef void** slot = table_find(&self.keys, key_of(entry), entry.key_length, hash)
        cdef void** volatile_slot = NULL
        cdef Entry* moved
        if entry.expire_ms != NO_EXPIRE:
            volatile_slot = table_find(&self.volatile_keys, key_of(entry), entry.key_length, hash)
        moved = <Entry*>mem_realloc(entry, sizeof(Entry) + entry.key_length + extra)
        slot[0] = moved
        if volatile_slot != NULL:
            volatile_slot[0] = moved
        return moved

    cdef void remove_entry(self, Entry* entry) noexcept:
        cdef uint64_t hash = table_hash(key_of(entry), entry.key_length)
        if entry.expire_ms != NO_EXPIRE:
            table_remove(&self.volatile_keys, key_of(entry), entry.key_length, hash)
        self.untrack_timed(entry)
        if self.engine.new_keys is not None:
            self.engine.last_removed = PyBytes_FromStringAndSize(key_of(entry), entry.key_length)
        table_remove(&self.keys, key_of(entry), entry.key_length, hash)
        discard_value(&self.engine.garbage, encoding_of(entry), entry.value)
        mem_free(entry)

    cdef void set_expire(self, Entry* entry, int64_t expire_ms) noexcept:
        cdef bint had = entry.expire_ms != NO_EXPIRE
        if expire_ms == NO_EXPIRE:
            if had:
                table_remove(&self.volatile_keys, key_of(entry), entry.key_length,
                             table_hash(key_of(entry), entry.key_length))
        elif not had:
            table_insert(&self.volatile_keys, entry, table_hash(key_of(entry), entry.key_length))
        entry.expire_ms = expire_ms

    cdef void store_string(self, bytes key, const char* data, size_t length, bint keep_ttl, int least) noexcept:
        """SET: whatever was there is replaced; the encoding is chosen as Redis does."""
        cdef int64_t integer = 0
        cdef int encoding
        cdef uint32_t clock
        cdef const char* key_data = PyBytes_AS_STRING(key)
        cdef size_t key_length = PyBytes_GET_SIZE(key)
        cdef uint64_t hash = table_hash(key_data, key_length)
        cdef void** slot = table_find(&self.keys, key_data, key_length, hash)
        cdef Entry* entry
        cdef size_t needed
        if length <= 20 and least == ENCODING_INT and parse_int64(data, <Py_ssize_t>length, &integer):
            encoding = ENCODING_INT
            needed = 0
        elif length <= EMBSTR_MAX and least != ENCODING_RAW:
            encoding = ENCODING_EMBSTR
            needed = length
        else:
            encoding = ENCODING_RAW
            needed = 0
        if slot == NULL:
            entry = <Entry*>mem_alloc(sizeof(Entry) + key_length + needed)
            entry.expire_ms = NO_EXPIRE
            clock = new_clock(self.engine)
            entry.key_length = <uint32_t>key_length
            memcpy(key_of(entry), key_data, key_length)
            table_insert(&self.keys, entry, hash)
            if self.engine.new_keys is not None:
                self.note_new_key(key_data, key_length)
        else:
            entry = <Entry*>slot[0]
            clock = touched_clock(self.engine, entry.meta >> 8)
            self.untrack_timed(entry)
            discard_value(&self.engine.garbage, encoding_of(entry), entry.value)
            if not keep_ttl and entry.expire_ms != NO_EXPIRE:
                self.set_expire(entry, NO_EXPIRE)
            if sizeof(Entry) + key_length + needed > rotom_allocation_size(entry):
                if entry.expire_ms == NO_EXPIRE:
                    entry = <Entry*>mem_realloc(entry, sizeof(Entry) + key_length + needed)
                    slot[0] = entry
                else:
                    entry = self.resize(entry, needed)
        entry.meta = TYPE_STRING | (<uint32_t>encoding << 4) | (clock << 8)
        if encoding == ENCODING_INT:
            entry.value = <void*>integer
        elif encoding == ENCODING_EMBSTR:
            entry.value = <void*>length
            memcpy(key_of(entry) + key_length, data, length)
        else:
            entry.value = raw_new(data, length, length)

    # What commands ask about keys of any type

    def exists(self, bytes key):
        return self.peek(key) != NULL

    def holds(self, bytes key):
        """As `exists`, without touching the key: not even one past its time goes."""
        return self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) != NULL

    def count_lookup(self, bytes key):
        """As `exists`, counting a hit or a miss."""
        return self.find(key) != NULL

    def type_name(self, bytes key):
        cdef Entry* entry = self.find(key)
        return None if entry == NULL else TYPE_NAMES[type_of(entry)]

    def encoding_name(self, bytes key):
        """OBJECT ENCODING; None when the key is absent."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        return None if entry == NULL else ENCODING_NAMES[encoding_of(entry)]

    def idle_seconds(self, bytes key):
        """Seconds since the last access; None when the key is absent."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry == NULL:
            return None
        return (self.engine.lru_clock - (entry.meta >> 8)) & 0xffffff

    def frequency(self, bytes key):
        """The access counter under an LFU policy; None when the key is absent."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        return None if entry == NULL else lfu_counter(self.engine, entry.meta >> 8)

    def set_access(self, bytes key, int64_t idle_seconds=-1, int64_t frequency=-1):
        """Give an existing key the access time or frequency of a dump; what the policy does not use is ignored."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry != NULL:
            self.set_entry_access(entry, idle_seconds, frequency)

    cdef void set_entry_access(self, Entry* entry, int64_t idle_seconds, int64_t frequency) noexcept:
        cdef uint32_t clock = entry.meta >> 8
        if self.engine.lfu and frequency >= 0:
            clock = (lfu_minutes(self.engine) << 8) | <uint32_t>(frequency & 0xff)
        elif not self.engine.lfu and idle_seconds >= 0:
            clock = (self.engine.lru_clock - <uint32_t>idle_seconds) & 0xffffff
        entry.meta = (entry.meta & 0xff) | (clock << 8)

    def memory_usage(self, bytes key, int64_t samples=5):
        """Bytes that the key and its value take; None when the key is absent."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry == NULL:
            return None
        # Its share of the table: 64 bytes hold at most seven entries.
        return <int64_t>rotom_allocation_size(entry) + 10 + value_memory(entry, samples)

    def evict(self, bytes key):
        """Drop a key, whatever its expire time says."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry != NULL:
            self.remove_entry(entry)

    def delete(self, bytes key):
        """Remove the key; whether it was there (a key past its time was not)."""
        cdef Entry* entry = self.peek(key)
        if entry == NULL:
            return False
        self.remove_entry(entry)
        return True

    def expire_at(self, bytes key):
        """Absolute expire time in ms, -1 without one, None when the key is absent."""
        cdef Entry* entry = self.peek(key)
        return None if entry == NULL else entry.expire_ms

    def set_expire_at(self, bytes key, int64_t expire_ms):
        """Set (or with -1 remove) the expire time of an existing key."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if entry == NULL:
            raise KeyError(key)
        self.set_expire(entry, expire_ms)

    def move(self, bytes key, Keyspace target, bytes new_key):
        """Move an existing key, with its expire time, to `target` under a name that is free there."""
        cdef Entry* entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        cdef Entry* copy
        cdef size_t extra
        if entry == NULL:
            raise KeyError(key)
        extra = <size_t>entry.value if encoding_of(entry) == ENCODING_EMBSTR else 0
        copy = target.add(PyBytes_AS_STRING(new_key), PyBytes_GET_SIZE(new_key), type_of(entry), encoding_of(entry),
                          entry.value, extra)
        memcpy(key_of(copy) + copy.key_length, key_of(entry) + entry.key_length, extra)
        if entry.expire_ms != NO_EXPIRE:
            target.set_expire(copy, entry.expire_ms)
        self.untrack_timed(entry)
        entry.meta = (entry.meta & 0xffffff00U) | (ENCODING_INT << 4)   # the value has a new owner
        self.remove_entry(entry)

    def random_key(self):
        """A uniformly random key that has not expired; None when the database is empty."""
        cdef Entry* entry
        cdef int attempts = 0
        while True:
            entry = <Entry*>table_random(&self.keys)
            if entry == NULL:
                return None
            if entry.expire_ms != NO_EXPIRE and entry.expire_ms < self.engine.now_ms:
                attempts += 1
                if self.engine.expire_on_access and attempts < 100:
                    self.expire_now(entry)
                    continue
                if self.engine.hide_expired and attempts < 100:
                    continue
            return PyBytes_FromStringAndSize(key_of(entry), entry.key_length)

    def scan(self, uint64_t cursor, int64_t count, bytes pattern=None, int type=-1):
        """(next cursor, keys): buckets are visited until `count` keys or ten times as many buckets. Keys past their time go."""
        cdef ScanCollector collector
        cdef list results = [], expired = []
        cdef int64_t visits = count * 10 if count < SCAN_COUNT_MAX else count
        collector.expired = <void*>expired
        collector.results = <void*>results
        collector.type = type
        collector.now_ms = self.engine.now_ms
        collector.pattern = NULL
        collector.pattern_length = -1
        if pattern is not None:
            collector.pattern = PyBytes_AS_STRING(pattern)
            collector.pattern_length = PyBytes_GET_SIZE(pattern)
        while True:
            cursor = table_scan(&self.keys, cursor, collect_key, &collector)
            visits -= 1
            if cursor == 0 or visits <= 0 or len(results) >= count:
                break
        if self.engine.expire_on_access:
            for key in expired:
                self.peek(key)
        return cursor, results

    def match(self, bytes pattern):
        """All live keys that match the glob-style pattern."""
        return [key for part in self.match_in_parts(pattern) for key in part]

    def match_or_parts(self, bytes pattern):
        """As `match` (KEYS), where there are very many keys as Parts."""
        return self.match(pattern) if len(self) <= LARGE else Parts(-1, self.match_in_parts(pattern))

    def match_in_parts(self, bytes pattern):
        cdef ScanCollector collector
        cdef TableIterator iterator
        cdef list part = []
        cdef void* entry
        collector.expired = NULL
        collector.results = <void*>part
        collector.type = -1
        collector.now_ms = self.engine.now_ms
        collector.pattern = PyBytes_AS_STRING(pattern)
        collector.pattern_length = PyBytes_GET_SIZE(pattern)
        if pattern == b"*":
            collector.pattern_length = -1
        table_iterate(&self.keys, &iterator)
        try:
            while True:
                entry = table_next(&iterator)
                if entry == NULL:
                    break
                collect_key(&collector, entry)
                if len(part) == PART:
                    yield part
                    part = []
                    collector.results = <void*>part
        finally:
            table_stop(&iterator)
        yield part

    def clear(self, bint lazily=False):
        """Drop every key; returns how many there were. Lazily: their memory comes back bit by bit."""
        cdef int64_t count = table_length(&self.keys)
        if lazily and count:
            table_free(&self.volatile_keys)
            table_free(&self.timed_hashes)
            discard_keys(&self.engine.garbage, &self.keys)
        else:
            self.free_all()
        return count

    def reserve(self, int64_t keys, int64_t volatile_keys):
        """Size an empty database for a load."""
        table_reserve(&self.keys, keys)
        table_reserve(&self.volatile_keys, volatile_keys)

    # Upkeep from time events

    def rehash_for(self, int64_t microseconds):
        """Go on with a resize for a while; whether there is more to do."""
        cdef bint more = table_rehash_for(&self.keys, microseconds)
        return table_rehash_for(&self.volatile_keys, microseconds) or more

    @property
    def volatile_count(self):
        return table_length(&self.volatile_keys)

    def table_overhead(self):
        """(bytes of the table of keys with the headers of the keys, bytes of the table of times to live)."""
        return (
            table_memory(&self.keys) + <int64_t>(table_length(&self.keys) * sizeof(Entry)),
            table_memory(&self.volatile_keys),
        )

    def average_ttl(self, int samples=20):
        """Mean remaining time of a few random volatile keys, in ms; 0 without any."""
        cdef Entry* entry
        cdef int64_t total = 0, seen = 0
        for _ in range(samples):
            entry = <Entry*>table_random(&self.volatile_keys)
            if entry == NULL:
                return 0
            if entry.expire_ms > self.engine.now_ms:
                total += entry.expire_ms - self.engine.now_ms
                seen += 1
        return total // seen if seen else 0

    def expire_some(self, int samples):
        """Look at about `samples` volatile keys in scan order; (looked at, expired)."""
        cdef list found = []
        cdef ExpireCollector collector
        cdef Entry* entry
        cdef int buckets = samples * 4
        cdef bytes key
        if table_length(&self.volatile_keys) == 0:
            return 0, 0
        collector.results = <void*>found
        collector.now_ms = self.engine.now_ms
        collector.seen = 0
        while buckets and collector.seen < samples:
            self.expire_cursor = table_scan(&self.volatile_keys, self.expire_cursor, collect_expired, &collector)
            buckets -= 1
            if self.expire_cursor == 0:
                break
        for key in found:
            entry = self.raw_find(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
            if entry != NULL:
                self.expire_now(entry)
        return collector.seen, len(found)


cdef struct ExpireCollector:
    void* results
    int64_t now_ms
    int64_t seen


cdef void collect_expired(void* context, void* item) noexcept:
    cdef ExpireCollector* collector = <ExpireCollector*>context
    cdef Entry* entry = <Entry*>item
    collector.seen += 1
    if entry.expire_ms < collector.now_ms:
        (<list>collector.results).append(PyBytes_FromStringAndSize(key_of(entry), entry.key_length))


cdef void collect_with_expired_fields(void* context, void* item) noexcept:
    cdef ExpireCollector* collector = <ExpireCollector*>context
    cdef Entry* entry = <Entry*>item
    cdef FieldTime* time = field_time_first(<TimedHash*>entry.value)
    collector.seen += 1
    if time != NULL and time.expire_ms < collector.now_ms:
        (<list>collector.results).append(PyBytes_FromStringAndSize(key_of(entry), entry.key_length))
