"""Walking an RDB for the tools: every value goes piece by piece to a sink, and none is ever held whole.

Only what is one blob in the file (a listpack, a compressed string) is looked at as a whole. The structure of each blob is
validated before it is taken apart; members that occur twice are found by a sink that looks for them (formats/sinks/values.pyx).
"""

from dataclasses import dataclass, field

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rotomdb.formats.rdb.format cimport (
    CELL_DOUBLE, CELL_INTEGER, CELL_LONG_TEXT, CELL_TEXT, CHECKSUM_BYTES, DRAGONFLY_TYPE_FIRST, FIELD_TIME_MAX,
    LENGTH_32_BITS, NAMES_PACKED, OPCODE_EOF, OPCODE_FUNCTION2, OPCODE_IDLE, OPCODE_MODULE_AUX, OPCODE_RESIZEDB,
    OPCODE_SLOT_INFO, RDB_ARRAY, RDB_HASH, RDB_HASH_LISTPACK, RDB_HASH_TIMED, RDB_HASH_TIMED_LISTPACK,
    RDB_HASH_TIMED_LISTPACK_PRE_RELEASE, RDB_HASH_TIMED_PRE_RELEASE, RDB_HASH_ZIPMAP, RDB_LIST, RDB_LIST_QUICKLIST,
    RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST, RDB_MODULE, RDB_MODULE_PRE_RELEASE, RDB_NEVER_USED, RDB_RATE_LIMIT, RDB_SET,
    RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STREAM_4, RDB_STREAM_5, RDB_STRING,
    RDB_TEMPLATE_ARRAY_REF, RDB_TEMPLATE_LISTPACK, RDB_TEMPLATE_LISTPACK_REF, RDB_TYPE_LAST, RDB_VALKEY_HASH_TIMED,
    RDB_VALKEY_HASH_UNRELEASED, RDB_ZSET, RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST, STREAM_ID_BYTES,
    STRING_ENCODED, STRING_LZF, is_stream, is_template_hash,
)
from rotomdb.formats.rdb.cursor cimport cursor_take
from rotomdb.engine.glob cimport glob_match
from rotomdb.engine.id_map cimport StreamId
from rotomdb.engine.intset cimport Intset, intset_get, intset_validate
from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.engine.listpack cimport (
    LISTPACK_INTEGER_TEXT, lp_bytes, lp_count, lp_first, lp_get, lp_integer, lp_next, lp_text, lp_validate,
)
from rotomdb.engine.memory cimport mem_free
from rotomdb.engine.number cimport format_double, format_int64, parse_double
from rotomdb.engine.quicklist cimport NODE_PACKED, NODE_PLAIN
from rotomdb.formats.rdb.records cimport RdbRecords
from rotomdb.formats.rdb.streams cimport NodeSummary, check_node, raw_id
from rotomdb.engine.stream cimport ENTRY_DELETED, ENTRY_SAME_FIELDS
from rotomdb.formats.rdb.old_packs cimport listpack_of_ziplist, listpack_of_zipmap
from rotomdb.formats.rdb.ziplist cimport ziplist_validate

from rotomdb.formats.rdb.records import module_name
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.errors import DATABASES_MAX, RdbValueError

cdef enum:
    PLAUSIBLE_TIME_MAX = 0x100000000000   # ms: the year 2527
    STRANGE_SHARE = 50                    # while fewer than one key of so many has control characters, none is believed to

cdef int64_t NEVER = (<int64_t>1 << 62)


@dataclass
class StreamConsumer:
    name: bytes
    seen_ms: int
    active_ms: int                        # files before 7.2 do not say: then as seen_ms
    pending: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class StreamGroup:
    name: bytes
    last_id: tuple[int, int]
    entries_read: int | None              # None: not known
    pending: dict[tuple[int, int], tuple[int, int]]       # ID: delivery time in ms, number of deliveries
    consumers: list[StreamConsumer]
    owners: dict[tuple[int, int], bytes]  # of the pending entries; those that nobody owns are absent


@dataclass
class StreamTail:
    """What stands behind the entries of a stream."""

    length: int
    last_id: tuple[int, int]
    first_id: tuple[int, int]
    max_deleted_id: tuple[int, int]
    entries_added: int
    groups: list[StreamGroup]


def entries_read_of(tail, last_id):
    """How many entries a group has read, where its file does not say (docs/formats.md, 2.9); None: cannot be told."""
    if tail.entries_added == 0:
        return 0
    if tail.length == 0 and last_id <= tail.last_id:
        return tail.entries_added
    if last_id == tail.last_id:
        return tail.entries_added
    if last_id > tail.last_id:
        return None
    if last_id < tail.first_id:
        return tail.entries_added - tail.length
    return tail.entries_added - tail.length + 1 if last_id == tail.first_id else None


cdef class ValueSink:
    """The base of all sinks: takes everything and does nothing."""

    cdef int begin_key(self) except -1:
        return 0

    cdef int end_key(self) except -1:
        return 0

    cdef int abandon_key(self) except -1:
        return 0

    cdef int string(self, const char* data, size_t size) except -1:
        return 0

    cdef int begin(self, int kind, int64_t count) except -1:
        return 0

    cdef int packed(self, size_t size, int64_t count) except -1:
        return 0

    cdef int item(self, const char* data, size_t size) except -1:
        return 0

    cdef int pair(self, const char* name, size_t name_size, const char* data, size_t size, int64_t expire_ms) except -1:
        return 0

    cdef int scored(self, const char* data, size_t size, double score) except -1:
        return 0

    cdef int cell(self, uint64_t index, const char* data, size_t size) except -1:
        return 0

    cdef int node(self, StreamId master, const char* data, size_t size) except -1:
        return 0

    cdef int begin_entry(self, StreamId id, int64_t fields) except -1:
        return 0

    cdef int entry_field(self, const char* name, size_t name_size, const char* data, size_t size) except -1:
        return 0

    cdef int end_entry(self) except -1:
        return 0

    cdef int tail_ahead(self, tail) except -1:
        return 0

    cdef int stream_tail(self, tail) except -1:
        return 0

    cdef int module(self, name) except -1:
        return 0


cdef class Selection:
    """Which keys are wanted. Everything is wanted until something is narrowed."""

    def __cinit__(self):
        self.expires_from = self.size_from = -NEVER
        self.expires_to = self.size_to = NEVER
        self.sample = <uint64_t>1 << 32

    cdef bint admits(self, RdbWalker walker) except -1:
        """Whether the record in hand is wanted. The walker stands at its value, before and after."""
        return self.matches_record(walker) != self.exclude

    cdef bint matches_record(self, RdbWalker walker) except -1:
        cdef int64_t expires, size
        cdef uint64_t mixed
        cdef size_t i
        if self.databases is not None and walker.database not in self.databases:
            return False
        if self.kinds is not None and LOGICAL_TYPES.get(walker.reading_type) not in self.kinds:
            return False
        if self.sample >> 32 == 0:
            mixed = 0xcbf29ce484222325U          # FNV-1a: the same keys in every run and every file
            for i in range(walker.held_length):
                mixed = (mixed ^ <uint8_t>walker.held_key[i]) * 0x100000001b3U
            mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdU
            if (mixed ^ (mixed >> 33)) & 0xffffffffU >= self.sample:
                return False
        if self.glob is not None and not glob_match(
                PyBytes_AS_STRING(self.glob), PyBytes_GET_SIZE(self.glob), walker.held_key,
                <Py_ssize_t>walker.held_length, False):
            return False
        expires = walker.expire_ms if walker.expire_ms != NO_EXPIRE else NEVER
        if not self.expires_from <= expires <= self.expires_to:
            return False
        if self.matches is not None and not self.matches(walker.key):
            return False
        if self.size_from > 0 or self.size_to < NEVER:
            if not walker.skip_value(walker.reading_type):
                walker.fail_in_key()
            size = <int64_t>(walker.cursor.position - walker.start)
            walker.cursor.position = walker.value_start
            return self.size_from <= size <= self.size_to
        return True


cdef class RdbWalker(RdbRecords):
    """Walks a buffer record by record. What is no key record is left to the caller (storage/rdb.py)."""

    def __cinit__(self, data, bint valkey=False):
        self.database = 0

    @property
    def key(self):
        """The key of the record in hand."""
        return PyBytes_FromStringAndSize(self.held_key, <Py_ssize_t>self.held_length)

    @property
    def expires_at(self):
        """When that key expires, in ms; None: never."""
        return None if self.expire_ms == NO_EXPIRE else self.expire_ms

    cdef bint find_record(self) except -1:
        """Read up to the next value: True. False: an opcode, in `reading_type`."""
        cdef const char* key
        cdef size_t key_length
        self.reset_attributes()
        if 0 <= self.reading_type <= RDB_TYPE_LAST:
            self.previous_start = self.start
        self.reading_type = -1
        self.start = self.cursor.position
        self.reading_type = self.key_attributes()
        if self.reading_type > RDB_TYPE_LAST:
            return False
        if self.reading_type == RDB_NEVER_USED or self.reading_type == RDB_RATE_LIMIT:
            self.corrupt(b"unknown value type", self.cursor.position - 1)
            self.fail()
        if self.dragonfly and self.reading_type >= DRAGONFLY_TYPE_FIRST:
            self.unsupported(b"value type of Dragonfly, which nobody else reads", self.cursor.position - 1)
            self.fail()
        if not self.text(0, &key, &key_length):
            self.fail()
        self.begin_key(key, key_length)
        self.value_start = self.cursor.position
        self.keys += 1
        if self.expire_ms != NO_EXPIRE:
            self.expires += 1
            self.expired += self.expire_ms < self.now_ms
        return True

    cdef int take_value(self, ValueSink sink) except -1:
        sink.walker = self
        self.selected += 1
        self.strange_keys += self.is_strange()
        sink.begin_key()
        try:
            if not self.visit_value(sink):
                self.fail()
            sink.end_key()
        except RdbValueError:
            sink.abandon_key()
            self.reading_key = self.key
            raise
        finally:
            sink.walker = None            # or a sink that outlives the walk would keep the buffer
        return 0

    def next_record(self, Selection selection=None):
        """Go to the next record; returns its type, or an opcode (above RDB_TYPE_LAST) whose payload is not read yet.

        The value is for the caller: `revisit` as often as it likes, then `finish_record`.
        """
        while self.find_record() and selection is not None and not selection.admits(self):
            self.finish_record()
        return self.reading_type

    def revisit(self, ValueSink sink not None):
        """Hand the value of the record in hand to the sink."""
        self.cursor.position = self.value_start
        self.take_value(sink)

    def finish_record(self):
        """Go behind the value of the record in hand."""
        if self.cursor.position == self.value_start and not self.skip_value(self.reading_type):
            self.fail_in_key()

    def walk(self, ValueSink sink, Selection selection, int64_t limit, size_t byte_limit):
        """Hand the values of the next records to the sink.

        Args:
            sink: None to walk over the values without a look at their inside.
            selection: None for all.
            limit, byte_limit: Stop after so many records, or bytes.

        Returns:
            The opcode met (its payload not read yet), or -1 when the limit was reached.

        Raises:
            RdbValueError: damage; `reading_key` and `reading_type` tell where.
        """
        cdef size_t begun = self.cursor.position
        for _ in range(limit):
            if self.cursor.position - begun > byte_limit:
                break
            if not self.find_record():
                return self.reading_type
            if sink is None or (selection is not None and not selection.admits(self)):
                if not self.skip_value(self.reading_type):
                    self.fail_in_key()
            else:
                self.take_value(sink)
        return -1

    # After damage

    cdef bint is_strange(self) noexcept:
        cdef size_t i
        for i in range(self.held_length):
            if <uint8_t>self.held_key[i] < 0x20 or <uint8_t>self.held_key[i] == 0x7f:
                return True
        return False

    cdef bint plausible_key(self) noexcept:
        """Whether the key in hand looks like those before the damage."""
        if self.held_length == 0:
            return False
        if self.strange_keys * STRANGE_SHARE <= self.selected and self.is_strange():
            return False
        return self.expire_ms == NO_EXPIRE or 0 <= self.expire_ms < PLAUSIBLE_TIME_MAX

    cdef bint plausible_start(self, size_t offset, int highest_type) noexcept:
        """A first look at one byte or two: most places are no start of a record."""
        cdef uint8_t lead = self.cursor.base[offset], after
        if offset + 2 >= self.cursor.size:
            return lead == OPCODE_EOF
        if lead >= OPCODE_IDLE:
            return lead != OPCODE_RESIZEDB
        if lead == OPCODE_SLOT_INFO or lead == OPCODE_FUNCTION2 or lead == OPCODE_MODULE_AUX:
            return True
        if lead > highest_type or lead == RDB_MODULE_PRE_RELEASE or lead == RDB_NEVER_USED:
            return False
        after = self.cursor.base[offset + 1]
        return 0 < after <= LENGTH_32_BITS or STRING_ENCODED <= after <= STRING_ENCODED + STRING_LZF

    def resynchronise(self, size_t offset, int highest_type, int chain, int64_t keys_expected, read_opcode):
        """Look for the next place from which `chain` records in a row, or all to the end of the file, can be read.

        Args:
            highest_type: Of the file's version; a record of another is taken for chance.
            keys_expected: In the whole file, about: what tells usual sizes from suspicious ones.
            read_opcode: Reads the payload of an opcode that is no key attribute.

        Returns:
            The offset, where the walker stands then; -1 when there is none, or no file end.
        """
        cdef size_t at
        cdef int found
        cdef uint64_t database = self.database, databases_max = DATABASES_MAX
        cdef ValueSink nothing = ValueSink()
        cdef size_t start = self.start, previous_start = self.previous_start
        cdef int64_t strange_keys = self.strange_keys
        cdef size_t largest_start, largest_end, last = 0
        cdef size_t usual = 8 * (self.cursor.size // (<size_t>keys_expected if keys_expected > 0 else 1)) + 256
        cdef int64_t keys = self.keys, expires = self.expires, expired = self.expired, selected = self.selected
        cdef int64_t result = -1
        for at in range(offset, self.cursor.size):
            if last and at >= last:
                break
            if not self.plausible_start(at, highest_type):
                continue
            self.cursor.position = at
            self.cursor.error = NULL
            found = 0
            largest_start = largest_end = 0
            try:
                while found < chain:
                    if not self.find_record():
                        if self.reading_type == OPCODE_EOF:
                            if self.cursor.size - self.cursor.position != CHECKSUM_BYTES and found < 2:
                                break
                            found = chain
                            continue
                        if self.reading_type == OPCODE_RESIZEDB and found == 0:
                            break
                        read_opcode(self.reading_type)
                        if self.cursor.position - self.start > largest_end - largest_start:
                            largest_start, largest_end = self.start, self.cursor.position
                        if self.database >= databases_max:
                            break
                        continue
                    if self.reading_type > highest_type or not self.plausible_key():
                        break
                    self.take_value(nothing)
                    found += 1
                    if self.cursor.position - self.start > largest_end - largest_start:
                        largest_start, largest_end = self.start, self.cursor.position
            except RdbValueError:
                pass
            self.database = database
            if found >= chain:
                result = <int64_t>at
                if largest_end - largest_start <= usual:
                    break
                # One of the chain is so large that it may have swallowed others: look for a chain inside of it.
                last = largest_end if last == 0 or largest_end < last else last
        self.keys, self.expires, self.expired, self.selected = keys, expires, expired, selected
        self.start, self.previous_start, self.strange_keys = start, previous_start, strange_keys
        self.reading_type = -1
        self.cursor.error = NULL
        self.reading_key = None
        self.cursor.position = self.cursor.size if result < 0 else <size_t>result
        return result

    # Values: each returns False with the error recorded in the cursor.

    cdef bint visit_value(self, ValueSink sink) except -1:
        cdef int type = self.reading_type
        cdef size_t start = self.cursor.position
        cdef const char* data
        cdef size_t size
        cdef uint64_t identifier
        if type == RDB_STRING:
            if not self.text(1, &data, &size):
                return False
            sink.string(data, size)
            return True
        if type == RDB_LIST or type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
            return self.visit_list(sink, type)
        if type == RDB_SET:
            return self.visit_items(sink, KIND_SET)
        if type == RDB_ZSET or type == RDB_ZSET_2:
            return self.visit_scored(sink, type)
        if type == RDB_HASH:
            return self.visit_pairs(sink)
        if is_stream(type):
            return self.visit_stream(sink, type)
        if type == RDB_HASH_TIMED_LISTPACK or (type == RDB_HASH_TIMED_LISTPACK_PRE_RELEASE and not self.valkey):
            return self.visit_timed_elements(sink)
        if type == RDB_HASH_TIMED_PRE_RELEASE or type == RDB_HASH_TIMED:
            return self.visit_timed_pairs(sink, type)
        if type == RDB_ARRAY:
            return self.visit_array(sink)
        if is_template_hash(type):
            return self.visit_template_hash(sink, type)
        if type == RDB_MODULE:
            if not self.plain_length(&identifier) or not self.skip_module_value():
                return False
            sink.begin(KIND_MODULE, 0)
            sink.module(module_name(identifier))
            return True
        if type == RDB_MODULE_PRE_RELEASE:
            return self.unsupported(b"pre-release module value, cannot be read without its module", start)
        if type == RDB_VALKEY_HASH_UNRELEASED:
            return self.unsupported(b"hash of an unreleased Valkey", start)
        return self.visit_packed(sink, type)

    cdef bint visit_items(self, ValueSink sink, int kind) except -1:
        cdef uint64_t count
        cdef const char* data
        cdef size_t size
        if not self.plain_length(&count):
            return False
        sink.begin(kind, <int64_t>count)
        for _ in range(count):
            if not self.text(1, &data, &size):
                return False
            sink.item(data, size)
        return True

    cdef bint visit_list(self, ValueSink sink, int type) except -1:
        cdef uint64_t nodes, container = NODE_PACKED
        cdef const char* data
        cdef const char* problem
        cdef size_t size, start
        cdef uint8_t* lp
        if type == RDB_LIST:
            return self.visit_items(sink, KIND_LIST)
        if not self.plain_length(&nodes):
            return False
        sink.begin(KIND_LIST, -1)
        for _ in range(nodes):
            start = self.cursor.position
            if type == RDB_LIST_QUICKLIST_2 and not self.plain_length(&container):
                return False
            if container != NODE_PACKED and container != NODE_PLAIN:
                return self.corrupt(b"unknown quicklist container", start)
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if container == NODE_PLAIN:
                if size == 0:
                    return self.corrupt(b"empty plain quicklist node", start)
                sink.packed(size, 1)
                sink.item(data, size)
                continue
            if type == RDB_LIST_QUICKLIST:
                problem = ziplist_validate(<const uint8_t*>data, size)
                if problem != NULL:
                    return self.corrupt(problem, start)
                lp = listpack_of_ziplist(<const uint8_t*>data)
                try:
                    self.visit_elements(sink, KIND_LIST, lp, start)
                finally:
                    mem_free(lp)
                continue
            problem = lp_validate(<const uint8_t*>data, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            self.visit_elements(sink, KIND_LIST, <uint8_t*>data, start)
        return True

    cdef bint visit_pairs(self, ValueSink sink) except -1:
        cdef uint64_t count
        cdef const char* name
        cdef const char* data
        cdef size_t name_size, size
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_HASH, <int64_t>count)
        for _ in range(count):
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                return False
            sink.pair(name, name_size, data, size, NO_FIELD_TIME)
        return True

    cdef bint visit_scored(self, ValueSink sink, int type) except -1:
        cdef uint64_t count
        cdef const char* data
        cdef const uint8_t* p
        cdef size_t size, start
        cdef double score
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_ZSET, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if type == RDB_ZSET:
                if not self.text_double(&score):
                    return False
            else:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&score, p, 8)
                if isnan(score):
                    return self.corrupt(b"score is not a number", start)
            sink.scored(data, size, score)
        return True

    cdef bint visit_packed(self, ValueSink sink, int type) except -1:
        """Values that are one blob: intset, listpack, ziplist, zipmap."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem = NULL
        cdef uint8_t* lp
        cdef int kind = KIND_HASH
        if not self.text(1, &data, &size):
            return False
        if type == RDB_SET_INTSET:
            return self.visit_intset(sink, data, size, start)
        if type == RDB_LIST_ZIPLIST:
            kind = KIND_LIST
        elif type == RDB_SET_LISTPACK:
            kind = KIND_SET
        elif type == RDB_ZSET_ZIPLIST or type == RDB_ZSET_LISTPACK:
            kind = KIND_ZSET
        if type == RDB_HASH_LISTPACK or type == RDB_ZSET_LISTPACK or type == RDB_SET_LISTPACK:
            problem = lp_validate(<const uint8_t*>data, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            sink.begin(kind, lp_count(<uint8_t*>data) // (1 if kind == KIND_SET else 2))
            return self.visit_elements(sink, kind, <uint8_t*>data, start)
        lp = NULL
        if type == RDB_HASH_ZIPMAP:
            lp = listpack_of_zipmap(<const uint8_t*>data, size, &problem)
        else:
            problem = ziplist_validate(<const uint8_t*>data, size)
            if problem == NULL:
                lp = listpack_of_ziplist(<const uint8_t*>data)
        if problem != NULL:
            return self.corrupt(problem, start)
        try:
            sink.begin(kind, lp_count(lp) // (1 if kind == KIND_LIST else 2))
            return self.visit_elements(sink, kind, lp, start)
        finally:
            mem_free(lp)

    cdef bint visit_intset(self, ValueSink sink, const char* data, size_t size, size_t start) except -1:
        cdef const char* problem = intset_validate(<const uint8_t*>data, size)
        cdef Intset* members = <Intset*>data
        cdef char text[24]
        cdef uint32_t i
        if problem != NULL:
            return self.corrupt(problem, start)
        sink.begin(KIND_SET, members.length)
        sink.packed(size, members.length)
        if not sink.skips_elements:
            for i in range(members.length):
                sink.item(text, <size_t>format_int64(text, intset_get(members, i)))
        return True

    cdef bint visit_elements(self, ValueSink sink, int kind, uint8_t* lp, size_t start) except -1:
        """The elements of a sound listpack."""
        cdef uint8_t* at = lp_first(lp)
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef char value_scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length, value_length
        cdef int64_t integer
        cdef const char* text
        cdef const char* value
        cdef double score = 0
        cdef bint single = kind == KIND_LIST or kind == KIND_SET
        if not single and lp_count(lp) & 1:
            return self.corrupt(b"odd number of elements where pairs belong", start)
        sink.packed(lp_bytes(lp), lp_count(lp))
        if sink.skips_elements and kind != KIND_ZSET:
            return True
        while at != NULL:
            text = lp_text(at, &length, scratch)
            at = lp_next(lp, at)
            if single:
                sink.item(text, length)
                continue
            if kind == KIND_HASH:
                value = lp_text(at, &value_length, value_scratch)
                sink.pair(text, length, value, value_length, NO_FIELD_TIME)
            else:
                value = lp_get(at, &value_length, &integer)
                if value == NULL:
                    score = <double>integer
                elif not parse_double(value, value_length, &score):
                    return self.corrupt(b"score is not a number", start)
                sink.scored(text, length, score)
            at = lp_next(lp, at)
        return True

    cdef bint visit_timed_pairs(self, ValueSink sink, int type) except -1:
        """Fields one by one, with a time each (docs/formats.md, 2.8)."""
        cdef size_t start = self.cursor.position, name_size, size
        cdef uint64_t count, ttl = 0
        cdef int64_t earliest = 0, expire_ms
        cdef const uint8_t* p
        cdef const char* name
        cdef const char* data
        cdef bint time_last = type == RDB_VALKEY_HASH_TIMED and self.valkey
        if type == RDB_HASH_TIMED:
            p = cursor_take(&self.cursor, 8)
            if p == NULL:
                return False
            memcpy(&earliest, p, 8)
            if not 0 <= earliest <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible minimum of the field expire times", start)
        if not self.plain_length(&count):
            return False
        sink.begin(KIND_HASH, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not time_last and not self.plain_length(&ttl):
                return False
            if not self.text(0, &name, &name_size) or not self.text(1, &data, &size):
                return False
            if time_last:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&expire_ms, p, 8)
                ttl = expire_ms != -1
            elif type == RDB_HASH_TIMED:
                # A distance from the earliest time, plus one.
                expire_ms = earliest + <int64_t>ttl - 1 if ttl <= FIELD_TIME_MAX + 1 else -1
            else:
                expire_ms = <int64_t>ttl
            if ttl and not 0 <= expire_ms <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible field expire time", start)
            sink.pair(name, name_size, data, size, expire_ms if ttl and expire_ms else NO_FIELD_TIME)
        return True

    cdef bint visit_timed_elements(self, ValueSink sink) except -1:
        """A listpack of field, value, expire time."""
        cdef size_t start = self.cursor.position, size
        cdef const char* data
        cdef const char* problem
        cdef uint8_t* lp
        cdef uint8_t* at
        cdef char name_scratch[LISTPACK_INTEGER_TEXT]
        cdef char value_scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t name_length, value_length, ignored
        cdef int64_t expire, earliest = 0
        cdef const char* name
        cdef const char* value
        if self.reading_type == RDB_HASH_TIMED_LISTPACK and cursor_take(&self.cursor, 8) == NULL:
            return False
        if not self.text(1, &data, &size):
            return False
        lp = <uint8_t*>data
        problem = lp_validate(lp, size)
        if problem == NULL and lp_count(lp) % 3:
            problem = b"number of elements is no multiple of three"
        if problem != NULL:
            return self.corrupt(problem, start)
        sink.begin(KIND_HASH, lp_count(lp) // 3)
        sink.packed(size, lp_count(lp))
        at = lp_first(lp)
        while at != NULL:
            name = lp_text(at, &name_length, name_scratch)
            at = lp_next(lp, at)
            value = lp_text(at, &value_length, value_scratch)
            at = lp_next(lp, at)
            if lp_get(at, &ignored, &expire) != NULL:
                return self.corrupt(b"field expire time is no integer", start)
            if not 0 <= expire <= FIELD_TIME_MAX:
                return self.corrupt(b"impossible field expire time", start)
            if expire and expire < earliest:
                return self.corrupt(b"field expire times out of order", start)
            earliest = expire if expire else FIELD_TIME_MAX + 1            # those without one stand last
            sink.pair(name, name_length, value, value_length, expire if expire else NO_FIELD_TIME)
            at = lp_next(lp, at)
        return True

    cdef bint visit_array(self, ValueSink sink) except -1:
        cdef uint64_t count, index, tag, ignored
        cdef int64_t integer
        cdef double number
        cdef const uint8_t* p
        cdef const char* data
        cdef size_t size, start
        cdef char text[48]
        if not self.plain_length(&count) or not self.plain_length(&ignored):
            return False
        if ignored and not self.plain_length(&ignored):
            return False
        sink.begin(KIND_ARRAY, <int64_t>count)
        for _ in range(count):
            start = self.cursor.position
            if not self.plain_length(&index) or not self.plain_length(&tag):
                return False
            data = text
            if tag == CELL_INTEGER or tag == CELL_DOUBLE:
                p = cursor_take(&self.cursor, 8)
                if p == NULL:
                    return False
                memcpy(&integer, p, 8)
                memcpy(&number, p, 8)
                size = <size_t>(format_int64(text, integer) if tag == CELL_INTEGER else format_double(text, number))
            elif tag != CELL_TEXT and tag != CELL_LONG_TEXT:
                return self.corrupt(b"unknown kind of array element", start)
            elif not self.text(1, &data, &size):
                return False
            sink.cell(index, data, size)
        return True

    cdef bint visit_template_hash(self, ValueSink sink, int type) except -1:
        """Hashes that share their field names (docs/formats.md, 2.11)."""
        cdef size_t start = self.cursor.position, size
        cdef uint64_t form, count
        cdef const char* data
        cdef const char* problem
        cdef uint8_t* lp
        cdef uint8_t* at = NULL
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef uint32_t length
        cdef bint packed = type == RDB_TEMPLATE_LISTPACK or type == RDB_TEMPLATE_LISTPACK_REF
        names = None
        if type == RDB_TEMPLATE_ARRAY_REF:
            names = self.templates.get(self.read_length())
        elif type != 30:
            if not self.plain_length(&form):
                return False
            if form == NAMES_PACKED:
                if not self.text(1, &data, &size):
                    return False
                lp = <uint8_t*>data
                if lp_validate(lp, size) != NULL:
                    return self.corrupt(b"damaged field names", start)
                names = []
                at = lp_first(lp)
                while at != NULL:
                    data = lp_text(at, &length, scratch)
                    names.append(PyBytes_FromStringAndSize(data, length))
                    at = lp_next(lp, at)
            else:
                if not self.plain_length(&count):
                    return False
                names = []
                for _ in range(count):
                    names.append(self.read_string())
        if packed:
            if not self.text(1, &data, &size):
                return False
            lp = <uint8_t*>data
            problem = lp_validate(lp, size)
            if problem != NULL:
                return self.corrupt(problem, start)
            at = lp_first(lp)
            if at == NULL:
                return self.corrupt(b"template hash without its ID", start)
            if type == RDB_TEMPLATE_LISTPACK_REF:
                names = self.templates.get(lp_integer(at))
            at = lp_next(lp, at)
            count = lp_count(lp) - 1
        elif type == RDB_TEMPLATE_ARRAY_REF:
            if not self.plain_length(&count):
                return False
        else:
            count = <uint64_t>len(names)
        if names is None:
            return self.corrupt(b"hash with an unknown template", start)
        if count != <uint64_t>len(names):
            return self.corrupt(b"hash with another number of values than its template has fields", start)
        sink.begin(KIND_HASH, <int64_t>count)
        for name in names:
            if packed:
                data = lp_text(at, &length, scratch)
                size = length
                at = lp_next(lp, at)
            elif not self.text(1, &data, &size):
                return False
            sink.pair(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), data, size, NO_FIELD_TIME)
        return True

    # Streams

    cdef bint visit_stream(self, ValueSink sink, int type) except -1:
        cdef uint64_t nodes
        cdef const char* data
        cdef const char* problem
        cdef size_t size, start
        cdef StreamId master
        cdef NodeSummary summary
        memset(&summary, 0, sizeof(summary))
        if not self.plain_length(&nodes):
            return False
        sink.begin(KIND_STREAM, -1)
        if sink.looks_ahead:
            start = self.cursor.position
            if not self.skip_texts(nodes) or not self.skip_texts(nodes):
                return False
            tail = self.take_tail(type)
            if tail is None:
                return False
            sink.tail_ahead(tail)
            self.cursor.position = start
        self.entry_seen = False
        self.first_entry.ms = self.first_entry.seq = 0
        for _ in range(nodes):
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            if size != STREAM_ID_BYTES:
                return self.corrupt(b"stream node with a master ID that is not 16 bytes long", start)
            master = raw_id(<const uint8_t*>data)
            start = self.cursor.position
            if not self.text(1, &data, &size):
                return False
            problem = lp_validate(<const uint8_t*>data, size)
            if problem == NULL:
                problem = check_node(<uint8_t*>data, master, &summary)
            if problem != NULL:
                return self.corrupt(problem, start)
            sink.packed(size, lp_count(<uint8_t*>data))
            sink.node(master, data, size)
            self.visit_node(sink, master, <uint8_t*>data)
        start = self.cursor.position
        tail = self.take_tail(type)
        if tail is None:
            return False
        if tail.length and not nodes:
            return self.corrupt(b"stream with a length and no nodes", start)
        sink.stream_tail(tail)
        return True

    cdef bint visit_node(self, ValueSink sink, StreamId master, uint8_t* lp) except -1:
        """The live entries of a sound node."""
        cdef uint8_t* at = lp_first(lp)
        cdef uint8_t* names
        cdef uint8_t* name_at
        cdef char name_scratch[LISTPACK_INTEGER_TEXT]
        cdef char scratch[LISTPACK_INTEGER_TEXT]
        cdef const char* name
        cdef const char* data
        cdef uint32_t name_length, length
        cdef int64_t master_fields, fields, flags
        cdef StreamId id
        cdef bint live
        at = lp_next(lp, lp_next(lp, at))
        master_fields = lp_integer(at)
        names = at = lp_next(lp, at)
        for _ in range(master_fields + 1):
            at = lp_next(lp, at)
        while at != NULL:
            flags = lp_integer(at)
            live = not flags & ENTRY_DELETED
            at = lp_next(lp, at)
            id.ms = master.ms + <uint64_t>lp_integer(at)
            at = lp_next(lp, at)
            id.seq = master.seq + <uint64_t>lp_integer(at)
            at = lp_next(lp, at)
            fields = master_fields
            name_at = names
            if not flags & ENTRY_SAME_FIELDS:
                fields = lp_integer(at)
                at = lp_next(lp, at)
            if live and not self.entry_seen:
                self.first_entry = id
                self.entry_seen = True
            if live:
                sink.begin_entry(id, fields)
            for _ in range(fields):
                if not flags & ENTRY_SAME_FIELDS:
                    name_at = at
                    at = lp_next(lp, at)
                if live:
                    name = lp_text(name_at, &name_length, name_scratch)
                    data = lp_text(at, &length, scratch)
                    sink.entry_field(name, name_length, data, length)
                if flags & ENTRY_SAME_FIELDS:
                    name_at = lp_next(lp, name_at)
                at = lp_next(lp, at)
            if live:
                sink.end_entry()
            at = lp_next(lp, at)
        return True

    cdef object take_id(self):
        return self.read_length(), self.read_length()

    cdef object take_tail(self, int type):
        """What stands behind the nodes; None with the error recorded. Raises RdbValueError where lengths are short."""
        cdef size_t start
        length = self.read_length()
        tail = StreamTail(length, self.take_id(), (0, 0), (0, 0), length, [])
        if type >= RDB_STREAM_2:
            tail.first_id, tail.max_deleted_id, tail.entries_added = self.take_id(), self.take_id(), self.read_length()
        elif length:
            tail.first_id = (self.first_entry.ms, self.first_entry.seq)
        names = set()
        for _ in range(self.read_length()):
            start = self.cursor.position
            group = self.take_group(type)
            if group is None:
                return None
            if group.name in names:
                self.corrupt(b"stream with a repeated group", start)
                return None
            names.add(group.name)
            if type == RDB_STREAM:
                group.entries_read = entries_read_of(tail, group.last_id)
            tail.groups.append(group)
        if type >= RDB_STREAM_4:
            self.take_producers()
        return tail

    def take_producers(self):
        self.read_length()
        self.read_length()
        for _ in range(self.read_length()):
            self.read_string()
            for _ in range(self.read_length()):
                self.read_string()
                self.take_id()
        self.read_length()
        self.read_length()

    cdef object take_group(self, int type):
        cdef size_t start
        name, last_id = self.read_string(), self.take_id()
        entries_read = self.read_length() if type >= RDB_STREAM_2 else None
        if entries_read == 0xFFFFFFFFFFFFFFFF:
            entries_read = None
        group = StreamGroup(name, last_id, entries_read, {}, [], {})
        names = set()
        for _ in range(self.read_length()):
            start = self.cursor.position
            raw = self.read_bytes(24)
            entry_id = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big")
            if entry_id in group.pending:
                self.corrupt(b"stream group with a repeated pending entry", start)
                return None
            group.pending[entry_id] = int.from_bytes(raw[16:], "little", signed=True), self.read_length()
        for _ in range(self.read_length()):
            start = self.cursor.position
            name = self.read_string()
            if name in names:
                self.corrupt(b"stream group with a repeated consumer", start)
                return None
            names.add(name)
            seen_ms = int.from_bytes(self.read_bytes(8), "little", signed=True)
            active_ms = int.from_bytes(self.read_bytes(8), "little", signed=True) if type >= RDB_STREAM_3 else seen_ms
            consumer = StreamConsumer(name, seen_ms, active_ms)
            group.consumers.append(consumer)
            for _ in range(self.read_length()):
                start = self.cursor.position
                raw = self.read_bytes(16)
                entry_id = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
                if entry_id not in group.pending:
                    self.corrupt(b"stream consumer with an entry that is not pending in its group", start)
                    return None
                if entry_id in group.owners:
                    self.corrupt(b"stream entry that is pending for two consumers", start)
                    return None
                group.owners[entry_id] = name
                consumer.pending.append(entry_id)
        free = set()
        if type >= RDB_STREAM_5:
            for _ in range(self.read_length()):
                raw = self.read_bytes(16)
                free.add((int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")))
        if any(entry_id not in group.owners and entry_id not in free for entry_id in group.pending):
            self.corrupt(b"stream group with a pending entry that no consumer has", self.cursor.position)
            return None
        return group
