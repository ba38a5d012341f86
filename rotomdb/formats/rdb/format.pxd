# The numbers of RDB. ON DISK: never renumber, never reuse (docs/formats.md, 1 and 2).
#
# One home: what reads or writes RDB cimports its numbers from here, and Python imports the same names. A new value type also
# needs a row in VALUE_TYPES (value_types.py), and tests/unit/test_value_types.py asks everyone who has to know it:
#   skip_value (records.pyx), visit_value (walker.pyx), decode_value (decoder.pyx) where a keyspace can hold it, rdb_type and
#   encode_value (encoder.pyx) where it is written, `copies` (formats/sinks/records.pyx) where not every reader of its version
#   reads it, an encoding in testing/payloads.py, and a row in docs/formats.md, 2.1.

cpdef enum:  # what one byte says of the value behind it
    RDB_STRING = 0
    RDB_LIST = 1
    RDB_SET = 2
    RDB_ZSET = 3                          # scores as text
    RDB_HASH = 4
    RDB_ZSET_2 = 5                        # scores as doubles
    RDB_MODULE_PRE_RELEASE = 6
    RDB_MODULE = 7
    RDB_NEVER_USED = 8
    RDB_HASH_ZIPMAP = 9
    RDB_LIST_ZIPLIST = 10
    RDB_SET_INTSET = 11
    RDB_ZSET_ZIPLIST = 12
    RDB_HASH_ZIPLIST = 13
    RDB_LIST_QUICKLIST = 14
    RDB_STREAM = 15
    RDB_HASH_LISTPACK = 16
    RDB_ZSET_LISTPACK = 17
    RDB_LIST_QUICKLIST_2 = 18
    RDB_STREAM_2 = 19                     # and its first ID, counters
    RDB_SET_LISTPACK = 20
    RDB_STREAM_3 = 21                     # and when each consumer was last active
    RDB_HASH_TIMED_PRE_RELEASE = 22       # of Redis 7.4
    RDB_HASH_TIMED_LISTPACK_PRE_RELEASE = 23
    RDB_HASH_TIMED = 24                   # fields that expire
    RDB_HASH_TIMED_LISTPACK = 25
    RDB_STREAM_4 = 26                     # and its producers
    RDB_STREAM_5 = 27                     # and entries that are pending for nobody
    RDB_ARRAY = 28
    RDB_TEMPLATE_LISTPACK = 29            # hashes that share their field names
    RDB_TEMPLATE_LISTPACK_REF = 30
    RDB_TEMPLATE_ARRAY = 31
    RDB_TEMPLATE_ARRAY_REF = 32
    RDB_RATE_LIMIT = 33                   # reserved, of no known layout

cpdef enum:  # what the same bytes mean behind the magic VALKEY
    RDB_VALKEY_HASH_TIMED = 22
    RDB_VALKEY_HASH_UNRELEASED = 23

cpdef enum:
    RDB_TYPE_LAST = 33                    # above it stand opcodes only
    RDB_TYPE_LAST_LOADED = 25             # the last that a keyspace can hold
    DRAGONFLY_TYPE_FIRST = 30             # from here on Dragonfly has types of its own

cpdef enum:  # what one byte says instead, where no value follows
    OPCODE_ENTERPRISE_HINT = 107
    OPCODE_ENTERPRISE_HINT_2 = 121
    OPCODE_HASH_TEMPLATE = 242            # not in Valkey's dialect
    OPCODE_KEY_META = 243                 # likewise
    OPCODE_VALKEY_SLOT_IMPORT = 243
    OPCODE_SLOT_INFO = 244
    OPCODE_FUNCTION2 = 245
    OPCODE_FUNCTION_PRE_RELEASE = 246
    OPCODE_MODULE_AUX = 247
    OPCODE_IDLE = 248
    OPCODE_FREQ = 249
    OPCODE_AUX = 250
    OPCODE_RESIZEDB = 251
    OPCODE_EXPIRETIME_MS = 252
    OPCODE_EXPIRETIME = 253               # in seconds
    OPCODE_SELECTDB = 254
    OPCODE_EOF = 255

cpdef enum:  # the version of a file that first had it
    VERSION_TIMES_IN_MS = 3
    VERSION_CHECKSUM = 5
    VERSION_AUX = 7                       # and RESIZEDB
    VERSION_BINARY_SCORES = 8
    VERSION_AOF_PREAMBLE = 8              # an append-only file may begin with an RDB
    VERSION_STREAMS = 9
    VERSION_ACCESS = 9                    # IDLE, FREQ
    VERSION_MODULE_DATA = 9               # outside of keys
    VERSION_FUNCTIONS = 10
    VERSION_STREAM_COUNTERS = 10
    VERSION_AOF_BASE = 10                 # what was `aof-preamble` is called `aof-base`
    VERSION_SET_LISTPACKS = 11
    VERSION_STREAM_ACTIVITY = 11          # when each consumer was last active
    VERSION_FIELD_TIMES = 12
    VERSION_LAST_READ = 16                # behind the magic REDIS
    VERSION_VALKEY = 80                   # from here on the magic is VALKEY

cpdef enum:  # lengths and strings: the lead byte, or where its range begins
    LENGTH_14_BITS = 0x40                 # below it: the length itself
    LENGTH_32_BITS = 0x80                 # big endian, as all of them
    LENGTH_64_BITS = 0x81
    STRING_ENCODED = 0xC0                 # plus one of the next four
    LENGTH_LOW_BITS = 0x3F

cpdef enum:
    STRING_INT8 = 0
    STRING_INT16 = 1
    STRING_INT32 = 2
    STRING_LZF = 3

cpdef enum:  # instead of the length of a score in text
    SCORE_NAN = 253
    SCORE_INFINITY = 254
    SCORE_MINUS_INFINITY = 255

cpdef enum:  # inside a value of a module, and what modules store elsewhere
    MODULE_EOF = 0
    MODULE_SINT = 1
    MODULE_UINT = 2
    MODULE_FLOAT = 3
    MODULE_DOUBLE = 4
    MODULE_STRING = 5

cpdef enum:  # the kind of a cell of an array
    CELL_TEXT = 0
    CELL_INTEGER = 1
    CELL_DOUBLE = 2
    CELL_LONG_TEXT = 3

cpdef enum:  # field names of a template hash
    NAMES_PACKED = 0                      # in a listpack; else each by itself

cpdef enum:
    HEADER_BYTES = 9                      # magic and version
    CHECKSUM_BYTES = 8
    STREAM_ID_BYTES = 16
    FIELD_TIME_MAX = 0xFFFFFFFFFFFF       # ms

cdef inline bint is_stream(int type) noexcept nogil:
    return (type == RDB_STREAM or type == RDB_STREAM_2 or type == RDB_STREAM_3 or type == RDB_STREAM_4
            or type == RDB_STREAM_5)

cdef inline bint is_timed_hash(int type) noexcept nogil:
    """Types whose fields may expire."""
    return RDB_HASH_TIMED_PRE_RELEASE <= type <= RDB_HASH_TIMED_LISTPACK

cdef inline bint is_template_hash(int type) noexcept nogil:
    return RDB_TEMPLATE_LISTPACK <= type <= RDB_TEMPLATE_ARRAY_REF

cdef inline bint is_packed(int type) noexcept nogil:
    """Types whose value is one string that holds all of it."""
    return (RDB_HASH_ZIPMAP <= type <= RDB_HASH_ZIPLIST or type == RDB_HASH_LISTPACK or type == RDB_ZSET_LISTPACK
            or type == RDB_SET_LISTPACK)
