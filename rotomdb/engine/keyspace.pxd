from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from rotomdb.engine.garbage cimport GarbageQueue
from rotomdb.engine.table cimport Table
from rotomdb.engine.timed_hash cimport TimedHash

cdef enum ValueType:                 # Redis's numbers; DEBUG DIGEST hashes them
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_SORTED_SET = 3
    TYPE_HASH = 4
    TYPE_STREAM = 6

cdef enum Encoding:
    ENCODING_INT = 0                 # string: value is the integer itself
    ENCODING_EMBSTR = 1              # string: value is the length, the bytes follow the key
    ENCODING_RAW = 2                 # string: value is a RawString
    ENCODING_LISTPACK = 3
    ENCODING_INTSET = 4
    ENCODING_TABLE = 5               # hash, set: value is a Table
    ENCODING_SKIPLIST = 6            # sorted set: value is a SortedSet
    ENCODING_QUICKLIST = 7
    ENCODING_STREAM = 8
    ENCODING_TIMED_TABLE = 9         # hash with fields that expire: value is a TimedHash

cdef enum:
    EMBSTR_MAX = 44                  # bytes; Redis's limit for OBJECT ENCODING embstr
    NO_EXPIRE = -1

cdef struct RawString:
    size_t length
    size_t capacity                  # bytes that fit before the block must grow
    # bytes follow

cdef struct Entry:
    int64_t expire_ms                # absolute Unix time; NO_EXPIRE
    void* value
    uint32_t meta                    # type: 4 bits, encoding: 4 bits, LRU clock: 24 bits
    uint32_t key_length
    # key bytes follow, then the bytes of an embstr value

cdef inline int type_of(Entry* entry) noexcept nogil:
    return <int>(entry.meta & 15)

cdef inline int encoding_of(Entry* entry) noexcept nogil:
    return <int>((entry.meta >> 4) & 15)

cdef inline void set_encoding(Entry* entry, int encoding) noexcept nogil:
    entry.meta = (entry.meta & 0xffffff0fU) | (<uint32_t>encoding << 4)

cdef inline char* key_of(Entry* entry) noexcept nogil:
    return <char*>entry + sizeof(Entry)

cdef inline char* raw_bytes(RawString* raw) noexcept nogil:
    return <char*>raw + sizeof(RawString)

# Hash fields and set members in tables.
cdef struct Field:
    uint32_t value_length
    uint32_t length                  # of the name, whose bytes follow; then the value's bytes

cdef struct Member:
    uint32_t length                  # bytes follow

cdef inline char* field_name(Field* field) noexcept nogil:
    return <char*>field + sizeof(Field)

cdef inline char* field_value(Field* field) noexcept nogil:
    return <char*>field + sizeof(Field) + field.length

cdef inline char* member_bytes(Member* member) noexcept nogil:
    return <char*>member + sizeof(Member)

cdef Table* new_table_of_fields() noexcept nogil
cdef Table* new_table_of_members() noexcept nogil

cdef RawString* raw_new(const char* data, size_t length, size_t capacity) noexcept nogil

cdef class Engine:
    cdef readonly list databases
    cdef GarbageQueue garbage
    cdef public object function_libraries    # CarriedLibraries, or what runs them
    cdef public int64_t now_ms               # time that this command sees
    cdef public uint32_t lru_clock           # seconds, 24 bits
    cdef public bint lfu                     # entries keep an access frequency instead of a clock
    cdef public bint touch_keys              # off: an access leaves the entry's clock alone
    cdef public int lfu_log_factor, lfu_decay_time
    cdef public bytes access_written         # b"lru" or b"lfu": what a snapshot keeps of each key's use; b"": nothing
    cdef public bint expire_on_access        # off while an AOF is replayed
    cdef public bint hide_expired            # where it is off: whether what is past its time is there
    cdef public object on_expire             # called with (database index, key) after a key has expired
    cdef public object on_fields_expire      # called with (database index, key, names, whether the key went too)
    cdef public object on_miss               # called with (database index, key) of a read that found nothing; None: not
    cdef public list new_keys                # (database index, key, replaced) of keys made since somebody looked; None: not kept
    cdef bytes last_removed
    # Keys written since the last sync of the log, by hash: the stream offset that has to be on disk before a reader may
    # see them. Two keys of one slot make a reader wait in vain, never too short. NULL: nobody has to wait.
    cdef int64_t* unsynced
    cdef public int64_t read_offset          # highest offset that what was looked up since the last reset depends on
    cdef public int64_t hits, misses, expired, expired_fields
    # Redis's encoding thresholds
    cdef public int hash_max_listpack_entries, hash_max_listpack_value
    cdef public int set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value
    cdef public int zset_max_listpack_entries, zset_max_listpack_value
    cdef public int list_max_listpack_size
    cdef public int64_t stream_node_max_bytes, stream_node_max_entries
    cdef public int64_t string_max_bytes     # how long commands may make a string (proto-max-bulk-len)

cdef void mark_unsynced(Engine engine, bytes key, int64_t offset) noexcept
cdef void mark_all_unsynced(Engine engine, int64_t offset) noexcept

# The clock of an entry under LFU policies: minutes of the last decay (16 bits), logarithmic counter (8 bits).
cdef uint32_t lfu_counter(Engine engine, uint32_t clock) noexcept

cdef class Keyspace:
    cdef readonly Engine engine
    cdef public int index
    cdef Table keys
    cdef Table volatile_keys                 # the same entries, those with an expire time
    cdef Table timed_hashes                  # the same entries, those of hashes with fields that expire
    cdef uint64_t expire_cursor, timed_cursor
    cdef void free_all(self) noexcept
    cdef object expire_now(self, Entry* entry)
    cdef void note_new_key(self, const char* key, size_t length) noexcept
    # Drop the fields that are past their time; False when the key went with the last of them.
    cdef bint purge_fields(self, Entry* entry) except -1
    # Give a hash times for its fields, or take them away once there are none.
    cdef TimedHash* make_timed(self, Entry* entry) noexcept
    cdef void settle_timed(self, Entry* entry) noexcept
    cdef void set_entry_access(self, Entry* entry, int64_t idle_seconds, int64_t frequency) noexcept
    cdef void untrack_timed(self, Entry* entry) noexcept
    # Entry or NULL; a key past its time is deleted on the way. Counts hits and misses.
    cdef Entry* find(self, bytes key) except? NULL
    # The same without counting, for commands that write or only ask.
    cdef Entry* peek(self, bytes key) except? NULL
    cdef Entry* raw_find(self, const char* key, size_t length) noexcept
    # As find/peek, raising WrongTypeError for another type.
    cdef Entry* find_type(self, bytes key, int type) except? NULL
    cdef Entry* peek_type(self, bytes key, int type) except? NULL
    # New entry of an absent key, with room for `extra` embedded bytes.
    cdef Entry* add(self, const char* key, size_t length, int type, int encoding, void* value, size_t extra) noexcept
    # Give an entry another size; keeps both tables right.
    cdef Entry* resize(self, Entry* entry, size_t extra) noexcept
    cdef void remove_entry(self, Entry* entry) noexcept
    cdef void set_expire(self, Entry* entry, int64_t expire_ms) noexcept
    # SET. No encoding below `least` is chosen: a string that is built, not given, stays ENCODING_EMBSTR or ENCODING_RAW.
    cdef void store_string(self, bytes key, const char* data, size_t length, bint keep_ttl, int least) noexcept
